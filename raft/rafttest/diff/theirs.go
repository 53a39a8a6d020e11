package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// theirs is one RawNode of the reference with its disk, driven by asynchronous storage writes, which is the way
// our core works. It is also the RawNode's Storage.
type theirs struct {
	ledger
	id      wire.NodeID
	node    *etcd.RawNode
	disk    []*pb.Entry // the durable log as the reference wants it back
	conf    *pb.ConfState
	applied wire.Index
	// confBefore goes with ledger.before.
	confBefore *pb.ConfState
	pending    []theirWrite
	votes      int // requests for votes held in the present step
	simple     int // sets of changes applied one by one in the present step
	err        error
}

// theirWrite is one MsgStorageAppend on its way to the disk.
type theirWrite struct {
	stamp   int
	message *pb.Message
	entries []wire.Entry // the same in our words
	// held are requests for votes: we let them leave when the vote for oneself is durable (departure vote-request-held).
	held []*pb.Message
}

func newTheirs(id wire.NodeID, birth wire.Membership, past func(wire.Index) []wire.Entry) (*theirs, error) {
	t := &theirs{ledger: newLedger(past), id: id, conf: &pb.ConfState{}}
	for _, n := range birth.Voters {
		t.conf.Voters = append(t.conf.Voters, uint64(n))
	}
	return t, t.start(0)
}

// start makes a RawNode from what is durable, with a commit index that is durable on both sides.
func (t *theirs) start(commit wire.Index) error {
	t.hard.Commit = max(commit, t.applied)
	node, err := etcd.NewRawNode(&etcd.Config{
		ID: uint64(t.id), ElectionTick: electionTicks, HeartbeatTick: 1, Storage: t, Applied: uint64(t.applied),
		AsyncStorageWrites: true, MaxSizePerMsg: math.MaxUint64, MaxCommittedSizePerReady: math.MaxUint64,
		MaxInflightMsgs: raft.DefaultMaxInflightMessages, CheckQuorum: true, PreVote: true, StepDownOnRemoval: true,
		DisableProposalForwarding: true, Logger: quiet{},
	})
	t.node = node
	return err
}

func (t *theirs) crash() {
	if t.moving > 0 {
		t.conf = t.confBefore
	}
	t.applied = t.ledger.crash(t.applied)
	t.pending = nil
}

// InitialState is etcd.Storage, like the methods after it.
func (t *theirs) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h := &pb.HardState{Term: new(uint64(t.hard.Term)), Vote: new(uint64(t.hard.Vote)), Commit: new(uint64(t.hard.Commit))}
	return h, t.conf, nil
}

// Entries returns durable entries.
func (t *theirs) Entries(lo, hi, _ uint64) ([]*pb.Entry, error) {
	switch {
	case lo < uint64(t.first):
		return nil, etcd.ErrCompacted
	case hi > uint64(len(t.disk))+1:
		return nil, etcd.ErrUnavailable
	}
	return t.disk[lo-1 : hi-1 : hi-1], nil
}

// Term returns the term of a durable entry.
func (t *theirs) Term(i uint64) (uint64, error) {
	switch {
	case i+1 < uint64(t.first):
		return 0, etcd.ErrCompacted
	case i > uint64(len(t.durable)):
		return 0, etcd.ErrUnavailable
	}
	return uint64(termAt(t.durable, wire.Index(i))), nil
}

// LastIndex and FirstIndex bound the durable log.
func (t *theirs) LastIndex() (uint64, error) { return uint64(len(t.durable)), nil }

// FirstIndex is where it begins.
func (t *theirs) FirstIndex() (uint64, error) { return uint64(t.first), nil }

// Snapshot returns the newest snapshot stored.
func (t *theirs) Snapshot() (*pb.Snapshot, error) {
	if t.snap.Index == 0 {
		return nil, etcd.ErrSnapshotTemporarilyUnavailable
	}
	return snapshotToTheirs(&t.snap), nil
}

// drain takes all that the node has ready.
func (t *theirs) drain(stamp int, out *output) {
	for t.err == nil && t.node.HasReady() {
		rd := t.node.Ready()
		for _, r := range rd.ReadStates {
			out.answers = append(out.answers, answer{read: binary.LittleEndian.Uint64(r.RequestCtx), index: wire.Index(r.Index)})
		}
		var votes []*pb.Message
		for _, m := range rd.Messages {
			switch m.GetType() {
			case pb.MsgStorageAppend:
				t.write(stamp, m, out)
			case pb.MsgStorageApply:
				t.apply(m)
			case pb.MsgVote:
				votes = append(votes, m)
			default:
				t.say(m, out)
			}
		}
		t.hold(votes, out)
	}
}

// say hands out a message.
func (t *theirs) say(m *pb.Message, out *output) {
	c, err := fromTheirs(m)
	if err != nil {
		t.err = err
		return
	}
	out.messages = append(out.messages, c)
}

// hold keeps requests for votes until everything handed out is durable.
func (t *theirs) hold(votes []*pb.Message, out *output) {
	if n := len(t.pending); n > 0 {
		t.pending[n-1].held = append(t.pending[n-1].held, votes...)
		t.votes += len(votes)
		return
	}
	for _, m := range votes {
		t.say(m, out)
	}
}

