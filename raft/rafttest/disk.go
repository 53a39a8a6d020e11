package rafttest

import (
	"fmt"
	"slices"

	"flotilla/internal/assert"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// Disk is one replica's crashable log. Writes are queued by Write in the order of their tokens and become
// durable one at a time, by Sync; Crash forgets what is still queued. It is the LogReader of its core: readers
// see what is durable, no more.
type Disk struct {
	hard       wire.HardState
	membership wire.Membership
	prevTerm   wire.Term // of the entry at first-1
	first      wire.Index
	entries    []wire.Entry

	pending []write
	// broken, when set, is what reads answer: a disk that cannot be trusted (F10).
	broken error
}

// write is one update on its way to the disk.
type write struct {
	token  raft.Token
	update wire.LogUpdate // as the core handed it out, its slices shared with the core
	copied wire.LogUpdate // the same with slices of its own, to prove that the core left them alone
}

// NewDisk returns the disk of a replica that was created with the given membership and has stored nothing yet.
func NewDisk(birth wire.Membership) *Disk {
	return &Disk{first: 1, membership: cloneMembership(birth)}
}

// Restore returns what a host finds when it opens the disk.
func (d *Disk) Restore() (wire.HardState, wire.Membership) {
	return d.hard, cloneMembership(d.membership)
}

// Break makes every read answer err; nil mends the disk.
func (d *Disk) Break(err error) { d.broken = err }

// Bounds returns the first and the last durable index.
func (d *Disk) Bounds() (first, last wire.Index) {
	return d.first, d.first + wire.Index(len(d.entries)) - 1
}

// Term returns the term of the durable entry at i.
func (d *Disk) Term(i wire.Index) (wire.Term, error) {
	first, last := d.Bounds()
	switch {
	case d.broken != nil:
		return 0, d.broken
	case i == first-1:
		return d.prevTerm, nil
	case i < first:
		return 0, wire.ErrCompacted
	case i > last:
		return 0, wire.ErrUnavailable
	}
	return d.entries[i-first].Term, nil
}

// Entries appends the durable entries of [lo, hi) to dst, at least one and at most maxBytes.
func (d *Disk) Entries(dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	first, last := d.Bounds()
	switch {
	case d.broken != nil:
		return dst, d.broken
	case lo < first:
		return dst, wire.ErrCompacted
	case hi > last+1:
		return dst, wire.ErrUnavailable
	}
	size := 0
	for i := lo; i < hi; i++ {
		e := d.entries[i-first]
		size += e.Size()
		if i > lo && size > maxBytes {
			break
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// Pending returns how many writes are queued.
func (d *Disk) Pending() int { return len(d.pending) }

// Token returns the token of queued write i, counted from 0.
func (d *Disk) Token(i int) raft.Token { return d.pending[i].token }

// Queued returns write i of those queued, counted from 0.
func (d *Disk) Queued(i int) wire.LogUpdate { return d.pending[i].copied }

// Write queues one update. The error says which rule of wire.LogUpdate the core broke.
func (d *Disk) Write(token raft.Token, u wire.LogUpdate) error {
	if err := d.legal(token, &u); err != nil {
		return fmt.Errorf("write %d: %w", token, err)
	}
	d.pending = append(d.pending, write{token: token, update: u, copied: cloneUpdate(u)})
	return nil
}

// legal checks an update against the log as it will be once all that is queued has been written.
func (d *Disk) legal(token raft.Token, u *wire.LogUpdate) error {
	_, last := d.Bounds()
	hard, newest := d.hard, raft.Token(0)
	for i := range d.pending {
		p := &d.pending[i]
		if n := len(p.copied.Entries); n > 0 {
			last = p.copied.Entries[n-1].Index
		}
		if p.copied.ResetTo > 0 {
			last = max(last, p.copied.ResetTo)
		}
		if p.copied.SetHardState {
			hard = p.copied.HardState
		}
		newest = p.token
	}
	if token <= newest {
		return fmt.Errorf("token does not rise: the last one was %d", newest)
	}
	if u.ResetTo > 0 {
		if err := legalReset(u, &hard); err != nil {
			return err
		}
		last = u.ResetTo
	}
	for i := range u.Entries {
		if u.Entries[i].Index != u.Entries[0].Index+wire.Index(i) {
			return fmt.Errorf("entries are not contiguous at %d", u.Entries[i].Index)
		}
	}
	if n := len(u.Entries); n > 0 {
		if !u.SetHardState {
			return fmt.Errorf("entries without a hard state")
		}
		if u.Entries[0].Index > last+1 || u.Entries[0].Index == 0 {
			return fmt.Errorf("gap: entries start at %d, the log ends at %d", u.Entries[0].Index, last)
		}
		if first := u.Entries[0].Index; first <= max(hard.Commit, u.ResetTo) {
			return fmt.Errorf("entry %d overwrites what is committed (commit %d)", first, hard.Commit)
		}
		last = u.Entries[n-1].Index
	}
	if u.CompactTo > last {
		return fmt.Errorf("compaction to %d beyond the last entry %d", u.CompactTo, last)
	}
	if !u.SetHardState {
		return nil
	}
	switch h := u.HardState; {
	case h.Term < hard.Term:
		return fmt.Errorf("term goes back from %d to %d", hard.Term, h.Term)
	case h.Term == hard.Term && hard.Vote != wire.NoNode && h.Vote != hard.Vote:
		return fmt.Errorf("vote of term %d changes from %s to %s", h.Term, hard.Vote, h.Vote)
	case h.Commit < hard.Commit:
		return fmt.Errorf("commit goes back from %d to %d", hard.Commit, h.Commit)
	case h.Commit > last:
		return fmt.Errorf("commit %d beyond the last entry %d", h.Commit, last)
	}
	return nil
}

// legalReset checks an update that moves the log to a snapshot.
func legalReset(u *wire.LogUpdate, hard *wire.HardState) error {
	switch {
	case !u.SetHardState || !u.SetMembership:
		return fmt.Errorf("log moves to %d without hard state or membership", u.ResetTo)
	case u.ResetTo <= hard.Commit:
		return fmt.Errorf("log moves to %d, behind what is committed (commit %d)", u.ResetTo, hard.Commit)
	case u.HardState.Commit < u.ResetTo || u.ResetTerm == 0 || u.ResetTerm > u.HardState.Term || u.Membership.Index > u.ResetTo:
		return fmt.Errorf("log moves to %d@%d with term %d commit %d and a membership of %d",
			u.ResetTo, u.ResetTerm, u.HardState.Term, u.HardState.Commit, u.Membership.Index)
	}
	return nil
}

// Sync makes the oldest queued write durable. It returns the write as it is now on the disk, and an error if
// the core changed the update after it had handed it out.
func (d *Disk) Sync() (raft.Token, wire.LogUpdate, error) {
	assert.That(len(d.pending) > 0, "sync of a disk with nothing queued")
	w := d.pending[0]
	d.pending = slices.Delete(d.pending, 0, 1)
	var err error
	if !sameEntries(w.update.Entries, w.copied.Entries) {
		err = fmt.Errorf("the entries of write %d changed while it was on its way", w.token)
	}
	d.apply(&w.copied)
	return w.token, w.copied, err
}

func (d *Disk) apply(u *wire.LogUpdate) {
	if u.SetHardState {
		d.hard = u.HardState
	}
	if u.ResetTo > 0 {
		d.first, d.prevTerm, d.entries = u.ResetTo+1, u.ResetTerm, nil
	}
	if n := len(u.Entries); n > 0 {
		keep := u.Entries[0].Index - d.first
		d.entries = append(d.entries[:keep], u.Entries...)
	}
	if u.SetMembership {
		d.membership = cloneMembership(u.Membership)
	}
	if u.CompactTo >= d.first {
		d.compact(u.CompactTo)
	}
}

// compact lets go of the entries up to and including to.
func (d *Disk) compact(to wire.Index) {
	_, last := d.Bounds()
	assert.That(to <= last, "compaction to %d beyond the last entry %d", to, last)
	n := to - d.first + 1
	d.prevTerm = d.entries[n-1].Term
	d.entries = slices.Clone(d.entries[n:])
	d.first = to + 1
}

// Crash forgets the writes that are not durable and returns their number.
func (d *Disk) Crash() int {
	lost := len(d.pending)
	d.pending = nil
	return lost
}

func cloneMembership(m wire.Membership) wire.Membership {
	m.Voters = slices.Clone(m.Voters)
	m.Learners = slices.Clone(m.Learners)
	m.Outgoing = slices.Clone(m.Outgoing)
	m.Demoted = slices.Clone(m.Demoted)
	return m
}

func cloneUpdate(u wire.LogUpdate) wire.LogUpdate {
	u.Entries = slices.Clone(u.Entries)
	if u.SetMembership {
		u.Membership = cloneMembership(u.Membership)
	}
	return u
}

func sameEntries(a, b []wire.Entry) bool {
	return slices.EqualFunc(a, b, func(x, y wire.Entry) bool {
		return x.Term == y.Term && x.Index == y.Index && x.Kind == y.Kind && string(x.Data) == string(y.Data)
	})
}
