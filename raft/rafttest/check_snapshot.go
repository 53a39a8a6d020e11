package rafttest

import (
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// SnapshotSafety: a snapshot holds the state and the membership of its index, wherever it is made, taken over or started
// from (D53, F14), it is taken over forward only, and while that lasts nothing is applied and nobody campaigns (D64).
type SnapshotSafety struct {
	// sums are of the machine's state after each index, memberships those in effect from an index on.
	sums        []uint64
	memberships []wire.Membership
	installing  map[wire.NodeID]bool
}

// Name returns the invariant's number in package raft and its name.
func (*SnapshotSafety) Name() string { return "I18 snapshot safety" }

// Observe compares snapshots with what was committed, and watches nodes that take one over.
func (c *SnapshotSafety) Observe(m *Model, e *Event) error {
	if c.installing == nil {
		c.installing = map[wire.NodeID]bool{}
	}
	busy := c.installing[e.Node]
	switch e.Kind {
	case EventStart:
		return c.start(m, e)
	case EventCrash, EventAbandoned:
		c.installing[e.Node] = false
	case EventMembership:
		if e.Err == nil {
			c.learn(e.Membership)
		}
	case EventSnapshot:
		return c.right(m, e)
	case EventInstall:
		c.installing[e.Node] = true
	case EventInstalled:
		c.installing[e.Node] = false
		if applied := m.Replica(e.Node).WasApplied; e.Snapshot.Index <= applied {
			return fmt.Errorf("%s goes back from %d to snapshot %d", e.Node, applied, e.Snapshot.Index)
		}
		return c.right(m, e)
	case EventApply:
		if busy {
			return fmt.Errorf("%s applies entry %d while it installs a snapshot", e.Node, e.Entry.Index)
		}
	case EventState:
		if busy && e.Role != raft.Follower {
			return fmt.Errorf("%s is %s while it installs a snapshot", e.Node, e.Role)
		}
	}
	return nil
}

// start checks the state that a machine begins with.
func (c *SnapshotSafety) start(m *Model, e *Event) error {
	if len(c.memberships) == 0 {
		c.memberships = append(c.memberships, e.Membership)
	}
	if e.Index == 0 {
		return nil
	}
	if sum, ok := c.sum(m, e.Index); ok && sum != e.Sum {
		return fmt.Errorf("%s starts at %d with another state", e.Node, e.Index)
	}
	return nil
}

// learn takes in a membership in effect.
func (c *SnapshotSafety) learn(ms wire.Membership) {
	at, found := slices.BinarySearchFunc(c.memberships, ms.Index, func(a wire.Membership, i wire.Index) int { return int(a.Index) - int(i) })
	if !found {
		c.memberships = slices.Insert(c.memberships, at, ms)
	}
}

// right checks what a snapshot says against what was committed.
func (c *SnapshotSafety) right(m *Model, e *Event) error {
	s := &e.Snapshot
	sum, ok := c.sum(m, s.Index)
	if !ok {
		return fmt.Errorf("%s has snapshot %d, and only %d is committed", e.Node, s.Index, m.MaxCommit())
	}
	if want := m.Committed[s.Index-1].Term; s.Term != want {
		return fmt.Errorf("%s has snapshot %d of term %d, committed there is term %d", e.Node, s.Index, s.Term, want)
	}
	if sum != e.Sum {
		return fmt.Errorf("%s has snapshot %d with another state", e.Node, s.Index)
	}
	at := len(c.memberships) - 1
	for at >= 0 && c.memberships[at].Index > s.Index {
		at--
	}
	if want := &c.memberships[at]; !want.Equal(&s.Membership) {
		return fmt.Errorf("%s has snapshot %d with %s, in effect there: %s", e.Node, s.Index, FormatMembership(&s.Membership), FormatMembership(want))
	}
	return nil
}

// sum returns the sum of the state after the committed entries up to i.
func (c *SnapshotSafety) sum(m *Model, i wire.Index) (uint64, bool) {
	if i > m.MaxCommit() {
		return 0, false
	}
	for n := wire.Index(len(c.sums)); n < i; n++ {
		var before uint64
		if n > 0 {
			before = c.sums[n-1]
		}
		if mark := m.Committed[n]; mark.Kind == wire.EntryData {
			before = mix(before, mark)
		}
		c.sums = append(c.sums, before)
	}
	return c.sums[i-1], true
}

// sumOf returns the sum of the state that data entries make, one after the other.
func sumOf(machine []wire.Entry) (sum uint64) {
	for i := range machine {
		sum = mix(sum, markOf(&machine[i]))
	}
	return sum
}

func mix(sum uint64, m Mark) uint64 {
	return (sum^m.Sum^uint64(m.Term)<<40)*1099511628211 + 1
}
