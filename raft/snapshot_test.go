package raft

import (
	"errors"
	"testing"

	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// lagging is a leader of 1, 2, 3 whose log begins after 15, with a follower 3 that holds entry 1 only, and the
// snapshot it needs.
func lagging(t *testing.T) (*bench, wire.Snapshot) {
	t.Helper()
	b := newBench(t, 1, 2, 3).rule()
	for range 20 {
		b.propose("x")
	}
	b.sync().ack(2, b.core.log.last()).sync()
	s, err := b.core.SnapshotAt(15)
	if err != nil {
		t.Fatal(err)
	}
	b.core.Unreachable(3)
	b.core.lead.follower(3).Tick()
	for range b.core.cfg.ElectionTicks { // a follower that answers is kept in mind by Compact
		b.core.lead.follower(3).Tick()
	}
	if got := b.core.Compact(15, 15); got != 15 {
		t.Fatalf("compacted to %d", got)
	}
	return b.sync().alive(3).clear(), s
}

// alive lets a follower answer a heartbeat, with nothing but its first entry committed.
func (b *bench) alive(nodes ...wire.NodeID) *bench {
	b.t.Helper()
	for _, n := range nodes {
		b.step(wire.Message{Type: wire.MsgHeartbeatReply, From: n, Index: 1}).take()
	}
	return b
}

func (b *bench) mustSend(n wire.NodeID, s wire.Snapshot) wire.Message {
	b.t.Helper()
	m, err := b.core.SendSnapshot(n, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// P15, F28: one transfer at a time for a follower. While it gets on the follower is not named again; when it failed, or
// nobody tells anything of it, it is.
func TestOneSnapshotAtATime(t *testing.T) {
	b, s := lagging(t)
	m := b.mustSend(3, s)
	if m.Type != wire.MsgSnapshot || m.To != 3 || m.From != 1 || m.Term != 1 || m.Index != 15 || m.LogTerm != 1 || m.Group != testGroup {
		t.Fatalf("%+v", m)
	}
	if _, err := b.core.SendSnapshot(3, s); !errors.Is(err, ErrSnapshotUnderWay) {
		t.Fatalf("second transfer: %v", err)
	}
	timeout := func(report SnapshotReport) {
		for range b.core.cfg.ElectionTicks {
			b.core.ReportSnapshot(3, 1, report)
			b.tick(1).alive(2, 3)
		}
	}
	for range 3 * snapshotPatience {
		timeout(SnapshotProgress)
	}
	if len(b.snapshot) != 0 {
		t.Fatalf("named %v while its snapshot gets on", b.snapshot)
	}
	timeout(SnapshotFailed)
	if len(b.snapshot) != 1 || b.snapshot[0] != (SnapshotNeed{Node: 3, Term: 1, Index: 15}) || !b.core.AwaitsSnapshot(3, 1) {
		t.Fatalf("named %v after a failed transfer", b.snapshot)
	}
	b.clear().mustSend(3, s)
	for range snapshotPatience + 1 {
		timeout(0)
	}
	if len(b.snapshot) == 0 {
		t.Fatal("a transfer of which nobody tells anything is waited for for ever")
	}
	if !b.core.AwaitsSnapshot(3, 1) {
		t.Fatal("the host is to let go of a transfer before another one takes its place")
	}
	b.clear().mustSend(3, s)
	if _, err := b.core.SendSnapshot(3, s); !errors.Is(err, ErrSnapshotUnderWay) {
		t.Fatalf("another transfer beside the second: %v", err)
	}
	b.core.ReportSnapshot(3, 1, SnapshotFailed)
	for range b.core.cfg.ElectionTicks {
		b.tick(1).alive(2)
	}
	if b.core.AwaitsSnapshot(3, 1) {
		t.Fatal("the log is kept for one that failed to a node that is silent")
	}
}

// P6, F27: whoever is silent is sent no snapshot; it would be the same one for ever.
func TestNoSnapshotForTheSilent(t *testing.T) {
	b, _ := lagging(t)
	for range 5 * b.core.cfg.ElectionTicks {
		b.tick(1).alive(2)
	}
	if len(b.snapshot) != 0 {
		t.Fatalf("silent follower named: %v", b.snapshot)
	}
	for range b.core.cfg.ElectionTicks {
		b.tick(1).alive(2, 3)
	}
	if len(b.snapshot) != 1 {
		t.Fatalf("follower that answers again: %v", b.snapshot)
	}
}

// F7, P15: nobody but the follower says that the snapshot has arrived; its acknowledgement, which is durable, counts and is
// where replication goes on, wherever the commit index may be by then.
func TestOnlyTheFollowerEndsASnapshot(t *testing.T) {
	b, s := lagging(t)
	b.mustSend(3, s)
	b.core.ReportSnapshot(3, 1, SnapshotSent)
	b.take().propose("y")
	b.sync().alive(3)
	if f := b.core.lead.follower(3); f.State() != progress.Snapshot || f.Match() != 1 || len(b.sent(wire.MsgAppend)) != 1 {
		t.Fatalf("%s, match %d, sent %v", f.State(), f.Match(), b.sent(wire.MsgAppend))
	}
	b.clear().ack(3, 1) // late
	if f := b.core.lead.follower(3); f.State() != progress.Snapshot {
		t.Fatalf("%s after an acknowledgement from before", f.State())
	}
	b.ack(3, 15)
	if f := b.core.lead.follower(3); f.State() != progress.Replicate || f.Match() != 15 || b.core.AwaitsSnapshot(3, 1) {
		t.Fatalf("%s, match %d", f.State(), f.Match())
	}
	if list := b.sent(wire.MsgAppend); len(list) == 0 || list[0].To != 3 || list[0].Index != 15 {
		t.Fatalf("%+v", list)
	}
}

// F29: a node sends and hears of snapshots only in the term that it leads.
func TestSnapshotsOfAnotherTerm(t *testing.T) {
	b, s := lagging(t)
	b.mustSend(3, s)
	b.core.ReportSnapshot(3, 2, SnapshotFailed)
	if !b.core.AwaitsSnapshot(3, 1) || b.core.AwaitsSnapshot(3, 2) {
		t.Fatal("a report of another term counted")
	}
	b.follow(2, 5)
	if b.core.AwaitsSnapshot(3, 1) || b.core.AwaitsSnapshot(3, 5) {
		t.Fatal("the transfer goes on although another node leads")
	}
	if _, err := b.core.SendSnapshot(3, s); err == nil {
		t.Fatal("a follower sends a snapshot")
	} else {
		wantCode(t, err, wire.CodeNotLeader)
	}
	b.core.ReportSnapshot(3, 1, SnapshotFailed)
	if b.take(); len(b.snapshot) != 0 {
		t.Fatalf("a follower needs %v", b.snapshot)
	}
}

func TestSendSnapshotRefusals(t *testing.T) {
	b, s := lagging(t)
	for name, c := range map[string]struct {
		n    wire.NodeID
		s    wire.Snapshot
		want error
	}{
		"to who replicates":    {2, s, ErrNoSnapshotNeeded},
		"to a stranger":        {9, s, ErrNoSnapshotNeeded},
		"before the log":       {3, wire.Snapshot{Index: 14, Term: 1}, ErrSnapshotUseless},
		"beyond what is there": {3, wire.Snapshot{Index: 99, Term: 1}, ErrSnapshotUseless},
		"of another log":       {3, wire.Snapshot{Index: 16, Term: 2}, ErrSnapshotUseless},
	} {
		if _, err := b.core.SendSnapshot(c.n, c.s); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	b.mustSend(3, s)
}

// F25, P15: a leader keeps what followers that answer have not got, as far as its host lets it; nobody lets go of what it has not
// applied, and a compaction is one update.
func TestCompactKeepsWhatIsNeeded(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog()).rule()
	for range 20 {
		b.propose("x")
	}
	b.sync().ack(2, 21).ack(3, 18).sync().clear()
	if got := b.core.Compact(20, 10); got != 18 {
		t.Errorf("compacted to %d, follower 3 holds 18", got)
	}
	b.sync()
	if n := len(b.updates); n != 1 || b.updates[0].CompactTo != 18 || b.disk.first != 19 {
		t.Errorf("updates %+v", b.updates)
	}
	if got := b.core.Compact(17, 7); got != 18 {
		t.Errorf("again, lower: %d", got)
	}
	if b.core.HasReady() {
		t.Error("a compaction that changes nothing is written")
	}
	for range 20 {
		b.propose("x")
	}
	b.sync().ack(2, 41).sync()
	if got := b.core.Compact(41, 31); got != 31 {
		t.Errorf("compacted to %d: follower 3 is 23 entries behind, 10 are kept", got)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("compaction of what is not applied")
			}
		}()
		b.core.Compact(42, 0)
	}()
}

// D53: a change of the membership never goes with the log that held it before the disk has what it led to, however the core came to know
// of that: here from its host, which had it from a snapshot.
func TestCompactionCarriesTheMembership(t *testing.T) {
	b := openBench(t, Config{Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog()).rule()
	if _, _, err := b.core.ProposeChange(wire.OneChange(wire.ChangeAddLearner, 4)); err != nil {
		t.Fatal(err)
	}
	b.sync().ackAll()
	for range 20 {
		b.propose("x")
	}
	b.sync().ackAll()
	members := b.core.Status().Membership
	if members.Index == 0 {
		t.Fatal("the change has not taken effect")
	}
	b = openBench(t, Config{Membership: members, Applied: 20, HardState: b.hard}, b.disk)
	b.sync().clear()
	b.core.Compact(15, 0)
	b.sync()
	if n := len(b.updates); n != 1 || b.updates[0].CompactTo != 15 || !b.updates[0].SetMembership || !b.updates[0].Membership.Equal(&members) {
		t.Errorf("updates %+v", b.updates)
	}
}

// D53, F14: the membership of a snapshot is the one of its index.
func TestSnapshotAtHasTheMembershipOfItsIndex(t *testing.T) {
	b := newBench(t, 1, 2, 3).rule()
	i, _, err := b.core.ProposeChange(wire.OneChange(wire.ChangeAddLearner, 4))
	if err != nil {
		t.Fatal(err)
	}
	before, err := b.core.SnapshotAt(1)
	if err != nil || len(before.Membership.Learners) != 0 || before.Term != 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	if _, err := b.core.SnapshotAt(i); !errors.Is(err, ErrNotThere) {
		t.Fatalf("of what is not applied: %v", err)
	}
	b.sync().ackAll()
	after, err := b.core.SnapshotAt(i)
	if err != nil || len(after.Membership.Learners) != 1 || after.Membership.Index != i {
		t.Fatalf("%+v, %v", after, err)
	}
	if _, err := b.core.SnapshotAt(i - 1); !errors.Is(err, ErrNotThere) {
		t.Fatalf("of a state that is gone: %v", err)
	}
}
