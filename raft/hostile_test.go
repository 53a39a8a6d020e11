package raft

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// hostile is a core among peers that say anything: random messages, near to what is plausible or far from it,
// beside a caller that behaves. Nothing may panic, and what the caller was promised is kept.
type hostile struct {
	*bench
	r      *rand.Rand
	asked  map[uint64]bool
	next   uint64
	roles  [4]int
	errors int
	moves  int // snapshots installed
	slept  int
}

func newHostile(t testing.TB, r *rand.Rand) *hostile {
	cfg := Config{MaxAppendBytes: 200, MaxInflightBytes: 500, MaxInflightMessages: 4, MaxCommittedBytes: 300}
	cfg.HardState.Term = 3
	disk := newMemoryLog(1, 1, 2, 3)
	switch r.UintN(4) {
	case 0:
		cfg.Membership.Voters = []wire.NodeID{1}
	case 1:
		cfg.Membership = wire.Membership{Voters: []wire.NodeID{2, 3}, Learners: []wire.NodeID{1}}
	default:
		cfg.Membership = wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{4}}
	}
	if r.UintN(2) == 0 {
		disk.compact(2)
		cfg.Applied = 2
	}
	h := &hostile{bench: openBench(t, cfg, disk), r: r, asked: map[uint64]bool{}}
	h.sync()
	switch {
	case len(cfg.Membership.Voters) != 3:
	case r.UintN(3) == 0:
		h.rule()
	case r.UintN(2) == 0:
		h.stand()
	}
	return h
}

// near returns a number around v, or an absurd one.
func (h *hostile) near(v uint64) uint64 {
	switch h.r.UintN(12) {
	case 0:
		return 0
	case 1:
		return math.MaxUint64 - h.r.Uint64N(3)
	case 2:
		return wire.MaxNumber>>h.r.UintN(2) - h.r.Uint64N(3) // MaxNumber is for terms, half of it for indexes
	case 3:
		return h.r.Uint64()
	case 4, 5:
		return v - h.r.Uint64N(min(v, 5)+1)
	case 6:
		return v + h.r.Uint64N(4)
	}
	return v
}

// changes draws a set of changes, most of them of one.
func (h *hostile) changes() wire.ChangeSet {
	s := wire.ChangeSet{SetBase: h.r.UintN(8) == 0, Base: h.core.membership.Index}
	for n := range wire.NodeID(1 + h.r.UintN(2)*h.r.UintN(4)) {
		s.Changes = append(s.Changes, wire.Change{Kind: wire.ChangeKind(1 + h.r.UintN(4)), Node: 2*n + 1 + wire.NodeID(h.r.UintN(2))})
	}
	return s
}

func (h *hostile) message() wire.Message {
	c := h.core
	index := func() wire.Index { return wire.Index(h.near(uint64(c.log.last()))) }
	term := func() wire.Term { return wire.Term(h.near(uint64(c.term))) }
	m := wire.Message{
		Type: wire.MessageType(h.r.UintN(16)), Reject: h.r.UintN(3) == 0, Group: testGroup,
		From: wire.NodeID(h.r.UintN(6)), To: 1, Term: term(), LogTerm: term(), Index: index(), Commit: index(),
		Hint: index(), HintTerm: term(), Context: h.near(c.reads.round),
	}
	if h.r.UintN(4) > 0 {
		m.Term = c.term
	}
	if h.r.UintN(3) > 0 { // a previous entry that is there
		m.Index = wire.Index(h.r.Uint64N(uint64(c.log.last()) + 1))
		m.LogTerm, _ = c.log.term(m.Index)
	}
	if m.Type == wire.MsgSnapshot && h.r.UintN(2) == 0 { // something that we lack
		m.Index = c.log.last() + 1 + wire.Index(h.r.Uint64N(8))
	}
	if m.Type == wire.MsgAppend || h.r.UintN(10) == 0 {
		prev, at := m.Index, max(m.LogTerm, 1)
		for range h.r.UintN(5) {
			prev++
			e := wire.Entry{Index: prev, Term: at, Kind: wire.EntryKind(1 + h.r.UintN(2)), Data: make([]byte, h.r.UintN(150))}
			switch h.r.UintN(20) {
			case 0:
				e.Index += wire.Index(h.r.Uint64N(3))
			case 1:
				e.Kind = wire.EntryKind(4 * h.r.UintN(2)) // none, or one to come; what a change says is trusted to its leader (F17)
			case 2, 3:
				e.Term = wire.Term(h.near(uint64(c.term)))
			case 4, 5:
				s := h.changes()
				e = changeEntry(prev, at, &s)
			}
			at = e.Term
			m.Entries = append(m.Entries, e)
		}
	}
	return m
}

func (h *hostile) act() {
	c := h.core
	h.roles[c.role]++
	switch h.r.UintN(24) {
	default:
		if err := c.Step(h.message()); err != nil {
			h.errors++
			var refused *MessageError
			if !errors.As(err, &refused) {
				h.t.Fatalf("%v", err)
			}
		}
	case 12:
		c.Tick()
	case 13:
		_, _, _ = c.Propose(make([]byte, h.r.UintN(100)))
	case 14:
		h.next++
		h.asked[h.next] = true
		c.ReadIndex(h.next)
	case 15:
		c.Unreachable(wire.NodeID(h.r.UintN(6)))
		c.LeaderGone(wire.NodeID(h.r.UintN(6)))
	case 16:
		_ = c.TransferTo(wire.NodeID(h.r.UintN(6)))
	case 17:
		_, _, _ = c.ProposeChange(h.changes())
	case 18:
		if h.r.UintN(2) == 0 {
			c.Campaign()
		}
		if c.Sleep() {
			h.slept++
		}
		c.PeerLost(wire.NodeID(h.r.UintN(6)))
	case 19:
		if h.r.UintN(10) == 0 {
			c.Compact(c.apply.applied, wire.Index(h.r.Uint64N(uint64(c.apply.applied)+1)))
		}
	case 20, 21:
		h.move()
	}
	switch h.r.UintN(4) {
	case 0:
		h.take()
	case 1:
		h.sync()
	}
	h.check()
}

