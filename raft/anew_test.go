package raft

import (
	"testing"

	"flotilla/raft/wire"
)

// anewSince is the index of the change that made the replicas of these tests members again.
const anewSince = 6

// openAnew makes replica 1 anew, of a group that was born with three members.
func openAnew(t *testing.T, disk *memoryLog, hard wire.HardState) *bench {
	return openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 3, 4}}, Since: anewSince, HardState: hard}, disk)
}

// talk carries messages between two cores, and loses those to anybody else, until they fall silent.
func talk(t *testing.T, a, b *bench) {
	t.Helper()
	for range 100 {
		silent := true
		for _, way := range [...]struct{ from, to *bench }{{a, b}, {b, a}} {
			way.from.sync()
			out := way.from.out
			way.from.out = nil
			for _, m := range out {
				if m.To == way.to.cfg.Self {
					silent = false
					way.to.step(m)
				}
			}
		}
		if silent {
			return
		}
	}
	t.Fatal("still talking after 100 rounds")
}

// N8: a leader that stood still while its group went on without it, one member after the other, wakes up when a member of its time
// has been taken out and has come back with a replica that has forgotten everything. The two of them are a majority by what the leader
// knows. It must confirm no read by that, commit nothing, and not be elected once more.
func TestOldLeaderIsNotHelpedByAReplicaMadeAnew(t *testing.T) {
	for name, reign := range map[string]func(*bench) *bench{"who has ruled": (*bench).rule, "who has just been elected": (*bench).lead} {
		t.Run(name, func(t *testing.T) {
			old := reign(openBench(t, Config{Self: 3, Membership: wire.Membership{Voters: []wire.NodeID{1, 3, 4}}}, newMemoryLog()))
			before := old.core.commit
			anew := openAnew(t, newMemoryLog(), wire.HardState{})
			old.propose("lost")
			old.core.ReadIndex(7)
			for range 4 {
				talk(t, old, anew)
				old.tick(1)
			}
			if old.core.commit != before {
				t.Errorf("the old leader has committed up to %d, where the others may have committed something else", old.core.commit)
			}
			if len(old.reads) > 0 && old.reads[0].Err == nil {
				t.Errorf("the old leader has confirmed %+v, and may have missed a later write", old.reads[0])
			}

			old.core.become(old.core.term, wire.NoNode)
			for range 4 {
				anew.core.LeaderGone(3)
				old.core.Campaign()
				talk(t, old, anew)
				if old.core.role == Leader {
					t.Fatal("the old leader was elected by who has forgotten that it was deposed")
				}
				old.tick(2 * DefaultElectionTicks)
				anew.tick(2 * DefaultElectionTicks)
			}
			// Nor is anybody whom it orders to stand.
			order := wire.Message{Type: wire.MsgVote, From: 4, Term: 9, Index: 5, LogTerm: 1, Commit: 4, HintTerm: 1, Context: byOrder}
			if m := anew.clear().step(order).sync().one(wire.MsgVoteReply, 4); !m.Reject {
				t.Errorf("%+v", m)
			}
		})
	}
}

// N8: who shows that it knows of the change that made the replica a member is helped from the start, so that the replica
// catches up, and is elected if need be; and once the replica knows of the change itself it is as any other.
func TestReplicaMadeAnewHelpsWhoKnowsOfIt(t *testing.T) {
	b := openAnew(t, newMemoryLog(), wire.HardState{})
	beat := func(context uint64, want uint64) {
		t.Helper()
		b.clear().step(wire.Message{Type: wire.MsgHeartbeat, From: 4, Term: 3, Context: context}).sync()
		if m := b.one(wire.MsgHeartbeatReply, 4); m.Context != want {
			t.Errorf("round %d was answered with %d, want %d", context, m.Context, want)
		}
	}
	entries := []wire.Entry{entry(1, 1), entry(2, 1), entry(3, 1)}
	beat(7, 0) // the leader learns that it lives, and repeats its probe
	b.clear().step(wire.Message{Type: wire.MsgAppend, From: 4, Term: 3, Commit: anewSince - 1, Entries: entries}).sync()
	if len(b.sent(wire.MsgAppendReply)) != 0 || b.core.log.last() != 0 {
		t.Errorf("helped a leader that has not said what it knows: %+v", b.out)
	}
	b.clear().step(wire.Message{Type: wire.MsgAppend, From: 4, Term: 3, Commit: anewSince, Entries: entries}).sync()
	if m := b.one(wire.MsgAppendReply, 4); m.Reject || m.Index != 3 {
		t.Errorf("%+v", m)
	}
	beat(8, 8)

	// Not there yet, and started anew: the leader's word is forgotten, the entries are not.
	b = openAnew(t, b.disk, b.hard)
	beat(9, 0)
	vote := wire.Message{Type: wire.MsgVote, From: 4, Term: 4, Index: 9, LogTerm: 3, Commit: anewSince - 1, HintTerm: 1}
	asks := func(grants bool) {
		t.Helper()
		pre := vote
		pre.Type = wire.MsgPreVote
		b.tick(DefaultElectionTicks).clear().step(pre).step(vote).sync()
		if m := b.one(wire.MsgPreVoteReply, 4); m.Reject == grants {
			t.Errorf("%+v is answered with %+v", pre, m)
		}
		if m := b.one(wire.MsgVoteReply, 4); m.Reject == grants {
			t.Errorf("%+v is answered with %+v", vote, m)
		}
	}
	asks(false)
	vote.Term, vote.Commit = 5, anewSince
	asks(true)

	b.clear().step(wire.Message{Type: wire.MsgAppend, From: 4, Term: 5, Index: 3, LogTerm: 1, Commit: 9, Entries: []wire.Entry{
		entry(4, 1), entry(5, 1), change(anewSince, 1, wire.ChangeAddLearner, 7), entry(7, 5),
	}}).sync()
	b.wantCommit(7)
	b.tick(1).sync() // its commit index reaches the disk with the change
	b = openAnew(t, b.disk, b.hard)
	b.clear().step(wire.Message{Type: wire.MsgHeartbeat, From: 4, Term: 6, Context: 10}).sync()
	if m := b.one(wire.MsgHeartbeatReply, 4); m.Context != 10 {
		t.Errorf("a replica that knows of its change confirms no reads: %+v", m)
	}
	vote.Term, vote.LogTerm, vote.Commit, vote.HintTerm = 7, 5, 0, 0
	asks(true)
}
