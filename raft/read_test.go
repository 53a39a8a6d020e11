package raft

import (
	"testing"

	"flotilla/raft/wire"
)

func (b *bench) answerRound(from wire.NodeID, round uint64) *bench {
	b.t.Helper()
	return b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: from, Context: round, Index: b.core.commit}).take()
}

func (b *bench) wantRead(context uint64, i wire.Index) {
	b.t.Helper()
	if len(b.reads) != 1 || b.reads[0] != (Read{Context: context, Index: i}) {
		b.t.Fatalf("reads %v, want %d at %d", b.reads, context, i)
	}
	b.reads = nil
}

// D30, D34: no read index before an entry of the leader's term is committed.
func TestReadWaitsForTheTerm(t *testing.T) {
	b := openBench(t, Config{HardState: wire.HardState{Term: 1, Commit: 2}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog(1, 1)).lead()
	b.core.ReadIndex(7)
	b.take()
	if len(b.reads) != 0 || len(b.out) != 0 {
		t.Fatalf("reads %v, sent %v", b.reads, b.out)
	}
	b.ack(2, 3)
	if m := b.one(wire.MsgHeartbeat, 3); m.Context == 0 {
		t.Fatalf("%+v", m)
	}
	b.answerRound(3, b.core.reads.round).wantRead(7, 3)
}

// D31: a round confirms the reads that waited when it began and none that came later, whenever its answers arrive.
func TestLateAnswersConfirmNoLaterRead(t *testing.T) {
	b := newBench(t, 1, 2, 3, 4, 5).rule()
	b.core.ReadIndex(1)
	b.take()
	first := b.core.reads.round
	b.propose("x")
	b.sync().ack(2, 2).ack(3, 2).wantCommit(2)
	b.core.ReadIndex(2)
	b.take()
	if b.core.reads.round == first {
		t.Fatal("a later read joined an earlier round")
	}
	b.answerRound(2, first).answerRound(4, first).wantRead(1, 1)
	b.answerRound(3, first).answerRound(5, first).answerRound(2, first)
	if len(b.reads) != 0 {
		t.Fatalf("late answers confirmed %v", b.reads)
	}
	b.answerRound(3, first+1).answerRound(3, first+1)
	if len(b.reads) != 0 {
		t.Fatalf("one follower of four confirmed %v", b.reads)
	}
	b.answerRound(5, first+1).wantRead(2, 2)
}

// One round for all reads of a turn; an even group needs more than half (D35).
func TestOneRoundForAllWaitingReads(t *testing.T) {
	b := newBench(t, 1, 2, 3, 4).rule()
	for i := range uint64(100) {
		b.core.ReadIndex(i)
	}
	b.take()
	if n := len(b.sent(wire.MsgHeartbeat)); n != 3 {
		t.Fatalf("%d heartbeats", n)
	}
	b.answerRound(2, 1)
	if len(b.reads) != 0 {
		t.Fatal("two of four are no majority")
	}
	b.answerRound(4, 1)
	if len(b.reads) != 100 || b.reads[99].Context != 99 {
		t.Fatalf("%d reads", len(b.reads))
	}
}

// Learners and strangers confirm nothing (P14).
func TestLearnersConfirmNoRead(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{4, 5}}}, newMemoryLog()).rule()
	b.core.ReadIndex(1)
	b.take().answerRound(4, 1).answerRound(5, 1).answerRound(6, 1)
	if len(b.reads) != 0 {
		t.Fatalf("%v", b.reads)
	}
	b.answerRound(3, 1).wantRead(1, 1)
}

// The only voter answers at once, after the first entry of its term.
func TestSingleVoterReads(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1}, Learners: []wire.NodeID{2}}}, newMemoryLog())
	b.core.Tick()
	b.sync()
	b.core.ReadIndex(3)
	b.take().wantRead(3, 1)
	b.step(wire.Message{Type: wire.MsgReadIndex, From: 2, Context: 9}).take()
	if m := b.one(wire.MsgReadIndexReply, 2); m.Index != 1 || m.Context != 9 || m.Reject {
		t.Fatalf("%+v", m)
	}
}

