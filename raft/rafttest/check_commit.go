package rafttest

import (
	"fmt"
	"slices"

	"flotilla/raft/wire"
)

// TermMonotonic: a replica's term never goes back within a life, nor below what its disk holds.
type TermMonotonic struct{}

// Name returns the invariant's number in package raft and its name.
func (*TermMonotonic) Name() string { return "I16 term monotonic" }

// Observe compares the term with the one before.
func (*TermMonotonic) Observe(m *Model, e *Event) error {
	r := m.Replica(e.Node)
	switch {
	case e.Kind != EventState:
	case r.Now.Term < r.Was.Term:
		return fmt.Errorf("%s goes from term %d back to %d", e.Node, r.Was.Term, r.Now.Term)
	case r.Now.Term < r.Hard.Term:
		return fmt.Errorf("%s is in term %d and has %d on disk", e.Node, r.Now.Term, r.Hard.Term)
	}
	return nil
}

// CommitMonotonic: a replica's commit index never goes back within a life, and a restart begins no lower than
// what the disk holds (F2, F3).
type CommitMonotonic struct{}

// Name returns the invariant's number in package raft and its name.
func (*CommitMonotonic) Name() string { return "I5 commit monotonic" }

// Observe compares the commit index with the one before.
func (*CommitMonotonic) Observe(m *Model, e *Event) error {
	r := m.Replica(e.Node)
	switch {
	case e.Kind == EventState && r.Now.Commit < r.Was.Commit:
		return fmt.Errorf("%s goes from commit %d back to %d", e.Node, r.Was.Commit, r.Now.Commit)
	case e.Kind == EventStart && e.HardState.Commit < r.Hard.Commit:
		return fmt.Errorf("%s starts with commit %d and has %d on disk", e.Node, e.HardState.Commit, r.Hard.Commit)
	}
	return nil
}

// CommitQuorum: when a leader moves its commit index, a majority of the voters has the entry on disk, in a joint
// configuration of either half. Learners never count (P14), nor does what is only on its way to the disk (P2, D1).
type CommitQuorum struct{}

// Name returns the invariant's number in package raft and its name.
func (*CommitQuorum) Name() string { return "I9 commit quorum" }

// Observe counts the durable copies of a leader's last committed entry.
func (*CommitQuorum) Observe(m *Model, e *Event) error {
	if !ledCommit(m, e) {
		return nil
	}
	r := m.Replica(e.Node)
	var disks []wire.NodeID
	for _, v := range e.Membership.AllVoters() {
		if m.Replica(v).Durable.At(r.Now.Commit) == r.View.At(r.Now.Commit) {
			disks = append(disks, v)
		}
	}
	if !decides(&e.Membership, func(n wire.NodeID) bool { return slices.Contains(disks, n) }) {
		return fmt.Errorf("leader %s of term %d commits %d, which is on %s of %s",
			e.Node, r.Now.Term, r.Now.Commit, Plural(len(disks), "disk"), FormatMembership(&e.Membership))
	}
	return nil
}

// CommitTerm: a leader commits by counting only entries of its own term (thesis section 3.6.2, figure 3.7).
type CommitTerm struct{}

// Name returns the invariant's number in package raft and its name.
func (*CommitTerm) Name() string { return "I9 commit term" }

// Observe checks the term of a leader's last committed entry.
func (*CommitTerm) Observe(m *Model, e *Event) error {
	if !ledCommit(m, e) {
		return nil
	}
	r := m.Replica(e.Node)
	if t := r.View.At(r.Now.Commit).Term; t != r.Now.Term {
		return fmt.Errorf("leader %s of term %d commits entry %d of term %d by counting", e.Node, r.Now.Term, r.Now.Commit, t)
	}
	return nil
}

// LinearizableRead: a read index is not lower than any commit index known to anyone when the read was asked
// for (thesis section 6.4), nor higher than any known when it is answered; every answer has its question.
type LinearizableRead struct{ asked map[question]wire.Index }

type question struct {
	node    wire.NodeID
	context uint64
}

// Name returns the invariant's number in package raft and its name.
func (*LinearizableRead) Name() string { return "I14 linearizable read" }

// Observe notes a question or checks an answer.
func (c *LinearizableRead) Observe(m *Model, e *Event) error {
	if c.asked == nil {
		c.asked = map[question]wire.Index{}
	}
	q := question{e.Node, e.Context}
	switch e.Kind {
	case EventRead:
		c.asked[q] = m.MaxCommit()
	case EventCrash:
		for old := range c.asked {
			if old.node == e.Node {
				delete(c.asked, old)
			}
		}
	case EventReadDone:
		floor, ok := c.asked[q]
		delete(c.asked, q)
		switch {
		case !ok:
			return fmt.Errorf("%s answers read %d, which nobody waits for", e.Node, e.Context)
		case e.Err == nil && e.Index < floor:
			return fmt.Errorf("%s answers read %d with index %d, and %d was committed when it was asked", e.Node, e.Context, e.Index, floor)
		case e.Err == nil && e.Index > m.MaxCommit():
			return fmt.Errorf("%s answers read %d with index %d, and only %d is committed", e.Node, e.Context, e.Index, m.MaxCommit())
		}
	}
	return nil
}

// Waiting returns how many reads have no answer yet.
func (c *LinearizableRead) Waiting() int { return len(c.asked) }
