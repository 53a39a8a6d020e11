package rafttest

import (
	"fmt"

	"flotilla/raft/wire"
)

// QuietSleep: who sleeps says nothing and changes nothing, and a leader falls asleep only when all members that live have
// committed all it has, in its term.
type QuietSleep struct{ asleep map[wire.NodeID]bool }

// Name returns the invariant's number in package raft and its name.
func (*QuietSleep) Name() string { return "I20 quiet sleep" }

// Observe watches those who sleep.
func (c *QuietSleep) Observe(m *Model, e *Event) error {
	if c.asleep == nil {
		c.asleep = map[wire.NodeID]bool{}
	}
	switch e.Kind {
	case EventStart, EventCrash, EventAwake:
		c.asleep[e.Node] = false
	case EventAsleep:
		c.asleep[e.Node] = true
		return c.agree(m, e.Node)
	case EventSend, EventState:
		if r := m.Replica(e.Node); c.asleep[e.Node] && (e.Kind == EventSend || r.Now != r.Was) {
			return fmt.Errorf("%s sleeps and goes on: %s", e.Node, e)
		}
	}
	return nil
}

// agree looks at the others when a leader falls asleep. One that was started anew may know less: it will say so.
func (c *QuietSleep) agree(m *Model, n wire.NodeID) error {
	r := m.Replica(n)
	if !isLeader(r.Now) {
		return nil
	}
	if last := r.View.Last(); r.Now.Commit != last {
		return fmt.Errorf("leader %s falls asleep with commit %d of %d", n, r.Now.Commit, last)
	}
	for _, o := range r.Membership.Members() {
		other := m.Replica(o)
		if got, want := other.Durable.At(r.Now.Commit), r.View.At(r.Now.Commit); got != want {
			return fmt.Errorf("leader %s falls asleep with commit %d, which is not on the disk of %s", n, r.Now.Commit, o)
		}
	}
	return nil
}
