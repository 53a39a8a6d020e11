package raft

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

type nodes = []wire.NodeID

func (b *bench) proposeSet(set wire.ChangeSet) error {
	_, _, err := b.core.ProposeChange(set)
	return err
}

func (b *bench) wantMembership(want wire.Membership) {
	b.t.Helper()
	if d := cmp.Diff(want, b.core.Status().Membership); d != "" {
		b.t.Fatal(d)
	}
}

// ackFrom lets the followers named acknowledge the whole log.
func (b *bench) ackFrom(list ...wire.NodeID) *bench {
	b.t.Helper()
	for _, n := range list {
		b.ack(n, b.core.log.last())
	}
	return b.sync()
}

func replace(gone, come wire.NodeID) wire.ChangeSet {
	return wire.ChangeSet{Changes: []wire.Change{{Kind: wire.ChangeRemove, Node: gone}, {Kind: wire.ChangePromote, Node: come}}}
}

// half is a joint configuration on its way from 1, 2, 3 to 1, 4, 5; 3 stays as a learner.
var half = wire.Membership{Index: 1, Voters: nodes{1, 4, 5}, Outgoing: nodes{1, 2, 3}, Demoted: nodes{3}}

// openJoint makes core 1 of a group that is in half, with one entry in its log.
func openJoint(t testing.TB) *bench {
	disk := newMemoryLog(1)
	return openBench(t, Config{HardState: wire.HardState{Term: 1, Commit: 1}, Membership: half, Applied: 1}, disk)
}

// A set of several voters goes through a joint configuration, which the leader leaves without being asked, by an entry
// that it appends when the joint configuration has taken effect.
func TestSeveralVotersAtOnce(t *testing.T) {
	start := wire.Membership{Voters: nodes{1, 2, 3}, Learners: nodes{4, 5}}
	b := openBench(t, Config{Membership: start}, newMemoryLog()).rule()
	set := replace(2, 4)
	set.Changes = append(set.Changes, wire.Change{Kind: wire.ChangeDemote, Node: 3}, wire.Change{Kind: wire.ChangePromote, Node: 5})
	if err := b.proposeSet(set); err != nil {
		t.Fatal(err)
	}
	b.sync().ackFrom(2) // by the rules of before: 1 and 2 of 1, 2, 3
	joint := wire.Membership{Index: 2, Voters: nodes{1, 4, 5}, Outgoing: nodes{1, 2, 3}, Demoted: nodes{3}}
	b.wantMembership(joint)
	if b.core.log.last() != 3 {
		t.Fatalf("log ends at %d, want the entry that leaves at 3", b.core.log.last())
	}
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 6), wire.CodeOverloaded)
	b.ackFrom(2, 3).wantCommit(2)
	b.ackFrom(4).wantCommit(3) // 4 is a majority of the incoming, with 1
	b.wantMembership(wire.Membership{Index: 3, Voters: nodes{1, 4, 5}, Learners: nodes{3}})
	for _, f := range b.core.Status().Followers {
		if f.Node == 2 || (f.Node == 3) != f.Learner {
			t.Errorf("%+v", f)
		}
	}
	if err := b.proposeChange(wire.ChangeAddLearner, 6); err != nil {
		t.Fatal(err)
	}
}

// A set that moves one voter takes effect at once, whatever it does to learners.
func TestOneVoterAndLearnersAtOnce(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: nodes{1, 2, 3}, Learners: nodes{4}}}, newMemoryLog()).rule()
	set := wire.ChangeSet{Changes: []wire.Change{{Kind: wire.ChangePromote, Node: 4}, {Kind: wire.ChangeAddLearner, Node: 6}, {Kind: wire.ChangeAddLearner, Node: 5}}}
	if err := b.proposeSet(set); err != nil {
		t.Fatal(err)
	}
	b.sync().ackFrom(2)
	b.wantMembership(wire.Membership{Index: 2, Voters: nodes{1, 2, 3, 4}, Learners: nodes{5, 6}})
	if b.core.log.last() != 2 {
		t.Errorf("log ends at %d", b.core.log.last())
	}
}

// I9, D35: neither half commits by itself.
func TestJointCommitNeedsBothHalves(t *testing.T) {
	b := openJoint(t).lead()
	b.ackFrom(4, 5).wantCommit(1)
	b.ackFrom(3).wantCommit(2)
	b = openJoint(t).lead()
	b.ackFrom(2, 3).wantCommit(1)
	b.ackFrom(4).wantCommit(2)
}

