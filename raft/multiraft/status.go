package multiraft

import (
	"cmp"
	"slices"
	"time"

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
	// Members is all of that as one, with the index of the change that made it.
	Members wire.Membership
	// SteadyTicks is for how many ticks this node has taken Leader for the leader.
	SteadyTicks int
	// Snapshot is the index of the newest snapshot here, 0 for none.
	Snapshot wire.Index
	// Refusing are the peers that answered last that they do not serve the group, sorted; immutable.
	Refusing []wire.NodeID
	// WaitingBytes is the room taken by commands and requests that wait here.
	WaitingBytes int64
	// Err is not nil when the replica is quarantined.
	Err error
	// Stuck is not nil when the group is led here and makes no progress: nothing new is applied although entries wait for
	// it, or commands are refused for lack of space.
	Stuck error
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
		Members: v.members, SteadyTicks: int(g.steady.Load()), Voters: v.members.Voters, Learners: v.members.Learners, Outgoing: v.members.Outgoing, WaitingBytes: g.bytes.Load(),
	}
	s.Snapshot = wire.Index(g.snapshot.Load())
	if fault := g.fault.Load(); fault != nil {
		s.Err = fault
	}
	if peers := g.refusing.Load(); peers != nil {
		s.Refusing = *peers
	}
	if v.role == raft.Leader {
		s.Stuck = g.whyStuck()
	}
	return s
}

// watchProgress counts the ticks for which the log of a group has held entries and the machine has been given none.
func (g *group) watchProgress() {
	applied, waits := g.applied.Load(), false
	if g.view.Load().role == raft.Leader && applied == g.seen {
		_, last := g.e.cfg.Log.Bounds(g.id)
		waits = uint64(last) > applied
	}
	g.seen = applied
	if waits {
		g.still.Add(1)
	} else {
		g.still.Store(0)
	}
}

// whyStuck returns why a group led here makes no progress, nil when it does or has nothing to do. Two election
// timeouts are what a leader with a healthy majority never needs.
func (g *group) whyStuck() error {
	still := g.still.Load()
	switch {
	case g.e.full.Load():
		return g.errorf(wire.CodeStorage, "the log has no space")
	case g.stuck.Load():
		return g.errorf(wire.CodeStorage, "the state machine has no space")
	case still > 2*int64(g.e.cfg.electionTicks()):
		return g.errorf(wire.CodeTimeout, "nothing applied for %v though entries wait", time.Duration(still)*g.e.cfg.Heartbeat)
	}
	return nil
}
