package multiraft

import (
	"errors"
	"slices"
	"testing"
	"time"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// F25, N5: each replica makes its snapshots at the same indexes, and lets go of the log they stand for but for its tail.
func TestSnapshotsAreMadeAndLogsCompacted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		c.startAll()
		defer c.killAll()
		last := fill(t, c.leader(1).engine, 1, 200)
		for _, n := range c.nodes {
			w, _ := n.engine.Watch(1)
			if err := w.Wait(within(time.Minute), last.Index); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "five snapshots at each node", func() bool { return len(n.snaps.saved()) >= 5 })
			waitFor(t, "a log that was compacted", func() bool { return n.first(1) > 100 })
			if s, _, _ := n.snaps.Newest(1); n.first(1) > s.Index+1 {
				t.Errorf("node %d: the log begins at %d, after its newest snapshot at %d", n.id, n.first(1), s.Index)
			}
		}
		if a, b := c.nodes[1].snaps.saved(), c.nodes[2].snaps.saved(); !slices.Equal(a[:5], b[:5]) {
			t.Errorf("nodes 1 and 2 made snapshots at different indexes: %v and %v", a, b)
		}
		for id := range c.nodes { // each comes back from its snapshot and what is left of the log (D16)
			c.kill(id)
			c.start(id)
			c.leader(1)
			if n := c.nodes[id].machines[1]; n.restored() != 1 {
				t.Errorf("node %d restored its machine %d times", id, n.restored())
			}
		}
		last = fill(t, c.leader(1).engine, 1, 1)
		c.waitApplied(1, last.Index)
		c.same(1)
	})
}

// P15, P12, F27, F28, F30: a follower behind the log's start is sent one snapshot, its watchers jump when the data is in, and it goes
// on with the log from there, under load.
func TestSnapshotToALaggingFollower(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, leader, behind := newLagging(t)
		defer c.killAll()
		last := fill(t, leader.engine, 1, 100)
		w, _ := behind.engine.Watch(1)
		jumped := make(chan int, 1)
		far := last.Index - 50
		go func() {
			_ = w.Wait(within(time.Minute), far)
			jumped <- len(behind.machines[1].commands())
		}()
		c.net.isolate(behind.id, false)
		for c.leaderNow(1) == nil {
			time.Sleep(20 * time.Millisecond)
		}
		last = fill(t, c.leader(1).engine, 1, 100)
		c.waitApplied(1, last.Index)
		if seen := <-jumped; seen < int(last.Index)-200 {
			t.Errorf("a watcher was woken when the machine held %d commands", seen)
		}
		if n := len(eventsOf[SnapshotInstalled](behind.events)); n != 1 || behind.machines[1].restored() != 1 {
			t.Errorf("%d snapshots were installed, %d restored", n, behind.machines[1].restored())
		}
		sends := 0
		for _, n := range c.nodes {
			sends += n.runner.count()
		}
		if sends != 1 {
			t.Errorf("%d transfers for one follower", sends)
		}
		c.same(1)
	})
}

// P14, P15: a learner that was made when the log had lost its beginning gets a snapshot and is promoted.
func TestSnapshotToANewLearner(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		c.startAll()
		defer c.killAll()
		victim := c.other(c.leader(1))
		mustChange(t, c.leader(1), wire.OneChange(wire.ChangeRemove, victim.id))
		if err := victim.engine.RemoveGroup(within(time.Minute), 1); err != nil {
			t.Fatal(err)
		}
		last := fill(t, c.leaderOf(1, c.others(victim.id)...).engine, 1, 200)
		leader := c.leaderOf(1, c.others(victim.id)...)
		waitFor(t, "a compacted log", func() bool { return leader.first(1) > 100 })
		mustChange(t, leader, wire.OneChange(wire.ChangeAddLearner, victim.id))
		s, _ := leader.engine.GroupStatus(1)
		victim.machines[1] = &recorder{}
		cfg := GroupConfig{ID: 1, Machine: victim.machines[1], Since: s.Members.Index}
		if err := victim.engine.CreateGroup(within(time.Minute), cfg, wire.Membership{Voters: []wire.NodeID{1, 2, 3}}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the learner is a voter", func() bool {
			s, _ := victim.engine.GroupStatus(1)
			return slices.Contains(s.Voters, victim.id) && s.Applied >= last.Index
		})
		c.waitApplied(1, fill(t, c.leader(1).engine, 1, 1).Index)
		c.same(1)
	})
}