// I1: neither half elects by itself, pre-votes and votes alike, and either may refuse.
func TestJointElectionNeedsBothHalves(t *testing.T) {
	for _, test := range []struct {
		granted, refused nodes
		want             Role
	}{
		{nodes{4, 5}, nil, PreCandidate},
		{nodes{2, 3}, nil, PreCandidate},
		{nodes{3, 5}, nil, Candidate},
		{nodes{3}, nodes{4, 5}, Follower},
		{nodes{5}, nodes{2, 3}, Follower},
	} {
		b := openJoint(t).sync()
		b.core.Campaign()
		for n := wire.NodeID(2); n <= 5; n++ {
			b.take().one(wire.MsgPreVote, n) // everybody is asked, once
		}
		for _, n := range test.granted {
			b.step(wire.Message{Type: wire.MsgPreVoteReply, From: n, Term: 2})
		}
		for _, n := range test.refused {
			b.step(wire.Message{Type: wire.MsgPreVoteReply, From: n, Reject: true})
		}
		if b.core.role != test.want {
			t.Errorf("granted by %v, refused by %v: %s, want %s", test.granted, test.refused, b.core.role, test.want)
		}
	}
	b := openJoint(t).stand().sync()
	for _, n := range []wire.NodeID{4, 5} {
		b.step(wire.Message{Type: wire.MsgVoteReply, From: n})
	}
	b.wantRole(Candidate, 2, wire.NoNode)
	b.step(wire.Message{Type: wire.MsgVoteReply, From: 2})
	b.wantRole(Leader, 2, 1)
}

// I14, F12: reads and the leader's right to go on need both halves.
func TestJointReadsAndLeaseNeedBothHalves(t *testing.T) {
	b := openJoint(t).lead().ackFrom(2, 4).clear()
	b.core.lead.transfer.to = 2 // so that the joint configuration lasts
	b.core.ReadIndex(7)
	b.take()
	round := b.core.reads.round
	for _, n := range []wire.NodeID{4, 5} {
		b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n, Context: round}).take()
	}
	if len(b.reads) != 0 {
		t.Fatal("confirmed by the incoming half")
	}
	if b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3, Context: round}).take(); len(b.reads) != 1 || b.reads[0].Err != nil {
		t.Fatalf("reads %+v", b.reads)
	}
	for range b.core.cfg.ElectionTicks - 1 {
		b.tick(1)
		for _, n := range []wire.NodeID{2, 3} {
			b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n})
		}
	}
	b.wantRole(Leader, 2, 1)
	b.tick(1).wantRole(Follower, 2, wire.NoNode)
}

// A leader that finds itself in a joint configuration leaves it: not before an entry of its own term is committed, and
// not while it hands leadership over.
func TestNewLeaderLeaves(t *testing.T) {
	b := openJoint(t).lead().take()
	if b.core.log.last() != 2 {
		t.Fatalf("log ends at %d before anything is committed", b.core.log.last())
	}
	if err := b.ack(3, 1).core.TransferTo(3); err != nil {
		t.Fatal(err)
	}
	b.ackFrom(2, 4).wantCommit(2)
	if b.core.log.last() != 2 {
		t.Fatalf("log ends at %d while leadership is handed over", b.core.log.last())
	}
	for range b.core.cfg.ElectionTicks {
		b.tick(1)
		for _, n := range []wire.NodeID{2, 3, 4} {
			b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n})
		}
	}
	b.take().ackFrom(2, 4)
	b.wantMembership(wire.Membership{Index: 3, Voters: nodes{1, 4, 5}, Learners: nodes{3}})
}

// A leader that is not to stay leads on until the joint configuration is left, tells everybody, and steps down: removed
// or demoted, it does not campaign any more (D48).
func TestLeaderThatDoesNotStay(t *testing.T) {
	for _, kind := range []wire.ChangeKind{wire.ChangeRemove, wire.ChangeDemote} {
		b := openBench(t, Config{Membership: wire.Membership{Voters: nodes{1, 2, 3}, Learners: nodes{4}}}, newMemoryLog()).rule()
		set := wire.ChangeSet{Changes: []wire.Change{{Kind: kind, Node: 1}, {Kind: wire.ChangePromote, Node: 4}}}
		if err := b.proposeSet(set); err != nil {
			t.Fatal(err)
		}
		b.sync().ackFrom(2).wantRole(Leader, 1, 1)
		b.clear().ackFrom(2).wantRole(Leader, 1, 1) // 1 and 2 of before, but of 2, 3, 4 one
		b.ackFrom(4).wantRole(Follower, 1, wire.NoNode)
		if m := b.core.Status().Membership; m.Joint() || m.IsVoter(1) || m.IsLearner(1) != (kind == wire.ChangeDemote) {
			t.Fatalf("%+v", m)
		}
		told := map[wire.NodeID]wire.Index{}
		for _, m := range b.out {
			told[m.To] = max(told[m.To], m.Commit)
		}
		if told[2] != 3 || told[4] != 3 {
			t.Errorf("told %v of what is committed, want 3", told)
		}
		b.clear().tick(100)
		if len(b.out) != 0 {
			t.Errorf("it says %+v", b.out)
		}
	}
}

