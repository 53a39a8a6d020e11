package multiraft

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// P15: a machine that takes longer to take a state over than a leader waits for news of it gets the log from there, and no second state,
// whether or not the leader may send anything more meanwhile.
func TestInstallThatTakesLong(t *testing.T) {
	for name, taken := range map[string]int64{"places free": 0, "all places taken": defaultSnapshotSends} {
		t.Run(name, func(t *testing.T) { inBubble(t, func(t *testing.T) { installSlowly(t, taken, true) }) })
		t.Run(name+", and the transfer fails at its end", func(t *testing.T) {
			inBubble(t, func(t *testing.T) { installSlowly(t, taken, false) })
		})
	}
}

func installSlowly(t *testing.T, taken int64, away bool) {
	c := withSnapshots(newCluster(t, 3, 1), 4000)
	for _, n := range c.nodes {
		n.runner.away = away
	}
	c.startAll()
	defer c.killAll()
	_, behind := c.leaveBehind(t, 300)
	behind.machines[1].onRestore = func(wire.Index) error { time.Sleep(time.Minute); return nil }
	c.net.isolate(behind.id, false)
	waitFor(t, "an install", func() bool { s, _ := behind.snaps.get(1); return s.s.Index > 200 })
	for _, n := range c.nodes {
		n.engine.sends.Add(taken)
	}
	var last Result
	for range 60 {
		last = fill(t, c.leader(1).engine, 1, 2)
		time.Sleep(time.Second)
	}
	waitFor(t, "the end of it", func() bool { return behind.machines[1].restored() > 0 })
	for _, n := range c.nodes {
		n.engine.sends.Add(-taken)
	}
	c.waitApplied(1, last.Index)
	time.Sleep(2 * time.Minute)
	if n := behind.machines[1].restored(); n != 1 {
		t.Errorf("%d states were taken over", n)
	}
	c.same(1)
}

// A caller who waits for a snapshot is answered by one that came from elsewhere and holds as much.
func TestMakeSnapshotThatComesFromElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		c.startAll()
		defer c.killAll()
		leader, behind := c.leaveBehind(t, 300)
		behind.snaps.failWith(errors.New("no disk"))
		_, err := behind.engine.MakeSnapshot(within(time.Minute), 1)
		wantCode(t, err, wire.CodeStorage)
		behind.snaps.failWith(nil)
		made := make(chan error, 1)
		go func() { // nothing is tried for a while after a failure
			_, err := behind.engine.MakeSnapshot(within(time.Hour), 1)
			made <- err
		}()
		if _, err := leader.engine.MakeSnapshot(within(time.Minute), 1); err != nil { // nothing comes behind it
			t.Fatal(err)
		}
		c.net.isolate(behind.id, false)
		select {
		case err := <-made:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Minute):
			t.Error("the caller is not answered although a snapshot is here")
		}
	})
}

func (m *memSnaps) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.fail = err
}

// oddMachine freezes what closes or writes in a way of its own.
type oddMachine struct {
	recorder
	frozen Frozen
}

func (m *oddMachine) Freeze() (Frozen, error) { return m.frozen, nil }

type oddFrozen struct {
	write func(io.Writer) (int64, error)
	close func() error
}

func (f oddFrozen) WriteTo(w io.Writer) (int64, error) { return f.write(w) }

func (f oddFrozen) Close() error { return f.close() }

// P4: a state that panics when it is let go of, or that is none, is the end of its replica and of nothing else.
func TestFrozenThatPanics(t *testing.T) {
	for name, frozen := range map[string]Frozen{
		"close": oddFrozen{write: func(io.Writer) (int64, error) { return 0, nil }, close: func() error { panic("odd") }},
		"none":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := withSnapshots(newCluster(t, 1, 1), 1<<20)
				odd := &oddMachine{frozen: frozen}
				c.machines = func(wire.NodeID, wire.GroupID) StateMachine { return odd }
				c.startAll()
				defer c.killAll()
				e := c.leader(1).engine
				mustPropose(t, e, 1, "one")
				_, err := e.MakeSnapshot(within(time.Minute), 1)
				wantCode(t, err, wire.CodeQuarantined)
				st, _ := e.GroupStatus(1)
				wantCode(t, st.Err, wire.CodeQuarantined)
			})
		})
	}
}

// slowSnaps takes a second for each MiB.
type slowSnaps struct{ *memSnaps }

func (s slowSnaps) Save(g wire.GroupID, at wire.Snapshot, write func(io.Writer) error) error {
	return s.memSnaps.Save(g, at, func(w io.Writer) error { return write(slowWriter{w}) })
}

type slowWriter struct{ w io.Writer }

func (w slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second >> 20)
	return w.w.Write(p)
}

