package multiraft

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// D21, D22: a leader whose disk hangs stops heartbeating and loses its groups; the others go on; when the disk comes back it
// follows, catches up, and can lead again.
func TestHungDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		old := c.leader(1)
		mustPropose(t, old.engine, 1, "before")
		gate := make(chan struct{})
		old.log.hook(func([]wire.LogUpdate) error { <-gate; return nil })
		began := time.Now()
		go func() { _, _ = old.engine.Propose(within(time.Minute), 1, []byte("meanwhile")) }()
		for {
			n := c.other(old)
			if _, err := n.engine.Propose(within(100*time.Millisecond), 1, []byte("after")); err == nil {
				if s, _ := n.engine.GroupStatus(1); s.Leader != old.id {
					break
				}
			}
			if time.Since(began) > 10*time.Second {
				t.Fatalf("still led by the node whose disk hangs: %+v", n.engine.Status())
			}
			time.Sleep(50 * time.Millisecond)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("leadership moved after %v", took)
		}
		if got := len(eventsOf[DiskStalled](old.events)); got == 0 {
			t.Error("nobody was told")
		}
		before, _ := old.engine.GroupStatus(1)
		time.Sleep(10 * time.Second) // D20: no candidacy from a node that cannot persist
		if s, _ := c.other(old).engine.GroupStatus(1); s.Leader == old.id || s.Leader == wire.NoNode {
			t.Errorf("group led by %d", s.Leader)
		}
		close(gate)
		time.Sleep(2 * time.Second)
		mustPropose(t, c.leader(1).engine, 1, "healed")
		time.Sleep(time.Second)
		after, _ := old.engine.GroupStatus(1)
		if s, _ := c.leader(1).engine.GroupStatus(1); after.Applied != s.Applied || after.Applied <= before.Applied {
			t.Errorf("node with the healed disk applied %d, leader %d", after.Applied, s.Applied)
		}
		if len(eventsOf[DiskRecovered](old.events)) == 0 {
			t.Error("recovery was told to nobody")
		}
		if err := c.leader(1).engine.TransferLeader(within(5*time.Second), 1, old.id); err != nil {
			t.Errorf("hand leadership back: %v", err)
		}
	})
}

// D20: a commit error fences the log: the node says so, is silent from then on, and callers get typed errors. No
// restart of the node happens, no election is won by it.
func TestFailedCommitFencesTheNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, 1, 2)
		c.startAll()
		defer c.killAll()
		old := c.leader(1)
		mustPropose(t, old.engine, 1, "before")
		eio := errors.New("input/output error")
		old.log.hook(func([]wire.LogUpdate) error { return eio })
		_, err := old.engine.Propose(within(10*time.Second), 1, []byte("in the failed commit"))
		wantCode(t, err, wire.CodeUnknownOutcome)
		select {
		case <-old.engine.Failed():
		case <-time.After(time.Minute):
			t.Fatal("the node goes on")
		}
		if !errors.Is(old.engine.Err(), eio) {
			t.Errorf("reason: %v", old.engine.Err())
		}
		time.Sleep(5 * time.Second)
		old.port.mu.Lock()
		old.port.mu.record = true
		old.port.mu.Unlock()
		for _, g := range c.groups {
			_, err = old.engine.Propose(within(time.Second), g, nil)
			wantCode(t, err, wire.CodeStorage)
			_, err = old.engine.Query(within(time.Second), g, nil)
			wantCode(t, err, wire.CodeStorage)
			if _, err = old.engine.QueryStale(within(time.Second), g, nil); err != nil {
				t.Errorf("stale read of group %d: %v", g, err)
			}
			if n := c.leader(g); n.id == old.id {
				t.Errorf("group %d is led by the fenced node", g)
			}
			mustPropose(t, c.leader(g).engine, g, "after")
		}
		time.Sleep(30 * time.Second)
		if got := old.port.mu.sends; len(got) != 0 {
			t.Errorf("the fenced node sent %+v", got[0])
		}
		if old.engine.Stats().Up {
			t.Error("the fenced node calls itself up")
		}
	})
}

