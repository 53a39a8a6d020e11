package raft

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

func changeEntry(i wire.Index, t wire.Term, set *wire.ChangeSet) wire.Entry {
	return wire.Entry{Index: i, Term: t, Kind: wire.EntryChange, Data: wire.AppendChangeSet(nil, set)}
}

func change(i wire.Index, t wire.Term, kind wire.ChangeKind, n wire.NodeID) wire.Entry {
	set := wire.OneChange(kind, n)
	return changeEntry(i, t, &set)
}

func (b *bench) proposeChange(kind wire.ChangeKind, n wire.NodeID) error {
	_, _, err := b.core.ProposeChange(wire.OneChange(kind, n))
	return err
}

// F13: none before an entry of the term is committed, none while one has not taken effect.
func TestOneChangeAtATime(t *testing.T) {
	b := newBench(t, 1, 2, 3).lead()
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 4), wire.CodeOverloaded)
	b.ackAll()
	if err := b.proposeChange(wire.ChangeAddLearner, 4); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 5), wire.CodeOverloaded)
	b.sync()
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 2, Index: 2}) // committed, and not applied yet
	b.wantCommit(2)
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 5), wire.CodeOverloaded)
	b.sync()
	if err := b.proposeChange(wire.ChangeAddLearner, 5); err != nil {
		t.Fatal(err)
	}
	err := b.proposeChange(wire.ChangeRemove, 9)
	wantCode(t, err, wire.CodeBadRequest)
	if !errors.Is(err, membership.ErrNotMember) {
		t.Error(err)
	}
}

// F13: a change of an earlier term that is in the log blocks the next one as well.
func TestChangeOfAnEarlierTermBlocks(t *testing.T) {
	disk := newMemoryLog(1)
	disk.entries = append(disk.entries, change(2, 1, wire.ChangeAddLearner, 4))
	b := openBench(t, Config{HardState: wire.HardState{Term: 1}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, disk).lead()
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 5), wire.CodeOverloaded)
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 2, Index: 3}) // commits both
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 5), wire.CodeOverloaded)
	b.sync()
	if err := b.proposeChange(wire.ChangeAddLearner, 5); err != nil {
		t.Fatal(err)
	}
}

// F13: after a change the quorum is another one, at once: an entry that waited may be committed by it.
func TestQuorumIsReevaluated(t *testing.T) {
	b := newBench(t, 1, 2, 3, 4).rule()
	if err := b.proposeChange(wire.ChangeRemove, 4); err != nil {
		t.Fatal(err)
	}
	i := b.propose("x")
	b.sync().ack(2, i).wantCommit(i - 2) // two of four
	b.ack(3, i-1).wantCommit(i)          // the change by three of four; then x by two of three
	if b.core.lead.follower(4) != nil {
		t.Error("the removed one is still a follower")
	}
	b.sync()
	want := wire.Membership{Index: 2, Voters: []wire.NodeID{1, 2, 3}}
	if d := cmp.Diff(want, b.core.Status().Membership); d != "" {
		t.Error(d)
	}
}

// F13: a removed leader tells the others that it is committed and steps down.
func TestRemovedLeaderStepsDown(t *testing.T) {
	b := newBench(t, 1, 2, 3, 4).rule()
	if err := b.proposeChange(wire.ChangeRemove, 1); err != nil {
		t.Fatal(err)
	}
	// 2 and 3 make a majority with us; 2 cannot be sent appends at the moment, it gets heartbeats only.
	b.sync().ack(2, 2).core.Unreachable(2)
	b.clear().ack(3, 2)
	b.sync().wantRole(Follower, 1, wire.NoNode)
	for _, n := range []wire.NodeID{2, 3} {
		told := wire.Index(0)
		for _, m := range b.out {
			if m.To == n {
				told = max(told, m.Commit)
			}
		}
		if told != 2 {
			t.Errorf("node %d was told of commit %d", n, told)
		}
	}
	b.clear().tick(100)
	if len(b.out) != 0 {
		t.Fatalf("the removed one says %+v", b.out) // D48
	}
}

// P9: replay of what the membership holds already changes nothing; a change that is not legal changes nothing
// either, but on every replica alike.
func TestApplyChangeIsIdempotent(t *testing.T) {
	disk := newMemoryLog(1)
	disk.entries = append(disk.entries,
		change(2, 1, wire.ChangeAddLearner, 4), change(3, 1, wire.ChangePromote, 4), change(4, 1, wire.ChangeRemove, 9))
	at3 := wire.Membership{Index: 3, Voters: []wire.NodeID{1, 2, 3, 4}}
	b := openBench(t, Config{HardState: wire.HardState{Term: 1, Commit: 4}, Membership: at3}, disk)
	b.sync()
	want := at3
	want.Index = 4
	if d := cmp.Diff(want, b.core.Status().Membership); d != "" || len(b.applied) != 4 {
		t.Errorf("%d applied, %s", len(b.applied), d)
	}
}

