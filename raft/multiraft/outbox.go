package multiraft

import (
	"flotilla/raft"
	"flotilla/raft/wire"
)

// outbox collects one turn's messages of all groups by peer and lane, so that each peer costs one Send a lane (P5).
type outbox struct {
	peers   map[wire.NodeID]*peerBuffer
	touched []*peerBuffer // those with messages, in the order of their first one
}

// peerBuffer holds what goes to one peer. One per peer ever written to: members of groups, 64 nodes at most.
type peerBuffer struct {
	id    wire.NodeID
	lanes [wire.LaneAppend + 1][]wire.Message
	busy  bool
}

// add queues m until flush.
func (o *outbox) add(m wire.Message) {
	b := o.peers[m.To]
	if b == nil {
		b = &peerBuffer{id: m.To}
		o.peers[m.To] = b
	}
	if !b.busy {
		b.busy = true
		o.touched = append(o.touched, b)
	}
	lane := m.Type.Lane()
	b.lanes[lane] = append(b.lanes[lane], m)
}

// flush sends everything, liveness of all peers before bulk. A peer out of reach counts as one failure (P6).
func (o *outbox) flush(w *worker) {
	for _, lane := range [...]wire.Lane{wire.LaneControl, wire.LaneAppend} {
		for _, b := range o.touched {
			o.send(w, b, lane)
		}
	}
	for _, b := range o.touched {
		if !b.busy {
			w.e.stats.sendFailures.Add(1)
		}
		b.busy = false
	}
	o.touched = o.touched[:0]
}

// send sends one lane's messages to one peer; if they do not leave, their groups' cores are told.
func (o *outbox) send(w *worker, b *peerBuffer, lane wire.Lane) {
	e, msgs := w.e, b.lanes[lane]
	if len(msgs) == 0 {
		return
	}
	e.stats.sends.Add(1)
	e.stats.messagesOut.Add(uint64(len(msgs)))
	if err := e.cfg.Transport.Send(b.id, lane, msgs); err != nil {
		b.busy = false
		for i := range msgs {
			if g := e.lookup(msgs[i].Group); g != nil && (i == 0 || msgs[i].Group != msgs[i-1].Group) {
				w.visit(g, func(core *raft.Core) { core.Unreachable(b.id) })
			}
		}
	}
	clear(msgs) // entries must not stay reachable from here
	b.lanes[lane] = msgs[:0]
}
