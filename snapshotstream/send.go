package snapshotstream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// SendConfig is how a snapshot is sent. The zero value sends as fast as it can.
type SendConfig struct {
	// Pacer limits the rate; nil does not. Several transfers may share one.
	Pacer *Pacer
	// Busy is asked before each chunk: while it says yes, something more urgent waits and Pacer slows down. Nil is never.
	Busy func() bool
	// Patience is how long the receiver may take for a step; 0 is 30 s.
	Patience time.Duration
	// Stamp is asked for each frame that leaves, Admit decides about each that comes; nil: none, and all.
	Stamp func() Stamp
	Admit func(Stamp) error
	// Progress is told up to where the body is durable at the receiver, from the first answer on; nil is not told.
	Progress func(durable uint64)
}

// Sent says what a session moved.
type Sent struct {
	// From is where in the body it began, Bytes how many of the body's it sent.
	From, Bytes uint64
}

// Send offers a snapshot over conn and sends what the receiver lacks of it. When it returns nil the receiver holds the
// snapshot whole and durable. It holds one chunk, and runs in the caller's goroutine; end it by ctx or by closing conn.
//
// Errors: *RefusedError; an ErrCorrupt if the file here is damaged, and only then; ErrPeer; what Admit said; the
// connection's. After any of them but the first two Send may be called again with another connection, here or at another
// node that holds the snapshot.
func Send(ctx context.Context, conn Conn, x *Snapshot, cfg SendConfig) (Sent, error) {
	s := &sending{session: newSession(ctx, conn, cfg.Patience, cfg.Stamp, cfg.Admit), x: x, h: x.Header(), cfg: cfg}
	defer s.release()
	err := s.run()
	if err != nil {
		err = fmt.Errorf("send snapshot %s of group %d at %d: %w", s.h.ID, s.h.Group, s.h.Index, err)
	}
	return s.sent, err
}

type sending struct {
	*session
	x      *Snapshot
	h      Header
	cfg    SendConfig
	offset uint64 // of the body: what is sent next
	sent   Sent
}

func (s *sending) run() error {
	err := s.write(frameOffer, func(dst []byte) ([]byte, error) { return appendHeader(dst, &s.h), nil })
	if err != nil {
		return s.because(err)
	}
	a, err := s.answer(0)
	if err != nil || a.outcome == outcomeHeld {
		return err
	}
	s.sent.From, s.offset = a.offset, a.offset
	for {
		s.progress()
		if s.offset == s.h.BodyLength {
			return s.finish()
		}
		if err := s.window(a.window); err != nil {
			return s.because(err)
		}
		if a, err = s.answer(0); err != nil {
			return err
		}
		if a.outcome != outcomeContinue || a.offset != s.offset {
			return fmt.Errorf("%w: answer to bytes up to %d", ErrPeer, s.offset)
		}
	}
}

// window sends chunks until size bytes or more have gone, or all.
func (s *sending) window(size uint64) error {
	for end := s.offset + min(size, s.h.BodyLength-s.offset); s.offset < end; {
		n := s.h.chunkAt(s.offset)
		if err := s.pace(s.cfg.Pacer, s.cfg.Busy, n); err != nil {
			return err
		}
		err := s.write(frameChunk, func(dst []byte) ([]byte, error) { return s.x.Chunk(dst, s.offset) })
		if err != nil {
			return err
		}
		s.offset += uint64(n)
		s.sent.Bytes += uint64(n)
	}
	return nil
}

// finish says that this was all, and waits until the receiver holds it.
func (s *sending) finish() error {
	trailer, err := s.x.Trailer()
	if err != nil {
		return err
	}
	if err := s.write(frameDone, func(dst []byte) ([]byte, error) { return append(dst, trailer...), nil }); err != nil {
		return s.because(err)
	}
	verifying := time.Duration(s.h.BodyLength/verifyBytesPerSecond) * time.Second
	a, err := s.answer(verifying)
	if err == nil && a.outcome != outcomeHeld {
		err = fmt.Errorf("%w: answer to the end", ErrPeer)
	}
	return err
}

// answer reads the receiver's next answer; a refusal is an error.
func (s *sending) answer(more time.Duration) (answer, error) {
	var a answer
	b, err := s.read(frameAnswer, answerFixed, answerFixed+maxDetail, more)
	if err == nil {
		a, err = parseAnswer(b)
	}
	switch {
	case errors.Is(err, ErrCorrupt): // of the answer: it says nothing about the snapshot, so that name is not passed on
		return answer{}, fmt.Errorf("%w: %s", ErrPeer, err.Error())
	case err != nil:
		return answer{}, err
	case a.outcome == outcomeRefused:
		return a, &RefusedError{Reason: a.reason, Detail: a.detail}
	case a.outcome == outcomeContinue && !s.h.boundary(a.offset):
		return answer{}, fmt.Errorf("%w: it wants bytes from %d on", ErrPeer, a.offset)
	}
	return a, nil
}

// because looks whether a receiver that stopped reading has said why.
func (s *sending) because(err error) error {
	if errors.Is(err, ErrCorrupt) || s.ctx.Err() != nil {
		return err
	}
	var refused *RefusedError
	if _, said := s.answer(0); errors.As(said, &refused) {
		return said
	}
	return err
}

func (s *sending) progress() {
	if s.cfg.Progress != nil {
		s.cfg.Progress(s.offset)
	}
}
