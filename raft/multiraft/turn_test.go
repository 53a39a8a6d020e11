package multiraft

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// empty reports whether nothing is in m.
func (m *mail) empty() bool {
	return m.ticks == 0 && len(m.messages) == 0 && len(m.proposals) == 0 && len(m.reads) == 0 &&
		len(m.durable) == 0 && m.batches == 0 && len(m.applied) == 0 && len(m.orders) == 0
}

// hand drives engines by hand, without goroutines: turn, commit and apply are plain methods.
type hand struct {
	c *cluster
	a map[*Engine]*applier
}

func newHand(c *cluster) *hand {
	h := &hand{c: c, a: map[*Engine]*applier{}}
	for id := range wire.NodeID(len(c.nodes)) {
		n := c.prepare(id + 1)
		c.connect(n)
		h.a[n.engine] = &applier{e: n.engine}
	}
	return h
}

func (h *hand) turn(n *node) (again bool) {
	for _, w := range n.engine.workers {
		again = w.turn() || again
	}
	return again
}

func (h *hand) apply(n *node) {
	for n.engine.appliers.runNext(h.a[n.engine], returnWhenIdle) {
	}
}

// settle runs everything until nobody has anything to do.
func (h *hand) settle() {
	for range 1000 {
		for id := range wire.NodeID(len(h.c.nodes)) {
			n := h.c.nodes[id+1]
			h.turn(n)
			n.engine.log.commit()
			h.apply(n)
		}
		if h.idle() {
			return
		}
	}
	h.c.t.Fatal("no rest after 1000 rounds")
}

func (h *hand) idle() bool {
	for _, n := range h.c.nodes {
		for _, w := range n.engine.workers {
			if !w.inbox.mu.in.empty() || len(w.active) > 0 || w.outstanding > 0 {
				return false
			}
		}
	}
	return true
}

// lead ticks and settles until node leads all groups.
func (h *hand) lead(n *node) {
	for range 100 {
		n.engine.tick()
		h.settle()
		led := 0
		for _, s := range n.engine.Status() {
			if s.Role == raft.Leader {
				led++
			}
		}
		if led == len(h.c.groups) {
			return
		}
	}
	h.c.t.Fatalf("node %d does not lead: %+v", n.id, n.engine.Status())
}

// propose hands a command in without waiting; the outcome comes to the channel.
func (h *hand) propose(n *node, g wire.GroupID, data string) chan outcome {
	gr := n.engine.lookup(g)
	p := n.engine.newProposal(gr, []byte(data), nil)
	if err := gr.reserve(p.cost); err != nil {
		h.c.t.Fatal(err)
	}
	gr.w.inbox.propose(p)
	return p.done
}

// P2, D1, D9: inside a turn messages leave before the batch goes to the disk, nothing that asserts durability leaves
// before it is durable, and the machine comes after it.
func TestOrderInsideATurn(t *testing.T) {
	c := newCluster(t, 3, 1)
	c.config = func(cfg *Config) { cfg.Workers = 1 }
	var trace []string
	h := newHand(c)
	leader, follower := c.nodes[1], c.nodes[2]
	for _, n := range []*node{leader, follower} {
		n.log.hook(func(batch []wire.LogUpdate) error {
			for i := range batch {
				for _, e := range batch[i].Entries {
					trace = append(trace, fmt.Sprintf("node %d commits %d", n.id, e.Index))
				}
			}
			return nil
		})
		n.machines[1].onApply = func(batch []Command) error {
			trace = append(trace, fmt.Sprintf("node %d applies %d", n.id, batch[0].Index))
			return nil
		}
	}
	h.lead(leader)
	c.net.lose(func(from, to wire.NodeID, m *wire.Message) bool {
		switch {
		case to == 3 || from == 3:
			return true
		case m.Type == wire.MsgAppend && len(m.Entries) > 0:
			if n := len(leader.engine.log.mu.queue.updates); n != 0 {
				t.Errorf("%d log updates handed over before the messages of their turn", n)
			}
			trace = append(trace, fmt.Sprintf("node %d sends %d", from, m.Entries[0].Index))
		case m.Type == wire.MsgAppendReply:
			trace = append(trace, fmt.Sprintf("node %d acknowledges %d", from, m.Index))
		}
		return false
	})
	trace = nil
	done := h.propose(leader, 1, "x")
	next := leader.engine.lookup(1).commit.Load() + 1
	h.turn(leader)
	h.turn(follower)
	h.turn(follower)
	if len(done) != 0 {
		t.Fatal("answered before anything is durable")
	}
	follower.engine.log.commit()
	h.turn(follower) // acknowledges
	h.turn(leader)
	h.apply(leader)
	if len(done) != 0 {
		t.Fatal("answered before it is durable on a majority")
	}
	leader.engine.log.commit()
	h.turn(leader)
	h.apply(leader)
	if len(done) != 1 {
		t.Fatal("not answered")
	}
	want := fmt.Sprintf("node 1 sends %[1]d|node 2 commits %[1]d|node 2 acknowledges %[1]d|node 1 commits %[1]d|node 1 applies %[1]d", next)
	if got := strings.Join(slices.Compact(trace), "|"); got != want {
		t.Errorf("order:\n got %s\nwant %s", got, want)
	}
}

