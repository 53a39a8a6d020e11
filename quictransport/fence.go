package quictransport

import (
	"errors"
	"fmt"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
)

// admit holds a frame's stamp against the fence, once per frame and before anything else in it is looked at (P24).
// A stale frame is refused with a notice whose own stamp carries the current epoch, so that the sender observes it and is
// heard again within a round trip. An implausible one ends the connection.
func (c *conn) admit(s epoch.Stamp, l *laneReader) (bool, error) {
	err := c.t.cfg.Fence.Admit(s)
	if err == nil {
		if c.refusedSince.Load() != 0 {
			c.refusedSince.Store(0)
		}
		return true, nil
	}
	var stale *epoch.StaleError
	if !errors.As(err, &stale) {
		c.t.counters.fenceImplausible.Add(1)
		return false, fmt.Errorf("frame of node %d: %w", c.peer, err)
	}
	c.t.counters.fenceRefused.Add(1)
	if c.refusedSince.CompareAndSwap(0, max(1, int64(c.t.now()))) {
		c.t.emit(Event{Kind: EventStale, Peer: c.peer, Addr: c.qc.RemoteAddr().String(), Err: err})
	}
	// A refusal that finds no room is dropped: the next frame is refused too, and each beacon carries the epoch.
	_ = c.sendNotice(framing.Notice{Kind: framing.NoticeRefused, Lane: l.kind, Index: l.index, Seq: l.seq})
	return false, nil
}

// takeNotice handles what the peer says apart from any group. Kinds this version does not know are ignored.
func (c *conn) takeNotice(n framing.Notice) {
	switch n.Kind {
	case framing.NoticeRefused:
		// The epoch was observed when this frame was admitted. Raft repeats its messages by itself; forwards are
		// written again, stamped anew.
		c.t.counters.refusalsHeard.Add(1)
		if n.Lane == framing.LaneForward {
			c.resend(n.Seq)
		}
	case framing.NoticeGoodbye:
		c.leave()
		c.fail(ReasonShutdown, "goodbye heard")
	}
}

// leave notes, once, that the peer is stopping on purpose.
func (c *conn) leave() {
	if c.goodbye.CompareAndSwap(false, true) {
		c.t.tellGoodbye(c)
	}
}