// D52: a set that names another membership than the one in effect is refused by type, whatever it wants.
func TestChangeForAnotherMembership(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: nodes{1, 2, 3}}}, newMemoryLog()).rule()
	set := wire.OneChange(wire.ChangeAddLearner, 4)
	set.SetBase = true // that of the birth: 0
	if err := b.proposeSet(set); err != nil {
		t.Fatal(err)
	}
	b.sync().ackFrom(2)
	for _, n := range []wire.NodeID{4, 5} { // the same again, and another one computed from the same
		set.Changes[0].Node = n
		err := b.proposeSet(set)
		wantCode(t, err, wire.CodeConflict)
		if !errors.Is(err, membership.ErrBase) {
			t.Error(err)
		}
	}
	set.Base = b.core.Status().Membership.Index
	if err := b.proposeSet(set); err != nil {
		t.Fatal(err)
	}
}

// What no leader proposes changes nothing when it is applied, on every replica alike, but the index: a set for
// another membership, one in a joint configuration, the end of none.
func TestIllegalSetsAppliedChangeNothing(t *testing.T) {
	stale := wire.OneChange(wire.ChangeAddLearner, 9)
	stale.SetBase, stale.Base = true, 5
	enter, again, leave := replace(3, 4), replace(2, 5), wire.ChangeSet{}
	disk := newMemoryLog()
	for i, set := range []wire.ChangeSet{leave, stale, enter, again, enter, leave, leave} {
		disk.entries = append(disk.entries, changeEntry(wire.Index(i+1), 1, &set))
	}
	b := openBench(t, Config{HardState: wire.HardState{Term: 1, Commit: 7}, Membership: wire.Membership{Voters: nodes{1, 2, 3}}}, disk)
	before := wire.Membership{Voters: nodes{1, 2, 3}}
	joint := wire.Membership{Voters: nodes{1, 2, 4}, Outgoing: nodes{1, 2, 3}}
	after := wire.Membership{Voters: nodes{1, 2, 4}}
	b.core.Ready(&b.rd)
	for i, want := range []wire.Membership{before, before, joint, joint, joint, after, after} {
		got, err := b.core.ApplyChange(b.rd.Committed[i])
		want.Index = wire.Index(i + 1)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("after entry %d: %v, %s", i+1, err, d)
		}
	}
}

// A restart anywhere in the middle of an exchange ends where the others are: the membership on disk may be of any
// earlier moment, the state machine as well, and nobody campaigns before it has caught up.
func TestRestartInTheMiddleOfAnExchange(t *testing.T) {
	enter, leave := replace(3, 4), wire.ChangeSet{}
	start := wire.Membership{Voters: nodes{1, 2, 3}}
	joint := wire.Membership{Index: 2, Voters: nodes{1, 2, 4}, Outgoing: nodes{1, 2, 3}}
	after := wire.Membership{Index: 3, Voters: nodes{1, 2, 4}}
	steps := []wire.Membership{start, start, joint, after, after} // by what is applied
	for commit := range wire.Index(5) {
		for stored := range min(commit, 3) + 1 {
			for applied := range commit + 1 {
				disk := newMemoryLog(1)
				disk.entries = append(disk.entries, changeEntry(2, 1, &enter), changeEntry(3, 1, &leave), entry(4, 1))
				b := openBench(t, Config{
					HardState: wire.HardState{Term: 1, Commit: commit}, Membership: steps[stored], Applied: applied,
				}, disk)
				b.core.Campaign()
				if want := max(stored, applied); steps[want].Index < steps[commit].Index && b.core.role != Follower {
					t.Errorf("commit %d, stored %d, applied %d: campaigns with %+v", commit, stored, applied, b.core.membership)
				}
				b.sync()
				if d := cmp.Diff(steps[commit], b.core.Status().Membership); d != "" {
					t.Errorf("commit %d, stored %d, applied %d: %s", commit, stored, applied, d)
				}
			}
		}
	}
}