// P37, D18: a receiver that dies between the arrival of a snapshot and its install has the new state after its start, whole.
func TestInstallIsFinishedAtTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, _, behind := newLagging(t)
		defer c.killAll()
		c.killOnArrival(behind)
		had := behind.snaps
		s, _, _ := had.Newest(1)
		if _, last := behind.log.Bounds(1); last >= s.Index {
			t.Fatalf("the log ends at %d, it should not have got to %d", last, s.Index)
		}
		c.start(behind.id)
		st, _ := behind.engine.GroupStatus(1)
		if st.Err != nil || st.Applied < s.Index || behind.machines[1].restored() != 1 || behind.first(1) != s.Index+1 {
			t.Fatalf("after the start: %+v, log from %d, %d restored", st, behind.first(1), behind.machines[1].restored())
		}
		c.waitApplied(1, fill(t, c.leader(1).engine, 1, 1).Index)
		c.same(1)
	})
}

// killOnArrival has a follower get a snapshot, and dies with it before it is installed.
func (c *cluster) killOnArrival(behind *node) {
	died := make(chan struct{})
	for _, n := range c.nodes {
		n.runner.mu.arrived = func(id wire.NodeID) bool {
			select {
			case <-died:
				return true
			default:
			}
			c.kill(id)
			close(died)
			return false
		}
	}
	c.net.isolate(behind.id, false)
	<-died
}

// P37: a start without space for the snapshot that is to be installed goes on with what there was before; it is offered again.
func TestStartWithoutSpaceForASnapshot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, _, behind := newLagging(t)
		defer c.killAll()
		c.killOnArrival(behind)
		tries := 0
		full := &recorder{onRestore: func(wire.Index) error {
			if tries++; tries == 1 {
				return wire.ErrNoSpace
			}
			return nil
		}}
		c.machines = func(wire.NodeID, wire.GroupID) StateMachine { return full }
		c.start(behind.id)
		behind.machines[1] = full
		if st, _ := behind.engine.GroupStatus(1); st.Err != nil || tries != 1 {
			t.Fatalf("after the start: %+v, tried %d times", st, tries)
		}
		c.waitApplied(1, fill(t, c.leader(1).engine, 1, 1).Index)
		c.same(1)
	})
}

// D15: the newest snapshot is damaged: the one before it serves as long as the log reaches back to it; without any the
// replica is out of service and nothing is made up.
func TestDamagedSnapshotAtTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		config := c.config
		c.config = func(cfg *Config) { config(cfg); cfg.TailBytes = 16000 } // back to the one before
		c.startAll()
		defer c.killAll()
		last := fill(t, c.leader(1).engine, 1, 200)
		c.waitApplied(1, last.Index)
		waitFor(t, "a compacted log", func() bool { return c.nodes[2].first(1) > 50 && len(c.nodes[2].snaps.saved()) >= 5 })
		time.Sleep(time.Second)
		c.kill(2)
		c.nodes[2].snaps.spoil(1)
		c.start(2)
		if st, _ := c.nodes[2].engine.GroupStatus(1); st.Err != nil {
			t.Fatalf("with one snapshot left: %v", st.Err)
		}
		if told := eventsOf[SnapshotDamaged](c.nodes[2].events); len(told) != 1 || told[0].Group != 1 || !errors.Is(told[0].Err, snapshotstream.ErrCorrupt) {
			t.Errorf("told of the damage: %+v", told)
		}
		c.waitApplied(1, fill(t, c.leader(1).engine, 1, 1).Index)
		c.same(1)

		c.kill(3)
		c.nodes[3].snaps.spoilAll(1)
		c.start(3)
		if st, _ := c.nodes[3].engine.GroupStatus(1); wire.CodeOf(st.Err) != wire.CodeQuarantined {
			t.Fatalf("without a snapshot: %+v", st)
		} else if !errors.Is(st.Err, snapshotstream.ErrCorrupt) {
			t.Errorf("out of service, with no word of the damage: %v", st.Err)
		}
	})
}