// P7: a state that is written in one piece does not hold up the end of the node.
func TestKillWhileALargeStateIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 1<<20)
		config := c.config
		c.config = func(cfg *Config) { config(cfg); cfg.Snapshots = slowSnaps{c.nodes[1].snaps} }
		odd := &oddMachine{frozen: oddFrozen{close: func() error { return nil }, write: func(w io.Writer) (int64, error) {
			n, err := w.Write(make([]byte, 60<<20))
			return int64(n), err
		}}}
		c.machines = func(wire.NodeID, wire.GroupID) StateMachine { return odd }
		c.startAll()
		e := c.leader(1).engine
		mustPropose(t, e, 1, "one")
		e.makeSnapshot(1, func(wire.Snapshot, error) {})
		time.Sleep(5 * time.Second)
		began := time.Now()
		c.kill(1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the engine took %v to stop", took)
		}
	})
}

// P7, P8: a large state that is being taken over does not hold up the end of the node, nor that of its replica.
func TestEndWhileALargeStateIsTakenOver(t *testing.T) {
	for name, end := range map[string]func(n *node) error{
		"node":    func(n *node) error { return n.engine.Close(within(time.Minute)) },
		"replica": func(n *node) error { return n.engine.RemoveGroup(within(time.Minute), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := withSnapshots(newCluster(t, 3, 1), 4000)
				slow := &slowReader{began: make(chan struct{})}
				c.machines = func(id wire.NodeID, _ wire.GroupID) StateMachine {
					if id == 3 {
						return slow
					}
					return &recorder{}
				}
				c.startAll()
				defer c.killAll()
				c.net.isolate(3, true)
				leader := c.leaderOf(1, 1, 2)
				fill(t, leader.engine, 1, 200)
				waitFor(t, "a compacted log", func() bool { return leader.first(1) > 100 })
				c.net.isolate(3, false)
				<-slow.began
				began := time.Now()
				if err := end(c.nodes[3]); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// slowReader is a machine that takes a second for each hundred bytes of a state.
type slowReader struct {
	recorder
	began chan struct{}
}

func (m *slowReader) Restore(_ wire.Index, state io.Reader) (err error) {
	close(m.began)
	for piece := make([]byte, 100); err == nil; time.Sleep(time.Second) {
		_, err = io.ReadFull(state, piece)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// P4: a core that fails as its log is to move does not pass for one that has it.
func TestInstallOfACoreThatFails(t *testing.T) {
	n := newCluster(t, 1, 1).prepare(1)
	g := n.engine.lookup(1)
	var err error
	g.snaps.taking = &taking{state: wire.Snapshot{Index: 9, Term: 1}, then: func(e error) { err = e }}
	g.w.installed(g, g.snaps.taking, nil) // it panics: no install was begun
	wantCode(t, err, wire.CodeQuarantined)
	if told := eventsOf[SnapshotInstalled](n.events); len(told) > 0 {
		t.Errorf("told of %+v", told)
	}
}

// F28: a core that fails as a transfer is to begin leaves the node its place for one.
func TestPlaceOfATransferThatIsNotBegun(t *testing.T) {
	n := newCluster(t, 1, 1).prepare(1)
	g := n.engine.lookup(1)
	if !n.engine.beginSend() {
		t.Fatal("no place")
	}
	g.w.call(g, func(*raft.Core) {
		g.core = nil // it panics when it is asked for anything
		g.w.send(g, raft.SnapshotNeed{Node: 2}, wire.Snapshot{Index: 9, Term: 1})
	})
	if st, _ := n.engine.GroupStatus(1); wire.CodeOf(st.Err) != wire.CodeQuarantined {
		t.Fatalf("%+v", st)
	}
	if taken := n.engine.sends.Load(); taken != 0 {
		t.Errorf("%d places are taken by nothing", taken)
	}
}

// D15: the log that only a damaged snapshot stands for is not let go of: a snapshot that was set aside meanwhile counts no more.
func TestNoCompactionByASnapshotThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 8000)
		config := c.config
		c.config = func(cfg *Config) { config(cfg); cfg.TailBytes = 8000 }
		c.startAll()
		defer c.killAll()
		n := c.nodes[1]
		c.leader(1)
		for len(n.snaps.saved()) < 2 {
			fill(t, n.engine, 1, 1)
		}
		time.Sleep(time.Second)
		saved := n.snaps.saved()
		if n.first(1) > saved[0]+1 {
			t.Fatalf("the log begins at %d already, the first snapshot is at %d", n.first(1), saved[0])
		}
		n.snaps.setAside(1)
		n.snaps.failWith(errors.New("no disk"))
		fill(t, n.engine, 1, 300)
		if n.first(1) > saved[0]+1 {
			t.Errorf("the log begins at %d, the only snapshot is at %d", n.first(1), saved[0])
		}
		c.kill(1)
		n.snaps.failWith(nil)
		c.start(1)
		if st, _ := n.engine.GroupStatus(1); st.Err != nil {
			t.Errorf("after the next start: %v", st.Err)
		}
	})
}

// setAside takes the newest snapshot of g away, as who finds it damaged does.
func (m *memSnaps) setAside(g wire.GroupID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.held[g] = slices.Delete(m.mu.held[g], 0, 1)
}

// P4: a machine that panics is out of service also when it does so because what it reads ends early.
func TestPanicUponADamagedState(t *testing.T) {
	snaps := newMemSnaps()
	snaps.receive(1, memSnap{s: wire.Snapshot{Index: 9, Term: 1}, state: make([]byte, 100), bad: true})
	e := &Engine{cfg: Config{Snapshots: snaps}, life: t.Context()}
	err := e.load(panicky{}, nil, 1, 9)
	var broken *restoreError
	if !errors.As(err, &broken) {
		t.Errorf("it was taken for what it had been: %v", err)
	}
}

type panicky struct{ Snapshotter }

func (panicky) Restore(_ wire.Index, r io.Reader) error {
	if _, err := io.ReadAll(r); err != nil {
		panic(err)
	}
	return nil
}

// F28, F29: the end of a transfer that was given up is no word about the one that has taken its place.
func TestEndOfATransferThatWasGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 3, 1), 4000)
		for _, n := range c.nodes {
			n.runner.time = time.Hour
		}
		c.startAll()
		defer c.killAll()
		leader, behind := c.leaveBehind(t, 200)
		c.net.isolate(behind.id, false)
		waitFor(t, "a transfer", func() bool { return leader.runner.running() == 1 })
		before := leader.runner.count()
		time.Sleep(65 * time.Second) // nothing is heard of a transfer for ten election timeouts each time
		if n := leader.runner.count() - before; n > 7 {
			t.Errorf("%d transfers in the time of six", n)
		}
	})
}

