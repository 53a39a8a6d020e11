// Package epoch is the cluster's fence token: its type, the two numbers a node keeps of it, and the
// rules by which frames are admitted. It guarantees that a node's applied epoch only rises, that its
// observed epoch is never below it, and that a frame older than the applied epoch is never admitted.
//
// A Holder belongs to one node object, never to the process (P27). It does no I/O: the catalog makes the
// applied epoch durable, in the transaction that moves group 0's applied index (P22).
//
//	fence := epoch.NewHolder(saved)
//	if err := fence.Admit(stamp); err != nil { refuse(fence.Stamp()) }
package epoch

import (
	"errors"
	"fmt"
	"sync/atomic"

	"flotilla/internal/mutant"
)

// Epoch is the fence token. It rises by exactly one for each acquisition of leadership of group 0 (P20).
// 0 is the epoch before the first.
type Epoch uint64

// MaxJump is how far above the applied epoch a claim may lie; beyond it the claim is implausible and
// refused (P27). Half a million leader changes that a node has missed (maxLead) do not happen. What was merely heard does not move
// the bound, or one liar could move it step by step.
const MaxJump = 1 << 20

// maxLead is how far above the applied epoch a node lets its observed one rise. It repeats what it observes in every
// stamp, so it must stay well below what others refuse: else a claim of MaxJump, believed here, would be implausible to
// a node that has applied one epoch less, and honest nodes would close their connections to each other.
// A node that lags by more than this is heard no more (docs/model/fence.pml, LIMIT_LAG): half a million leader changes missed.
const maxLead = MaxJump / 2

// ErrImplausible says that an epoch lies more than MaxJump above the one this node has applied.
var ErrImplausible = errors.New("epoch implausibly far ahead")

// StaleError says that a frame or an authority was older than the receiver's applied epoch (P24, P25).
type StaleError struct {
	// Claimed is what the frame carried, Current what the receiver has applied.
	Claimed, Current Epoch
	// Authority is true when the frame was young enough but the sender's applied epoch was not.
	Authority bool
}

// Error names both epochs.
func (e *StaleError) Error() string {
	what := "frame"
	if e.Authority {
		what = "authority"
	}
	return fmt.Sprintf("stale %s: epoch %d, current is %d", what, e.Claimed, e.Current)
}

// BehindError says that this node has observed an epoch it has not applied; cluster administration
// waits until it has (P26). Retriable.
type BehindError struct{ Applied, Observed Epoch }

// Error names both epochs.
func (e *BehindError) Error() string {
	return fmt.Sprintf("this node has applied epoch %d but observed %d: retry when it has caught up", e.Applied, e.Observed)
}

// Stamp is what a frame carries: the sender's observed epoch, and its applied one as authority.
type Stamp struct{ Observed, Applied Epoch }

// Holder keeps a node's two epochs. All methods are safe for concurrent use and none blocks.
type Holder struct {
	applied  atomic.Uint64
	observed atomic.Uint64
}

// NewHolder returns a holder whose epochs both start at applied, as saved in the catalog.
func NewHolder(applied Epoch) *Holder {
	h := &Holder{}
	h.applied.Store(uint64(applied))
	h.observed.Store(uint64(applied))
	return h
}

// Applied returns the last epoch applied from group 0's log.
func (h *Holder) Applied() Epoch { return Epoch(h.applied.Load()) }

// Observed returns the highest authentic epoch heard; never below Applied.
func (h *Holder) Observed() Epoch { return Epoch(h.observed.Load()) }

// Stamp returns what to put on a frame. Call it when the frame is written, not when it is queued (P23).
func (h *Holder) Stamp() Stamp {
	// Applied first, as Apply raises observed first: a rise between the two loads then only makes Observed
	// larger, and Applied <= Observed holds in every stamp.
	applied := h.Applied()
	return Stamp{Observed: h.Observed(), Applied: applied}
}

// Apply moves the applied epoch to e; a lower or equal e changes nothing. Call it after the catalog's
// transaction is durable.
func (h *Holder) Apply(e Epoch) {
	raise(&h.observed, e) // first: observed is never below applied
	raise(&h.applied, e)
}

// Observe takes in an epoch heard from an authenticated peer and reports whether it was news. It is believed
// up to half of MaxJump above the applied one. An implausible one changes nothing and returns ErrImplausible.
func (h *Holder) Observe(e Epoch) (rose bool, err error) {
	applied := h.Applied()
	if e <= applied {
		return false, nil
	}
	if e-applied > MaxJump {
		return false, fmt.Errorf("observe epoch %d over %d: %w", e, applied, ErrImplausible)
	}
	return raise(&h.observed, applied+min(e-applied, maxLead)), nil
}

// Admit checks a frame's stamp: nil, *StaleError, or ErrImplausible. An admitted stamp is observed. One that
// claims to have applied more than it has observed contradicts itself: no honest node writes it.
func (h *Holder) Admit(s Stamp) error {
	if s.Applied > s.Observed {
		return fmt.Errorf("admit stamp of epoch %d with applied %d: %w", s.Observed, s.Applied, ErrImplausible)
	}
	if current := h.Applied(); s.Observed < current && !mutant.Is(mutant.AcceptStaleEpoch) {
		return &StaleError{Claimed: s.Observed, Current: current}
	}
	_, err := h.Observe(s.Observed)
	return err
}

// AdmitAuthority is Admit for frames that act with authority: the sender's applied epoch counts too (P25).
func (h *Holder) AdmitAuthority(s Stamp) error {
	if err := h.Admit(s); err != nil {
		return err
	}
	if current := h.Applied(); s.Applied < current && !mutant.Is(mutant.AcceptStaleAuthority) {
		return &StaleError{Claimed: s.Applied, Current: current, Authority: true}
	}
	return nil
}

// Administrable returns nil when this node may act for the whole cluster, else *BehindError (P26).
func (h *Holder) Administrable() error {
	if s := h.Stamp(); s.Applied < s.Observed {
		return &BehindError{Applied: s.Applied, Observed: s.Observed}
	}
	return nil
}

// raise moves v up to e and reports whether it moved.
func raise(v *atomic.Uint64, e Epoch) bool {
	for {
		old := v.Load()
		if uint64(e) <= old {
			return false
		}
		if v.CompareAndSwap(old, uint64(e)) {
			return true
		}
	}
}
