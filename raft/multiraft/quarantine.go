package multiraft

import (
	"maps"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// quarantine takes this node's replica of the group out of service, for good until the next start (P4): its
// callers get CodeQuarantined, its peers a refusal, its core and machine are not called again. Any
// goroutine may call it; the first cause stays. All other groups go on.
func (g *group) quarantine(cause error) {
	fault := &wire.Error{
		Code: wire.CodeQuarantined, Group: g.id, Cause: cause,
		Detail: "the replica on node " + g.e.cfg.Self.String() + " is out of service: see its status and events",
	}
	if !g.fault.CompareAndSwap(nil, fault) {
		return
	}
	g.e.stats.quarantined.Add(1)
	g.e.emit(GroupQuarantined{Group: g.id, Err: cause})
	g.w.inbox.order(func(w *worker) { w.evict(g) })
	g.e.appliers.put(g, nil)
}

// Quarantine takes this node's replica of group id out of service because of cause, as damage found by others does, and reports
// whether one is here.
func (e *Engine) Quarantine(id wire.GroupID, cause error) bool {
	g := e.lookup(id)
	if g == nil {
		return false
	}
	g.quarantine(cause)
	return true
}

// refusal answers m with the reason why its group is not served here. It is never the answer to a refusal.
func refusal(m *wire.Message, why wire.RefuseCode) wire.Message {
	return wire.Message{Type: wire.MsgGroupRefused, Group: m.Group, From: m.To, To: m.From, Term: m.Term, Context: uint64(why)}
}

// refusedBy learns that a peer does not serve g. That is no word about the peer's other groups (F20).
func (w *worker) refusedBy(g *group, m *wire.Message) {
	w.e.stats.refusedByPeers.Add(1)
	g.core.Unreachable(m.From)
	why := wire.RefuseCode(m.Context)
	if g.refused[m.From] == why || len(g.refused) >= wire.MaxMembers {
		return // told already: it answers every heartbeat so
	}
	if g.refused == nil {
		g.refused = map[wire.NodeID]wire.RefuseCode{}
	}
	g.refused[m.From] = why
	g.tellRefusing()
	w.e.emit(GroupRefused{Group: g.id, Peer: m.From, Reason: why})
}

// tellRefusing makes known which peers do not serve g.
func (g *group) tellRefusing() {
	peers := slices.Sorted(maps.Keys(g.refused))
	g.refusing.Store(&peers)
}

// isStranger reports whether m asks for a vote on behalf of a node that, as the leader knows, is no member:
// it was removed, and is told so (D55).
func (w *worker) isStranger(g *group, m *wire.Message) bool {
	if m.Type != wire.MsgPreVote && m.Type != wire.MsgVote || mutant.Is(mutant.AcceptRemovedNode) {
		return false
	}
	v := g.view.Load()
	return v.role == raft.Leader && !v.members.Contains(m.From)
}
