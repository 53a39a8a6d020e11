package multiraft

import (
	"flotilla/internal/mutant"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// notice takes in what a Ready says of leadership.
func (w *worker) notice(g *group, rd *raft.Ready) {
	if v := g.view.Load(); rd.Role != v.role || rd.Term != v.term || rd.Leader != v.leader {
		g.view.Store(&view{role: rd.Role, term: rd.Term, leader: rd.Leader, members: v.members})
		w.leadershipMoved(g, v, rd)
	}
	if rd.Role == raft.Leader && g.id == wire.MetadataGroup {
		w.bumpEpoch(g, rd.Term)
	}
}

func (w *worker) leadershipMoved(g *group, before *view, rd *raft.Ready) {
	if rd.Role == raft.Leader && before.role != raft.Leader {
		w.e.stats.led.Add(1)
	}
	if rd.Role != raft.Leader && before.role == raft.Leader {
		w.e.stats.led.Add(-1)
		g.promote = 0
	}
	if rd.Leader != before.leader {
		g.steady.Store(0)
		w.e.emit(LeaderChanged{Group: g.id, Term: rd.Term, Leader: rd.Leader})
	}
	if len(g.transfer) > 0 {
		g.settleTransfers(rd.Leader)
	}
	if rd.Leader != wire.NoNode {
		g.reads.refused = false
		if len(g.reads.waiting) > 0 {
			g.reads.ask(g.core)
		}
	}
	w.e.latch(g)
}

// bumpEpoch proposes the epoch bump once for each acquisition of group 0's leadership (P20). It is called in the
// turn in which the new leader's no-op leaves, and again if the core had no room for it.
func (w *worker) bumpEpoch(g *group, term wire.Term) {
	if w.e.cfg.EpochBump == nil || g.bumped == term {
		return
	}
	if _, _, err := g.core.Propose(packOne(w.e.cfg.EpochBump(term))); err == nil {
		g.bumped = term
		w.e.stats.acquisitions.Add(1)
		if mutant.Is(mutant.BumpTwice) {
			_, _, _ = g.core.Propose(packOne(w.e.cfg.EpochBump(term)))
		}
	}
}

// waitOutLeader counts the ticks since leadership was lost with commands under way. A new leader's first
// commit tells what became of them; if none comes in time, it stays unknown (N7).
func (g *group) waitOutLeader() {
	if g.lostLead++; g.lostLead > 2*g.e.cfg.electionTicks() {
		g.lostLead = 0
		g.pending.drop(g.errorf(wire.CodeUnknownOutcome, "leadership was lost and no new leader has told the outcome"))
	}
}

// latch flips the readiness latch, once per start, when group 0 has applied here an entry of the current
// leader's term (P13). Called by the worker of group 0.
func (e *Engine) latch(g *group) {
	if g.id != wire.MetadataGroup || e.isReady.Load() {
		return
	}
	if v := g.view.Load(); v.leader != wire.NoNode && v.term == g.appliedTerm {
		e.isReady.Store(true)
		close(e.ready)
		e.emit(NodeReady{Term: v.term})
	}
}

// Ready returns a channel that is closed once per start, when group 0 has applied here an entry of the
// current leader's term (P13). It stays closed: nobody can be too late to see it (F34).
func (e *Engine) Ready() <-chan struct{} { return e.ready }