// D44, D60, D61 in sets: voters that have nothing do not make up what is missing to a majority, a learner that is
// promoted has caught up, and the last but one voter does not leave.
func TestUnwiseSets(t *testing.T) {
	promote := func(list ...wire.NodeID) (s wire.ChangeSet) {
		for _, n := range list {
			s.Changes = append(s.Changes, wire.Change{Kind: wire.ChangePromote, Node: n})
		}
		return s
	}
	for _, test := range []struct {
		name string
		from wire.Membership
		set  wire.ChangeSet
		want wire.Code
	}{
		{"two new ones beside one", wire.Membership{Voters: nodes{1}}, promote(2, 3), wire.CodeBadRequest},
		{"two new ones beside three", wire.Membership{Voters: nodes{1, 2, 3}}, promote(4, 5), 0},
		{"four new ones beside three", wire.Membership{Voters: nodes{1, 2, 3}}, promote(4, 5, 6, 7), wire.CodeBadRequest},
		{"a new one for an old one", wire.Membership{Voters: nodes{1, 2, 3}}, replace(3, 4), 0},
		{"a new one for the last one", wire.Membership{Voters: nodes{1}}, replace(1, 2), wire.CodeBadRequest},
		{"a learner for the last one", wire.Membership{Voters: nodes{1}, Learners: nodes{2}}, replace(1, 2), wire.CodeBadRequest},
		{"a learner for one of two, the leader", wire.Membership{Voters: nodes{1, 2}, Learners: nodes{3}}, replace(1, 3), wire.CodeBadRequest},
		{"a learner for one of two, the other", wire.Membership{Voters: nodes{1, 2}, Learners: nodes{3}}, replace(2, 3), 0},
		{"a learner for the leader of three", wire.Membership{Voters: nodes{1, 2, 3}, Learners: nodes{4}}, replace(1, 4), 0},
		{"nothing at all", wire.Membership{Voters: nodes{1, 2, 3}}, wire.ChangeSet{}, wire.CodeBadRequest},
	} {
		b := openBench(t, Config{Membership: test.from}, newMemoryLog()).rule()
		if err := b.proposeSet(test.set); wire.CodeOf(err) != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	b := openBench(t, Config{Membership: wire.Membership{Voters: nodes{1, 2, 3}, Learners: nodes{4, 5}}}, newMemoryLog()).lead()
	b.ackFrom(2, 3, 4)
	wantCode(t, b.proposeSet(promote(4, 5)), wire.CodeOverloaded) // 5 was never heard
	if err := b.ackFrom(5).proposeSet(promote(4, 5)); err != nil {
		t.Fatal(err)
	}
}

// D62: one voter that is down does not keep members from being added, as long as the others are a majority.
func TestAddWithOneDown(t *testing.T) {
	b := newBench(t, 1, 2, 3).lead().ackFrom(2)
	for range 3 * b.core.cfg.ElectionTicks {
		b.tick(1).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2})
	}
	if err := b.proposeChange(wire.ChangePromote, 4); err != nil {
		t.Fatal(err)
	}
	b.sync().ackFrom(2)
	b.wantMembership(wire.Membership{Index: 2, Voters: nodes{1, 2, 3, 4}})
}

// D50: without a majority a change changes nothing, however long it waits; with one of the incoming half neither.
func TestNoChangeWithoutAMajority(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: nodes{1, 2, 3}, Learners: nodes{4, 5}}}, newMemoryLog()).rule()
	set := replace(2, 4)
	set.Changes = append(set.Changes, replace(3, 5).Changes...)
	if err := b.proposeSet(set); err != nil {
		t.Fatal(err)
	}
	b.sync().ackFrom(4, 5).wantCommit(1)
	if m := b.core.Status().Membership; m.Index != 0 {
		t.Errorf("%+v in effect", m)
	}
}

// F5, D48: while a joint configuration lasts, nodes of both halves are members: a higher term of one that leaves counts,
// that of a stranger does not.
func TestBothHalvesAreMembers(t *testing.T) {
	b := openJoint(t).lead()
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 9, Term: 7}).wantRole(Leader, 2, 1)
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 2, Term: 7}).wantRole(Follower, 7, wire.NoNode)
}
