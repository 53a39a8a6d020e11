package rafttest

import (
	"hash/fnv"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// Model is what the events so far say of every replica. It is kept beside the run, from outside, so that a
// checker never asks the core that it checks.
type Model struct {
	// Replicas by node, dead ones too.
	Replicas map[wire.NodeID]*Replica
	// Nodes are the keys of Replicas in the order of their first event.
	Nodes []wire.NodeID
	// Committed are the marks of all entries that any replica has ever regarded as committed, from index 1 on,
	// as the first one to do so held them.
	Committed []Mark
	// CommittedIn are the terms in which they were committed: that of whoever was the first to know, a leader.
	CommittedIn []wire.Term
}

// Mark identifies one entry without its data.
type Mark struct {
	Term wire.Term
	Kind wire.EntryKind
	Sum  uint64 // of the data
}

// Log is the marks of a log from index 1 on; compaction does not shorten it.
type Log []Mark

// Last returns the last index.
func (l Log) Last() wire.Index { return wire.Index(len(l)) }

// At returns the mark at i; the zero Mark when the log does not reach it.
func (l Log) At(i wire.Index) Mark {
	if i == 0 || i > l.Last() {
		return Mark{}
	}
	return l[i-1]
}

// State is the part of a replica that a core reports.
type State struct {
	Role   raft.Role
	Term   wire.Term
	Leader wire.NodeID
	Commit wire.Index
}

// Replica is what is known of one replica.
type Replica struct {
	Alive bool
	// Starts counts its lives.
	Starts int
	// Now is the state after the last event, Was the state before the last EventState.
	Now, Was State
	// Membership is the one its core works with.
	Membership wire.Membership
	Applied    wire.Index
	// WasApplied is the applied index before the last snapshot was taken over.
	WasApplied wire.Index
	// Hard and Durable are on the disk; View is the log including the writes on their way.
	Hard    wire.HardState
	Durable Log
	View    Log
}

// NewModel returns the model of a run in which nothing has happened.
func NewModel() *Model { return &Model{Replicas: map[wire.NodeID]*Replica{}} }

// Replica returns the replica on node n, made if need be.
func (m *Model) Replica(n wire.NodeID) *Replica {
	r := m.Replicas[n]
	if r == nil {
		r = &Replica{}
		m.Replicas[n] = r
		m.Nodes = append(m.Nodes, n)
	}
	return r
}

// MaxCommit returns the highest index that any replica has regarded as committed.
func (m *Model) MaxCommit() wire.Index { return wire.Index(len(m.Committed)) }

// Observe brings the model up to date with e.
func (m *Model) Observe(e *Event) {
	if e.Kind == EventNote {
		return
	}
	r := m.Replica(e.Node)
	switch e.Kind {
	case EventStart:
		r.Alive, r.Applied, r.Membership = true, e.Index, e.Membership
		r.Starts++
		r.Now = State{Term: e.HardState.Term, Commit: e.HardState.Commit}
		r.Was = r.Now
	case EventCrash:
		r.Alive = false
		r.View = append(r.View[:0:0], r.Durable...)
	case EventState:
		r.Was, r.Now = r.Now, State{Role: e.Role, Term: e.Term, Leader: e.Leader, Commit: e.Index}
		r.Membership = e.Membership
		for i := m.MaxCommit() + 1; i <= min(r.Now.Commit, r.View.Last()); i++ {
			m.Committed = append(m.Committed, r.View.At(i))
			m.CommittedIn = append(m.CommittedIn, r.Now.Term)
		}
	case EventWrite:
		r.View = m.moved(r.View, &e.Update)
		r.View = overwrite(r.View, e.Update.Entries)
	case EventDurable:
		r.Durable = m.moved(r.Durable, &e.Update)
		r.Durable = overwrite(r.Durable, e.Update.Entries)
		if e.Update.SetHardState {
			r.Hard = e.Update.HardState
		}
		if !r.Alive { // a host that finishes an install before it starts
			r.View = append(r.View[:0:0], r.Durable...)
		}
	case EventApply:
		r.Applied = e.Entry.Index
	case EventInstalled:
		r.WasApplied, r.Applied = r.Applied, e.Snapshot.Index
	case EventMembership:
		if e.Err == nil {
			r.Membership = e.Membership
		}
	}
}

// moved returns l as an update leaves it that moves a log to a snapshot: what that stands for are the committed entries.
func (m *Model) moved(l Log, u *wire.LogUpdate) Log {
	if u.ResetTo == 0 {
		return l
	}
	return append(l[:0:0], m.Committed[:min(u.ResetTo, m.MaxCommit())]...)
}

// overwrite returns l with entries put over its end. A gap, which the disk refuses anyway, is left alone.
func overwrite(l Log, entries []wire.Entry) Log {
	if len(entries) == 0 || entries[0].Index == 0 || entries[0].Index > l.Last()+1 {
		return l
	}
	l = l[:entries[0].Index-1]
	for i := range entries {
		l = append(l, markOf(&entries[i]))
	}
	return l
}

func markOf(e *wire.Entry) Mark {
	h := fnv.New64a()
	h.Write(e.Data)
	return Mark{Term: e.Term, Kind: e.Kind, Sum: h.Sum64()}
}