// A fenced leader hands over with its last word: nobody waits for an election timeout.
func TestFencedLeaderHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		old := c.leader(1)
		mustPropose(t, old.engine, 1, "before")
		old.log.hook(func([]wire.LogUpdate) error { return errors.New("input/output error") })
		go func() { _, _ = old.engine.Propose(within(time.Minute), 1, []byte("x")) }()
		<-old.engine.Failed()
		began := time.Now()
		for {
			if s, _ := c.other(old).engine.GroupStatus(1); s.Leader != old.id && s.Leader != wire.NoNode {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("new leader after %v", took)
		}
	})
}

// No space: writes are refused by type, stale reads go on, and it heals without a restart when space returns.
func TestNoSpaceHeals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		defer c.killAll()
		n := c.leader(1)
		mustPropose(t, n.engine, 1, "before")
		n.log.hook(func([]wire.LogUpdate) error { return fmt.Errorf("commit: %w", wire.ErrNoSpace) })
		waiting := make(chan error, 1)
		go func() {
			_, err := n.engine.Propose(within(time.Minute), 1, []byte("in the commit without space"))
			waiting <- err
		}()
		time.Sleep(500 * time.Millisecond)
		_, err := n.engine.Propose(within(time.Second), 1, nil)
		wantCode(t, err, wire.CodeStorage)
		if _, err := n.engine.QueryStale(within(time.Second), 1, nil); err != nil {
			t.Errorf("read with a full disk: %v", err)
		}
		time.Sleep(10 * time.Second)
		n.log.hook(nil)
		wantCode(t, <-waiting, wire.CodeUnknownOutcome) // ten seconds are too long to lead without a disk
		mustPropose(t, c.leader(1).engine, 1, "after")
		if full, freed := eventsOf[DiskFull](n.events), eventsOf[DiskFreed](n.events); len(full) != 1 || len(freed) != 1 {
			t.Errorf("events: %v %v", full, freed)
		}
		if s := n.engine.Status()[0]; s.Role != raft.Leader || n.engine.Err() != nil {
			t.Errorf("status %+v, %v", s, n.engine.Err())
		}
	})
}

// P4: a group whose records are corrupt is quarantined at the start; the node starts with the others.
func TestCorruptGroupAtStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, 2)
		c.nodes[1].log.mu.groups[1].state.Err = errors.New("bad crc")
		c.start(1)
		defer c.killAll()
		n := c.leader(2)
		mustPropose(t, n.engine, 2, "x")
		_, err := n.engine.Propose(within(time.Second), 1, nil)
		wantCode(t, err, wire.CodeQuarantined)
	})
}

// D20: a fenced node answers a transfer at once, and does not call its core for it.
func TestTransferOnAFencedNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		c.net.isolate(n.id, true)
		n.log.hook(func([]wire.LogUpdate) error { return errors.New("input/output error") })
		_, _ = n.engine.Propose(within(time.Minute), 1, []byte("x"))
		<-n.engine.Failed()
		began := time.Now()
		err := n.engine.TransferLeader(within(time.Minute), 1, c.other(n).id)
		if took := time.Since(began); took > time.Second {
			t.Errorf("answered after %v: %v", took, err)
		}
		wantCode(t, err, wire.CodeStorage)
	})
}

