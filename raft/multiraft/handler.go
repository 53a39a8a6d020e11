package multiraft

import (
	"flotilla/raft"
	"flotilla/raft/wire"
)

// HandleMessages takes in one frame of a peer. It keeps the entries of msgs and nothing else, and does not
// block. Messages of groups not served here are refused one by one, all in one Send (P6).
func (e *Engine) HandleMessages(from wire.NodeID, msgs []wire.Message) {
	s := e.newSorting()
	for i := range msgs {
		m := &msgs[i]
		if m.From != from || m.To != e.cfg.Self {
			e.stats.foreign.Add(1) // spoofed or misrouted (D58)
			continue
		}
		g := e.lookup(m.Group)
		switch {
		case g == nil:
			s.refuse(m, wire.RefuseUnknownGroup)
		case g.fault.Load() != nil:
			s.refuse(m, wire.RefuseQuarantined)
		default:
			n := g.w.number
			s.letters[n] = append(s.letters[n], letter{g: g, m: *m})
		}
	}
	e.stats.messagesIn.Add(uint64(len(msgs)))
	for n, letters := range s.letters {
		if len(letters) > 0 {
			e.stats.dropped.Add(uint64(e.workers[n].inbox.deliver(letters)))
		}
	}
	if len(s.refusals) > 0 {
		e.stats.refusedHere.Add(uint64(len(s.refusals)))
		if !e.fenced.Load() {
			_ = e.cfg.Transport.Send(from, wire.LaneControl, s.refusals) // it will ask again
		}
	}
	e.putBack(s)
}

// sorting is the scratch of one HandleMessages call: letters by worker.
type sorting struct {
	letters  [][]letter
	refusals []wire.Message
}

func (s *sorting) refuse(m *wire.Message, why wire.RefuseCode) {
	if m.Type != wire.MsgGroupRefused {
		s.refusals = append(s.refusals, refusal(m, why))
	}
}

func (e *Engine) newSorting() *sorting {
	if s, ok := e.sortings.Get().(*sorting); ok {
		return s
	}
	return &sorting{letters: make([][]letter, len(e.workers))}
}

func (e *Engine) putBack(s *sorting) {
	for n := range s.letters {
		clear(s.letters[n])
		s.letters[n] = s.letters[n][:0]
	}
	s.refusals = s.refusals[:0]
	e.sortings.Put(s)
}

// HandlePeer learns that a peer came, went, or says goodbye. After a goodbye the groups it led elect at once,
// without waiting for their election timeouts; others do not move.
func (e *Engine) HandlePeer(id wire.NodeID, event wire.PeerEvent) {
	if event == wire.PeerUp {
		return // the next heartbeat finds out by itself
	}
	for _, w := range e.workers {
		w.inbox.order(func(w *worker) { w.peerLeft(id, event) })
	}
}

func (w *worker) peerLeft(id wire.NodeID, event wire.PeerEvent) {
	if w.fenced {
		return
	}
	for _, g := range w.groups {
		v := g.view.Load()
		if g.core == nil || !v.members.Contains(id) {
			continue
		}
		switch {
		case event == wire.PeerGoodbye && v.leader == id:
			w.visit(g, func(core *raft.Core) { core.LeaderGone(id) })
		case v.role == raft.Leader:
			w.visit(g, func(core *raft.Core) { core.Unreachable(id) })
		}
	}
}
