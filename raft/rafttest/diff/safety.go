package main

import (
	"bytes"
	"fmt"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// safety watches the invariants of one cluster (thesis figure 3.2), whichever side it is made of. It sees each
// replica after each step, and each message that one says.
type safety struct {
	leaders   map[wire.Term]lifeOf
	entries   map[entryID]history
	committed []wire.Entry // entry i at [i-1]
	by        []wire.Term  // in which term a leader had it committed, or the lowest term seen
	votes     map[ballot]wire.NodeID
	seen      [maxNodes + 1]replicaSeen
}

type (
	lifeOf  struct{ node, life uint64 }
	entryID struct {
		index wire.Index
		term  wire.Term
	}
	ballot struct {
		node wire.NodeID
		term wire.Term
	}
)

// history is what log matching says of an entry: the same index and term, the same content and the same entry before it.
type history struct {
	before wire.Term
	kind   wire.EntryKind
	data   []byte
}

type replicaSeen struct {
	term    wire.Term
	commit  wire.Index
	applied wire.Index
	role    raft.Role
}

func newSafety() *safety {
	return &safety{leaders: map[wire.Term]lifeOf{}, entries: map[entryID]history{}, votes: map[ballot]wire.NodeID{}}
}

// past returns what is committed up to i.
func (f *safety) past(i wire.Index) []wire.Entry { return f.committed[:i] }

// restarted says that a replica begins a new life: what it remembers may be less.
func (f *safety) restarted(id wire.NodeID, hard wire.HardState, applied wire.Index) error {
	s := &f.seen[id]
	if v := f.votes[ballot{id, hard.Term}]; v != 0 && v != hard.Vote {
		return fmt.Errorf("vote durability: node %d gave %d its vote of term %d and restarts with a vote for %d", id, v, hard.Term, hard.Vote)
	}
	*s = replicaSeen{term: hard.Term, applied: applied}
	return nil
}

// observe checks one replica. life counts its restarts.
func (f *safety) observe(id wire.NodeID, life int, s *state, l *ledger) error {
	was := &f.seen[id]
	defer func() { *was = replicaSeen{term: s.term, commit: s.commit, applied: s.applied, role: s.role} }()
	switch {
	case s.term < was.term:
		return fmt.Errorf("term of node %d falls from %d to %d", id, was.term, s.term)
	case s.commit < was.commit:
		return fmt.Errorf("commit index of node %d falls from %d to %d", id, was.commit, s.commit)
	case int(s.commit) > len(l.log):
		return fmt.Errorf("node %d commits %d and its log ends at %d", id, s.commit, len(l.log))
	case s.applied > s.commit || int(s.applied) > len(l.durable) && l.moving == 0:
		return fmt.Errorf("node %d applied %d, commit %d, durable %d", id, s.applied, s.commit, len(l.durable))
	case s.applied < was.applied:
		return fmt.Errorf("node %d applied %d after %d", id, s.applied, was.applied)
	}
	if err := f.matching(id, l); err != nil {
		return err
	}
	if err := f.commits(id, s, l, was.commit); err != nil {
		return err
	}
	if s.role == raft.Leader && (was.role != raft.Leader || was.term != s.term) {
		return f.elected(id, life, s, l)
	}
	return nil
}

// matching is log matching, entry by entry, for what was written since the last look.
func (f *safety) matching(id wire.NodeID, l *ledger) error {
	if l.low == 0 {
		return nil
	}
	for i := int(l.low) - 1; i < len(l.log); i++ {
		e := &l.log[i]
		now := history{before: termAt(l.log, e.Index-1), kind: e.Kind, data: e.Data}
		key := entryID{e.Index, e.Term}
		old, ok := f.entries[key]
		switch {
		case e.Index != wire.Index(i+1):
			return fmt.Errorf("log of node %d has entry %d in place %d", id, e.Index, i+1)
		case !ok:
			f.entries[key] = now
		case old.before != now.before || old.kind != now.kind || !bytes.Equal(old.data, now.data):
			return fmt.Errorf("log matching: entry %d of term %d differs on node %d, or follows another entry there", e.Index, e.Term, id)
		}
	}
	l.low = 0
	return nil
}

// commits is state machine safety: what one replica has committed, and so applied, all have.
func (f *safety) commits(id wire.NodeID, s *state, l *ledger, from wire.Index) error {
	for i := from + 1; i <= s.commit; i++ {
		e := l.log[i-1]
		if int(i) > len(f.committed) {
			f.committed = append(f.committed, e)
			f.by = append(f.by, s.term)
			continue
		}
		if !sameEntry(&f.committed[i-1], &e) {
			return fmt.Errorf("state machine safety: node %d commits entry %d of term %d, where term %d was committed",
				id, i, e.Term, f.committed[i-1].Term)
		}
		f.by[i-1] = min(f.by[i-1], s.term)
	}
	return nil
}

// elected is election safety and leader completeness. A late winner of an old term need not hold what was committed after it.
func (f *safety) elected(id wire.NodeID, life int, s *state, l *ledger) error {
	now := lifeOf{uint64(id), uint64(life)}
	if old, ok := f.leaders[s.term]; ok && old != now {
		return fmt.Errorf("election safety: term %d has leaders %d and %d", s.term, old.node, id)
	}
	f.leaders[s.term] = now
	for i := range f.committed {
		if f.by[i] < s.term && (i >= len(l.log) || !sameEntry(&f.committed[i], &l.log[i])) {
			return fmt.Errorf("leader completeness: node %d leads term %d without entry %d, committed in term %d", id, s.term, i+1, f.by[i])
		}
	}
	return nil
}

// said checks that what a message promises is durable, and that a vote is given once.
func (f *safety) said(m *message, l *ledger) error {
	switch {
	case m.typ == wire.MsgVote && (l.hard.Term < m.term || l.hard.Term == m.term && l.hard.Vote != m.from):
		return fmt.Errorf("vote durability: %s, durable term %d and vote %d", m, l.hard.Term, l.hard.Vote)
	case m.typ == wire.MsgVote:
		return f.voted(m, m.from)
	case m.typ == wire.MsgVoteReply && !m.reject:
		if l.hard.Term < m.term || l.hard.Term == m.term && l.hard.Vote != m.to {
			return fmt.Errorf("vote durability: %s, durable term %d and vote %d", m, l.hard.Term, l.hard.Vote)
		}
		return f.voted(m, m.to)
	case m.typ == wire.MsgAppendReply && !m.reject && m.index > 0:
		if int(m.index) > len(l.durable) || l.hard.Term < m.term {
			return fmt.Errorf("acknowledgement of what is not durable: %s, durable up to %d, term %d", m, len(l.durable), l.hard.Term)
		}
	}
	return nil
}

func (f *safety) voted(m *message, whom wire.NodeID) error {
	b := ballot{m.from, m.term}
	if old := f.votes[b]; old != 0 && old != whom {
		return fmt.Errorf("one vote a term: %s, after a vote for %d", m, old)
	}
	f.votes[b] = whom
	return nil
}