// Without space the log writer tries again with each tick, however much waits.
func TestNoSpaceTriesOncePerTick(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var groups []wire.GroupID
		for g := range wire.GroupID(8) {
			groups = append(groups, g+1)
		}
		c := newCluster(t, 3, groups...)
		c.startAll()
		defer c.killAll()
		for _, g := range groups {
			if n := c.leader(g); n.id == 3 {
				if err := n.engine.TransferLeader(within(time.Minute), g, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		var tries atomic.Int64
		c.nodes[3].log.hook(func([]wire.LogUpdate) error {
			if tries.Add(1) > 10_000 {
				return nil
			}
			return fmt.Errorf("commit: %w", wire.ErrNoSpace)
		})
		for range 4 {
			for _, g := range groups {
				mustPropose(t, c.leaderOf(g, 1, 2).engine, g, strings.Repeat("x", 1<<20))
			}
		}
		time.Sleep(3 * time.Second)
		if n := tries.Load(); n > 100 {
			t.Errorf("%d commits tried in 3 s of a full disk", n)
		}
	})
}

// A follower whose disk hangs keeps no more than its share of what leaders send.
func TestHungDiskBoundsWhatWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var groups []wire.GroupID
		for g := range wire.GroupID(8) {
			groups = append(groups, g+1)
		}
		c := newCluster(t, 3, groups...)
		c.config = func(cfg *Config) { cfg.NodeBytes = 4 << 20 }
		c.startAll()
		defer c.killAll()
		for _, g := range groups {
			if n := c.leader(g); n.id == 3 {
				if err := n.engine.TransferLeader(within(time.Minute), g, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		gate := make(chan struct{})
		n := c.nodes[3]
		n.log.hook(func([]wire.LogUpdate) error { <-gate; return nil })
		for range 4 {
			for _, g := range groups {
				mustPropose(t, c.leaderOf(g, 1, 2).engine, g, strings.Repeat("x", 1<<20))
			}
		}
		waiting := 0
		n.engine.log.mu.Lock()
		for _, t := range n.engine.log.mu.queue.turns {
			waiting += t.bytes
		}
		n.engine.log.mu.Unlock()
		if waiting > 8<<20 {
			t.Errorf("%d MiB wait for the disk, 4 is the node's limit", waiting>>20)
		}
		close(gate)
		for _, g := range groups { // and it catches up
			want, _ := c.leaderOf(g, 1, 2).engine.GroupStatus(g)
			w, _ := n.engine.Watch(g)
			if err := w.Wait(within(time.Minute), want.Commit); err != nil {
				t.Error(err)
			}
		}
	})
}

// A node whose disk has no space for entries goes on voting in other groups, election after election: what was made
// durable before its turn is not written again behind what came later.
func TestNoSpaceGoesOnVoting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		c.config = func(cfg *Config) { cfg.Workers = 1 }
		c.startAll()
		defer c.killAll()
		n := c.nodes[3]
		for _, g := range c.groups {
			if l := c.leader(g); l.id == 3 {
				if err := l.engine.TransferLeader(within(time.Minute), g, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		var full atomic.Bool
		full.Store(true)
		n.log.hook(func(batch []wire.LogUpdate) error {
			for i := range batch {
				if full.Load() && len(batch[i].Entries) > 0 {
					return fmt.Errorf("commit: %w", wire.ErrNoSpace)
				}
			}
			return nil
		})
		mustPropose(t, c.leaderOf(1, 1, 2).engine, 1, "has no room on node 3")
		c.net.lose(func(from, to wire.NodeID, m *wire.Message) bool { // group 2's appends do not get there
			return to == 3 && m.Group == 2 && m.Type == wire.MsgAppend
		})
		for range 4 {
			l := c.leaderOf(2, 1, 2)
			if err := l.engine.TransferLeader(within(time.Minute), 2, 3-l.id); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if err := n.engine.Err(); err != nil {
			t.Fatal(err)
		}
		leads, _ := c.leaderOf(2, 1, 2).engine.GroupStatus(2)
		if s, _ := n.log.State(2); s.HardState.Term != leads.Term {
			t.Errorf("term %d on the disk of node 3, the group is in term %d", s.HardState.Term, leads.Term)
		}
		full.Store(false)
		c.net.lose(nil)
		time.Sleep(3 * time.Second)
		for _, g := range c.groups {
			want, _ := c.leaderOf(g, 1, 2, 3).engine.GroupStatus(g)
			if s, _ := n.engine.GroupStatus(g); s.Applied != want.Applied {
				t.Errorf("group %d: node 3 applied %d, the leader %d", g, s.Applied, want.Applied)
			}
		}
	})
}

// D20: what a core had to say when the log was fenced is not said any more.
func TestFencedCoreIsNotAsked(t *testing.T) {
	c := newCluster(t, 3, 1)
	n := c.prepare(1)
	defer n.engine.Kill()
	g := n.engine.lookup(1)
	g.w.turn()
	g.core.Campaign() // pre-votes are waiting to leave
	g.w.activate(g)
	n.port.mu.record = true
	n.engine.fence(errors.New("input/output error"))
	g.w.turn()
	if got := n.port.mu.sends; len(got) != 0 {
		t.Errorf("the fenced node sent %+v", got[0])
	}
}
