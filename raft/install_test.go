package raft

import (
	"errors"
	"slices"
	"testing"

	"flotilla/raft/wire"
)

// behind is follower 2 of term 4 under leader 1, with entries 1 to 3 of term 1 of which 1 is committed and applied, and 4
// to 8 of term 2, which nobody else may have.
func behind(t *testing.T) *bench {
	t.Helper()
	cfg := Config{Self: 2, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, HardState: wire.HardState{Term: 2, Commit: 1}}
	b := openBench(t, cfg, newMemoryLog(1, 1, 1, 2, 2, 2, 2, 2))
	return b.follow(1, 4)
}

func announce(i wire.Index, term wire.Term) wire.Message {
	return wire.Message{Type: wire.MsgSnapshot, From: 1, Index: i, LogTerm: term}
}

func snapshotAt(i wire.Index, term wire.Term) wire.Snapshot {
	m := wire.Membership{Index: i - 1, Voters: []wire.NodeID{1, 2, 3, 4}}
	return wire.Snapshot{Index: i, Term: term, Membership: m}
}

func (b *bench) begin(s wire.Snapshot) *bench {
	b.t.Helper()
	if err := b.core.BeginInstall(s); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// F11, D53, P15: log, commit index and membership move to the snapshot in one update; the conflicting suffix goes, the leader
// hears of it when it is durable, and the log goes on behind it (D29).
func TestInstall(t *testing.T) {
	b := behind(t).step(announce(6, 3)).take()
	if len(b.out) != 0 || !b.core.WantsSnapshot(6) || b.core.WantsSnapshot(7) {
		t.Fatalf("said %v", b.out)
	}
	b.begin(snapshotAt(6, 3))
	b.core.Installed()
	b.take()
	if len(b.updates) != 1 || len(b.out) != 0 {
		t.Fatalf("updates %+v, said %v before the disk", b.updates, b.out)
	}
	u := b.updates[0]
	if u.ResetTo != 6 || u.ResetTerm != 3 || !u.SetMembership || u.Membership.Index != 5 || len(u.Membership.Voters) != 4 ||
		!u.SetHardState || u.HardState != (wire.HardState{Term: 4, Commit: 6}) {
		t.Fatalf("%+v", u)
	}
	b.sync()
	if m := b.one(wire.MsgAppendReply, 1); m.Reject || m.Index != 6 {
		t.Fatalf("%+v", m)
	}
	s := b.core.Status()
	if s.Commit != 6 || s.Applied != 6 || s.Handed != 6 || s.Last != 6 || s.Durable != 6 || s.Membership.Index != 5 || len(b.applied) != 0 {
		t.Fatalf("%+v, applied %v", s, b.applied)
	}
	b.clear().append(1, 6, 3, 7, entry(7, 4)).sync()
	if len(b.applied) != 1 || b.applied[0].Index != 7 || b.one(wire.MsgAppendReply, 1).Index != 7 {
		t.Fatalf("applied %v", b.applied)
	}
}

// What is announced and held already, or is committed by that, is not fetched: the leader hears how far the log is equal (F27).
func TestSnapshotNotNeeded(t *testing.T) {
	b := behind(t).step(announce(1, 1)).sync()
	if m := b.one(wire.MsgAppendReply, 1); m.Index != 1 {
		t.Fatalf("%+v", m)
	}
	b.clear().step(announce(3, 1)).sync()
	if m := b.one(wire.MsgAppendReply, 1); m.Index != 3 || b.core.commit != 3 || b.core.log.last() != 8 {
		t.Fatalf("%+v, commit %d, last %d", m, b.core.commit, b.core.log.last()) // F11: the suffix stays
	}
	for _, i := range []wire.Index{1, 3, 6} {
		if b.core.WantsSnapshot(i) {
			t.Errorf("wants %d", i)
		}
	}
	if err := b.core.BeginInstall(snapshotAt(3, 1)); !errors.Is(err, ErrSnapshotOld) {
		t.Errorf("equal: %v", err)
	}
	if err := b.core.BeginInstall(snapshotAt(6, 3)); !errors.Is(err, ErrNotAnnounced) {
		t.Errorf("not announced: %v", err)
	}
	b.step(announce(9, 3))
	for name, s := range map[string]wire.Snapshot{
		"no term": {Index: 6}, "term above": {Index: 6, Term: 5}, "membership above": {Index: 6, Term: 3, Membership: wire.Membership{Index: 7}},
		"membership malformed": {Index: 6, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{2, 1}}},
	} {
		if err := b.core.BeginInstall(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// D64, I18: while a snapshot is being installed nothing is handed out and nobody campaigns, not even by order; abandoned,
// all goes on as before.
func TestNothingHappensDuringInstall(t *testing.T) {
	b := behind(t).step(announce(6, 3)).begin(snapshotAt(6, 3))
	b.append(1, 3, 1, 3).sync() // entries 2 and 3 are committed
	if b.core.commit != 3 || len(b.applied) != 0 {
		t.Fatalf("commit %d, applied %v", b.core.commit, b.applied)
	}
	b.clear().step(wire.Message{Type: wire.MsgTimeoutNow, From: 1}).take()
	if m := b.one(wire.MsgHeartbeatReply, 1); !m.Reject {
		t.Fatalf("%+v", m)
	}
	b.core.Campaign()
	b.tick(3 * b.core.cfg.ElectionTicks)
	b.wantRole(Follower, 4, 1)
	b.core.AbandonInstall()
	b.clear().sync()
	if len(b.applied) != 2 {
		t.Fatalf("applied %v", b.applied)
	}
	b.core.Campaign()
	b.wantRole(PreCandidate, 4, wire.NoNode)
}

// D64: a candidate that begins to install gives up.
func TestInstallEndsACandidacy(t *testing.T) {
	b := behind(t).step(announce(6, 3))
	b.core.Campaign()
	b.begin(snapshotAt(6, 3)).wantRole(Follower, 4, wire.NoNode)
	b.step(wire.Message{Type: wire.MsgPreVoteReply, From: 3, Term: 5})
	b.wantRole(Follower, 4, wire.NoNode)
}

// D28: a second snapshot waits until the first is installed, and may follow before that is durable; what was on its way
// vouches for nothing then.
func TestSecondSnapshotDuringInstall(t *testing.T) {
	b := behind(t).step(announce(6, 3)).begin(snapshotAt(6, 3)).step(announce(9, 4))
	if err := b.core.BeginInstall(snapshotAt(9, 4)); !errors.Is(err, ErrInstalling) || b.core.WantsSnapshot(9) {
		t.Fatalf("second one: %v", err)
	}
	b.core.Installed()
	b.take()
	first := b.token
	b.begin(snapshotAt(9, 4))
	b.core.Installed()
	b.take()
	b.core.Persisted(first)
	if b.take(); len(b.out) != 0 || b.core.Status().Durable != 0 {
		t.Fatalf("the first write vouches for the second snapshot: %v, durable %d", b.out, b.core.Status().Durable)
	}
	b.sync()
	if m := b.out[len(b.out)-1]; m.Index != 9 || b.core.log.durable != 9 {
		t.Fatalf("%+v", b.out)
	}
}

// D28: two snapshots in one turn are one update.
func TestTwoSnapshotsInOneTurn(t *testing.T) {
	b := behind(t).step(announce(9, 4))
	for _, s := range []wire.Snapshot{snapshotAt(6, 3), snapshotAt(9, 4)} {
		b.begin(s)
		b.core.Installed()
	}
	b.append(1, 9, 4, 9, entry(10, 4)).sync()
	if len(b.updates) != 1 || b.updates[0].ResetTo != 9 || len(b.updates[0].Entries) != 1 {
		t.Fatalf("%+v", b.updates)
	}
}

// The log may get there by itself while the machine takes the data over: it stays then, and nothing is applied twice
// (F31); the suffix stays too (F11).
func TestLogGetsThereDuringInstall(t *testing.T) {
	b := behind(t).step(announce(6, 3)).begin(snapshotAt(6, 3))
	b.append(1, 3, 1, 8, entry(4, 3), entry(5, 3), entry(6, 3), entry(7, 4), entry(8, 4)).sync()
	if len(b.applied) != 0 {
		t.Fatalf("applied %v", b.applied)
	}
	b.clear()
	b.core.Installed()
	b.sync()
	if i := slices.IndexFunc(b.updates, func(u wire.LogUpdate) bool { return u.ResetTo != 0 }); i >= 0 || b.core.log.last() != 8 {
		t.Fatalf("log moved: %+v", b.updates)
	}
	if len(b.applied) != 2 || b.applied[0].Index != 7 || b.core.membership.Index != 5 {
		t.Fatalf("applied %v, membership %+v", b.applied, b.core.membership)
	}
}

// F6, I8: an acknowledgement that waits for the disk is void when the log it speaks of is replaced.
func TestHeldAcknowledgementIsVoidAfterInstall(t *testing.T) {
	b := behind(t).append(1, 3, 1, 1, entry(4, 4)).take()
	old := b.token
	b.step(announce(6, 4)).begin(snapshotAt(6, 4))
	b.core.Installed()
	b.take()
	b.core.Persisted(old)
	if b.take(); len(b.out) != 0 {
		t.Fatalf("said %+v", b.out)
	}
	if b.sync(); b.one(wire.MsgAppendReply, 1).Index != 6 {
		t.Fatalf("%+v", b.out)
	}
}

// Below the snapshot nothing is known any more, whatever the reader still holds until the move is durable.
func TestLogBelowTheSnapshot(t *testing.T) {
	b := behind(t).step(announce(6, 3)).begin(snapshotAt(6, 3))
	b.core.Installed()
	b.take()
	for i := range wire.Index(6) {
		if _, err := b.core.log.term(i); !errors.Is(err, wire.ErrCompacted) {
			t.Errorf("term of %d: %v", i, err)
		}
	}
	if term, err := b.core.log.term(6); term != 3 || err != nil {
		t.Errorf("term at the snapshot: %d, %v", term, err)
	}
	if _, err := b.core.log.slice(nil, 6, 7, 100); !errors.Is(err, wire.ErrCompacted) {
		t.Errorf("entry at the snapshot: %v", err)
	}
	b.clear().append(1, 2, 1, 2, entry(3, 1)).sync() // late, of before
	if m := b.one(wire.MsgAppendReply, 1); m.Reject || m.Index != 6 {
		t.Fatalf("%+v", m)
	}
}

// P16: whoever sends a snapshot in an old term is told, one of a higher term makes its receiver a follower.
func TestSnapshotTerms(t *testing.T) {
	b := behind(t)
	m := announce(6, 3)
	m.Term, m.From = 3, 3
	b.step(m).take()
	if reply := b.one(wire.MsgHeartbeatReply, 3); reply.Term != 4 || b.core.WantsSnapshot(6) {
		t.Fatalf("%+v", reply)
	}
	m.Term = 9
	b.clear().step(m).wantRole(Follower, 9, 3)
	if !b.core.WantsSnapshot(6) {
		t.Error("does not want what the leader announces")
	}
	if err := b.try(wire.Message{Type: wire.MsgSnapshot, From: 1, Index: 6, LogTerm: 3}); !errors.Is(err, ErrTwoLeaders) { // F8
		t.Errorf("from somebody else in the same term: %v", err)
	}
	for name, bad := range map[string]wire.Message{
		"no index": {LogTerm: 1}, "no term": {Index: 4}, "term above": {Index: 4, LogTerm: 10},
	} {
		bad.Type, bad.From = wire.MsgSnapshot, 3
		if err := b.try(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := newBench(t, 1, 2, 3).rule()
	if err := c.try(wire.Message{Type: wire.MsgSnapshot, From: 2, Index: 6, LogTerm: 1}); !errors.Is(err, ErrTwoLeaders) {
		t.Errorf("to the leader of the term: %v", err)
	}
}

// F3, D18, P37: a crash between the machine's move and the log's: a host whose machine keeps its state moves the log before
// it makes a core; without that the contradiction is seen (D15).
func TestMoveToAfterACrash(t *testing.T) {
	disk := newMemoryLog(1, 1, 1, 2, 2)
	s := snapshotAt(9, 3)
	cfg := Config{
		Self: 2, Group: testGroup, Log: disk, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}},
		HardState: wire.HardState{Term: 2, Vote: 3, Commit: 1}, Applied: 9,
	}
	if _, err := New(cfg); !errors.Is(err, ErrInconsistent) {
		t.Fatalf("machine ahead of the log: %v", err)
	}
	u := MoveTo(testGroup, cfg.HardState, s, 4)
	if u.HardState != (wire.HardState{Term: 4, Commit: 9}) || u.ResetTo != 9 || !u.SetMembership {
		t.Fatalf("%+v", u)
	}
	if same := MoveTo(testGroup, wire.HardState{Term: 4, Vote: 3}, s, 4); same.HardState.Vote != 3 { // F1
		t.Fatalf("the vote of term 4 is forgotten: %+v", same.HardState)
	}
	disk.update(&u)
	cfg.HardState, cfg.Membership = u.HardState, u.Membership
	b := openBench(t, cfg, disk)
	if st := b.core.Status(); st.Commit != 9 || st.Applied != 9 || st.Last != 9 || st.Durable != 9 {
		t.Fatalf("%+v", st)
	}
}

// I20: a late word of sleep may come between the message in front of a snapshot and its data. Who takes the data over is awake.
func TestInstallWakes(t *testing.T) {
	b := behind(t).step(announce(6, 3)).step(wire.Message{Type: wire.MsgSleep, From: 1, Commit: 1}).take()
	if !b.core.Asleep() {
		t.Fatal("awake")
	}
	if b.begin(snapshotAt(6, 3)); b.core.Asleep() {
		t.Error("takes a snapshot over in its sleep")
	}
}

// F9: a snapshot far beyond any log that a group can have leaves no room for what follows it: the store refuses what ends at the
// limit of numbers.
func TestSnapshotAtTheLimit(t *testing.T) {
	for _, i := range []wire.Index{wire.MaxNumber, wire.MaxNumber - 1} {
		if b := behind(t); !errors.Is(b.try(announce(i, 3)), ErrMalformed) || b.core.WantsSnapshot(i) {
			t.Errorf("snapshot %d is wanted", i)
		}
	}
}

// I18: a snapshot that is not what is committed here ends the core; somebody's disk or machine lies.
func TestContradictingSnapshot(t *testing.T) {
	b := behind(t).step(announce(6, 3)).begin(snapshotAt(6, 3))
	b.append(1, 3, 1, 8, entry(4, 4), entry(5, 4), entry(6, 4), entry(7, 4), entry(8, 4)).sync()
	b.core.Installed()
	if !errors.Is(b.core.Err(), ErrInconsistent) {
		t.Fatalf("%v", b.core.Err())
	}
}
