package snapshotstream

import (
	"cmp"
	"context"
	"io"
	"time"
)

// Conn is what a session runs over: a QUIC stream, a net.Conn. If it has SetDeadline, a session ends when the peer does
// not move for the session's patience, or when its context does. It has room for an answer, 1 KiB, whose reader is busy
// writing, as QUIC and TCP have: a refusal may come at any time.
type Conn = io.ReadWriter

type deadliner interface{ SetDeadline(t time.Time) error }

// session is what both sides have in common.
type session struct {
	ctx      context.Context // of the session's one call
	conn     Conn
	patience time.Duration
	stamp    func() Stamp
	admit    func(Stamp) error
	buf      []byte // one frame
	release  func() bool
}

func newSession(ctx context.Context, conn Conn, patience time.Duration, stamp func() Stamp, admit func(Stamp) error) *session {
	s := &session{ctx: ctx, conn: conn, patience: cmp.Or(patience, defaultPatience), stamp: stamp, admit: admit, release: func() bool { return true }}
	if s.stamp == nil {
		s.stamp = func() Stamp { return Stamp{} }
	}
	if s.admit == nil {
		s.admit = func(Stamp) error { return nil }
	}
	if d, ok := conn.(deadliner); ok {
		s.release = context.AfterFunc(ctx, func() { _ = d.SetDeadline(time.Unix(1, 0)) })
	}
	return s
}

// touch gives the peer patience, and more, for the next step. It looks at the context after that: if it ended before,
// its own deadline may have been overwritten.
func (s *session) touch(more time.Duration) error {
	if d, ok := s.conn.(deadliner); ok {
		if err := d.SetDeadline(time.Now().Add(s.patience + more)); err != nil {
			return &linkError{"set deadline", err}
		}
	}
	return context.Cause(s.ctx)
}

// pace waits until n more bytes may move.
func (s *session) pace(p *Pacer, busy func() bool, n int) error {
	if p == nil {
		return nil
	}
	if busy != nil && busy() {
		p.SlowDown()
	}
	return p.Wait(s.ctx, n)
}

// write sends one frame: its lead, and payload behind it, in one Write each frame.
func (s *session) write(kind frameKind, payload func(dst []byte) ([]byte, error)) error {
	b, err := payload(append(s.buf[:0], make([]byte, frameLead)...))
	s.buf = b
	if err != nil {
		return err
	}
	appendLead(b[:0], kind, len(b)-frameLead, s.stamp())
	if err := s.touch(0); err != nil {
		return err
	}
	if _, err := s.conn.Write(b); err != nil {
		return &linkError{"write frame", err}
	}
	return nil
}

// read returns the payload of the next frame, which is of kind, admitted, and of least to most bytes. It is valid until
// the next call of read or write.
func (s *session) read(kind frameKind, least, most int, more time.Duration) ([]byte, error) {
	if err := s.touch(more); err != nil {
		return nil, err
	}
	l, err := readLead(s.conn, kind)
	if err != nil {
		return nil, err
	}
	if err := s.admit(l.stamp); err != nil {
		return nil, &staleError{err}
	}
	if l.length < least || l.length > most {
		return nil, corrupt("frame", 4, errLength)
	}
	s.buf, err = readPayload(s.conn, s.buf, l.length)
	return s.buf, err
}

// staleError marks what Admit said.
type staleError struct{ err error }

func (e *staleError) Error() string { return e.err.Error() }
func (e *staleError) Unwrap() error { return e.err }
