package main

import (
	"fmt"

	"flotilla/raft"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// ours is one of our cores with its disk. It is also the core's LogReader.
type ours struct {
	ledger
	id         wire.NodeID
	seed       uint64
	core       *raft.Core
	membership wire.Membership // durable
	applied    wire.Index      // what the state machine holds; it is durable at once, and never ahead of the log on disk
	pending    []ourWrite
	ready      raft.Ready
	installed  wire.Snapshot // the last one
	err        error         // the harness, or what the core must not have answered
}

// maxTurns bounds how often in a row a core may have something ready without being called: beyond it, it spins.
const maxTurns = 1000

// ourWrite is one update on its way to the disk.
type ourWrite struct {
	stamp  int
	token  raft.Token
	update wire.LogUpdate
	snap   wire.Snapshot // to which the update moves the log
}

func newOurs(id wire.NodeID, birth wire.Membership, seed uint64, past func(wire.Index) []wire.Entry) (*ours, error) {
	o := &ours{ledger: newLedger(past), id: id, seed: seed, membership: birth}
	return o, o.start()
}

// start makes a core from what is durable.
func (o *ours) start() error {
	o.seed++
	core, err := raft.New(raft.Config{
		Group: group, Self: o.id, ElectionTicks: electionTicks, HeartbeatTicks: 1, Seed: o.seed,
		Log: o, HardState: o.hard, Membership: o.membership, Applied: o.applied,
	})
	o.core = core
	return err
}

// crash loses what is not durable.
func (o *ours) crash() {
	o.applied = o.ledger.crash(o.applied)
	o.pending = nil
}

// Bounds, Term and Entries are raft.LogReader.
func (o *ours) Bounds() (first, last wire.Index) { return o.first, wire.Index(len(o.durable)) }

// Term returns the term of a durable entry.
func (o *ours) Term(i wire.Index) (wire.Term, error) {
	switch {
	case i+1 < o.first:
		return 0, wire.ErrCompacted
	case int(i) > len(o.durable):
		return 0, wire.ErrUnavailable
	}
	return termAt(o.durable, i), nil
}

// Entries returns durable entries.
func (o *ours) Entries(dst []wire.Entry, lo, hi wire.Index, _ int) ([]wire.Entry, error) {
	switch {
	case lo < o.first:
		return dst, wire.ErrCompacted
	case int(hi) > len(o.durable)+1:
		return dst, wire.ErrUnavailable
	}
	return append(dst, o.durable[lo-1:hi-1]...), nil
}

func (o *ours) step(m wire.Message) {
	if err := o.core.Step(m); err != nil && o.err == nil {
		o.err = err
	}
}

// drain takes all that the core has ready. Entries are applied at once; writes wait for sync.
func (o *ours) drain(stamp int, out *output) {
	for turns := 0; o.core.HasReady() && o.err == nil; turns++ {
		if turns == maxTurns {
			o.err = fmt.Errorf("still something ready after %d turns", turns)
			return
		}
		o.core.Ready(&o.ready)
		rd := &o.ready
		for i := range rd.Messages {
			out.messages = append(out.messages, fromOurs(&rd.Messages[i]))
			if m := &rd.Messages[i]; m.Type == wire.MsgReadIndex || m.Type == wire.MsgReadIndexReply {
				out.messages[len(out.messages)-1].read = m.Context // the caller knows which read that is
			}
		}
		for _, r := range rd.Reads {
			out.answers = append(out.answers, answer{read: r.Context, index: r.Index, refused: r.Err != nil})
		}
		for _, need := range rd.NeedSnapshot {
			o.send(need.Node, out)
		}
		if rd.Token != 0 {
			o.pending = append(o.pending, ourWrite{stamp: stamp, token: rd.Token, update: rd.Update})
			if rd.Update.ResetTo != 0 {
				o.pending[len(o.pending)-1].snap = o.installed
				o.ledger.move(&o.installed, o.applied)
				o.applied = max(o.applied, rd.Update.ResetTo)
			}
			o.err = o.ledger.write(rd.Update.Entries)
		}
		o.apply(rd.Committed)
	}
	if o.err == nil {
		o.err = o.core.Err()
	}
}

// send sends the newest snapshot to a follower.
func (o *ours) send(n wire.NodeID, out *output) {
	m, err := o.core.SendSnapshot(n, o.snap)
	if err != nil {
		o.err = err
		return
	}
	c := fromOurs(&m)
	c.snap = o.snap
	out.messages = append(out.messages, c)
}

// install takes a snapshot over that came with a message, if the core wants it.
func (o *ours) install(s wire.Snapshot) bool {
	if !o.core.WantsSnapshot(s.Index) {
		return false
	}
	if err := o.core.BeginInstall(s); err != nil {
		o.err = err
		return false
	}
	o.installed = s
	o.core.Installed()
	return true
}

func (o *ours) apply(entries []wire.Entry) {
	for i := range entries {
		e := &entries[i]
		if e.Kind == wire.EntryChange {
			if _, err := o.core.ApplyChange(*e); err != nil && o.err == nil {
				o.err = err
			}
		}
		o.applied = e.Index
		o.core.Applied(e.Index)
	}
}

// sync makes all writes up to stamp durable.
func (o *ours) sync(stamp int) {
	n := 0
	for n < len(o.pending) && o.pending[n].stamp <= stamp {
		u := &o.pending[n].update
		if u.SetHardState {
			o.hard = u.HardState
		}
		if u.SetMembership {
			o.membership = u.Membership
		}
		if u.ResetTo != 0 {
			o.ledger.moved(&o.pending[n].snap)
		}
		o.first = max(o.first, u.CompactTo+1)
		o.durable = put(o.durable, u.Entries)
		n++
	}
	if n == 0 {
		return
	}
	token := o.pending[n-1].token
	o.pending = append(o.pending[:0], o.pending[n:]...)
	o.core.Persisted(token)
}

func (o *ours) state() state {
	st := o.core.Status()
	s := state{
		role: st.Role, term: st.Term, vote: st.Vote, lead: st.Leader, commit: st.Commit, applied: o.applied,
		transferee: st.Transferee, voters: setOf(st.Membership.Voters), learners: setOf(st.Membership.Learners),
		outgoing: setOf(st.Membership.Outgoing), demoted: setOf(st.Membership.Demoted),
	}
	for i := range st.Followers {
		f := &st.Followers[i]
		s.match[f.Node] = f.Match
		if f.State == progress.Replicate {
			s.next[f.Node] = f.Next
		}
	}
	return s
}
