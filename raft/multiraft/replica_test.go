package multiraft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// closable is a machine that notices its end.
type closable struct {
	recorder
	closed atomic.Int32
	panics bool
}

func (m *closable) Close() error {
	m.closed.Add(1)
	if m.panics {
		panic("it does not want to")
	}
	return nil
}

// D54: a replica is ended under load: everybody who waits is answered, its machine is closed and its log let go of, its peers go on
// and hear that the group is unknown here; the same group can be made again at once, and again.
func TestReplicasEndAndAreMadeAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		c.startAll()
		defer c.killAll()
		origin := wire.Membership{Voters: []wire.NodeID{1, 2, 3}}
		machines := map[wire.NodeID]*closable{}
		for round := range 8 {
			victim := c.nodes[wire.NodeID(1+round%3)]
			endUnderLoad(t, c, victim, round)
			if m := machines[victim.id]; m != nil && m.closed.Load() != 1 {
				t.Errorf("the machine of node %d was closed %d times", victim.id, m.closed.Load())
			}
			c.leader(2)
			mustPropose(t, victim.engine, 2, "the other group goes on")

			leader := c.leaderOf(1, c.others(victim.id)...)
			mustChange(t, leader, wire.OneChange(wire.ChangeRemove, victim.id)) // or the leader would count on what it had
			mustChange(t, leader, wire.OneChange(wire.ChangeAddLearner, victim.id))
			s, _ := leader.engine.GroupStatus(1)
			machine := &closable{}
			machines[victim.id] = machine
			cfg := GroupConfig{ID: 1, Machine: machine, Since: s.Members.Index}
			for range 2 { // twice does no harm
				if err := victim.engine.CreateGroup(within(10*time.Second), cfg, origin); err != nil {
					t.Fatal(err)
				}
			}
			r := mustProposeSoon(t, leader.engine, 1)
			w, _ := victim.engine.Watch(1)
			if err := w.Wait(within(time.Minute), r.Index); err != nil { // it gets the whole log
				t.Fatal(err)
			}
			for s, _ := victim.engine.GroupStatus(1); len(s.Voters) < 3; s, _ = victim.engine.GroupStatus(1) {
				time.Sleep(50 * time.Millisecond)
			}
		}
	})
}

// endUnderLoad ends victim's replica of group 1 while many wait for it.
func endUnderLoad(t *testing.T, c *cluster, victim *node, round int) {
	t.Helper()
	ends := make(chan error, 61)
	for i := range 50 {
		go func() {
			_, err := victim.engine.Propose(within(10*time.Second), 1, fmt.Append(nil, round, i))
			ends <- err
		}()
	}
	for range 10 {
		go func() { _, err := victim.engine.Query(within(10*time.Second), 1, nil); ends <- err }()
	}
	w, err := victim.engine.Watch(1)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ends <- w.Wait(within(time.Minute), 1<<40) }()
	if err := victim.engine.RemoveGroup(within(10*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	for range 61 {
		if err := <-ends; err != nil {
			checkEnd(t, err, wire.CodeUnknownGroup, wire.CodeUnknownOutcome, wire.CodeNoLeader, wire.CodeNotLeader, wire.CodeNotApplied)
		}
	}
	if _, here := victim.log.State(1); here {
		t.Error("the log is still there")
	}
	if _, here := victim.engine.GroupStatus(1); here {
		t.Error("the status shows it")
	}
	if err := victim.engine.RemoveGroup(within(time.Second), 1); err != nil {
		t.Errorf("ended twice: %v", err)
	}
}

func mustChange(t *testing.T, leader *node, set wire.ChangeSet) {
	t.Helper()
	ctx := within(20 * time.Second)
	for {
		err := leader.engine.Change(ctx, 1, set)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) others(id wire.NodeID) (ids []wire.NodeID) {
	for other := range c.nodes {
		if other != id {
			ids = append(ids, other)
		}
	}
	return ids
}

// D54: what a crash in the middle of ending a replica leaves, its snapshots, goes when that is asked for again.
func TestSnapshotsWithoutALogEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 4000)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		left := wire.Snapshot{Index: 7, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{n.id}}}
		if err := n.snaps.Save(9, left, func(io.Writer) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := n.engine.RemoveGroup(within(time.Second), 9); err != nil {
			t.Fatal(err)
		}
		if s, _, ok := n.snaps.Newest(9); ok {
			t.Errorf("the snapshot at %d is still there", s.Index)
		}
	})
}

