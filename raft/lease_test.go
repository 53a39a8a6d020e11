package raft

import (
	"testing"

	"flotilla/raft/wire"
)

// leaseBench is leader 1 of 1, 2, 3 with a lease of 10-4 ticks, everything committed.
func leaseBench(t *testing.T) *bench {
	t.Helper()
	cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, ElectionTicks: 10, LeaseMargin: 4}
	b := openBench(t, cfg, newMemoryLog())
	b.core.TickN(0)
	for range 10 { // what the last life promised is over then
		b.core.ticks++
	}
	return b.rule()
}

// answer lets a follower answer the latest heartbeats.
func (b *bench) answer(nodes ...wire.NodeID) *bench {
	b.t.Helper()
	for _, n := range nodes {
		b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n, Context: b.core.reads.round, Index: b.core.commit}).take()
	}
	return b
}

// served reports whether a read is answered without a word to anybody.
func (b *bench) served() bool {
	b.t.Helper()
	b.clear().core.ReadIndex(7)
	b.take()
	if len(b.reads) > 0 && (b.reads[0].Err != nil || b.reads[0].Index != b.core.commit) {
		b.t.Fatalf("%+v", b.reads)
	}
	return len(b.reads) > 0
}

// The lease is counted from when the round was sent, not from when the answer came, and ends a margin before the
// election timeout. It needs a majority.
func TestLeaseRead(t *testing.T) {
	b := leaseBench(t)
	if b.served() {
		t.Fatal("served although nobody has answered a round")
	}
	b = leaseBench(t).tick(1)
	round := b.core.reads.round
	b.tick(3)
	b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3, Context: round, Index: b.core.commit})
	for n := 3; n < 6; n++ { // ticks since the round was sent
		if !b.served() || len(b.sent(wire.MsgHeartbeat)) != 0 {
			t.Fatalf("not served within the lease, %d ticks after the round", n)
		}
		b.tick(1)
	}
	if b.served() {
		t.Fatal("served after the lease, 6 ticks after the round, 2 after its answer")
	}
}

// Off by default: every read has its round.
func TestNoLeaseByDefault(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule().tick(1)
	round := b.core.reads.round
	if b.answer(2, 3); b.served() || b.core.reads.round != round+1 {
		t.Fatalf("served without a round, or heartbeats begin rounds: %d after %d", b.core.reads.round, round)
	}
}

// D30: no lease before an entry of the own term is committed.
func TestNoLeaseBeforeTheTerm(t *testing.T) {
	cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, ElectionTicks: 10, LeaseMargin: 4}
	b := openBench(t, cfg, newMemoryLog())
	b.core.ticks = 10
	if b.lead().tick(1).answer(2, 3); b.served() {
		t.Fatal("served before the first commit of the term")
	}
	if b.ack(2, 1); len(b.reads) != 1 || b.reads[0].Index != 1 {
		t.Fatalf("%+v", b.reads)
	}
}

// D33: an order to campaign overrides promises whenever it arrives, so the lease is over for the rest of the term, also when
// the transfer was given up. A step-down ends it, too.
func TestTransferVoidsTheLease(t *testing.T) {
	b := leaseBench(t).tick(1).answer(2, 3)
	if !b.served() {
		t.Fatal("no lease")
	}
	if err := b.core.TransferTo(2); err != nil {
		t.Fatal(err)
	}
	if b.take(); b.served() {
		t.Fatal("served while 2 may be elected")
	}
	for range 2 * b.core.cfg.ElectionTicks {
		b.tick(1).answer(2, 3)
	}
	if b.core.lead.transfer.to != wire.NoNode || b.served() {
		t.Fatal("served after the order, which may still arrive")
	}
	b = leaseBench(t).tick(1).answer(2, 3)
	b.follow(2, 9).core.ticks += 10
	if b.lead(); b.core.leaseHolds() {
		t.Fatal("the lease of an earlier leadership")
	}
}

// A change of the membership ends the lease until a round that began after it has come back.
func TestChangeInterruptsTheLease(t *testing.T) {
	b := leaseBench(t).tick(1).answer(2, 3)
	if _, _, err := b.core.ProposeChange(wire.OneChange(wire.ChangeAddLearner, 4)); err != nil {
		t.Fatal(err)
	}
	if b.sync().ackAll(); b.core.leaseHolds() {
		t.Fatal("the majority that answered is one of other voters")
	}
	if b.tick(1).answer(2); !b.served() {
		t.Fatal("no lease after a round of the new membership")
	}
}

