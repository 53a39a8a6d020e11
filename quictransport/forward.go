package quictransport

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// forwardLane carries requests to the peer and replies to its requests, each found again by a correlation id of the
// side that asked. One stream each way for ever: no stream is opened per request (D67, D68).
type forwardLane struct {
	stream *quic.SendStream
	wake   chan struct{}
	stall  stallWatch

	mu sync.Mutex // guards everything below
	// bytes counts what waits and what is being written.
	bytes int
	box   framing.Outbox
	// written numbers the frames of this lane; sent keeps the latest for a refusal by the fence.
	written uint64
	sent    framing.Ring
	// calls are this side's requests under way; nil once the connection has ended.
	calls     map[uint64]*call
	lastID    uint64
	callBytes int
	// serving are the peer's requests under way.
	serving      map[uint64]context.CancelFunc
	servingBytes int
}

func (l *forwardLane) init() {
	l.wake = make(chan struct{}, 1)
	l.calls = map[uint64]*call{}
	l.serving = map[uint64]context.CancelFunc{}
}

// call is one request under way.
type call struct {
	bytes int
	done  chan result // holds one
}

type result struct {
	reply []byte
	err   *wire.Error
}

// request queues one request and returns where its reply will come.
func (c *conn) request(ctx context.Context, body []byte) (uint64, *call, error) {
	timeout := uint64(0)
	if deadline, ok := ctx.Deadline(); ok {
		timeout = uint64(max(1, time.Until(deadline).Milliseconds()))
	}
	l, lim := &c.forward, &c.t.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	it := framing.Item{Kind: framing.ItemRequest, Number: timeout, Body: body}
	switch {
	case l.calls == nil:
		return 0, nil, c.unreachable()
	case len(l.calls) >= lim.Forwards, l.callBytes > 0 && l.callBytes+len(body) > lim.ForwardBytes:
		c.t.counters.lanes[framing.LaneForward].dropped.Add(1)
		return 0, nil, c.peerError(wire.CodeOverloaded, "%d requests of %d bytes are under way", len(l.calls), l.callBytes)
	case l.bytes > 0 && l.bytes+it.Size() > lim.LaneBytes:
		c.t.counters.lanes[framing.LaneForward].dropped.Add(1)
		return 0, nil, c.overloaded("forward lane")
	}
	l.lastID++
	k := &call{bytes: len(body), done: make(chan result, 1)}
	l.calls[l.lastID] = k
	l.callBytes += k.bytes
	c.t.counters.forwardsOut.Add(1)
	it.ID = l.lastID
	l.add(it)
	return it.ID, k, nil
}

// add appends one item; mu is held.
func (l *forwardLane) add(it framing.Item) {
	before := l.box.Len()
	l.box.AddItem(&it)
	l.bytes += l.box.Len() - before
	signal(l.wake)
}

// settle takes a call out of the books and reports whether it was still there; mu is held.
func (c *conn) settle(id uint64) (*call, bool) {
	l := &c.forward
	k, ok := l.calls[id]
	if ok {
		delete(l.calls, id)
		l.callBytes -= k.bytes
		c.t.counters.forwardsOut.Add(-1)
	}
	return k, ok
}

// complete hands a reply to the caller; one that nobody waits for any more is dropped.
func (c *conn) complete(id uint64, r result) {
	c.forward.mu.Lock()
	k, ok := c.settle(id)
	c.forward.mu.Unlock()
	if ok {
		k.done <- r
	}
}

// abandon gives up on a call and tells the peer, if there is room for that.
func (c *conn) abandon(id uint64) {
	l := &c.forward
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := c.settle(id); ok && l.bytes < c.t.limits.LaneBytes {
		l.add(framing.Item{Kind: framing.ItemCancel, ID: id})
	}
}

// await waits for the reply to a call.
func (c *conn) reply(ctx context.Context, id uint64, k *call) ([]byte, error) {
	select {
	case r := <-k.done:
		if r.err != nil {
			return nil, r.err
		}
		return r.reply, nil
	case <-ctx.Done():
		c.abandon(id)
		e := c.peerError(wire.CodeUnknownOutcome, "no reply in time")
		e.Cause = context.Cause(ctx)
		return nil, e
	}
}

// endForwards answers every call once the connection has ended, and takes no more.
func (c *conn) endForwards() {
	l := &c.forward
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.callBytes = 0
	l.mu.Unlock()
	c.t.counters.forwardsOut.Add(-int64(len(calls)))
	for _, k := range calls {
		k.done <- result{err: c.peerError(wire.CodeUnknownOutcome, "connection ended before the reply")}
	}
}

// writeForwards is the writer goroutine of the forward lane.
func (c *conn) writeForwards() {
	l := &c.forward
	var out framing.Outbox // owned by this goroutine, swapped with the lane's
	for c.await(l.wake) {
		l.mu.Lock()
		out, l.box = l.box, out
		l.mu.Unlock()
		for i := range out.Frames() {
			frame := out.Sealed(i, c.t.cfg.Fence.Stamp())
			count, elements := out.Elements(i)
			l.mu.Lock()
			l.written++
			// Before the write: the refusal may be back before Write returns.
			l.sent.Keep(l.written, count, elements)
			l.mu.Unlock()
			if !c.write(l.stream, &l.stall, frame) {
				return
			}
			c.t.counters.lanes[framing.LaneForward].sent(len(frame))
			l.mu.Lock()
			l.bytes -= len(frame)
			l.mu.Unlock()
		}
		out.Reset()
	}
}

// resend queues a refused frame once more; its new stamp is put on when it is written (P23, P24).
func (c *conn) resend(seq uint64) {
	l := &c.forward
	l.mu.Lock()
	defer l.mu.Unlock()
	count, elements, ok := l.sent.Take(seq)
	if !ok {
		return
	}
	before := l.box.Len()
	l.box.AddFrame(count, elements)
	l.bytes += l.box.Len() - before
	c.t.counters.resent.Add(1)
	signal(l.wake)
}

// Forward carries one request to node to and returns its reply. Errors are *wire.Error: CodeUnreachable, CodeOverloaded,
// CodeTooLarge, CodeTimeout and CodeStopped before anything was sent, CodeUnknownOutcome once the request may have left,
// and whatever the peer's handler answered.
func (t *Transport) Forward(ctx context.Context, to wire.NodeID, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, &wire.Error{Code: wire.CodeTimeout, Detail: "before the request was sent", Cause: context.Cause(ctx)}
	}
	c, err := t.route(to)
	if err != nil {
		return nil, err
	}
	if len(request) > framing.MaxBody {
		return nil, c.tooLarge("request", len(request), framing.MaxBody)
	}
	id, k, err := c.request(ctx, request)
	if err != nil {
		return nil, err
	}
	return c.reply(ctx, id, k)
}

// errorOf makes what a handler returned fit to travel. An error without a code says nothing about the outcome.
func errorOf(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	return &wire.Error{Code: wire.CodeUnknownOutcome, Detail: err.Error()}
}
