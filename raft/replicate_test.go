package raft

import (
	"errors"
	"strings"
	"testing"

	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// D9, F4: no acknowledgement before the entries are on disk, and none of more than is.
func TestAcknowledgementsWaitForTheDisk(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.append(2, 0, 0, 0, entry(1, 1)).take()
	first := b.token
	b.append(2, 1, 1, 0, entry(2, 1)).append(2, 2, 1, 0, entry(3, 1)).take()
	if len(b.sent(wire.MsgAppendReply)) != 0 {
		t.Fatal("acknowledged before anything was on disk")
	}
	b.core.Persisted(first)
	if m := b.take().one(wire.MsgAppendReply, 2); m.Index != 1 {
		t.Fatalf("%+v", m)
	}
	b.clear().core.Persisted(b.token)
	if m := b.take().one(wire.MsgAppendReply, 2); m.Index != 3 || m.Reject {
		t.Fatalf("%+v", m) // two appends, one answer
	}
	// A repeated append of what is on disk is answered at once.
	if m := b.clear().append(2, 0, 0, 0, entry(1, 1)).take().one(wire.MsgAppendReply, 2); m.Index != 1 {
		t.Fatalf("%+v", m)
	}
}

// F7: the acknowledgement is of what was compared, not of our own tail; and commit goes no further.
func TestOnlyVerifiedIsAcknowledged(t *testing.T) {
	b := openBench(t, Config{HardState: wire.HardState{Term: 1}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog(1, 1, 1, 1, 1))
	b.follow(2, 2)
	b.append(2, 1, 1, 5, entry(2, 1)).sync()
	if m := b.one(wire.MsgAppendReply, 2); m.Index != 2 {
		t.Fatalf("%+v", m)
	}
	b.wantCommit(2)
	b.step(wire.Message{Type: wire.MsgHeartbeat, From: 2, Commit: 5}).sync()
	b.wantCommit(2)
	if m := b.one(wire.MsgHeartbeatReply, 2); m.Index != 2 {
		t.Fatalf("%+v", m)
	}
}

// F11: a conflicting suffix goes, whole; held acknowledgements of it, too.
func TestConflictTruncates(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.append(2, 0, 0, 1, entry(1, 1), entry(2, 1), entry(3, 1)).take()
	b.step(wire.Message{Type: wire.MsgAppend, From: 3, Term: 2, Index: 1, LogTerm: 1, Entries: []wire.Entry{entry(2, 2)}}).take()
	if s := b.core.Status(); s.Last != 2 || s.Leader != 3 {
		t.Fatalf("%+v", s)
	}
	b.sync()
	if m := b.one(wire.MsgAppendReply, 3); m.Index != 2 || m.Term != 2 {
		t.Fatalf("%+v", m)
	}
	if len(b.sent(wire.MsgAppendReply)) != 1 {
		t.Fatalf("the old leader heard of what is gone: %+v", b.out)
	}
}

// An append that was overtaken by a longer one says nothing of what follows it: only a conflict takes entries away, and
// these may be acknowledged already (thesis section 3.5).
func TestLateAppendTakesNothingAway(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.append(2, 0, 0, 0, entry(1, 1), entry(2, 1), entry(3, 1)).sync()
	writes := len(b.updates)
	b.append(2, 0, 0, 0, entry(1, 1), entry(2, 1)).sync()
	if s := b.core.Status(); s.Last != 3 || s.Durable != 3 || len(b.updates) != writes {
		t.Fatalf("%d writes for nothing, %+v", len(b.updates)-writes, s)
	}
}

// Hostile leader: it takes back what it sent in the same term, while that is on its way to the disk. What was
// about to be said of it is not said.
func TestAcknowledgementOfWhatIsGoneIsDropped(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 2)
	b.append(2, 0, 0, 0, entry(1, 1), entry(2, 1), entry(3, 1)).take()
	b.append(2, 1, 1, 0, entry(2, 2)).sync()
	if m := b.one(wire.MsgAppendReply, 2); m.Index != 2 {
		t.Fatalf("%+v", m)
	}
}

// Hostile or broken leader: what is committed here is never given up for it, and nothing panics.
func TestCommittedEntriesStay(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 1)
	b.append(2, 0, 0, 2, entry(1, 1), entry(2, 1)).sync().wantCommit(2)
	err := b.try(wire.Message{Type: wire.MsgAppend, From: 3, Term: 2, Index: 0, Entries: []wire.Entry{entry(1, 2), entry(2, 2)}})
	if !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	b.step(wire.Message{Type: wire.MsgAppend, From: 3, Term: 2, Index: 1, LogTerm: 1, Commit: 9}).sync()
	if term, _ := b.core.log.term(2); term != 1 || b.core.commit != 2 {
		t.Fatalf("entry 2 of term %d, commit %d", term, b.core.commit)
	}
}

