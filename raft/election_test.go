package raft

import (
	"errors"
	"testing"

	"flotilla/raft/wire"
)

// F1: neither the request for votes nor the vote leaves before term and vote are on disk.
func TestVotesWaitForTheDisk(t *testing.T) {
	b := newBench(t, 1, 2, 3).stand()
	if b.take(); len(b.sent(wire.MsgVote)) != 0 {
		t.Fatal("asked for votes before the own one was on disk")
	}
	if b.hard != (wire.HardState{Term: 1, Vote: 1}) {
		t.Fatalf("hard state on its way: %+v", b.hard)
	}
	if b.sync(); len(b.sent(wire.MsgVote)) != 2 {
		t.Fatalf("sent %+v", b.out)
	}

	b = newBench(t, 1, 2, 3)
	b.step(wire.Message{Type: wire.MsgVote, From: 2, Term: 1}).take()
	if len(b.sent(wire.MsgVoteReply)) != 0 {
		t.Fatal("vote given before it was on disk") // F4
	}
	if m := b.sync().one(wire.MsgVoteReply, 2); m.Reject || m.Term != 1 {
		t.Fatalf("%+v", m)
	}
	// Asked once more: the vote is on disk, the answer the same. Asked by another: no.
	b.clear().step(wire.Message{Type: wire.MsgVote, From: 2, Term: 1}).step(wire.Message{Type: wire.MsgVote, From: 3, Term: 1}).take()
	if b.one(wire.MsgVoteReply, 2).Reject || !b.one(wire.MsgVoteReply, 3).Reject {
		t.Fatalf("%+v", b.out)
	}
}

// F1: what was held for a term that is over is not said any more.
func TestHeldVoteOfAnEarlierTermIsDropped(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	b.step(wire.Message{Type: wire.MsgVote, From: 2, Term: 1}).take()
	b.step(wire.Message{Type: wire.MsgVote, From: 3, Term: 2}).sync()
	for _, m := range b.sent(wire.MsgVoteReply) {
		if m.Term != 2 || m.To != 3 {
			t.Fatalf("sent %+v", m)
		}
	}
}

// D1: the only voter leads when its own vote is on disk, and commits when its own entry is.
func TestSingleVoterWaitsForItsDisk(t *testing.T) {
	b := newBench(t, 1)
	b.core.Tick()
	b.take().wantRole(Candidate, 1, wire.NoNode)
	b.core.Persisted(b.token)
	b.take().wantRole(Leader, 1, 1)
	b.wantCommit(0)
	b.core.Persisted(b.token)
	b.take().wantCommit(1)
	i := b.propose("x")
	b.take().wantCommit(1)
	b.core.Persisted(b.token)
	b.take().wantCommit(i)
	if n := len(b.applied); n != 2 || b.applied[0].Kind != wire.EntryEmpty { // D34
		t.Fatalf("applied %v", b.applied)
	}
}

// A log that is shorter, or ends in an earlier term, gets no vote (thesis section 3.6.1).
func TestVotesNeedALogAsLong(t *testing.T) {
	cfg := Config{HardState: wire.HardState{Term: 2}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}
	for _, test := range []struct {
		index  wire.Index
		term   wire.Term
		reject bool
	}{{3, 2, false}, {2, 3, false}, {9, 1, true}, {2, 2, true}, {0, 0, true}} {
		b := openBench(t, cfg, newMemoryLog(1, 2, 2))
		b.step(wire.Message{Type: wire.MsgPreVote, From: 2, Term: 4, Index: test.index, LogTerm: test.term}).
			step(wire.Message{Type: wire.MsgVote, From: 2, Term: 4, Index: test.index, LogTerm: test.term}).sync()
		if got := b.one(wire.MsgVoteReply, 2).Reject; got != test.reject {
			t.Errorf("log up to %d@%d: vote refused %t", test.index, test.term, got)
		}
		if got := b.one(wire.MsgPreVoteReply, 2).Reject; got != test.reject {
			t.Errorf("log up to %d@%d: pre-vote refused %t", test.index, test.term, got)
		}
	}
}