// write takes in a MsgStorageAppend. Pre-votes, the own among them, promise nothing and wait for no disk
// (departure pre-vote-not-held).
func (t *theirs) write(stamp int, m *pb.Message, out *output) {
	if s := m.GetSnapshot(); s != nil {
		snap := snapshotFromTheirs(s)
		if t.moving == 0 {
			t.confBefore = t.conf
		}
		t.ledger.move(&snap, t.applied)
		t.applied, t.conf = snap.Index, s.GetMetadata().GetConfState()
	}
	entries, err := entriesFromTheirs(m.GetEntries())
	if err == nil {
		err = t.ledger.write(entries)
	}
	if err != nil {
		t.err = err
		return
	}
	kept := m.Responses[:0:0]
	for _, r := range m.GetResponses() {
		switch {
		case r.GetType() != pb.MsgPreVoteResp:
			kept = append(kept, r)
		case r.GetTo() == uint64(t.id):
			t.step(r)
		default:
			t.say(r, out)
		}
	}
	m.Responses = kept
	t.pending = append(t.pending, theirWrite{stamp: stamp, message: m, entries: entries})
}

func (t *theirs) apply(m *pb.Message) {
	for _, e := range m.GetEntries() {
		if e.GetType() == pb.EntryConfChangeV2 {
			cc, err := readTheirChange(e)
			if err != nil {
				t.err = err
				return
			}
			t.applyChange(cc)
		}
		t.applied = wire.Index(e.GetIndex())
	}
	for _, r := range m.GetResponses() {
		t.step(r)
	}
}

// applyChange makes a change take effect. The reference enters a joint configuration for every set of more than one
// change; where one voter moves at most we do without (departure simple-set), so it is given the changes one by one.
func (t *theirs) applyChange(cc *pb.ConfChangeV2) {
	changes := cc.GetChanges()
	moved := 0
	for _, ch := range changes {
		if voter := slices.Contains(t.conf.GetVoters(), ch.GetNodeId()); voter != (ch.GetType() == pb.ConfChangeAddNode) {
			moved++
		}
	}
	if len(changes) < 2 || moved > 1 {
		t.conf = t.node.ApplyConfChange(cc)
		return
	}
	t.simple++
	for i := range changes {
		t.conf = t.node.ApplyConfChange(&pb.ConfChangeV2{Changes: changes[i : i+1]})
	}
}

// sync makes all writes up to stamp durable and delivers what waited for them.
func (t *theirs) sync(stamp int, out *output) {
	for len(t.pending) > 0 && t.pending[0].stamp <= stamp {
		w := t.pending[0]
		t.pending = t.pending[1:]
		if w.message.Term != nil {
			t.hard = wire.HardState{
				Term: wire.Term(w.message.GetTerm()), Vote: wire.NodeID(w.message.GetVote()), Commit: wire.Index(w.message.GetCommit()),
			}
		}
		if s := w.message.GetSnapshot(); s != nil {
			snap := snapshotFromTheirs(s)
			t.ledger.moved(&snap)
			t.disk = make([]*pb.Entry, snap.Index) // what lies below is never read
		}
		if len(w.entries) > 0 {
			t.durable = put(t.durable, w.entries)
			keep := int(w.entries[0].Index) - 1
			if keep < len(t.disk) {
				t.disk = t.disk[:keep:keep] // a new array: what was handed out of the old one must not change
			}
			t.disk = append(t.disk, w.message.GetEntries()...)
		}
		for _, m := range w.held {
			t.say(m, out)
		}
		for _, r := range w.message.GetResponses() {
			if r.GetTo() == uint64(t.id) {
				t.step(r)
			} else {
				t.say(r, out)
			}
		}
	}
}

// step gives the node a message. Answers of nodes that it does not know are refused, as ours are ignored.
func (t *theirs) step(m *pb.Message) {
	if err := t.node.Step(m); err != nil && err != etcd.ErrStepPeerNotFound && t.err == nil {
		t.err = fmt.Errorf("the reference refuses %s: %w", m, err)
	}
}

var ourRoles = [...]raft.Role{
	etcd.StateFollower: raft.Follower, etcd.StatePreCandidate: raft.PreCandidate,
	etcd.StateCandidate: raft.Candidate, etcd.StateLeader: raft.Leader,
}

func (t *theirs) state() state {
	b := t.node.BasicStatus()
	s := state{
		role: ourRoles[b.RaftState], term: wire.Term(b.GetTerm()), vote: wire.NodeID(b.GetVote()), lead: wire.NodeID(b.Lead),
		commit: wire.Index(b.GetCommit()), applied: t.applied, transferee: wire.NodeID(b.LeadTransferee),
	}
	s.voters, s.learners = theirSet(t.conf.GetVoters()), theirSet(t.conf.GetLearners())
	s.outgoing, s.demoted = theirSet(t.conf.GetVotersOutgoing()), theirSet(t.conf.GetLearnersNext())
	if s.role == raft.Leader {
		t.node.WithProgress(func(id uint64, _ etcd.ProgressType, pr tracker.Progress) {
			if id == uint64(t.id) {
				return
			}
			s.match[id] = wire.Index(pr.Match)
			if pr.State == tracker.StateReplicate {
				s.next[id] = wire.Index(pr.Next)
			}
		})
	}
	return s
}

func theirSet(list []uint64) (s nodeSet) {
	for _, n := range list {
		s |= 1 << n
	}
	return s
}

// quiet is a logger for the reference that says nothing, and panics where it must.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Fatal(v ...any)          { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) {
	panic(fmt.Sprintf(f, v...))
}
func (quiet) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