// F22: each entry is sent once, whatever number of proposals and turns.
func TestNothingIsSentTwice(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	for range 5 {
		b.propose("a")
		b.propose("b")
		b.take()
	}
	sent := map[wire.NodeID][]wire.Index{}
	for _, m := range b.sent(wire.MsgAppend) {
		for _, e := range m.Entries {
			sent[m.To] = append(sent[m.To], e.Index)
		}
	}
	for n, list := range sent {
		if len(list) != 10 || list[0]+9 != list[9] {
			t.Errorf("node %d was sent %v", n, list)
		}
	}
	if len(b.sent(wire.MsgAppend)) != 10 {
		t.Errorf("%d appends for 5 turns and 2 followers", len(b.sent(wire.MsgAppend)))
	}
}

// P2: a leader's appends leave before its own write is durable; followers alone may commit, and the entry is
// applied here when it is on disk here.
func TestLeaderWithASlowDisk(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	i := b.propose("x")
	b.take()
	if len(b.sent(wire.MsgAppend)) != 2 {
		t.Fatalf("sent %+v", b.out)
	}
	b.ack(2, i).wantCommit(i - 1) // the leader's own disk does not count yet (I9)
	b.ack(3, i).wantCommit(i)
	if len(b.applied) != 0 {
		t.Fatal("applied before it was durable here")
	}
	if b.sync(); len(b.applied) != 1 || b.applied[0].Index != i {
		t.Fatalf("applied %v", b.applied)
	}
}

// F23: no append above the limit, however long the backlog; an entry larger than the limit goes alone.
func TestAppendsAreBounded(t *testing.T) {
	cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, MaxAppendBytes: 1000, MaxInflightBytes: 3000}
	b := openBench(t, cfg, newMemoryLog()).rule()
	for range 20 {
		b.propose(strings.Repeat("x", 200))
	}
	b.propose(strings.Repeat("x", 5000))
	b.propose("y")
	sizes := func() (total int) {
		for _, m := range b.take().sent(wire.MsgAppend) {
			bytes := 0
			for i := range m.Entries {
				bytes += m.Entries[i].Size()
			}
			if bytes > 1000 && len(m.Entries) > 1 {
				t.Fatalf("append of %d bytes", bytes)
			}
			if m.To == 2 {
				total += bytes
			}
		}
		b.clear()
		return total
	}
	for rounds := 0; b.core.lead.follower(2).Match() < b.core.log.last(); rounds++ {
		if rounds > 20 {
			t.Fatal("the backlog is never sent")
		}
		if got := sizes(); got > 3000 && got != 5032 {
			t.Fatalf("%d bytes in flight", got)
		}
		b.step(wire.Message{Type: wire.MsgAppendReply, From: 2, Index: b.core.lead.follower(2).Next() - 1})
	}
}

// A follower far behind, with many terms that nobody else has, is found in a few round trips.
func TestFarFollowerIsFoundQuickly(t *testing.T) {
	var ours, theirs []wire.Term
	for i := range 3000 {
		ours = append(ours, wire.Term(1+i/10))
		theirs = append(theirs, min(wire.Term(1+i/10), 20))
	}
	three := wire.Membership{Voters: []wire.NodeID{1, 2, 3}}
	leader := openBench(t, Config{HardState: wire.HardState{Term: 400}, Membership: three}, newMemoryLog(ours...)).lead()
	follower := openBench(t, Config{Self: 2, HardState: wire.HardState{Term: 400}, Membership: three}, newMemoryLog(theirs...))
	leader.step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2}).take()
	trips := 0
	for ; leader.core.lead.follower(2).Match() < 200; trips++ {
		if trips > 5 {
			t.Fatalf("%d round trips and still at %+v", trips, leader.core.lead.follower(2))
		}
		leader.take()
		for _, m := range leader.sent(wire.MsgAppend) {
			if m.To == 2 {
				follower.step(m)
			}
		}
		leader.clear()
		for _, m := range follower.sync().sent(wire.MsgAppendReply) {
			leader.step(m)
		}
		follower.clear()
	}
	t.Logf("%d round trips", trips)
}

// D22: an append lost without a trace is found by heartbeats and sent again.
func TestLostAppendIsSentAgain(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	i := b.propose("x")
	b.sync().clear() // lost
	for range 3 {
		b.tick(1).step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2, Index: i - 1}).take()
	}
	probe := b.sent(wire.MsgAppend)
	if len(probe) == 0 || probe[0].Index != i || len(probe[0].Entries) != 0 {
		t.Fatalf("sent %+v", probe)
	}
	b.clear().step(wire.Message{Type: wire.MsgAppendReply, From: 2, Reject: true, Index: i, Hint: i - 1, HintTerm: 1}).take()
	if m := b.one(wire.MsgAppend, 2); m.Index != i-1 || len(m.Entries) != 1 {
		t.Fatalf("%+v", m)
	}
}

