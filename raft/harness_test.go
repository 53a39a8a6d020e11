package raft

import (
	"errors"
	"slices"
	"testing"

	"flotilla/raft/wire"
)

const testGroup wire.GroupID = 7

// bench is one core under the hands of a test: a disk that writes when told to, a machine that applies at once,
// and lists of what came out. Situations of several nodes are told in testdata/*.txt.
type bench struct {
	t     testing.TB
	cfg   Config
	disk  *memoryLog
	core  *Core
	rd    Ready
	token Token // last one handed out and not yet durable, 0 for none

	out      []wire.Message
	reads    []Read
	applied  []wire.Entry
	hard     wire.HardState
	updates  []wire.LogUpdate
	snapshot []SnapshotNeed
	promote  []wire.NodeID
}

// newBench makes core 1 of a group with these voters.
func newBench(t testing.TB, voters ...wire.NodeID) *bench {
	t.Helper()
	return openBench(t, Config{Membership: wire.Membership{Voters: voters}}, newMemoryLog())
}

func openBench(t testing.TB, cfg Config, disk *memoryLog) *bench {
	t.Helper()
	cfg.Group, cfg.Log, cfg.Seed = testGroup, disk, 42
	if cfg.Self == wire.NoNode {
		cfg.Self = 1
	}
	core, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, cfg: cfg, disk: disk, core: core, hard: cfg.HardState}
}

// take takes everything that is ready; writes become visible and wait for sync.
func (b *bench) take() *bench {
	b.t.Helper()
	for n := 0; b.core.HasReady(); n++ {
		if n == 100 {
			b.t.Fatal("still something ready after 100 turns")
		}
		b.core.Ready(&b.rd)
		b.out = append(b.out, b.rd.Messages...)
		b.reads = append(b.reads, b.rd.Reads...)
		b.snapshot = append(b.snapshot, b.rd.NeedSnapshot...)
		b.promote = append(b.promote[:0], b.rd.Promotable...)
		if b.rd.Token != 0 {
			b.token = b.rd.Token
			b.hard = b.rd.Update.HardState
			b.updates = append(b.updates, b.rd.Update)
			b.disk.update(&b.rd.Update)
		}
		for _, e := range b.rd.Committed {
			if e.Kind == wire.EntryChange {
				if _, err := b.core.ApplyChange(e); err != nil {
					b.t.Fatal(err)
				}
			}
			b.applied = append(b.applied, e)
			b.core.Applied(e.Index)
		}
	}
	return b
}

// sync makes everything durable, and takes what that sets free.
func (b *bench) sync() *bench {
	b.t.Helper()
	for b.take(); b.token != 0; b.take() {
		t := b.token
		b.token = 0
		b.core.Persisted(t)
	}
	return b
}

// step hands m to the core, filling in what is the same in all messages of a test.
func (b *bench) step(m wire.Message) *bench {
	b.t.Helper()
	if err := b.try(m); err != nil {
		b.t.Fatalf("%+v: %v", m, err)
	}
	return b
}

func (b *bench) try(m wire.Message) error {
	m.Group, m.To = testGroup, b.cfg.Self
	if m.Term == 0 {
		m.Term = b.core.term
	}
	return b.core.Step(m)
}

// sent returns the messages of type t that came out since the last call of clear, and forgets none.
func (b *bench) sent(t wire.MessageType) []wire.Message {
	var list []wire.Message
	for _, m := range b.out {
		if m.Type == t {
			list = append(list, m)
		}
	}
	return list
}

// one returns the only message of type t to n.
func (b *bench) one(t wire.MessageType, n wire.NodeID) wire.Message {
	b.t.Helper()
	list := slices.DeleteFunc(b.sent(t), func(m wire.Message) bool { return m.To != n })
	if len(list) != 1 {
		b.t.Fatalf("%d messages of type %d to node %d, want 1: %+v", len(list), t, n, list)
	}
	return list[0]
}

