package multiraft

import (
	"cmp"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// GroupStatus is one replica as of its worker's last turn.
type GroupStatus struct {
	ID   wire.GroupID
	Role raft.Role
	// Leader is NoNode when unknown.
	Leader wire.NodeID
	Term   wire.Term
	// Commit is the last index that is committed and durable here, Applied the last one that the machine has applied.
	Commit  wire.Index
	Applied wire.Index
	// Voters and Learners are the members, sorted; immutable. While voters are being exchanged, Outgoing are those of
	// before, who have a say as well.
	Voters   []wire.NodeID
	Learners []wire.NodeID
	Outgoing []wire.NodeID
	// WaitingBytes is the room taken by commands and requests that wait here.
	WaitingBytes int64
	// Err is not nil when the replica is quarantined.
	Err error
}

// Status returns every group here, by rising id. It takes no lock that the loop takes.
func (e *Engine) Status() []GroupStatus {
	var all []GroupStatus
	e.groups.Range(func(_, v any) bool {
		all = append(all, v.(*group).status())
		return true
	})
	slices.SortFunc(all, func(a, b GroupStatus) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// GroupStatus returns the status of one group and whether it is here.
func (e *Engine) GroupStatus(id wire.GroupID) (GroupStatus, bool) {
	g := e.lookup(id)
	if g == nil {
		return GroupStatus{}, false
	}
	return g.status(), true
}

func (g *group) status() GroupStatus {
	v := g.view.Load()
	applied := wire.Index(g.applied.Load()) // before commit, which is never behind it
	s := GroupStatus{
		ID: g.id, Role: v.role, Leader: v.leader, Term: v.term, Applied: applied, Commit: wire.Index(g.commit.Load()),
		Voters: v.members.Voters, Learners: v.members.Learners, Outgoing: v.members.Outgoing, WaitingBytes: g.bytes.Load(),
	}
	if fault := g.fault.Load(); fault != nil {
		s.Err = fault
	}
	return s
}