// Callers who wait for a snapshot are bounded, also those who have left.
func TestMakeSnapshotIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1), 1<<20)
		release := make(chan struct{})
		odd := &oddMachine{frozen: oddFrozen{close: func() error { return nil }, write: func(io.Writer) (int64, error) {
			<-release
			return 0, nil
		}}}
		c.machines = func(wire.NodeID, wire.GroupID) StateMachine { return odd }
		c.startAll()
		defer c.killAll()
		e := c.leader(1).engine
		mustPropose(t, e, 1, "one")
		for range maxSnapshotAsks {
			_, err := e.MakeSnapshot(within(time.Millisecond), 1)
			wantCode(t, err, wire.CodeTimeout)
		}
		_, err := e.MakeSnapshot(within(time.Millisecond), 1)
		wantCode(t, err, wire.CodeOverloaded)
		close(release)
		time.Sleep(time.Second)
		if _, err := e.MakeSnapshot(within(time.Minute), 1); err != nil {
			t.Error(err)
		}
	})
}

// P12: what a machine had applied before it took a snapshot over may be told of later than that, and takes nothing back.
func TestAppliedMarkBehindAnInstall(t *testing.T) {
	n := newCluster(t, 1, 1).prepare(1)
	g := n.engine.lookup(1)
	g.snaps.told, g.appliedTerm = 5, 2
	g.w.inbox.applied(appliedMark{g: g, index: 0, term: 1})
	g.w.turn()
	if g.snaps.told != 5 || g.appliedTerm != 2 {
		t.Errorf("after %d of term 2 was installed: %d of term %d", 5, g.snaps.told, g.appliedTerm)
	}
}

// P3, P7: replicas are made and ended while a large state of another group is written, and nothing of an ended one comes back.
func TestGroupsComeAndGoWhileALargeStateIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := withSnapshots(newCluster(t, 1, 1, 2), 1<<20)
		config := c.config
		c.config = func(cfg *Config) { config(cfg); cfg.Snapshots = slowSnaps{c.nodes[1].snaps} }
		machine := func(bytes int) StateMachine {
			return &oddMachine{frozen: oddFrozen{close: func() error { return nil }, write: func(w io.Writer) (int64, error) {
				n, err := w.Write(make([]byte, bytes))
				return int64(n), err
			}}}
		}
		c.machines = func(_ wire.NodeID, g wire.GroupID) StateMachine { return machine(int(2-g) * 90 << 20) }
		c.startAll()
		defer c.killAll()
		e := c.leader(1).engine
		c.leader(2)
		for g := range wire.GroupID(2) {
			mustPropose(t, e, g+1, "one")
			e.makeSnapshot(g+1, func(wire.Snapshot, error) {})
			time.Sleep(time.Second)
		}
		if err := e.RemoveGroup(within(time.Minute), 2); err != nil {
			t.Fatal(err)
		}
		if err := e.CreateGroup(within(time.Minute), GroupConfig{ID: 3, Machine: machine(1)}, wire.Membership{Voters: []wire.NodeID{1}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if s, _, ok := c.nodes[1].snaps.Newest(2); ok {
			t.Errorf("the replica that was ended has left the snapshot at %d", s.Index)
		}
		if _, _, ok := c.nodes[1].snaps.Newest(1); !ok {
			t.Error("the large state was not written")
		}
	})
}