// D32: a leader that steps down refuses every read that waits, its own and its followers', whether the round
// was confirmed a moment later or not.
func TestStepDownRefusesReads(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	b.core.ReadIndex(1)
	b.step(wire.Message{Type: wire.MsgReadIndex, From: 3, Context: 8}).take()
	b.core.ReadIndex(2) // no round yet
	b.step(wire.Message{Type: wire.MsgHeartbeat, From: 2, Term: 2}).sync()
	if len(b.reads) != 2 {
		t.Fatalf("%v", b.reads)
	}
	for _, r := range b.reads {
		if e := wantCode(t, r.Err, wire.CodeNotLeader); e.Leader != 2 {
			t.Errorf("leader %d", e.Leader)
		}
	}
	if m := b.one(wire.MsgReadIndexReply, 3); !m.Reject || m.Context != 8 {
		t.Fatalf("%+v", m)
	}
	b.clear().step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3, Term: 1, Context: 1}).take()
	if len(b.reads) != 0 {
		t.Fatalf("answered twice: %v", b.reads)
	}
}

// A follower asks its leader, and answers its caller exactly once, whatever comes back.
func TestFollowerReads(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	b.core.ReadIndex(1)
	b.take()
	wantCode(t, b.reads[0].Err, wire.CodeNoLeader)
	b.follow(2, 1)

	b.core.ReadIndex(1)
	ask := b.take().one(wire.MsgReadIndex, 2)
	b.step(wire.Message{Type: wire.MsgReadIndexReply, From: 3, Context: ask.Context, Index: 5}).take() // not whom we asked
	b.step(wire.Message{Type: wire.MsgReadIndexReply, From: 2, Context: ask.Context + 1, Index: 5}).take()
	if len(b.reads) != 0 {
		t.Fatalf("%v", b.reads)
	}
	answer := wire.Message{Type: wire.MsgReadIndexReply, From: 2, Context: ask.Context, Index: 5}
	b.step(answer).step(answer).take().wantRead(1, 5)

	b.clear().core.ReadIndex(2)
	ask = b.take().one(wire.MsgReadIndex, 2)
	b.step(wire.Message{Type: wire.MsgReadIndexReply, From: 2, Context: ask.Context, Reject: true}).take()
	wantCode(t, b.reads[0].Err, wire.CodeNotLeader)
}

// D36: a question or an answer that is lost ends in an error within an election timeout and blocks nobody.
func TestLostReadExpires(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.core.ReadIndex(1)
	b.take()
	for range b.core.cfg.ElectionTicks - 1 {
		b.tick(1).step(wire.Message{Type: wire.MsgHeartbeat, From: 2})
	}
	b.core.ReadIndex(2)
	b.tick(1)
	if len(b.reads) != 1 || b.reads[0].Context != 1 {
		t.Fatalf("%v", b.reads)
	}
	wantCode(t, b.reads[0].Err, wire.CodeNoLeader)
	ask := b.sent(wire.MsgReadIndex)[1]
	b.reads = nil
	b.step(wire.Message{Type: wire.MsgReadIndexReply, From: 2, Context: ask.Context, Index: 4}).take().wantRead(2, 4)
}

// Two lives of a node never ask under the same number, when their seeds differ.
func TestReadNumbersOfTwoLivesDiffer(t *testing.T) {
	nonce := func(seed uint64) uint64 {
		c, err := New(Config{Self: 1, Seed: seed, Log: newMemoryLog()})
		if err != nil {
			t.Fatal(err)
		}
		return c.reads.nonce
	}
	if a, b := nonce(1), nonce(2); a-b < 1<<32 || b-a < 1<<32 {
		t.Errorf("%d and %d", a, b)
	}
}

// Reads without an answer are bounded, those of peers too.
func TestReadsAreBounded(t *testing.T) {
	b := newBench(t, 1, 2, 3).lead()
	for i := range maxWaitingReads {
		b.step(wire.Message{Type: wire.MsgReadIndex, From: 2, Context: uint64(i)})
	}
	b.core.ReadIndex(1)
	b.step(wire.Message{Type: wire.MsgReadIndex, From: 3, Context: 5}).take()
	wantCode(t, b.reads[0].Err, wire.CodeOverloaded)
	if m := b.one(wire.MsgReadIndexReply, 3); !m.Reject {
		t.Fatalf("%+v", m)
	}
}
