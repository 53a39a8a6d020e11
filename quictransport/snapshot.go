package quictransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// snapshotUrgency is that of the last in line: whatever else a connection carries goes first.
const snapshotUrgency = 7

// Stream carries one snapshot between two nodes, in both directions. It has neither frames nor a fence: what is in it is its
// owners' (P25). Reading and writing may happen at the same time, each from one goroutine; SetDeadline and Reset any time.
//
// Errors of Read and Write: io.EOF where the peer closed, os.ErrDeadlineExceeded, *ResetError when either side has given the
// stream up, *CloseError when the connection has ended.
type Stream struct {
	c        *conn
	qs       *quic.Stream
	incoming bool
	// cancel ends the context of who serves an incoming one; nil otherwise.
	cancel context.CancelCauseFunc
	ended  atomic.Bool
}

// ResetError says that one side gave a stream up before its end.
type ResetError struct {
	// Reason is why; ReasonNone when its owner was done with it.
	Reason Reason
	// Remote is true when it was the peer.
	Remote bool
}

// Error names reason and side.
func (e *ResetError) Error() string {
	if e.Remote {
		return "snapshot stream reset by the peer: " + e.Reason.String()
	}
	return "snapshot stream reset here: " + e.Reason.String()
}

// OpenSnapshot opens a stream for a snapshot to a peer and returns once it has been handed to QUIC: a peer that takes none resets it.
// ctx bounds the opening only. The caller ends the stream, by Close or Reset. Errors are *wire.Error: CodeUnreachable without a
// connection, CodeOverloaded when too many streams stand until ctx ends, CodeStopped.
func (t *Transport) OpenSnapshot(ctx context.Context, to wire.NodeID) (*Stream, error) {
	c, err := t.route(to)
	if err != nil {
		return nil, err
	}
	qs, err := c.qc.OpenStreamSync(ctx)
	if err != nil {
		if ctx.Err() != nil {
			e := c.peerError(wire.CodeOverloaded, "no stream for a snapshot in time")
			e.Cause = context.Cause(ctx)
			return nil, e
		}
		return nil, c.unreachable()
	}
	s := &Stream{c: c, qs: qs}
	switch r := t.enterStream(s); r {
	case ReasonNone:
	case ReasonShutdown:
		s.Reset(r)
		return nil, &wire.Error{Code: wire.CodeStopped, Detail: "this node's transport is closed"}
	default:
		return nil, c.unreachable()
	}
	qs.SetPriority(snapshotUrgency, true)
	p := t.preface
	p.Lane = framing.LaneSnapshot
	if _, err := qs.Write(p.Append(nil)); err != nil { // a new stream has credit for it: this does not wait
		s.Reset(ReasonNone)
		return nil, c.unreachable()
	}
	t.counters.lanes[framing.LaneSnapshot].sentFrames.Add(1)
	return s, nil
}

// acceptSnapshots takes in the streams on which the peer sends snapshots. QUIC bounds how many there are.
func (c *conn) acceptSnapshots() {
	for {
		qs, err := c.qc.AcceptStream(c.ctx)
		if err != nil {
			return
		}
		c.wg.Go(func() { c.serveSnapshot(qs) })
	}
}