// A machine of its own disk knows how far it is by its commands. The log stays from the last one on that came before a snapshot: a start had to
// have it take over the whole state that it has, else, and was out of service where there was no space for that.
func TestLogStaysFromTheLastCommand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 4000)
		c.startAll()
		defer c.killAll()
		n := c.leader(1)
		last := fill(t, n.engine, 1, 100).Index
		var end wire.Index
		for range 100 { // more than a tail of entries without commands
			at, err := n.engine.Barrier(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			end = at
		}
		s, err := n.engine.MakeSnapshot(t.Context(), 1)
		if err != nil || s.Index < end {
			t.Fatalf("a snapshot at %d after %d: %v", s.Index, end, err)
		}
		time.Sleep(time.Second) // everybody comes to rest
		if first := n.first(1); first > last+1 || first == 1 {
			t.Errorf("the log begins at %d, the machine was given %d last", first, last)
		}
		fill(t, n.engine, 1, 1)
		if _, err := n.engine.MakeSnapshot(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a log that begins behind it", func() bool { return n.first(1) > last+1 })
	})
}

// P4, D15: a damaged snapshot that the disk does not let be set aside is offered again and again: the start does not try it for ever.
func TestDamagedSnapshotThatStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		c.startAll()
		defer c.killAll()
		fill(t, c.leader(1).engine, 1, 200)
		waitFor(t, "a compacted log", func() bool { return c.nodes[2].first(1) > 50 })
		c.kill(2)
		c.nodes[2].snaps.spoilAll(1)
		c.nodes[2].snaps.stick()
		c.start(2)
		if st, _ := c.nodes[2].engine.GroupStatus(1); wire.CodeOf(st.Err) != wire.CodeQuarantined || !errors.Is(st.Err, snapshotstream.ErrCorrupt) {
			t.Fatalf("after the start: %+v", st)
		}
	})
}

// P4: a machine that cannot take over a right state is out of service; one without space keeps what it has and is offered it again.
func TestMachineThatDoesNotRestore(t *testing.T) {
	for name, broken := range map[string]error{"broken": errors.New("cannot"), "no space": wire.ErrNoSpace} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c, _, behind := newLagging(t)
				defer c.killAll()
				tries := 0
				behind.machines[1].onRestore = func(wire.Index) error {
					if tries++; tries <= 2 {
						return broken
					}
					return nil
				}
				c.net.isolate(behind.id, false)
				if !errors.Is(broken, wire.ErrNoSpace) {
					waitFor(t, "quarantine", func() bool { s, _ := behind.engine.GroupStatus(1); return s.Err != nil })
					if tries != 1 {
						t.Errorf("tried %d times", tries)
					}
					return
				}
				waitFor(t, "an install", func() bool { return behind.machines[1].restored() == 1 })
				c.waitApplied(1, fill(t, c.leader(1).engine, 1, 1).Index)
				c.same(1)
			})
		})
	}
}

// P36, D28: a snapshot that is damaged here, or has come damaged twice, is not sent again: another one is made.
func TestAnotherSnapshotForOneThatIsDamaged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, leader, behind := newLagging(t)
		defer c.killAll()
		before := len(leader.snaps.saved())
		for _, n := range c.nodes {
			n.runner.failWith(&snapshotstream.RefusedError{Reason: snapshotstream.ReasonQuarantined})
		}
		c.net.isolate(behind.id, false)
		waitFor(t, "another snapshot", func() bool { return len(c.leader(1).snaps.saved()) > before })
		for _, n := range c.nodes {
			n.runner.failWith(nil)
		}
		c.waitApplied(1, fill(t, c.leader(1).engine, 1, 1).Index)
		c.same(1)
	})
}

// P36: while the group cannot commit without the follower that takes no snapshot, its log does not grow by what is tried.
func TestNothingIsProposedForAnotherSnapshotWhileNothingCommits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, leader, behind := newLagging(t)
		defer c.killAll()
		for _, n := range c.nodes {
			n.runner.failWith(&snapshotstream.RefusedError{Reason: snapshotstream.ReasonQuarantined})
		}
		c.net.isolate(6-leader.id-behind.id, true)
		c.net.isolate(behind.id, false)
		_, last := leader.log.Bounds(1)
		time.Sleep(time.Minute)
		if _, now := leader.log.Bounds(1); c.leaderNow(1) == leader && now > last+2 {
			t.Errorf("the log has grown from %d to %d, after %d transfers", last, now, leader.runner.count())
		}
	})
}

