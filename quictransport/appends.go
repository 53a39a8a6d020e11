package quictransport

import (
	"sync"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/internal/mutant"
	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// appendLanes carry log appends: group -> lane by hash. Senders fill the outboxes, each lane's writer goroutine takes
// all that is pending and writes it. One mutex guards both, so that a batch is taken whole or not at all.
type appendLaneSet struct {
	mu sync.Mutex
	// bytes counts what waits and what is being written, in both lanes.
	bytes int
	lanes [appendLanes]appendLane
}

type appendLane struct {
	box    framing.Outbox // guarded by the set's mutex
	wake   chan struct{}
	stream *quic.SendStream
	stall  stallWatch
}

// laneOf spreads groups over the append lanes (Fibonacci hashing: neighbours part).
func laneOf(g wire.GroupID) int {
	return int(uint64(g) * 0x9e3779b97f4a7c15 >> 32 % appendLanes)
}

// sendAppends queues msgs, all of them or none. It does not block and, once the buffers have grown, allocates nothing.
func (c *conn) sendAppends(msgs []wire.Message) error {
	size := 0
	for i := range msgs {
		one := msgs[i].Size()
		if one > framing.MaxElement {
			return c.tooLarge("append", one, framing.MaxElement)
		}
		size += one
	}
	set := &c.appends
	set.mu.Lock()
	// A batch larger than the whole bound passes when nothing else waits: it could never leave otherwise.
	if set.bytes > 0 && set.bytes+size > c.t.limits.LaneBytes {
		set.mu.Unlock()
		c.t.counters.lanes[framing.LaneAppend].dropped.Add(uint64(len(msgs)))
		return c.overloaded("append lanes")
	}
	var touched [appendLanes]bool
	for i := range msgs {
		at := laneOf(msgs[i].Group)
		box := &set.lanes[at].box
		before := box.Len()
		box.AddMessage(&msgs[i])
		set.bytes += box.Len() - before
		touched[at] = true
	}
	set.mu.Unlock()
	for i := range touched {
		if touched[i] {
			signal(set.lanes[i].wake)
		}
	}
	return nil
}

// writeAppends is the writer goroutine of append lane i.
func (c *conn) writeAppends(i int) {
	set := &c.appends
	lane := &set.lanes[i]
	var out framing.Outbox // owned by this goroutine, swapped with the lane's
	for c.await(lane.wake) {
		set.mu.Lock()
		out, lane.box = lane.box, out
		set.mu.Unlock()
		queued := epoch.Stamp{}
		if mutant.Is(mutant.StampWhenQueued) {
			queued = c.t.cfg.Fence.Stamp()
		}
		for f := range out.Frames() {
			stamp := c.t.cfg.Fence.Stamp()
			if mutant.Is(mutant.StampWhenQueued) {
				stamp = queued
			}
			frame := out.Sealed(f, stamp)
			if !c.write(lane.stream, &lane.stall, frame) {
				return
			}
			c.t.counters.lanes[framing.LaneAppend].sent(len(frame))
			set.mu.Lock()
			set.bytes -= len(frame)
			set.mu.Unlock()
		}
		out.Reset()
	}
}

// signal wakes the goroutine that waits on ch; one pending signal is as good as many.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