// P6: who cannot be reached is sent heartbeats only, until it is heard.
func TestUnreachable(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	b.core.Unreachable(2)
	b.propose("x")
	b.sync().tick(2)
	for _, m := range b.out {
		if m.To == 2 && m.Type != wire.MsgHeartbeat {
			t.Fatalf("sent %+v", m)
		}
	}
	b.clear().step(wire.Message{Type: wire.MsgHeartbeatReply, From: 2}).take()
	if m := b.one(wire.MsgAppend, 2); len(m.Entries) != 0 || m.Index != 1 {
		t.Fatalf("probe %+v", m)
	}
	b.clear().ack(2, 1)
	if m := b.one(wire.MsgAppend, 2); len(m.Entries) != 1 {
		t.Fatalf("%+v", m)
	}
}

// P15 in the core: who needs what is compacted away is named for a snapshot, sent nothing, named again each
// election timeout, and goes on from where the snapshot put it.
func TestNeedSnapshot(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	for range 20 {
		b.propose("x")
	}
	b.sync().ack(2, b.core.log.last()).sync()
	b.disk.compact(15)
	b.clear().core.Unreachable(3)
	alive := func() {
		for n := wire.NodeID(2); n < 4; n++ {
			b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n, Index: 1}).take()
		}
	}
	alive()
	if len(b.snapshot) != 1 || b.snapshot[0] != (SnapshotNeed{Node: 3, Term: 1, Index: 15}) || b.core.lead.follower(3).State() != progress.Snapshot {
		t.Fatalf("snapshots %v, %+v", b.snapshot, b.core.lead.follower(3))
	}
	b.clear().propose("y")
	for range b.core.cfg.ElectionTicks {
		b.tick(1)
		alive()
	}
	for _, m := range b.sent(wire.MsgAppend) {
		if m.To == 3 {
			t.Fatalf("sent %+v", m)
		}
	}
	if len(b.snapshot) != 1 {
		t.Fatalf("named %d times in an election timeout", len(b.snapshot))
	}
	b.clear().step(wire.Message{Type: wire.MsgHeartbeatReply, From: 3, Index: 17}).take()
	if m := b.one(wire.MsgAppend, 3); m.Index != 17 || len(m.Entries) == 0 {
		t.Fatalf("%+v", m)
	}
}

// F31: a slow state machine is handed so much and no more, in order, each entry once.
func TestCommittedIsBounded(t *testing.T) {
	cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1}}, MaxCommittedBytes: 500}
	b := openBench(t, cfg, newMemoryLog())
	b.core.Tick()
	b.sync()
	for range 50 {
		b.propose(strings.Repeat("x", 100))
	}
	b.core.Ready(&b.rd)
	b.disk.write(b.rd.Update.Entries)
	b.core.Persisted(b.rd.Token)
	next, turns := b.core.apply.handed+1, 0
	for ; b.core.HasReady(); turns++ {
		b.core.Ready(&b.rd)
		if n := len(b.rd.Committed); n == 0 || n > 5 {
			t.Fatalf("%d entries at once", n)
		}
		for _, e := range b.rd.Committed {
			if e.Index != next {
				t.Fatalf("handed out %d, want %d", e.Index, next)
			}
			next++
		}
		if b.core.HasReady() {
			b.core.Ready(&b.rd)
			t.Fatalf("more before anything was applied: %+v", b.rd)
		}
		b.core.Applied(next - 1)
		b.core.Applied(1) // late
	}
	if next != b.core.log.last()+1 || turns < 10 {
		t.Fatalf("handed out up to %d in %d turns", next-1, turns)
	}
}

// Back-pressure: what waits to be committed is bounded; refused means not applied.
func TestUncommittedIsBounded(t *testing.T) {
	cfg := Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, MaxUncommittedBytes: 1000}
	b := openBench(t, cfg, newMemoryLog()).rule()
	n := 0
	for ; n < 100; n++ {
		if _, _, err := b.core.Propose(make([]byte, 100)); err != nil {
			wantCode(t, err, wire.CodeOverloaded)
			break
		}
	}
	if n != 7 {
		t.Fatalf("%d proposals of 132 bytes in 1000", n)
	}
	b.sync().ackAll()
	b.propose("goes again")
	_, _, err := b.core.Propose(make([]byte, wire.MaxEntryData+1))
	wantCode(t, err, wire.CodeTooLarge)
}

// An entry of an earlier term is committed only together with one of the present term (thesis figure 3.7).
func TestEarlierTermsAreNotCommittedByCounting(t *testing.T) {
	b := openBench(t, Config{HardState: wire.HardState{Term: 2}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog(1, 2)).lead()
	b.ack(2, 2).ack(3, 2).wantCommit(0)
	b.ack(2, 3).wantCommit(3)
}

// Hostile followers: acknowledgements of what was never sent, answers to rounds that never were.
func TestLeaderRefusesNonsense(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	for _, m := range []wire.Message{
		{Type: wire.MsgAppendReply, From: 2, Index: 99},
		{Type: wire.MsgHeartbeatReply, From: 2, Context: 99},
		{Type: wire.MsgAppendReply, From: 2, Reject: true},
	} {
		if err := b.try(m); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	b.step(wire.Message{Type: wire.MsgAppendReply, From: 8, Index: 99}) // a stranger is not even listened to
	b.wantCommit(1)
}