// F17: a change that cannot be understood is not skipped.
func TestUnknownChangeEndsTheCore(t *testing.T) {
	good := change(2, 1, wire.ChangePromote, 4).Data
	for _, data := range [][]byte{nil, {0x92, 9, 1}, {0x92, 0xc0, 0x91, 0x92, 5, 4}, append(good, 0)} {
		disk := newMemoryLog(1)
		disk.entries = append(disk.entries, wire.Entry{Index: 2, Term: 1, Kind: wire.EntryChange, Data: data})
		b := openBench(t, Config{HardState: wire.HardState{Term: 1, Commit: 2}}, disk)
		b.core.Ready(&b.rd)
		if _, err := b.core.ApplyChange(b.rd.Committed[1]); err == nil || b.core.Err() == nil {
			t.Errorf("%x: %v, %v", data, err, b.core.Err())
		}
	}
}

// D60, D61, D44: legal changes that would stop the group.
func TestUnwiseChanges(t *testing.T) {
	b := newBench(t, 1)
	b.core.Tick()
	b.sync()
	wantCode(t, b.proposeChange(wire.ChangePromote, 2), wire.CodeBadRequest) // D60
	if err := b.proposeChange(wire.ChangeAddLearner, 2); err != nil {
		t.Fatal(err)
	}
	b.sync()
	wantCode(t, b.proposeChange(wire.ChangePromote, 2), wire.CodeOverloaded) // D44: it was never heard
	b.ack(2, b.core.log.last())
	if err := b.proposeChange(wire.ChangePromote, 2); err != nil {
		t.Fatal(err)
	}
	b.sync().ackAll()
	wantCode(t, b.proposeChange(wire.ChangeRemove, 1), wire.CodeBadRequest) // D61
	if err := b.proposeChange(wire.ChangeRemove, 2); err != nil {
		t.Fatal(err)
	}
}

// P14, F15, D44: a learner is named for promotion when it holds nearly everything of this term and was heard
// lately; none is named while a change is pending.
func TestPromotable(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{4, 5}}}, newMemoryLog()).lead()
	b.ack(2, 1).ack(4, 0)
	if b.propose("x"); len(b.take().promote) != 0 {
		t.Fatalf("named %v with nothing on them", b.promote) // F15
	}
	for range 199 {
		b.propose("x")
	}
	b.sync().ack(2, 201)
	if b.ack(4, 201-promotableDistance-1); len(b.promote) != 0 {
		t.Fatalf("named %v, too far behind", b.promote)
	}
	if b.ack(4, 201-promotableDistance); len(b.promote) != 1 || b.promote[0] != 4 {
		t.Fatalf("named %v", b.promote)
	}
	if err := b.proposeChange(wire.ChangePromote, 4); err != nil {
		t.Fatal(err)
	}
	if b.ack(5, 201); len(b.promote) != 0 {
		t.Fatalf("named %v while a promotion is pending", b.promote)
	}
	b.sync().ack(2, 202)
	if b.sync(); len(b.promote) != 1 || b.promote[0] != 5 {
		t.Fatalf("named %v after it", b.promote)
	}
	for range b.core.cfg.ElectionTicks {
		b.tick(1).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2}).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3})
	}
	b.propose("y")
	if b.take(); len(b.promote) != 0 {
		t.Fatalf("named %v, silent for an election timeout", b.promote)
	}
}

// P14: a learner's acknowledgement commits nothing.
func TestLearnersDoNotCount(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{4, 5}}}, newMemoryLog()).lead()
	b.ack(4, 1).ack(5, 1).wantCommit(0)
	b.ack(2, 1).wantCommit(1)
	i := b.propose("x")
	b.take().ack(4, i).ack(5, i).sync().wantCommit(1) // our own disk asks who holds it, and must not count them either
	b.ack(3, i).wantCommit(i)
}