// P5, F19: what 1000 groups have for one peer in a turn leaves in one Send a lane, votes and heartbeats first.
func TestThousandGroupsOnePeer(t *testing.T) {
	var groups []wire.GroupID
	for g := range wire.GroupID(1000) {
		groups = append(groups, g)
	}
	c := newCluster(t, 2, groups...)
	c.config = func(cfg *Config) { cfg.Workers = 1 }
	h := newHand(c)
	leader := c.nodes[1]
	h.lead(leader)
	leader.port.mu.record = true
	for _, g := range groups {
		h.propose(leader, g, "x")
	}
	leader.engine.tick()
	h.turn(leader)
	sends := leader.port.mu.sends
	if len(sends) != 2 || sends[0].lane != wire.LaneControl || sends[1].lane != wire.LaneAppend {
		t.Fatalf("%d sends in a turn, want control, then append", len(sends))
	}
	if n := len(sends[0].msgs); n != len(groups) {
		t.Errorf("%d heartbeats, want %d", n, len(groups))
	}
	if n := len(sends[1].msgs); n != len(groups) {
		t.Errorf("%d appends, want %d", n, len(groups))
	}
}

// N3: all groups of a node share one disk commit.
func TestOneCommitForAllGroups(t *testing.T) {
	var groups []wire.GroupID
	for g := range wire.GroupID(64) {
		groups = append(groups, g)
	}
	c := newCluster(t, 1, groups...)
	h := newHand(c)
	n := c.nodes[1]
	h.lead(n)
	before := n.log.mu.commits
	for _, g := range groups {
		h.propose(n, g, "x")
	}
	h.turn(n) // two workers, one batch
	n.engine.log.commit()
	if got := n.log.mu.commits - before; got != 1 {
		t.Errorf("%d disk commits for %d groups, want 1", got, len(groups))
	}
	h.turn(n)
	h.apply(n)
	for _, g := range groups {
		if got := len(n.machines[g].commands()); got != 1 {
			t.Errorf("group %d applied %d commands", g, got)
		}
	}
}

// P6: an unreachable peer costs one failure a turn, however many groups have something for it.
func TestUnreachablePeerCostsOneFailureATurn(t *testing.T) {
	var groups []wire.GroupID
	for g := range wire.GroupID(100) {
		groups = append(groups, g)
	}
	c := newCluster(t, 3, groups...)
	c.config = func(cfg *Config) { cfg.Workers = 1 }
	h := newHand(c)
	leader := c.nodes[1]
	h.lead(leader)
	c.net.isolate(3, true)
	before := leader.engine.Stats()
	leader.engine.tick()
	h.turn(leader)
	after := leader.engine.Stats()
	if got := after.SendFailures - before.SendFailures; got != 1 {
		t.Errorf("%d failures in a turn, want 1", got)
	}
	if got := after.Sends - before.Sends; got != 2 {
		t.Errorf("%d sends in a turn, want one a peer", got)
	}
}

// Packing: what comes in while the disk is busy goes into one entry, and results find their callers.
func TestProposalsArePackedWhileTheDiskIsBusy(t *testing.T) {
	c := newCluster(t, 1, 1)
	h := newHand(c)
	n := c.nodes[1]
	h.lead(n)
	var early []chan outcome
	for i := range maxOutstandingBatches {
		early = append(early, h.propose(n, 1, fmt.Sprintf("early %d", i)))
		h.turn(n)
	}
	var late []chan outcome
	for i := range 100 {
		late = append(late, h.propose(n, 1, fmt.Sprintf("late %d", i)))
		h.turn(n)
	}
	if got := n.log.mu.groups[1].state.Last; got != 1 {
		t.Fatalf("log ends at %d before the disk did anything", got)
	}
	h.settle()
	if got := n.log.mu.groups[1].state.Last; got != 1+maxOutstandingBatches+1 {
		t.Errorf("log ends at %d, want %d: late proposals packed into one entry", got, 1+maxOutstandingBatches+1)
	}
	for i, done := range early {
		want := fmt.Sprintf("%d:early %d", i+1, i)
		if out := <-done; out.err != nil || string(out.result.Value) != want {
			t.Errorf("early %d: %q, %v; want %q", i, out.result.Value, out.err, want)
		}
	}
	for i, done := range late {
		want := fmt.Sprintf("%d:late %d", maxOutstandingBatches+i+1, i)
		if out := <-done; out.err != nil || string(out.result.Value) != want {
			t.Errorf("late %d: %q, %v; want %q", i, out.result.Value, out.err, want)
		}
	}
}

// P1, F21: a peer that takes messages and never answers delays no turn, and what is queued for it is bounded.
func TestBlackHolePeer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.net.lose(func(from, to wire.NodeID, _ *wire.Message) bool { return from == 3 || to == 3 })
		c.start(1, 2, 3)
		defer c.killAll()
		leader := c.leaderOf(1, 1, 2)
		began := time.Now()
		for i := range 200 {
			mustPropose(t, leader.engine, 1, fmt.Sprint(i))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("200 commands took %v of fake time: somebody waited", took)
		}
		if got := leader.engine.Stats().TurnMax; got != 0 {
			t.Errorf("longest turn %v of fake time", got)
		}
	})
}

// N2, F18: the latency of a command is disk and network, never a tick.
func TestLatencyIsNoTick(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.config = func(cfg *Config) { cfg.Heartbeat, cfg.ElectionTimeout = 10*time.Second, 100*time.Second }
		c.net.delay = time.Millisecond
		c.startAll()
		defer c.killAll()
		c.nodes[1].engine.lookup(1).w.inbox.order(func(w *worker) {
			w.visit(w.e.lookup(1), func(core *raft.Core) { core.Campaign() })
		})
		leader := c.leader(1)
		began := time.Now()
		for i := range 10 {
			mustPropose(t, leader.engine, 1, fmt.Sprint(i))
		}
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("10 commands over a round trip of 2 ms took %v, want 20 ms", took)
		}
		began = time.Now()
		if _, err := c.other(leader).engine.Query(context.Background(), 1, nil); err != nil || time.Since(began) > 10*time.Millisecond {
			t.Errorf("query on a follower: %v after %v", err, time.Since(began))
		}
	})
}