// F5: votes of an earlier term, of strangers and of learners do not count.
func TestOnlyVotesOfThisElectionCount(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3, 4, 5}, Learners: []wire.NodeID{6}}}, newMemoryLog())
	b.stand().sync()
	b.core.become(1, wire.NoNode)
	b.stand().sync().wantRole(Candidate, 2, wire.NoNode)
	for _, m := range []wire.Message{
		{From: 2, Term: 1},
		{From: 3, Term: 1},
		{From: 6, Term: 2},
		{From: 7, Term: 2},
		{From: 8, Term: 2},
		{From: 2, Term: 2},
		{From: 2, Term: 2},
	} {
		m.Type = wire.MsgVoteReply
		b.step(m).sync().wantRole(Candidate, 2, wire.NoNode)
	}
	b.step(wire.Message{Type: wire.MsgVoteReply, From: 5, Term: 2}).sync().wantRole(Leader, 2, 1)
}

// Hostile: votes that come before anybody can have been asked wait for the own one.
func TestVotesBeforeTheRequest(t *testing.T) {
	b := newBench(t, 1, 2, 3).stand().take()
	b.step(wire.Message{Type: wire.MsgVoteReply, From: 2}).step(wire.Message{Type: wire.MsgVoteReply, From: 3}).take()
	b.wantRole(Candidate, 1, wire.NoNode)
	b.sync().wantRole(Leader, 1, 1)
}

// F12: who heard a leader within an election timeout answers neither votes nor pre-votes, and keeps its term; a
// transfer overrides that.
func TestLeaseOnVotes(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 3)
	b.tick(b.core.cfg.ElectionTicks - 1)
	b.step(wire.Message{Type: wire.MsgPreVote, From: 3, Term: 9, Index: 50, LogTerm: 8}).
		step(wire.Message{Type: wire.MsgVote, From: 3, Term: 9, Index: 50, LogTerm: 8}).take()
	if len(b.out) != 0 {
		t.Fatalf("sent %+v", b.out)
	}
	b.wantRole(Follower, 3, 2)
	b.step(wire.Message{Type: wire.MsgVote, From: 3, Term: 4, Index: 50, LogTerm: 3, Context: byOrder}).sync()
	if b.one(wire.MsgVoteReply, 3).Reject {
		t.Fatal("an election ordered by the leader was refused")
	}

	b = newBench(t, 1, 2, 3).follow(2, 3)
	b.core.elapsed = b.core.cfg.ElectionTicks // the lease is over, the own timeout not yet
	b.step(wire.Message{Type: wire.MsgPreVote, From: 3, Term: 4}).take()
	if m := b.one(wire.MsgPreVoteReply, 3); m.Reject || m.Term != 4 {
		t.Fatalf("%+v", m)
	}
	b.wantRole(Follower, 3, 2) // a pre-vote changes nothing
}

// F12, P16: pre-vote keeps a node that is cut off from raising terms; a refusal of a higher term brings it up.
func TestPreVote(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 3)
	b.tick(100)
	b.wantRole(PreCandidate, 3, wire.NoNode)
	if len(b.updates) != 0 {
		t.Fatalf("wrote %+v", b.updates)
	}
	b.step(wire.Message{Type: wire.MsgPreVoteReply, From: 3, Term: 4}).take().wantRole(Candidate, 4, wire.NoNode)

	b = newBench(t, 1, 2, 3).follow(2, 3)
	b.tick(30)
	b.step(wire.Message{Type: wire.MsgPreVoteReply, From: 3, Term: 7, Reject: true}).take().wantRole(Follower, 7, wire.NoNode)
}

// P16: a higher term in any reply makes a leader step down; a stranger's does not (D48).
func TestHigherTermInAnyReply(t *testing.T) {
	for _, reply := range []wire.MessageType{
		wire.MsgAppendReply, wire.MsgHeartbeatReply, wire.MsgVoteReply, wire.MsgPreVoteReply, wire.MsgReadIndexReply,
	} {
		b := newBench(t, 1, 2, 3).rule()
		b.step(wire.Message{Type: reply, From: 9, Term: 5, Reject: true}).wantRole(Leader, 1, 1)
		b.step(wire.Message{Type: reply, From: 2, Term: 5, Reject: true}).wantRole(Follower, 5, wire.NoNode)
	}
}

