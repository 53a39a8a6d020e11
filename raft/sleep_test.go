package raft

import (
	"testing"

	"flotilla/raft/wire"
)

// idle is a leader of 1, 2, 3 whose followers have all, and have said so.
func idle(t *testing.T) *bench {
	t.Helper()
	return newBench(t, 1, 2, 3).rule().tick(1).answer(2, 3).clear()
}

// N4: what keeps a group awake, one thing at a time; and what wakes its leader.
func TestCanSleep(t *testing.T) {
	if b := idle(t); !b.core.CanSleep() || !b.core.Sleep() || b.core.Sleep() || !b.core.Asleep() {
		t.Fatal("an idle group does not sleep, or twice")
	}
	for name, disturb := range map[string]func(b *bench){
		"a proposal":                  func(b *bench) { b.propose("x") },
		"a proposal not acknowledged": func(b *bench) { b.propose("x"); b.sync().ack(2, 2).sync() },
		"a commit not told":           func(b *bench) { b.propose("x"); b.sync().ack(2, 2).ack(3, 2).sync() },
		"a read":                      func(b *bench) { b.core.ReadIndex(1); b.take() },
		"a transfer":                  func(b *bench) { _ = b.core.TransferTo(2); b.take() },
		"a silent follower": func(b *bench) {
			for range b.core.cfg.ElectionTicks {
				b.tick(1).answer(2)
			}
		},
		"a follower that was lost": func(b *bench) { b.core.Unreachable(3) },
		"a new member":             func(b *bench) { b.changeMembership(wire.OneChange(wire.ChangeAddLearner, 4)) },
		"a compaction":             func(b *bench) { b.core.Compact(1, 1); b.core.persist.compact = 1 },
		"following":                func(b *bench) { b.follow(2, 5) },
	} {
		b := idle(t)
		disturb(b)
		if b.core.CanSleep() || b.core.Sleep() {
			t.Errorf("sleeps with %s", name)
		}
	}
}

func (b *bench) changeMembership(set wire.ChangeSet) {
	b.t.Helper()
	if _, _, err := b.core.ProposeChange(set); err != nil {
		b.t.Fatal(err)
	}
	b.sync().ackAll()
}

// Time does not pass for who sleeps, and messages, proposals, reads and the host wake.
func TestWhatWakes(t *testing.T) {
	for name, wake := range map[string]func(b *bench){
		"a message":  func(b *bench) { b.answer(2) },
		"a proposal": func(b *bench) { b.propose("x") },
		"a read":     func(b *bench) { b.core.ReadIndex(1) },
		"a transfer": func(b *bench) { _ = b.core.TransferTo(3) },
		"the host":   func(b *bench) { b.core.Wake() },
		"a change":   func(b *bench) { _, _, _ = b.core.ProposeChange(wire.OneChange(wire.ChangeRemove, 3)) },
	} {
		b := idle(t)
		b.core.Sleep()
		if b.take(); len(b.sent(wire.MsgSleep)) != 2 || b.core.HasReady() {
			t.Fatalf("said %+v", b.out)
		}
		b.clear().tick(5 * b.core.cfg.ElectionTicks).core.TickN(50)
		if b.wantRole(Leader, 1, 1); len(b.out) != 0 || !b.core.Asleep() {
			t.Fatalf("time passes: %+v", b.out)
		}
		b.core.Unreachable(2) // nothing is on its way
		b.core.PeerLost(2)    // N4: and 2 leads nothing
		if !b.core.Asleep() {
			t.Fatal("woken by the loss of a follower")
		}
		if wake(b); b.core.Asleep() {
			t.Errorf("%s does not wake", name)
		}
		if b.take().clear().tick(1); len(b.sent(wire.MsgHeartbeat)) != 2 {
			t.Errorf("%s: the others are not woken at the next tick: %+v", name, b.out)
		}
	}
}

// A follower falls asleep only if it has the leader's term and commit index and nothing of its own under way; else it answers.
// Woken by somebody else it tells the leader.
func TestFollowerSleeps(t *testing.T) {
	sleep := func(commit wire.Index) wire.Message {
		return wire.Message{Type: wire.MsgSleep, From: 2, Term: 5, Commit: commit}
	}
	follower := func() *bench {
		b := newBench(t, 1, 2, 3).follow(2, 5)
		return b.append(2, 0, 0, 2, entry(1, 5), entry(2, 5)).sync().clear()
	}
	b := follower().step(sleep(2)).take()
	if !b.core.Asleep() || len(b.out) != 0 {
		t.Fatalf("awake, said %+v", b.out)
	}
	b.tick(50).wantRole(Follower, 5, 2)
	b.step(wire.Message{Type: wire.MsgPreVote, From: 3, Term: 6, Index: 2, LogTerm: 5}).take()
	if b.core.Asleep() || b.one(wire.MsgHeartbeatReply, 2).Index != 2 || len(b.sent(wire.MsgPreVoteReply)) != 0 {
		t.Fatalf("asleep %v, said %+v", b.core.Asleep(), b.out)
	}
	for name, b := range map[string]*bench{
		"less":           follower().step(sleep(1)),
		"more":           follower().step(sleep(3)),
		"not yet stored": follower().append(2, 2, 5, 2, entry(3, 5)).take().step(sleep(2)),
	} {
		if b.take(); b.core.Asleep() || len(b.sent(wire.MsgHeartbeatReply)) != 1 {
			t.Errorf("%s: asleep %v, said %+v", name, b.core.Asleep(), b.out)
		}
	}
	b = follower()
	if b.core.ReadIndex(1); b.step(sleep(2)).core.Asleep() {
		t.Error("asleep with a read under way")
	}
}

// N4: the loss of a node wakes who sleeps under it, at moments spread over half an election timeout.
func TestPeerLost(t *testing.T) {
	at := map[int]bool{}
	for seed := range uint64(30) {
		b := newBench(t, 1, 2, 3).follow(2, 5)
		b.core.rng.Seed(seed, 1)
		b.step(wire.Message{Type: wire.MsgSleep, From: 2, Term: 5}).take()
		if b.core.PeerLost(3); !b.core.Asleep() {
			t.Fatal("woken by the loss of who leads nothing")
		}
		b.core.PeerLost(2)
		n := 0
		for ; b.core.role == Follower; n++ {
			b.tick(1)
		}
		at[n] = true
		if n < 1 || n > b.core.cfg.ElectionTicks/2 {
			t.Fatalf("stands after %d ticks", n)
		}
	}
	if len(at) < 4 {
		t.Errorf("all stand within %d moments", len(at))
	}
}

// A lease does not outlast sleep.
func TestSleepEndsTheLease(t *testing.T) {
	b := leaseBench(t).tick(1).answer(2, 3)
	if !b.core.leaseHolds() || !b.core.Sleep() {
		t.Fatal("no lease, or no sleep")
	}
	b.take()
	if b.served() {
		t.Fatal("served from a lease of before")
	}
}

// Who was told by a heartbeat only what is committed is told again by an append, which would wake who has just been sent to sleep.
func TestNothingIsSaidAfterSleep(t *testing.T) {
	b := idle(t)
	b.propose("x")
	b.sync().step(wire.Message{Type: wire.MsgAppendReply, From: 2, Index: 2})
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 3, Index: 2}).core.Unreachable(3)
	b.take().tick(1).answer(2).clear()
	b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3, Index: 2})
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 3, Index: 2})
	if b.core.Sleep() {
		b.take()
		t.Fatalf("asleep, and said %+v", b.out)
	}
	if b.take().tick(1).answer(2, 3); !b.core.Sleep() {
		t.Fatal("stays awake")
	}
}
