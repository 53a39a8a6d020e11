package multiraft

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// Reads at every node see what was acknowledged before them; many of one turn share one read index round.
func TestReadsAreLinearizableAndBatched(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.net.delay = time.Millisecond
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		follower := c.other(leader)
		for i := range 20 {
			mustPropose(t, leader.engine, 1, fmt.Sprint(i))
			got, err := follower.engine.Query(within(time.Second), 1, nil)
			if err != nil || string(got) != fmt.Sprint(i+1) {
				t.Fatalf("after %d commands: %q, %v", i+1, got, err)
			}
		}
		g := follower.engine.lookup(1)
		rounds := make(chan uint64, 1)
		count := func() uint64 {
			g.w.inbox.order(func(*worker) { rounds <- g.reads.next })
			return <-rounds
		}
		before := count()
		for range 100 {
			go func() {
				if _, err := follower.engine.Query(within(time.Second), 1, nil); err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(100 * time.Millisecond)
		if got := count() - before; got > 5 {
			t.Errorf("%d read index rounds for 100 reads at once", got)
		}
	})
}

// D36: a read whose question or answer is lost, or whose leader goes away, is asked again and ends in an answer or
// with its context; it holds up nobody.
func TestReadsSurviveLossAndLeaderChange(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.net.delay = time.Millisecond
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		follower := c.other(leader)
		mustPropose(t, leader.engine, 1, "x")
		c.net.lose(func(_, _ wire.NodeID, m *wire.Message) bool {
			return m.Type == wire.MsgReadIndex || m.Type == wire.MsgReadIndexReply
		})
		_, err := follower.engine.Query(within(500*time.Millisecond), 1, nil)
		wantCode(t, err, wire.CodeTimeout)
		answered := make(chan error, 1)
		go func() {
			got, err := follower.engine.Query(within(20*time.Second), 1, nil)
			if string(got) != "1" {
				err = fmt.Errorf("answer %q: %w", got, err)
			}
			answered <- err
		}()
		time.Sleep(time.Second)
		c.net.lose(nil)
		c.kill(leader.id)
		if err := <-answered; err != nil {
			t.Errorf("read across a leader change: %v", err)
		}
		for id, n := range c.nodes {
			if id != follower.id && !n.engine.closing.Load() {
				c.kill(id)
			}
		}
		time.Sleep(5 * time.Second)
		_, err = follower.engine.Query(within(time.Second), 1, nil)
		wantCode(t, err, wire.CodeNoLeader) // alone: refused by type
		if got, err := follower.engine.QueryStale(within(time.Second), 1, nil); err != nil || string(got) != "1" {
			t.Errorf("stale read alone: %q, %v", got, err)
		}
		time.Sleep(200 * time.Millisecond)
		if got := follower.engine.bytes.Load(); got > 0 {
			t.Errorf("%d bytes wait for nobody", got)
		}
	})
}

// An old leader that was cut off never answers a linearizable read from what it holds.
func TestNoReadFromADeposedLeader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		old := c.leader(1)
		c.net.isolate(old.id, true)
		if got, err := old.engine.Query(within(3*time.Second), 1, nil); err == nil {
			t.Errorf("read answered %q by a leader alone", got)
		}
	})
}

// A machine's refusal of a query is its caller's alone; reads have each their own context.
func TestQueryErrors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		defer c.killAll()
		e := c.leader(1).engine
		if _, err := e.Query(within(time.Second), 1, []byte("fail")); err == nil || wire.CodeOf(err) != 0 {
			t.Errorf("machine's error came as %v", err)
		}
		if _, err := e.Query(within(time.Second), 1, nil); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := e.Query(ctx, 1, nil)
		wantCode(t, err, wire.CodeTimeout)
		_, err = e.Query(context.Background(), 7, nil)
		wantCode(t, err, wire.CodeUnknownGroup)
	})
}

// Waiters who gave up do not pile up.
func TestParkedReadsAreSwept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		defer c.killAll()
		e := c.leader(1).engine
		w, err := e.Watch(1)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			wantCode(t, w.Wait(within(time.Millisecond), 1000), wire.CodeTimeout)
		}
		synctest.Wait()
		if got := len(e.lookup(1).run.parked); got > 2*minSweep {
			t.Errorf("%d waiters parked, all of them gone", got)
		}
	})
}

// D31: an answer to a round that is over serves no read.
func TestLateReadAnswer(t *testing.T) {
	c := newCluster(t, 1, 1)
	h := newHand(c)
	g := c.nodes[1].engine.lookup(1)
	h.lead(c.nodes[1])
	r := &read{caller: caller{done: make(chan outcome, 1)}, g: g}
	g.reads.waiting = append(g.reads.waiting, r)
	g.reads.ask(g.core)
	first := g.reads.rounds[0].context
	for range 100 {
		g.reads.tick(g, 50)
	}
	if len(g.reads.rounds) != 0 || len(g.reads.waiting) != 1 {
		t.Fatal("an old round is not asked again")
	}
	g.reads.ask(g.core)
	g.reads.answer(g, raft.Read{Context: first, Index: 1})
	if len(g.reads.rounds) != 1 {
		t.Error("answered by an old round")
	}
}