// F6: late replies of an earlier term say nothing to a leader.
func TestRepliesOfAnEarlierTerm(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	b.core.become(5, wire.NoNode)
	b.lead()
	last := b.core.log.last()
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 2, Term: 1, Index: last}).
		step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2, Term: 1, Context: 7})
	if f := b.core.lead.follower(2); f.Match() != 0 {
		t.Fatalf("match %d by a reply of term 1", f.Match())
	}
}

// F8: a second leader of the same term is told of, loudly, by leaders and followers alike.
func TestTwoLeadersInOneTerm(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	for _, typ := range []wire.MessageType{wire.MsgAppend, wire.MsgHeartbeat} {
		if err := b.try(wire.Message{Type: typ, From: 2}); !errors.Is(err, ErrTwoLeaders) {
			t.Errorf("leader: %v", err)
		}
	}
	b = newBench(t, 1, 2, 3).follow(2, 4)
	for _, typ := range []wire.MessageType{wire.MsgAppend, wire.MsgHeartbeat} {
		if err := b.try(wire.Message{Type: typ, From: 3}); !errors.Is(err, ErrTwoLeaders) {
			t.Errorf("follower: %v", err)
		}
	}
	b.wantRole(Follower, 4, 2)
}

// F12: a leader that no majority answers steps down within an election timeout.
func TestCheckQuorum(t *testing.T) {
	b := newBench(t, 1, 2, 3, 4, 5).rule()
	for range 3 * b.core.cfg.ElectionTicks {
		b.tick(1)
		b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2}).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3})
	}
	b.wantRole(Leader, 1, 1)
	for range b.core.cfg.ElectionTicks {
		b.wantRole(Leader, 1, 1)
		b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2})
		b.tick(1)
	}
	b.wantRole(Follower, 1, wire.NoNode)
	_, _, err := b.core.Propose(nil)
	wantCode(t, err, wire.CodeNoLeader)
}

// D20, D21: whose disk hangs gives leadership away within an election timeout and does not stand again before
// it works.
func TestHungDisk(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	b.propose("x")
	b.take()
	for range b.core.cfg.ElectionTicks {
		b.wantRole(Leader, 1, 1)
		b.tick(1)
		for n := wire.NodeID(2); n < 4 && b.core.role == Leader; n++ {
			b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n})
		}
	}
	b.wantRole(Follower, 1, wire.NoNode)
	b.clear().tick(100)
	b.core.Campaign()
	if b.take(); len(b.out) != 0 {
		t.Fatalf("sent %+v", b.out)
	}
	b.sync().tick(30)
	b.wantRole(PreCandidate, 1, wire.NoNode)
}

// D42, P14: a learner does not campaign, and votes when it is asked: who asks may know that it was promoted.
func TestLearnerVotesWhenAsked(t *testing.T) {
	b := openBench(t, Config{Self: 3, Membership: wire.Membership{Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{3}}}, newMemoryLog())
	b.tick(200)
	b.core.Campaign()
	b.take().wantRole(Follower, 0, wire.NoNode)
	b.step(wire.Message{Type: wire.MsgVote, From: 2, Term: 1}).sync()
	if b.one(wire.MsgVoteReply, 2).Reject {
		t.Fatal("refused")
	}
}

// D48: who is no member does not campaign.
func TestStrangerDoesNotCampaign(t *testing.T) {
	for _, m := range []wire.Membership{{}, {Voters: []wire.NodeID{2, 3}}} {
		b := openBench(t, Config{Membership: m}, newMemoryLog())
		b.tick(200)
		b.core.Campaign()
		b.take().wantRole(Follower, 0, wire.NoNode)
	}
}

