package raft

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

func TestConfigReportsAllFaults(t *testing.T) {
	err := Config{
		HeartbeatTicks: 4, ElectionTicks: 5, MaxAppendBytes: -1, MaxInflightMessages: -2,
		Membership: wire.Membership{Voters: []wire.NodeID{2, 1}},
	}.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, want := range []string{"node 0", "no log", "election timeout", "MaxAppendBytes", "MaxInflightMessages", "membership"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if err := (Config{Self: 1, Log: newMemoryLog()}).Validate(); err != nil {
		t.Errorf("zero limits: %v", err)
	}
}

// D10, D15: what contradicts itself on disk is refused at the start, not found out later.
func TestRestoreRefusesContradictions(t *testing.T) {
	cut := newMemoryLog(1, 1, 2, 2)
	cut.compact(2)
	for name, cfg := range map[string]Config{
		"commit beyond the log":     {Log: newMemoryLog(1, 1), HardState: wire.HardState{Term: 1, Commit: 3}},
		"applied beyond the log":    {Log: newMemoryLog(1, 1), HardState: wire.HardState{Term: 1}, Applied: 3},
		"membership beyond the log": {Log: newMemoryLog(1, 1), HardState: wire.HardState{Term: 1}, Membership: wire.Membership{Index: 3}},
		"gap before the log":        {Log: cut, HardState: wire.HardState{Term: 2}, Applied: 1},
		"entry of a later term":     {Log: newMemoryLog(1, 3), HardState: wire.HardState{Term: 2}},
	} {
		cfg.Self = 1
		if _, err := New(cfg); !errors.Is(err, ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// F2, F3: term, vote, log and commit come back, and what was committed is handed out again from Applied on,
// also after a compaction.
func TestRestore(t *testing.T) {
	disk := newMemoryLog(1, 1, 2, 2, 3)
	disk.compact(2)
	b := openBench(t, Config{
		HardState: wire.HardState{Term: 4, Vote: 3, Commit: 4}, Applied: 3,
		Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}},
	}, disk)
	b.sync()
	if s := b.core.Status(); s.Term != 4 || s.Vote != 3 || s.Commit != 4 || s.Last != 5 || s.Durable != 5 || s.Applied != 4 {
		t.Fatalf("%+v", s)
	}
	if len(b.applied) != 1 || b.applied[0].Index != 4 {
		t.Fatalf("applied %v", b.applied)
	}
	b.step(wire.Message{Type: wire.MsgVote, From: 2, Term: 4, Index: 9, LogTerm: 4}).take()
	if m := b.one(wire.MsgVoteReply, 2); !m.Reject {
		t.Fatal("voted twice in a term, across a restart") // F1
	}
}

// P22 of group 0: the state machine is on disk and ahead of the membership, which waits for a later update.
func TestRestoreFindsChangesTheStateMachineHolds(t *testing.T) {
	disk := newMemoryLog(1, 1, 1)
	disk.entries[1] = change(2, 1, wire.ChangeAddLearner, 9)
	b := openBench(t, Config{
		HardState: wire.HardState{Term: 1, Commit: 1}, Applied: 3,
		Membership: wire.Membership{Voters: []wire.NodeID{1, 2}},
	}, disk)
	if m := b.core.Status().Membership; !m.IsLearner(9) || m.Index != 2 {
		t.Fatalf("membership %+v", m)
	}
	b.lead()
	b.propose("x")
	b.ackAll()
	if b.core.Status().Followers[1].Node != 9 {
		t.Fatal("the learner is no follower")
	}
}

// Same seed and same calls, same output; another seed, other timeouts.
func TestDeterminism(t *testing.T) {
	campaigns := func(seed uint64) (at []int) {
		c, err := New(Config{Self: 1, Seed: seed, Log: newMemoryLog(), Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}})
		if err != nil {
			t.Fatal(err)
		}
		var rd Ready
		for i := range 400 {
			c.Tick()
			c.Ready(&rd)
			if len(rd.Messages) > 0 {
				at = append(at, i)
			}
		}
		return at
	}
	a, b, other := campaigns(1), campaigns(1), campaigns(2)
	if len(a) < 10 || !slices.Equal(a, b) || slices.Equal(a, other) {
		t.Errorf("seed 1 twice: %v and %v; seed 2: %v", a, b, other)
	}
}

// D58: messages for another group or node have no effect.
func TestStepRefusesForeignMessages(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	for _, m := range []wire.Message{
		{Type: wire.MsgHeartbeat, Group: testGroup, From: 2, To: 3, Term: 5},
		{Type: wire.MsgHeartbeat, Group: testGroup + 1, From: 2, To: 1, Term: 5},
		{Type: wire.MsgHeartbeat, Group: testGroup, From: 1, To: 1, Term: 5},
		{Type: wire.MsgHeartbeat, Group: testGroup, From: 0, To: 1, Term: 5},
		{Type: 99, Group: testGroup, From: 2, To: 1, Term: 5},
		{Type: wire.MsgGroupRefused, Group: testGroup, From: 2, To: 1, Term: 5},
		{Type: wire.MsgHeartbeat, Group: testGroup, From: 2, To: 1, Term: maxTermJump + 1},
	} {
		var refused *MessageError
		if err := b.core.Step(m); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	b.wantRole(Follower, 0, wire.NoNode)
}

// F9: entries with gaps, falling or impossible terms have no effect.
func TestAppendContinuity(t *testing.T) {
	b := newBench(t, 1, 2, 3).follow(2, 3)
	for name, m := range map[string]wire.Message{
		"gap":              {Index: 0, Entries: []wire.Entry{entry(2, 3)}},
		"gap inside":       {Index: 0, Entries: []wire.Entry{entry(1, 3), entry(3, 3)}},
		"repeated":         {Index: 0, Entries: []wire.Entry{entry(1, 3), entry(1, 3)}},
		"falling term":     {Index: 0, Entries: []wire.Entry{entry(1, 3), entry(2, 2)}},
		"term of nobody":   {Index: 0, Entries: []wire.Entry{entry(1, 0)}},
		"later term":       {Index: 0, Entries: []wire.Entry{entry(1, 4)}},
		"no kind":          {Index: 0, Entries: []wire.Entry{{Index: 1, Term: 3}}},
		"term before none": {Index: 0, LogTerm: 2, Entries: []wire.Entry{entry(1, 3)}},
	} {
		m.Type, m.From = wire.MsgAppend, 2
		if err := b.try(m); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.core.log.last() != 0 {
		t.Errorf("log up to %d", b.core.log.last())
	}
}

// F10: a read of the log that fails stops the core, is told by Err, and answers whoever waits.
func TestBrokenLogEndsTheCore(t *testing.T) {
	disk := newMemoryLog(1, 1, 1, 1)
	b := openBench(t, Config{HardState: wire.HardState{Term: 1}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, disk)
	b.follow(2, 1)
	b.core.ReadIndex(5)
	disk.err = errors.New("bad checksum")
	if err := b.try(wire.Message{Type: wire.MsgAppend, From: 2, Index: 2, LogTerm: 1}); !errors.Is(err, disk.err) {
		t.Fatalf("step: %v", err)
	}
	if !errors.Is(b.core.Err(), disk.err) {
		t.Fatalf("Err: %v", b.core.Err())
	}
	b.take()
	if len(b.reads) != 1 || b.reads[0].Context != 5 {
		t.Fatalf("reads %v", b.reads)
	}
	wantCode(t, b.reads[0].Err, wire.CodeQuarantined)
	_, _, err := b.core.Propose(nil)
	wantCode(t, err, wire.CodeQuarantined)
	b.core.Tick()
	b.core.Campaign()
	if b.core.HasReady() {
		t.Error("a broken core goes on")
	}
}

// The caller is trusted, and told when it is wrong.
func TestAssertionsBite(t *testing.T) {
	for name, call := range map[string]func(*bench){
		"token never handed out": func(b *bench) { b.core.Persisted(99) },
		"applied too far":        func(b *bench) { b.core.Applied(99) },
		"change of another kind": func(b *bench) { _, _ = b.core.ApplyChange(wire.Entry{Index: 1, Kind: wire.EntryData}) },
		"change not handed out":  func(b *bench) { _, _ = b.core.ApplyChange(wire.Entry{Index: 99, Kind: wire.EntryChange}) },
	} {
		func() {
			defer func() {
				if _, ok := recover().(*assert.Violation); !ok {
					t.Errorf("%s: no violation", name)
				}
			}()
			call(newBench(t, 1, 2, 3).rule())
		}()
	}
}