// serveSnapshot serves one stream to its end. Who does not say who it is, or says something else than before, loses the connection;
// who goes away meanwhile does not.
func (c *conn) serveSnapshot(qs *quic.Stream) {
	s := &Stream{c: c, qs: qs, incoming: true}
	var refused *CloseError
	switch err := c.greet(qs); {
	case c.ctx.Err() != nil:
		return
	case errors.As(err, &refused):
		c.fail(refused.Reason, refused.Text)
		return
	case errors.Is(err, framing.ErrBadFrame):
		c.fail(ReasonBadFrame, err.Error())
		return
	case err != nil:
		s.Reset(ReasonBadFrame)
		return
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancelCause(c.ctx)
	defer s.cancel(nil)
	if r := c.t.enterStream(s); r != ReasonNone {
		c.t.counters.lanes[framing.LaneSnapshot].dropped.Add(1)
		s.Reset(r)
		return
	}
	defer c.t.leaveStream(s)
	defer s.Close()
	c.t.counters.lanes[framing.LaneSnapshot].receivedFrames.Add(1)
	c.t.cfg.Snapshot(ctx, c.peer, s)
}

// greet reads the preface and returns nil when the stream is that of a peer whose connection is in use.
func (c *conn) greet(qs *quic.Stream) error {
	if err := qs.SetReadDeadline(time.Now().Add(prefaceTimeout)); err != nil {
		return err
	}
	p, err := framing.ReadPreface(qs)
	if err != nil {
		return err
	}
	if err := qs.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := c.identify(&p); err != nil {
		return err
	}
	if p.Lane != framing.LaneSnapshot {
		return fmt.Errorf("lane %d on a stream for snapshots: %w", p.Lane, framing.ErrBadFrame)
	}
	if err := c.pass(c.ready); err != nil { // this stream may have overtaken the lanes
		return err
	}
	return c.hello.Confirms(&p)
}

// enterStream takes a stream into the books, or says why it has to end.
func (t *Transport) enterStream(s *Stream) Reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, ofPeer := 0, 0
	for o := range t.streams {
		if o.incoming {
			all++
			if o.c.peer == s.c.peer {
				ofPeer++
			}
		}
	}
	switch {
	case t.closing: // nothing that begins now could miss it (P7)
		return ReasonShutdown
	case s.c.ctx.Err() != nil: // endStreams has been here, or is about to
		return ReasonOther
	case s.incoming && t.cfg.Snapshot == nil:
		return ReasonRefused
	case s.incoming && (all >= maxSnapshots || ofPeer >= maxSnapshotsOfPeer):
		return ReasonOverload
	}
	t.streams[s] = struct{}{}
	return ReasonNone
}

// leaveStream takes a stream out of the books: an outgoing one with its end, an incoming one once nobody serves it any more.
func (t *Transport) leaveStream(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, s)
}

// endStreams takes what an ended connection had opened out of the books: its owners find out, but may take their time.
func (c *conn) endStreams() {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	maps.DeleteFunc(c.t.streams, func(s *Stream, _ struct{}) bool { return s.c == c && !s.incoming })
}

// allStreams returns the streams of snapshots that stand.
func (t *Transport) allStreams() []*Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Stream, 0, len(t.streams))
	for s := range t.streams {
		all = append(all, s)
	}
	return all
}

// Read reads what the peer writes.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.qs.Read(p)
	s.c.t.counters.lanes[framing.LaneSnapshot].receivedBytes.Add(uint64(n))
	return n, streamError(err)
}

// Write writes p; it waits while the peer does not read.
func (s *Stream) Write(p []byte) (int, error) {
	// The plain Write of quic-go v0.65.0 puts its last bytes aside for the next packet even if the peer has stopped reading meanwhile; then
	// the stream never completes, and the credit for it is lost (D67). A write with a limit puts nothing aside.
	// docs/upstream/quic-go-credit.md has the whole of it.
	n, err := s.qs.WriteWithLimit(p, func(n int) int { return n })
	s.c.t.counters.lanes[framing.LaneSnapshot].sentBytes.Add(uint64(n))
	return n, streamError(err)
}

// SetDeadline bounds reads and writes under way and to come; the zero time does not.
func (s *Stream) SetDeadline(t time.Time) error { return s.qs.SetDeadline(t) }

// Close ends both halves: what was written still arrives, what was not read is let go of (D67: no half stays open). It is for the
// goroutine that writes. It may be called again, and after Reset. The error is nil: that the peer has given the stream up before is none.
func (s *Stream) Close() error {
	if s.end(nil) {
		_ = s.qs.Close()
		s.qs.CancelRead(quic.StreamErrorCode(ReasonNone))
	}
	return nil
}

// Reset gives both halves up at once; the peer learns why. ReasonNone says that this side is done with it.
func (s *Stream) Reset(r Reason) {
	if s.end(&ResetError{Reason: r}) {
		s.qs.CancelWrite(quic.StreamErrorCode(r))
		s.qs.CancelRead(quic.StreamErrorCode(r))
	}
}

// end reports whether the stream has not been ended before. Who serves it hears of a reset by its context, too.
func (s *Stream) end(cause error) bool {
	if s.ended.Swap(true) {
		return false
	}
	if s.cancel != nil && cause != nil {
		s.cancel(cause)
	}
	if !s.incoming {
		s.c.t.leaveStream(s)
	}
	return true
}

// streamError translates what QUIC says of a stream.
func streamError(err error) error {
	var reset *quic.StreamError
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.As(err, &reset):
		r := ReasonNone
		if reset.ErrorCode < numReasons && Reason(reset.ErrorCode).travels() {
			r = Reason(reset.ErrorCode)
		}
		return &ResetError{Reason: r, Remote: reset.Remote}
	case errors.Is(err, net.ErrClosed):
		return closeErrorOf(err)
	}
	return err
}