// D64 and the safety of changes that take effect when applied: who knows of a committed change that has not
// taken effect here does not campaign, found in the log at the start or appended since.
func TestNoCampaignBeforeACommittedChangeTookEffect(t *testing.T) {
	disk := newMemoryLog(1)
	disk.entries = append(disk.entries, change(2, 1, wire.ChangePromote, 4))
	b := openBench(t, Config{HardState: wire.HardState{Term: 1, Commit: 2}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, disk)
	b.core.Campaign() // nothing was handed out yet
	b.wantRole(Follower, 1, wire.NoNode)
	b.core.Ready(&b.rd)
	b.core.Campaign() // handed out, not applied
	b.wantRole(Follower, 1, wire.NoNode)
	if _, err := b.core.ApplyChange(b.rd.Committed[1]); err != nil {
		t.Fatal(err)
	}
	b.core.Campaign()
	b.wantRole(PreCandidate, 1, wire.NoNode)

	b = newBench(t, 1, 2, 3).follow(2, 1)
	b.append(2, 0, 0, 0, change(1, 1, wire.ChangePromote, 4))
	b.step(wire.Message{Type: wire.MsgHeartbeat, From: 2, Commit: 1}) // committed, and not even durable here
	b.core.Campaign()
	b.wantRole(Follower, 1, 2)
	// The order of a transfer is refused for the same reason, and the leader is told.
	b.step(wire.Message{Type: wire.MsgTimeoutNow, From: 2}).take()
	if list := b.sent(wire.MsgHeartbeatReply); len(list) != 2 || !list[1].Reject {
		t.Fatalf("%+v", list)
	}
	b.sync()
	b.core.Campaign()
	b.wantRole(PreCandidate, 1, wire.NoNode)
}

// A truncated change is forgotten.
func TestTruncatedChangeIsForgotten(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.append(2, 0, 0, 1, entry(1, 1), change(2, 1, wire.ChangeRemove, 1)).sync()
	b.step(wire.Message{Type: wire.MsgAppend, From: 3, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []wire.Entry{entry(2, 2)}}).sync()
	b.wantCommit(2)
	b.core.Campaign()
	b.wantRole(PreCandidate, 2, wire.NoNode)
}

// The membership rides along with the next update, once.
func TestMembershipRidesAlong(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	if err := b.proposeChange(wire.ChangeAddLearner, 4); err != nil {
		t.Fatal(err)
	}
	b.sync().ackAll()
	for _, u := range b.updates {
		if u.SetMembership {
			t.Fatalf("%+v", u)
		}
	}
	b.clear().propose("x")
	b.propose("y")
	if b.sync(); len(b.updates) != 1 || !b.updates[0].SetMembership || !b.updates[0].Membership.IsLearner(4) || b.updates[0].HardState.Commit != 2 {
		t.Fatalf("%+v", b.updates)
	}
	b.clear().propose("z")
	if b.sync(); b.updates[0].SetMembership {
		t.Fatalf("%+v", b.updates)
	}
}

// N8, F6: a node is taken out and added again within one term, with a replica made anew. What its old replica said, and what was on its way
// ever since, tells nothing of what the new one holds.
func TestLateAnswerOfAnEarlierLife(t *testing.T) {
	b := newBench(t, 1, 2, 3).lead()
	b.sync().ack(2, 1).ack(3, 1)
	b.propose("x")
	b.sync().ack(2, 2)
	late := wire.Message{Type: wire.MsgAppendReply, From: 3, Term: b.core.Status().Term, Index: 2} // it takes its time
	for _, kind := range []wire.ChangeKind{wire.ChangeRemove, wire.ChangeAddLearner} {
		if err := b.proposeChange(kind, 3); err != nil {
			t.Fatal(err)
		}
		b.sync().ack(2, b.core.Status().Last).sync()
	}
	b.clear().step(late).sync()
	match := func() wire.Index {
		for _, f := range b.core.Status().Followers {
			if f.Node == 3 {
				return f.Match
			}
		}
		t.Fatal("node 3 is no follower")
		return 0
	}
	if got := match(); got != 0 {
		t.Fatalf("the leader takes node 3 to hold %d entries, it has none", got)
	}
	late.Reject, late.Hint = true, 2
	b.step(late).sync()
	answer := wire.Message{Type: wire.MsgAppendReply, From: 3, Term: late.Term, Index: 4, Context: 1}
	if b.step(answer).sync(); match() != 4 {
		t.Errorf("the answer of its new replica counts for nothing: it holds %d", match())
	}
}

// The follower answers by the life that it is addressed by.
func TestAnswersCarryTheLife(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	m := wire.Message{Type: wire.MsgAppend, From: 2, Term: 1, Context: 7, Entries: []wire.Entry{{Index: 1, Term: 1, Kind: wire.EntryEmpty}}}
	b.clear().step(m).sync()
	if got := b.one(wire.MsgAppendReply, 2); got.Context != 7 || got.Index != 1 {
		t.Errorf("%+v", got)
	}
	m = wire.Message{Type: wire.MsgAppend, From: 2, Term: 1, Context: 8, Index: 9, LogTerm: 1}
	b.clear().step(m).sync()
	if got := b.one(wire.MsgAppendReply, 2); got.Context != 8 || !got.Reject {
		t.Errorf("%+v", got)
	}
}
