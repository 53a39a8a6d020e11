package rafttest

import (
	"fmt"

	"flotilla/raft/wire"
)

// Checker watches one invariant. Observe is called after the model has taken in the event and returns what
// is broken, if anything; after an error it is not called again.
type Checker interface {
	// Name is the invariant's, as it stands in a report: its number in package raft's comment, then words.
	Name() string
	Observe(m *Model, e *Event) error
}

// Checkers returns a fresh checker for every invariant that holds at all times.
func Checkers() []Checker {
	return []Checker{
		&ElectionSafety{}, &ElectionQuorum{}, &LeaderCompleteness{}, &LogMatching{}, &StateMachineSafety{}, &DurableApply{},
		&TermMonotonic{}, &CommitMonotonic{}, &CommitQuorum{}, &CommitTerm{},
		&VoteDurability{}, &SingleVote{}, &AckDurability{},
		&LinearizableRead{}, &OnlyVotersCampaign{}, &OneChange{}, &JointIsLeft{}, &MembershipChain{},
		&SnapshotSafety{}, &QuietSleep{},
	}
}

// Violation is a broken invariant.
type Violation struct {
	// Checker is the name of the invariant; "core" for a panic, "disk" for an illegal write.
	Checker string
	At      Time
	Err     error
}

// Error names the invariant and what broke it.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s broken at %s: %v", v.Checker, v.At, v.Err)
}

// Unwrap returns what broke the invariant.
func (v *Violation) Unwrap() error { return v.Err }

// String returns the time in seconds.
func (t Time) String() string { return fmt.Sprintf("%d.%03ds", t/1000, t%1000) }

// ballot is one node's vote of one term.
type ballot struct {
	node wire.NodeID
	term wire.Term
}

// becameLeader reports whether e is the event of a replica becoming leader of a term.
func becameLeader(m *Model, e *Event) bool {
	if e.Kind != EventState {
		return false
	}
	r := m.Replica(e.Node)
	return isLeader(r.Now) && !(isLeader(r.Was) && r.Was.Term == r.Now.Term)
}

// ledCommit reports whether e is the event of a leader moving its commit index in its own term.
func ledCommit(m *Model, e *Event) bool {
	if e.Kind != EventState {
		return false
	}
	r := m.Replica(e.Node)
	return isLeader(r.Now) && isLeader(r.Was) && r.Was.Term == r.Now.Term && r.Now.Commit > r.Was.Commit
}