// move is what a host does about snapshots, in any order that it may.
func (h *hostile) move() {
	c := h.core
	s := wire.Snapshot{Index: c.commit + wire.Index(1+h.r.Uint64N(6)), Term: wire.Term(1 + h.r.Uint64N(uint64(c.term)+1)), Membership: c.membership}
	n, report := wire.NodeID(h.r.UintN(6)), SnapshotReport(h.r.UintN(5))
	switch h.r.UintN(8) {
	case 0, 5, 6:
		_ = c.BeginInstall(s)
	case 1, 7:
		if c.install.active {
			c.Installed()
			h.moves++
		}
	case 2:
		c.AbandonInstall()
	case 3:
		if own, err := c.SnapshotAt(c.apply.applied); err == nil {
			_, _ = c.SendSnapshot(n, own)
		}
	case 4:
		c.ReportSnapshot(n, c.term-wire.Term(h.r.Uint64N(2)), report)
	}
}

// check looks at what came out, and at invariants that are cheap to see from here.
func (h *hostile) check() {
	for _, r := range h.reads {
		if !h.asked[r.Context] {
			h.t.Fatalf("read %d answered twice, or never asked", r.Context)
		}
		delete(h.asked, r.Context)
	}
	h.clear()
	if len(h.asked) != h.core.ownReads() {
		h.t.Fatalf("%d reads asked and without an answer, the core has %d", len(h.asked), h.core.ownReads())
	}
	for i := range h.core.lead.followers {
		f := &h.core.lead.followers[i]
		if f.Match() >= f.Next() || f.Match() > h.core.log.last() || f.Next() > h.core.log.last()+1 {
			h.t.Fatalf("follower %+v beyond the log's %d", f, h.core.log.last())
		}
		if f.State() != progress.Replicate && f.Window().Bytes() != 0 {
			h.t.Fatalf("%d bytes in flight in state %s", f.Window().Bytes(), f.State()) // D63
		}
	}
}

// ownReads counts reads of this node that have no answer, those that wait for the next Ready included.
func (c *Core) ownReads() int {
	n := len(c.reads.done)
	for _, list := range [][]readRequest{c.reads.waiting, c.reads.started, c.reads.asked} {
		for _, r := range list {
			if r.from == c.self {
				n++
			}
		}
	}
	return n
}

// Peers may say anything in any order to a core in any role: no panic, typed errors only, every read answered
// once.
func TestHostilePeers(t *testing.T) {
	var roles [4]int
	refused, moves, slept, runs := 0, 0, 0, 600
	if testing.Short() {
		runs = 100
	}
	for seed := range uint64(runs) {
		h := newHostile(t, rand.New(rand.NewPCG(seed, 9)))
		for step := 0; step < 400 && h.core.term < wire.MaxNumber/2 && h.core.err == nil; step++ {
			h.act()
		}
		for range 2 * h.core.cfg.ElectionTicks {
			h.tick(1)
		}
		h.check()
		if len(h.asked) != 0 {
			t.Fatalf("seed %d: reads %v have no answer", seed, h.asked) // D36
		}
		for i := range roles {
			roles[i] += h.roles[i]
		}
		refused += h.errors
		moves += h.moves
		slept += h.slept
	}
	for i, n := range roles {
		if n < runs {
			t.Errorf("only %d steps as %s: the test does not reach it", n, Role(i))
		}
	}
	if refused < runs {
		t.Errorf("only %d messages refused", refused)
	}
	if slept < runs/10 {
		t.Errorf("only %d leaders fell asleep", slept)
	}
	if moves < runs/20 {
		t.Errorf("only %d snapshots installed", moves)
	}
	t.Logf("steps by role %v, %d messages refused, %d snapshots installed", roles, refused, moves)
}

// FuzzStep does the same with a schedule that the fuzzer draws.
func FuzzStep(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, seed, uint16(200))
	}
	f.Fuzz(func(t *testing.T, a, b uint64, steps uint16) {
		h := newHostile(t, rand.New(rand.NewPCG(a, b)))
		for i := uint16(0); i < steps%1000 && h.core.err == nil; i++ {
			h.act()
		}
	})
}

// Peers go on talking to who cannot answer because its disk takes nothing in, for hours if it is full: what waits for the disk is
// bounded, and what is lost beyond that is said anew.
func TestHeldMessagesAreBounded(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	for n := range 10_000 {
		b.step(wire.Message{Type: wire.MsgHeartbeat, From: 2, Term: 5, Context: uint64(n)})
		b.step(wire.Message{Type: wire.MsgReadIndex, From: 3, Term: 5, Context: uint64(n)}).take()
	}
	if n := len(b.core.persist.held); n == 0 || n > maxHeld {
		t.Fatalf("%d messages wait for the disk", n)
	}
	b.sync().clear().step(wire.Message{Type: wire.MsgHeartbeat, From: 2, Context: 10_001}).take()
	if b.one(wire.MsgHeartbeatReply, 2).Context != 10_001 {
		t.Errorf("said %+v", b.out)
	}
}