// P7, P8, P16, F29: transfers end with the leadership, with the group and with the engine; nothing is left.
func TestTransfersEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		for _, n := range c.nodes {
			n.runner.time = time.Hour
		}
		c.startAll()
		defer c.killAll()
		leader, behind := c.leaveBehind(t, 200)
		c.net.isolate(behind.id, false)
		waitFor(t, "a transfer", func() bool { return leader.runner.running() == 1 || c.leaderNow(1) != leader })
		if c.leaderNow(1) == leader {
			third := c.nodes[6-leader.id-behind.id]
			if err := leader.engine.TransferLeader(within(time.Minute), 1, third.id); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the end of the transfer of who leads no more", func() bool { return leader.runner.running() == 0 })
		}
		now := c.leader(1)
		waitFor(t, "a transfer of the new leader", func() bool { return now.runner.running() == 1 })
		c.kill(now.id)
		waitFor(t, "the end of the transfer of who is stopped", func() bool { return now.runner.running() == 0 })
	})
}

// A caller gets the snapshot he asks for, with all that was applied before; without anything new there is no second one.
func TestMakeSnapshot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 1<<20)
		c.startAll()
		defer c.killAll()
		last := fill(t, c.leader(1).engine, 1, 3)
		e := c.nodes[1].engine
		for range 2 {
			s, err := e.MakeSnapshot(within(time.Minute), 1)
			if err != nil || s.Index < last.Index || len(s.Membership.Voters) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
		}
		if n := len(c.nodes[1].snaps.saved()); n != 1 {
			t.Errorf("%d snapshots of one state", n)
		}
		c.nodes[1].snaps.mu.fail = errors.New("no disk")
		fill(t, e, 1, 1)
		_, err := e.MakeSnapshot(within(time.Minute), 1)
		wantCode(t, err, wire.CodeStorage)
		_, err = e.MakeSnapshot(within(time.Minute), 9)
		wantCode(t, err, wire.CodeUnknownGroup)
	})
}

// The marks tell what lies behind an index, never more than there is.
func TestLogMarks(t *testing.T) {
	var m logMarks
	m.start(0, 0, 0)
	for i := wire.Index(1); i <= 100; i++ {
		m.add(i, 10, 50)
	}
	for bytes, want := range map[int64]wire.Index{0: 100, 1: 95, 50: 95, 51: 90, 1000: 0, 2000: 0} {
		if got := m.before(bytes); got != want {
			t.Errorf("before %d bytes: %d, want %d", bytes, got, want)
		}
	}
	m.forget(50)
	if got := m.before(600); got != 0 {
		t.Errorf("forgotten marks answer %d", got)
	}
}

// F25: a snapshot that could not be written is tried again, whether or not the group goes on.
func TestSnapshotIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 4000)
		n := c.nodes[1]
		n.snaps.failWith(errors.New("no disk"))
		c.startAll()
		defer c.killAll()
		fill(t, c.leader(1).engine, 1, 50)
		waitFor(t, "a try that failed", func() bool { return len(eventsOf[SnapshotFailed](n.events)) > 0 })
		n.snaps.failWith(nil)
		waitFor(t, "a snapshot", func() bool { return len(n.snaps.saved()) == 1 })
	})
}

// F25: snapshots that came due while a slow one was made are made up for once the group rests: its log does not stay as it was.
func TestMissedSnapshotIsMadeUpFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 4000)
		n := c.nodes[1]
		n.snaps.slow = time.Second
		c.startAll()
		defer c.killAll()
		last := fill(t, c.leader(1).engine, 1, 300)
		waitFor(t, "a snapshot of all there is", func() bool { s, _, _ := n.snaps.Newest(1); return s.Index == last.Index })
		waitFor(t, "a short log", func() bool { return n.first(1) > last.Index-50 })
	})
}