// Who has heard a leader votes for nobody and does not stand for an election timeout, whatever happens to its term and
// whoever tells it to; but for an order, which has ended the lease.
func TestPromise(t *testing.T) {
	promised := func() *bench {
		cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, ElectionTicks: 10, LeaseMargin: 4}
		b := openBench(t, cfg, newMemoryLog())
		b.core.ticks = 100
		b.follow(2, 5)
		// A reply of a higher term: the leader is forgotten.
		return b.step(wire.Message{Type: wire.MsgVoteReply, From: 3, Term: 8, Reject: true}).sync().clear()
	}
	ask := func(b *bench, t wire.MessageType, term wire.Term, context uint64) int {
		b.clear().step(wire.Message{Type: t, From: 3, Term: term, Index: 9, LogTerm: 5, Context: context}).sync()
		n := 0
		for _, m := range b.out {
			if !m.Reject && (m.Type == wire.MsgVoteReply || m.Type == wire.MsgPreVoteReply) {
				n++
			}
		}
		return n
	}
	for ticks, want := range map[int]int{0: 0, 9: 0, 10: 1} {
		for _, c := range []struct {
			kind wire.MessageType
			term wire.Term
		}{{wire.MsgPreVote, 9}, {wire.MsgVote, 8}, {wire.MsgVote, 9}} {
			b := promised()
			b.core.ticks += uint64(ticks)
			if got := ask(b, c.kind, c.term, 0); got != want {
				t.Errorf("%d ticks after the leader was heard: message %d of term %d gets %d votes", ticks, c.kind, c.term, got)
			}
		}
	}
	if b := promised(); ask(b, wire.MsgVote, 9, byOrder) != 1 {
		t.Error("no vote for who was ordered to campaign")
	}
	b := promised()
	if b.core.Campaign(); b.core.role != Follower {
		t.Error("stands although it has promised not to")
	}
	b = promised()
	b.core.become(8, 2)
	if b.core.LeaderGone(2); ask(b, wire.MsgPreVote, 9, 0) != 1 {
		t.Error("bound by a promise to who has stopped")
	}
}

// A restart forgets what was promised, so it is kept for an election timeout to whomever.
func TestPromiseSurvivesARestart(t *testing.T) {
	cfg := Config{
		Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, HardState: wire.HardState{Term: 5}, ElectionTicks: 10, LeaseMargin: 4,
	}
	b := openBench(t, cfg, newMemoryLog())
	for range 9 {
		b.tick(1).step(wire.Message{Type: wire.MsgPreVote, From: 3, Term: 6}).take()
	}
	if b.core.Campaign(); len(b.out) != 0 {
		t.Fatalf("said %+v", b.out)
	}
	if b.tick(1).step(wire.Message{Type: wire.MsgPreVote, From: 3, Term: 6}).take(); len(b.sent(wire.MsgPreVoteReply)) != 1 {
		t.Fatalf("said %+v", b.out)
	}
	cfg.Membership.Voters = []wire.NodeID{1}
	if b := openBench(t, cfg, newMemoryLog()); b.tick(1).sync().core.role != Leader {
		t.Error("the only voter waits for nobody")
	}
}

// The membership on disk is late where the machine is slow: a node that seems to vote alone may have promised something to the
// leader of those whom changes behind its applied index have added.
func TestPromiseOfWhoSeemsAlone(t *testing.T) {
	join := wire.ChangeSet{Changes: []wire.Change{{Kind: wire.ChangePromote, Node: 2}, {Kind: wire.ChangePromote, Node: 3}}}
	disk := newMemoryLog(1)
	for i, set := range []wire.ChangeSet{join, {}} {
		disk.write([]wire.Entry{{Index: wire.Index(i + 2), Term: 1, Kind: wire.EntryChange, Data: wire.AppendChangeSet(nil, &set)}})
	}
	cfg := Config{
		Membership: wire.Membership{Voters: []wire.NodeID{1}}, HardState: wire.HardState{Term: 5, Commit: 3}, ElectionTicks: 10, LeaseMargin: 4,
	}
	b := openBench(t, cfg, disk).sync()
	if b.core.soleVoter() {
		t.Fatalf("%+v", b.core.membership)
	}
	for range 9 {
		b.tick(1).step(wire.Message{Type: wire.MsgVote, From: 3, Term: 6, Index: 9, LogTerm: 5}).sync()
	}
	if len(b.sent(wire.MsgVoteReply)) != 0 || b.core.role != Follower {
		t.Fatalf("%s of term %d, said %+v", b.core.role, b.core.term, b.out)
	}
	if b.tick(1).step(wire.Message{Type: wire.MsgVote, From: 3, Term: 6, Index: 9, LogTerm: 5}).sync(); len(b.sent(wire.MsgVoteReply)) != 1 {
		t.Fatalf("said %+v", b.out)
	}
}

// A driver that was held up and says so: the lease is over before the first read.
func TestTickN(t *testing.T) {
	b := leaseBench(t).tick(1).answer(2, 3)
	before := b.core.ticks
	b.core.TickN(6)
	b.take()
	if b.served() || b.core.ticks != before+6 {
		t.Fatal("served 6 ticks after the round")
	}
	b.core.TickN(1000)
	if b.wantRole(Follower, 1, wire.NoNode); b.core.ticks != before+1006 {
		t.Fatalf("%d ticks after %d", b.core.ticks, before)
	}
}
