package rafttest

import (
	"fmt"

	"flotilla/raft/wire"
)

// LogMatching: two logs that hold an entry with the same index and term are identical up to it (thesis figure
// 3.2). It holds by induction when index and term determine an entry and the term of the one before it.
type LogMatching struct{ seen map[position]link }

type position struct {
	index wire.Index
	term  wire.Term
}

type link struct {
	mark     Mark
	previous wire.Term
	node     wire.NodeID
}

// Name returns the invariant's number in package raft and its name.
func (*LogMatching) Name() string { return "I4 log matching" }

// Observe checks the entries that a replica writes or sends.
func (c *LogMatching) Observe(m *Model, e *Event) error {
	var entries []wire.Entry
	var previous wire.Term
	switch {
	case e.Kind == EventWrite && len(e.Update.Entries) > 0:
		entries = e.Update.Entries
		previous = m.Replica(e.Node).View.At(entries[0].Index - 1).Term
	case e.Kind == EventSend && e.Message.Type == wire.MsgAppend:
		entries, previous = e.Message.Entries, e.Message.LogTerm
	}
	if c.seen == nil {
		c.seen = map[position]link{}
	}
	for i := range entries {
		now := link{markOf(&entries[i]), previous, e.Node}
		at := position{entries[i].Index, entries[i].Term}
		old, ok := c.seen[at]
		switch {
		case !ok:
			c.seen[at] = now
		case old.mark != now.mark:
			return fmt.Errorf("entry %d of term %d differs between %s and %s", at.index, at.term, old.node, now.node)
		case old.previous != now.previous:
			return fmt.Errorf("entry %d of term %d follows term %d on %s and term %d on %s",
				at.index, at.term, old.previous, old.node, now.previous, now.node)
		}
		if previous > at.term {
			return fmt.Errorf("%s holds entry %d of term %d after one of term %d", e.Node, at.index, at.term, previous)
		}
		previous = at.term
	}
	return nil
}

// StateMachineSafety: no two replicas commit or apply different entries at one index, and each replica applies
// every index once per life, in order (thesis figure 3.2, P10, F31).
type StateMachineSafety struct {
	applied []Mark
	next    map[wire.NodeID]wire.Index
}

// Name returns the invariant's number in package raft and its name.
func (*StateMachineSafety) Name() string { return "I6 state machine safety" }

// Observe checks an applied entry or a moved commit index.
func (c *StateMachineSafety) Observe(m *Model, e *Event) error {
	if c.next == nil {
		c.next = map[wire.NodeID]wire.Index{}
	}
	switch e.Kind {
	case EventStart:
		c.next[e.Node] = e.Index + 1
	case EventInstalled:
		c.next[e.Node] = e.Snapshot.Index + 1
	case EventState:
		return c.committed(m, e)
	case EventApply:
		return c.apply(m, e)
	}
	return nil
}

func (c *StateMachineSafety) committed(m *Model, e *Event) error {
	r := m.Replica(e.Node)
	if r.Now.Commit > r.View.Last() {
		return fmt.Errorf("%s regards %d as committed and holds only %d entries", e.Node, r.Now.Commit, r.View.Last())
	}
	for i := r.Now.Commit; i > r.Was.Commit; i-- {
		if got, want := r.View.At(i), m.Committed[i-1]; got != want {
			return fmt.Errorf("%s regards entry %d of term %d as committed, another one had committed term %d there", e.Node, i, got.Term, want.Term)
		}
	}
	return nil
}

func (c *StateMachineSafety) apply(m *Model, e *Event) error {
	i, mark := e.Entry.Index, markOf(&e.Entry)
	if want := c.next[e.Node]; i != want {
		return fmt.Errorf("%s applies entry %d, its next one is %d", e.Node, i, want)
	}
	c.next[e.Node] = i + 1
	if r := m.Replica(e.Node); i > r.Now.Commit {
		return fmt.Errorf("%s applies entry %d beyond its commit index %d", e.Node, i, r.Now.Commit)
	}
	if int(i) > len(c.applied)+1 {
		return nil // a replica that starts from a snapshot nobody has watched being made
	}
	if int(i) == len(c.applied)+1 {
		c.applied = append(c.applied, mark)
	}
	if want := c.applied[i-1]; mark != want {
		return fmt.Errorf("%s applies entry %d of term %d, another one had applied term %d there", e.Node, i, mark.Term, want.Term)
	}
	return nil
}

// DurableApply: a replica applies what is on its own disk, no more, so that a restart finds in the log whatever
// the state machine may have kept (D10).
type DurableApply struct{}

// Name returns the invariant's number in package raft and its name.
func (*DurableApply) Name() string { return "I7 durable apply" }

// Observe compares an applied entry with the disk.
func (*DurableApply) Observe(m *Model, e *Event) error {
	if e.Kind != EventApply {
		return nil
	}
	if got := m.Replica(e.Node).Durable.At(e.Entry.Index); got != markOf(&e.Entry) {
		return fmt.Errorf("%s applies entry %d of term %d, its disk has term %d there", e.Node, e.Entry.Index, e.Entry.Term, got.Term)
	}
	return nil
}

// OneChange: a leader appends a change of the membership only when the one before it is committed and so is
// an entry of its own term (F13, thesis section 4.1 and its correction).
type OneChange struct{}

// Name returns the invariant's number in package raft and its name.
func (*OneChange) Name() string { return "I12 one change at a time" }

// Observe checks the change entries that a leader writes in its own term.
func (*OneChange) Observe(m *Model, e *Event) error {
	r := m.Replica(e.Node)
	if e.Kind != EventWrite || !isLeader(r.Now) {
		return nil
	}
	commit := max(r.Now.Commit, e.Update.HardState.Commit) // the write tells of it first
	for i := range e.Update.Entries {
		entry := &e.Update.Entries[i]
		if entry.Kind != wire.EntryChange || entry.Term != r.Now.Term {
			continue
		}
		if r.View.At(commit).Term != r.Now.Term {
			return fmt.Errorf("%s appends change %d before an entry of its term %d is committed", e.Node, entry.Index, r.Now.Term)
		}
		for j := commit + 1; j < entry.Index; j++ {
			if r.View.At(j).Kind == wire.EntryChange {
				return fmt.Errorf("%s appends change %d while change %d is not committed", e.Node, entry.Index, j)
			}
		}
	}
	return nil
}
