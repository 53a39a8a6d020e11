package snapshotstream

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"flotilla/internal/diskspace"
)

// ReceiveConfig is how a snapshot is received. The zero value takes what is offered.
type ReceiveConfig struct {
	// Pacer limits the rate at which chunks are taken, Busy slows it down: as of a SendConfig.
	Pacer *Pacer
	Busy  func() bool
	// Patience is how long the sender may take for a step; 0 is 30 s.
	Patience time.Duration
	// Stamp is asked for each frame that leaves, Admit decides about each that comes; nil: none, and all.
	Stamp func() Stamp
	Admit func(Stamp) error
	// Wants says why the snapshot of a header is not wanted, nil if it is; nil wants all. The sender is told the text.
	Wants func(h Header) error
	// Progress is told up to where the body is durable here; nil is not told.
	Progress func(h Header, durable uint64)
}

// ErrNotWanted says that Wants refused a snapshot.
var ErrNotWanted = errors.New("snapshot is not wanted")

// Receive takes what a sender offers over conn into store. When it returns nil, or an ErrHeld, the snapshot of the header
// is in the store, whole and durable. After any other error what came stays, and the next session goes on there, unless the
// error is an ErrCorrupt of the whole or a *QuarantinedError. It holds one chunk, and runs in the caller's goroutine.
//
// Errors: those of Store.Accept, Receiver.Chunk and Finish; ErrNotWanted; what Admit said; *VersionError; the connection's.
func Receive(ctx context.Context, conn Conn, store *Store, cfg ReceiveConfig) (Header, error) {
	r := &receivingSession{session: newSession(ctx, conn, cfg.Patience, cfg.Stamp, cfg.Admit), store: store, cfg: cfg}
	defer r.release()
	h, err := r.run()
	if err == nil || errors.Is(err, ErrHeld) {
		if told := r.say(answer{outcome: outcomeHeld}); told != nil {
			err = fmt.Errorf("tell the sender of %s: %w: %w", h.ID, ErrHeld, told)
		}
		return h, err
	}
	if reason := reasonOf(err); reason != 0 {
		_ = r.say(answer{outcome: outcomeRefused, reason: reason, detail: err.Error()}) // err says more than a connection that is gone, too
	}
	return h, err
}

type receivingSession struct {
	*session
	store *Store
	cfg   ReceiveConfig
}

func (s *receivingSession) run() (h Header, err error) {
	b, err := s.read(frameOffer, headerLead, maxHeader, 0)
	if err != nil {
		return h, err
	}
	if h, err = parseHeader(b); err != nil {
		return h, err
	}
	if s.cfg.Wants != nil {
		if err := s.cfg.Wants(h); err != nil {
			return h, fmt.Errorf("%w: %w", ErrNotWanted, err)
		}
	}
	r, err := s.store.Accept(h)
	if err != nil {
		return h, err
	}
	if err := s.body(r); err != nil {
		return h, errors.Join(err, r.Close())
	}
	trailer, err := s.read(frameDone, trailerSize, trailerSize, 0)
	if err != nil {
		return h, errors.Join(err, r.Close())
	}
	h, err = r.Finish(trailer)
	return h, errors.Join(err, r.Close())
}

// body answers with where to go on, after each window, until all of it is here.
func (s *receivingSession) body(r *Receiver) error {
	h := r.Header()
	for {
		if durable := r.Durable(); durable == r.Offset() {
			if s.cfg.Progress != nil {
				s.cfg.Progress(h, durable)
			}
			if err := s.say(answer{outcome: outcomeContinue, offset: durable, window: r.Window()}); err != nil {
				return err
			}
		}
		if r.Offset() == h.BodyLength {
			return nil
		}
		n := chunkLead + h.chunkAt(r.Offset())
		if err := s.pace(s.cfg.Pacer, s.cfg.Busy, n); err != nil {
			return err
		}
		b, err := s.read(frameChunk, n, n, 0)
		if err != nil {
			return err
		}
		if err := r.Chunk(b); err != nil {
			return err
		}
	}
}

func (s *receivingSession) say(a answer) error {
	return s.write(frameAnswer, func(dst []byte) ([]byte, error) { return appendAnswer(dst, &a), nil })
}

// reasonOf is what the sender is told of err; 0 for a connection that is gone.
func reasonOf(err error) Reason {
	var (
		version *VersionError
		out     *QuarantinedError
		low     *diskspace.LowError
		stale   *staleError
		link    *linkError
	)
	switch {
	case errors.As(err, &link):
		return 0
	case errors.As(err, &stale):
		return ReasonStale
	case errors.Is(err, ErrNotWanted):
		return ReasonNotWanted
	case errors.Is(err, ErrOvertaken):
		return ReasonOvertaken
	case errors.As(err, &out):
		return ReasonQuarantined
	case errors.As(err, &low), errors.Is(err, syscall.ENOSPC):
		return ReasonNoSpace
	case errors.Is(err, ErrCorrupt):
		return ReasonCorrupt
	case errors.Is(err, ErrTakenOver):
		return ReasonTakenOver
	case errors.As(err, &version):
		return ReasonVersion
	}
	return ReasonFailed
}
