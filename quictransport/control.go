package quictransport

import (
	"errors"
	"sync"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// controlLane writes votes, heartbeats, acknowledgements, notices and beacons. It has no queue of its own: a
// frame is stamped and handed to QUIC at once, or refused at once when the stream has no credit (P5, P23).
type controlLane struct {
	mu     sync.Mutex
	stream *quic.SendStream // set before the connection is known to anybody, then immutable
	box    framing.Outbox   // empty whenever mu is free
	// lastSent is when something was last written, on the transport's clock; guarded by mu.
	lastSent clock
}

// sendControl writes msgs as one or few frames, all of them or none.
func (c *conn) sendControl(msgs []wire.Message) error {
	l := &c.control
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range msgs {
		l.box.AddMessage(&msgs[i])
	}
	return c.flushControl(len(msgs))
}

// sendNotice writes one notice.
func (c *conn) sendNotice(n framing.Notice) error {
	l := &c.control
	l.mu.Lock()
	defer l.mu.Unlock()
	l.box.AddNotice(n)
	return c.flushControl(1)
}

// beacon writes an empty frame unless something was written since the given time, if one is given.
func (c *conn) beacon(since clock) error {
	l := &c.control
	l.mu.Lock()
	defer l.mu.Unlock()
	if since != never && l.lastSent > since {
		return nil
	}
	l.box.AddFrame(0, nil)
	return c.flushControl(1)
}

// flushControl hands what is in the box to QUIC; l.mu is held. QUIC copies or refuses, it does not wait.
func (c *conn) flushControl(messages int) error {
	l := &c.control
	defer l.box.Reset()
	stamp := c.t.cfg.Fence.Stamp()
	for i := range l.box.Frames() {
		l.box.Sealed(i, stamp)
	}
	stats := &c.t.counters.lanes[framing.LaneControl]
	err := l.stream.TryWriteAll(l.box.Bytes())
	switch {
	case err == nil:
		stats.sentFrames.Add(uint64(l.box.Frames()))
		stats.sentBytes.Add(uint64(l.box.Len()))
		l.lastSent = c.t.now()
		return nil
	case errors.Is(err, quic.ErrWouldBlock):
		stats.dropped.Add(uint64(messages))
		return c.overloaded("control lane")
	}
	return c.unreachable()
}
