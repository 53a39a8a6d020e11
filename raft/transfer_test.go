package raft

import (
	"testing"

	"flotilla/raft/wire"
)

// Leadership goes to a voter that holds everything; proposals are refused meanwhile.
func TestTransfer(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	i := b.propose("x")
	b.sync()
	if err := b.core.TransferTo(3); err != nil {
		t.Fatal(err)
	}
	if b.take(); len(b.sent(wire.MsgTimeoutNow)) != 0 {
		t.Fatal("ordered to campaign without the whole log")
	}
	_, _, err := b.core.Propose(nil)
	wantCode(t, err, wire.CodeNoLeader)
	wantCode(t, b.proposeChange(wire.ChangeAddLearner, 4), wire.CodeNoLeader)
	b.ack(3, i).ack(3, i).one(wire.MsgTimeoutNow, 3) // once
	b.step(wire.Message{Type: wire.MsgVote, From: 3, Term: 2, Index: i, LogTerm: 1, Context: byOrder}).sync()
	b.wantRole(Follower, 2, wire.NoNode)
}

// A transfer that leads to nothing ends after an election timeout, or when the transferee says no.
func TestTransferEnds(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	if err := b.core.TransferTo(2); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.core.TransferTo(3), wire.CodeNoLeader)
	for range b.core.cfg.ElectionTicks {
		if _, _, err := b.core.Propose(nil); err == nil {
			t.Fatal("took a proposal during a transfer")
		}
		b.tick(1).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3})
	}
	b.propose("x")
	b.sync().ackAll()
	if err := b.core.TransferTo(3); err != nil {
		t.Fatal(err)
	}
	b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2, Reject: true})
	if b.core.Status().Transferee != 3 {
		t.Fatal("somebody else's refusal ended it")
	}
	b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3, Reject: true})
	b.propose("y")
}

func TestTransferRefusals(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{4}}}, newMemoryLog())
	wantCode(t, b.core.TransferTo(2), wire.CodeNoLeader)
	b.rule()
	if err := b.core.TransferTo(1); err != nil {
		t.Errorf("to the leader itself: %v", err)
	}
	wantCode(t, b.core.TransferTo(4), wire.CodeBadRequest)
	wantCode(t, b.core.TransferTo(9), wire.CodeBadRequest)
	for range b.core.cfg.ElectionTicks {
		b.tick(1).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3})
	}
	wantCode(t, b.core.TransferTo(2), wire.CodeUnreachable)
	b.step(wire.Message{Type: wire.MsgHeartbeat, From: 3, Term: 2})
	if e := wantCode(t, b.core.TransferTo(2), wire.CodeNotLeader); e.Leader != 3 {
		t.Errorf("leader %d", e.Leader)
	}
}

// Only the leader's own order counts; it needs no pre-vote, and says so in the request for votes.
func TestTimeoutNow(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.step(wire.Message{Type: wire.MsgTimeoutNow, From: 3}).wantRole(Follower, 1, 2)
	b.step(wire.Message{Type: wire.MsgTimeoutNow, From: 2, Term: 9}).wantRole(Follower, 1, 2)
	b.step(wire.Message{Type: wire.MsgTimeoutNow, From: 2}).wantRole(Candidate, 2, wire.NoNode)
	if m := b.sync().one(wire.MsgVote, 3); m.Context != byOrder {
		t.Fatalf("%+v", m)
	}
}

// A transfer is given up, and proposals are taken in again, as soon as it is known that it leads nowhere, or when the host says so.
func TestTransferIsAborted(t *testing.T) {
	for name, abort := range map[string]func(b *bench){
		"by the host":         func(b *bench) { b.core.AbortTransfer() },
		"the target is gone":  func(b *bench) { b.core.Unreachable(2) },
		"it needs a snapshot": func(b *bench) { b.core.lead.follower(2).NeedsSnapshot(); b.core.needSnapshot(2) },
		"it declines":         func(b *bench) { b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2, Reject: true}) },
		"nothing came of it":  func(b *bench) { b.tick(b.core.cfg.ElectionTicks/2).answer(2, 3).tick(b.core.cfg.ElectionTicks / 2) },
	} {
		b := newBench(t, 1, 2, 3).rule()
		if err := b.core.TransferTo(2); err != nil {
			t.Fatal(err)
		}
		_, _, err := b.core.Propose([]byte("x"))
		wantCode(t, err, wire.CodeNoLeader)
		b.core.Unreachable(3)
		if b.core.lead.transfer.to != 2 {
			t.Fatalf("%s: given up because of somebody else", name)
		}
		abort(b)
		if _, _, err := b.core.Propose([]byte("x")); err != nil || b.core.Status().Transferee != wire.NoNode {
			t.Errorf("%s: %v", name, err)
		}
	}
}