// D43: elections spread what is committed, to voter and candidate alike.
func TestElectionsSpreadTheCommitIndex(t *testing.T) {
	hard := wire.HardState{Term: 1}
	three := wire.Membership{Voters: []wire.NodeID{1, 2, 3}}
	b := openBench(t, Config{HardState: hard, Membership: three}, newMemoryLog(1, 1, 1))
	b.step(wire.Message{Type: wire.MsgPreVote, From: 2, Term: 2, Index: 2, LogTerm: 1, Commit: 2, HintTerm: 1}).sync()
	b.wantCommit(2)
	if m := b.one(wire.MsgPreVoteReply, 2); !m.Reject || m.Commit != 2 || m.HintTerm != 1 {
		t.Fatalf("%+v", m)
	}
	// A commit index of another log says nothing.
	b.step(wire.Message{Type: wire.MsgPreVote, From: 2, Term: 2, Index: 3, LogTerm: 2, Commit: 3, HintTerm: 2}).sync()
	b.wantCommit(2)

	b = openBench(t, Config{HardState: hard, Membership: three}, newMemoryLog(1, 1, 1)).stand().sync()
	b.step(wire.Message{Type: wire.MsgVoteReply, From: 3, Reject: true, Commit: 3, HintTerm: 1}).sync()
	b.wantCommit(3)
}

// A leader that says goodbye is missed at once: votes are given again, and the next election comes early.
func TestLeaderGone(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.core.LeaderGone(3)
	b.wantRole(Follower, 1, 2)
	b.core.LeaderGone(2)
	b.wantRole(Follower, 1, wire.NoNode)
	if b.core.electionTimeout > b.core.cfg.ElectionTicks {
		t.Errorf("next election in %d ticks", b.core.electionTimeout)
	}
	b.step(wire.Message{Type: wire.MsgPreVote, From: 3, Term: 2}).take()
	if b.one(wire.MsgPreVoteReply, 3).Reject {
		t.Error("the lease of a leader that is gone still holds")
	}
}

// Whom somebody has walked up to the highest term does not stand for one beyond it: the log store would refuse that.
func TestNoTermBeyondTheLast(t *testing.T) {
	cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1}}, HardState: wire.HardState{Term: wire.MaxNumber}}
	b := openBench(t, cfg, newMemoryLog()).tick(50)
	if b.core.Campaign(); b.core.term > wire.MaxNumber {
		t.Errorf("%s of term %d", b.core.role, b.core.term)
	}
}

// N8, D17: the first node of a cluster that was born with it alone comes back empty when the cluster has moved on to others. Its log
// begins with the membership in which it was all there was; it must not lead by that.
func TestMadeAnewDoesNotElectItself(t *testing.T) {
	alone := wire.Membership{Voters: []wire.NodeID{1}}
	b := openBench(t, Config{Membership: alone, Since: 5}, newMemoryLog())
	b.tick(200)
	b.core.Campaign()
	b.take().wantRole(Follower, 0, wire.NoNode)

	// The log as the present leader has it: node 2 was added, node 1 taken out and added again by the change at 5.
	changes := []wire.ChangeSet{
		wire.OneChange(wire.ChangeAddLearner, 2), wire.OneChange(wire.ChangePromote, 2), wire.OneChange(wire.ChangeRemove, 1),
		wire.OneChange(wire.ChangeAddLearner, 1), wire.OneChange(wire.ChangePromote, 1),
	}
	m := wire.Message{Type: wire.MsgAppend, From: 2, Term: 3}
	for i, set := range changes {
		m.Entries = append(m.Entries, wire.Entry{Index: wire.Index(i + 2), Term: 3, Kind: wire.EntryChange, Data: wire.AppendChangeSet(nil, &set)})
	}
	m.Commit = 6
	rest := m.Entries[3:]
	m.Entries = append([]wire.Entry{{Index: 1, Term: 3, Kind: wire.EntryEmpty}}, m.Entries[:3]...)
	b.step(m).sync()
	b.tick(200)
	b.take().wantRole(Follower, 3, 2) // it votes by what it knows, and it does not know enough
	b.step(wire.Message{Type: wire.MsgAppend, From: 2, Term: 3, Commit: 6, Index: 4, LogTerm: 3, Entries: rest}).sync()
	b.core.Campaign()
	b.take().wantRole(PreCandidate, 3, wire.NoNode)
}