func (b *bench) clear() *bench {
	b.out, b.reads, b.snapshot, b.updates, b.applied = nil, nil, nil, nil, nil
	return b
}

// stand makes the core candidate of its next term with everything on disk.
func (b *bench) stand() *bench {
	b.t.Helper()
	b.sync()
	b.core.Campaign()
	next := b.core.term + 1
	for _, n := range b.core.membership.AllVoters() {
		if n != b.cfg.Self && b.core.role == PreCandidate {
			b.step(wire.Message{Type: wire.MsgPreVoteReply, From: n, Term: next})
		}
	}
	if b.core.role != Candidate {
		b.t.Fatalf("role %s after pre-votes", b.core.role)
	}
	return b
}

// lead makes the core leader, its first entry durable here and committed nowhere.
func (b *bench) lead() *bench {
	b.t.Helper()
	b.stand().sync()
	for _, n := range b.core.membership.AllVoters() {
		if n != b.cfg.Self && b.core.role == Candidate {
			b.step(wire.Message{Type: wire.MsgVoteReply, From: n})
		}
	}
	b.sync()
	if b.core.role != Leader {
		b.t.Fatalf("role %s after votes", b.core.role)
	}
	return b.clear()
}

// rule is lead, and everything is acknowledged by everybody.
func (b *bench) rule() *bench {
	b.t.Helper()
	b.lead().ackAll()
	if b.core.commit != b.core.log.last() {
		b.t.Fatalf("commit %d, last %d", b.core.commit, b.core.log.last())
	}
	return b.clear()
}

// ackAll lets every follower acknowledge the whole log.
func (b *bench) ackAll() *bench {
	b.t.Helper()
	for _, n := range b.core.membership.Members() {
		if n != b.cfg.Self {
			b.ack(n, b.core.log.last())
		}
	}
	return b.sync()
}

func (b *bench) ack(from wire.NodeID, i wire.Index) *bench {
	b.t.Helper()
	return b.step(wire.Message{Type: wire.MsgAppendReply, From: from, Index: i}).take()
}

// follow makes the core a follower of leader in term.
func (b *bench) follow(leader wire.NodeID, term wire.Term) *bench {
	b.t.Helper()
	return b.step(wire.Message{Type: wire.MsgHeartbeat, From: leader, Term: term}).sync().clear()
}

// append hands over an append of leader in the present term.
func (b *bench) append(leader wire.NodeID, prev wire.Index, prevTerm wire.Term, commit wire.Index, entries ...wire.Entry) *bench {
	b.t.Helper()
	return b.step(wire.Message{Type: wire.MsgAppend, From: leader, Index: prev, LogTerm: prevTerm, Commit: commit, Entries: entries})
}

func (b *bench) tick(n int) *bench {
	b.t.Helper()
	for range n {
		b.core.Tick()
		b.take()
	}
	return b
}

func (b *bench) propose(data string) wire.Index {
	b.t.Helper()
	i, term, err := b.core.Propose([]byte(data))
	if err != nil || term != b.core.term {
		b.t.Fatalf("propose: term %d, %v", term, err)
	}
	return i
}

// wantRole and the like compare what the core says of itself.
func (b *bench) wantRole(r Role, term wire.Term, leader wire.NodeID) {
	b.t.Helper()
	if s := b.core.Status(); s.Role != r || s.Term != term || s.Leader != leader {
		b.t.Fatalf("%s of term %d under %d, want %s of term %d under %d", s.Role, s.Term, s.Leader, r, term, leader)
	}
}

func (b *bench) wantCommit(i wire.Index) {
	b.t.Helper()
	if b.core.commit != i {
		b.t.Fatalf("commit %d, want %d", b.core.commit, i)
	}
}

func wantCode(t testing.TB, err error, code wire.Code) *wire.Error {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want %s", err, code)
	}
	return e
}
