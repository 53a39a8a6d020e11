package multiraft

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// fullMachines makes the machines of group 1 on some nodes answer that they have no space while full is set.
func fullMachines(full *atomic.Bool, tries *atomic.Int64, nodes ...*node) {
	for _, n := range nodes {
		n.machines[1].onApply = func([]Command) error {
			if !full.Load() {
				return nil
			}
			tries.Add(1)
			return fmt.Errorf("commit: %w", wire.ErrNoSpace)
		}
	}
}

// A machine without space is given the same entries again until it has some: nothing is quarantined, lost or applied
// twice, whoever waits gets its result, commands are refused by type meanwhile and reads of what there is go on.
func TestMachineWithoutSpaceHeals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, 2)
		var full atomic.Bool
		var tries atomic.Int64
		c.start(1)
		defer c.killAll()
		n := c.leader(1)
		c.leader(2)
		fullMachines(&full, &tries, n)
		mustPropose(t, n.engine, 1, "before")
		full.Store(true)
		waiting := make(chan Result, 1)
		go func() {
			r, err := n.engine.Propose(within(time.Minute), 1, []byte("without space"))
			if err != nil {
				t.Error(err)
			}
			waiting <- r
		}()
		time.Sleep(10 * time.Second)
		_, err := n.engine.Propose(within(time.Second), 1, nil)
		wantCode(t, err, wire.CodeStorage)
		if got, err := n.engine.QueryStale(within(time.Second), 1, nil); err != nil || string(got) != "1" {
			t.Errorf("stale read without space: %q, %v", got, err)
		}
		mustPropose(t, n.engine, 2, "another group")
		full.Store(false)
		if r := <-waiting; string(r.Value) != "2:without space" {
			t.Errorf("result %q", r.Value)
		}
		mustPropose(t, n.engine, 1, "after")
		if waits, goesOn := eventsOf[ApplyWaits](n.events), eventsOf[ApplyGoesOn](n.events); len(waits) != 1 || len(goesOn) != 1 {
			t.Errorf("events: %v %v", waits, goesOn)
		}
		if n := tries.Load(); n > 10*10+10 {
			t.Errorf("%d tries in 10 s of 100 ms ticks", n)
		}
	})
}

// What is committed while a follower's machine has no space is applied there in order, each command once, when there is.
func TestFollowerWithoutSpaceCatchesUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		follower := c.other(leader)
		var full atomic.Bool
		var tries atomic.Int64
		fullMachines(&full, &tries, follower)
		full.Store(true)
		c.net.isolate(follower.id, true) // so that what it is to apply comes as several calls' worth at once
		for i := range 40 {
			mustPropose(t, leader.engine, 1, fmt.Sprintf("%d %s", i, strings.Repeat("x", 256<<10)))
		}
		c.net.isolate(follower.id, false)
		time.Sleep(time.Second)
		if tries.Load() == 0 || len(follower.machines[1].commands()) != 0 {
			t.Fatalf("%d tries, %d commands", tries.Load(), len(follower.machines[1].commands()))
		}
		full.Store(false)
		want, _ := leader.engine.GroupStatus(1)
		w, err := follower.engine.Watch(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Wait(within(time.Minute), want.Commit); err != nil {
			t.Fatal(err)
		}
		same := func(a, b Command) bool {
			return a.Index == b.Index && a.Term == b.Term && string(a.Data) == string(b.Data)
		}
		if l, f := leader.machines[1].commands(), follower.machines[1].commands(); !slices.EqualFunc(l, f, same) {
			t.Errorf("%d commands on the leader, %d others on the follower", len(l), len(f))
		}
	})
}

// Who waits for a machine without space is answered when the node stops, and the engine can stop.
func TestStopWithoutSpace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		defer c.killAll()
		n := c.leader(1)
		var full atomic.Bool
		var tries atomic.Int64
		fullMachines(&full, &tries, n)
		full.Store(true)
		waiting := make(chan error, 1)
		go func() {
			_, err := n.engine.Propose(within(time.Hour), 1, []byte("x"))
			waiting <- err
		}()
		time.Sleep(time.Second)
		if err := n.engine.Close(within(time.Minute)); err != nil {
			t.Error(err)
		}
		wantCode(t, <-waiting, wire.CodeUnknownOutcome)
		if s := n.engine.Stats(); s.WaitingBytes != 0 {
			t.Errorf("%d bytes wait in a stopped engine", s.WaitingBytes)
		}
	})
}
