package quictransport

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// takeForwards handles the items of an admitted frame.
func (l *laneReader) takeForwards(stamp epoch.Stamp) error {
	r := &l.reader
	for range r.ArrayLen(wire.MaxBatchMessages) {
		it := framing.ReadItem(r)
		if r.Err() != nil {
			break
		}
		if err := l.c.takeItem(it, stamp); err != nil {
			return err
		}
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("forwards: %w: %w", err, framing.ErrBadFrame)
	}
	return nil
}

// takeItem handles one item. What it keeps it copies: the frame's memory is used again.
func (c *conn) takeItem(it framing.Item, stamp epoch.Stamp) error {
	switch it.Kind {
	case framing.ItemRequest:
		// A request acts with authority: its sender must have applied the current epoch too (P25).
		if err := c.t.cfg.Fence.AdmitAuthority(stamp); err != nil {
			c.t.counters.authorityRefused.Add(1)
			c.answer(it.ID, nil, &wire.Error{Code: wire.CodeStaleEpoch, Detail: err.Error()})
			return nil
		}
		return c.serve(it)
	case framing.ItemReply:
		c.complete(it.ID, result{reply: bytes.Clone(it.Body)})
	case framing.ItemError:
		c.complete(it.ID, result{err: it.Err})
	case framing.ItemCancel:
		c.forward.mu.Lock()
		cancel := c.forward.serving[it.ID]
		c.forward.mu.Unlock()
		if cancel != nil {
			cancel()
		}
	}
	return nil
}

// serve starts the handler of one request, or answers that there are too many.
func (c *conn) serve(it framing.Item) error {
	l, lim := &c.forward, &c.t.limits
	ctx, cancel := c.requestContext(it.Number)
	l.mu.Lock()
	_, twice := l.serving[it.ID]
	full := len(l.serving) >= lim.Forwards || l.servingBytes > 0 && l.servingBytes+len(it.Body) > lim.ForwardBytes
	if !twice && !full {
		l.serving[it.ID] = cancel
		l.servingBytes += len(it.Body)
	}
	l.mu.Unlock()
	switch {
	case twice:
		cancel()
		return fmt.Errorf("request %d while request %d is under way: %w", it.ID, it.ID, framing.ErrBadFrame)
	case full:
		cancel()
		c.answer(it.ID, nil, &wire.Error{Code: wire.CodeOverloaded, Detail: fmt.Sprintf("node %d serves too many requests", c.t.cfg.Self)})
		return nil
	}
	c.t.counters.forwardsIn.Add(1)
	body := bytes.Clone(it.Body)
	c.wg.Go(func() {
		reply, err := c.t.handler.HandleForward(ctx, c.peer, body)
		cancel()
		l.mu.Lock()
		delete(l.serving, it.ID)
		l.servingBytes -= len(body)
		l.mu.Unlock()
		c.t.counters.forwardsIn.Add(-1)
		c.answer(it.ID, reply, err)
	})
	return nil
}

// answer queues the reply to the peer's request id. A reply for which there is no room becomes a short error that
// says so: the request may have been applied.
func (c *conn) answer(id uint64, reply []byte, err error) {
	it := framing.Item{Kind: framing.ItemReply, ID: id, Body: reply}
	if err == nil && len(reply) > framing.MaxBody {
		err = &wire.Error{Code: wire.CodeUnknownOutcome, Detail: fmt.Sprintf("done, but the reply of %d bytes is too large to send", len(reply))}
	}
	l := &c.forward
	l.mu.Lock()
	if l.bytes > 2*c.t.limits.LaneBytes {
		// Errors go in above the lane's bound, as somebody waits for each. A peer that asks on and on and takes no answer
		// is cut off.
		l.mu.Unlock()
		c.fail(ReasonOverload, "replies are not read")
		return
	}
	defer l.mu.Unlock()
	if err == nil && l.bytes > 0 && l.bytes+it.Size() > c.t.limits.LaneBytes {
		c.t.counters.lanes[framing.LaneForward].dropped.Add(1)
		err = &wire.Error{Code: wire.CodeUnknownOutcome, Detail: "done, but there is no room for the reply"}
	}
	if err != nil {
		it = framing.Item{Kind: framing.ItemError, ID: id, Err: errorOf(err)}
	}
	l.add(it)
}

// requestContext returns the context of a served request: it ends with the connection, and after timeout milliseconds if
// that is not 0.
func (c *conn) requestContext(timeout uint64) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(c.ctx)
	}
	return context.WithTimeout(c.ctx, time.Duration(timeout)*time.Millisecond)
}