// D54: who lays a log and leaves before it is taken up leaves nothing for good: it ends as a replica does.
func TestLaidLogEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		at := wire.Snapshot{Index: 7, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{n.id}}}
		if err := n.engine.LayGroup(within(time.Second), 9, at); err != nil {
			t.Fatal(err)
		}
		if _, held := n.log.State(9); !held {
			t.Fatal("there is no log: this test would check nothing")
		}
		for range 2 { // twice does no harm
			if err := n.engine.RemoveGroup(within(time.Second), 9); err != nil {
				t.Fatal(err)
			}
			if _, held := n.log.State(9); held {
				t.Error("the log is still there")
			}
		}
		mustPropose(t, n.engine, 1, "the other group goes on")
	})
}

// A replica out of service can be ended as well, and is no longer counted.
func TestQuarantinedReplicaEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		n.engine.lookup(1).quarantine(errors.New("found out"))
		if err := n.engine.RemoveGroup(within(time.Second), 1); err != nil {
			t.Fatal(err)
		}
		if s := n.engine.Stats(); s.Quarantined != 0 || s.Led != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// P4: a machine that panics when it is closed takes nobody along: its replica ends, the others go on.
func TestMachinePanicsInClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, 2)
		c.machines = func(_ wire.NodeID, g wire.GroupID) StateMachine {
			return map[wire.GroupID]StateMachine{1: &closable{panics: true}}[g]
		}
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		if err := n.engine.RemoveGroup(within(time.Second), 1); err == nil {
			t.Error("nobody was told of the panic")
		}
		if _, held := n.log.State(1); held {
			t.Error("the log is still there")
		}
		mustProposeSoon(t, n.engine, 2)
	})
}

// On a full disk a replica ends when there is room; its caller can leave, and the next replica waits for the end of the last.
func TestReplicaEndsOnFullDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		n.log.hook(func([]wire.LogUpdate) error { return wire.ErrNoSpace })
		wantCode(t, n.engine.RemoveGroup(within(time.Second), 1), wire.CodeTimeout)
		cfg := GroupConfig{ID: 1, Machine: &recorder{}}
		origin := wire.Membership{Voters: []wire.NodeID{1}}
		wantCode(t, n.engine.CreateGroup(within(time.Second), cfg, origin), wire.CodeOverloaded)
		n.log.hook(nil)
		ctx := within(10 * time.Second)
		for n.engine.CreateGroup(ctx, cfg, origin) != nil {
			if ctx.Err() != nil {
				t.Fatal("never made again")
			}
			time.Sleep(50 * time.Millisecond)
		}
		if r := mustProposeSoon(t, n.engine, 1); r.Index > 3 {
			t.Errorf("the new log goes on at %d", r.Index)
		}
	})
}

func mustProposeSoon(t *testing.T, e *Engine, g wire.GroupID) Result {
	t.Helper()
	ctx := within(10 * time.Second)
	for {
		r, err := e.Propose(ctx, g, []byte("x"))
		if err == nil {
			return r
		}
		if context.Cause(ctx) != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// The empty entry of a barrier is committed like any other, reaches no machine, and only the leader has it.
func TestBarrier(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		before := mustPropose(t, leader.engine, 1, "a").Index
		at, err := leader.engine.Barrier(within(time.Second), 1)
		if err != nil || at != before+1 {
			t.Errorf("at %d, %v; want %d", at, err, before+1)
		}
		if got := leader.machines[1].commands(); len(got) != 1 {
			t.Errorf("the machine saw %d commands", len(got))
		}
		_, err = c.other(leader).engine.Barrier(within(time.Second), 1)
		wantCode(t, err, wire.CodeNotLeader)
		_, err = leader.engine.Barrier(within(time.Second), 99)
		wantCode(t, err, wire.CodeUnknownGroup)
	})
}

// N8: nobody says that there is no replica here while one is being made, though the caller who wanted it has left.
func TestCreationGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		n.log.hook(func([]wire.LogUpdate) error { return wire.ErrNoSpace })
		cfg := GroupConfig{ID: 2, Machine: &recorder{}}
		wantCode(t, n.engine.CreateGroup(within(time.Second), cfg, wire.Membership{Voters: []wire.NodeID{1}}), wire.CodeTimeout)
		wantCode(t, n.engine.RemoveGroup(within(time.Second), 2), wire.CodeOverloaded)
		n.log.hook(nil)
		mustProposeSoon(t, n.engine, 2)
		if err := n.engine.RemoveGroup(within(time.Second), 2); err != nil {
			t.Error(err)
		}
	})
}
