package multiraft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// P4: a panic or an error of one group's machine on every node takes that group out of service; 99 others go on.
func TestPanickingMachineAmongHundredGroups(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var groups []wire.GroupID
		for g := range wire.GroupID(100) {
			groups = append(groups, g)
		}
		c := newCluster(t, 3, groups...)
		c.startAll()
		defer c.killAll()
		for _, n := range c.nodes {
			n.machines[13].onApply = func(batch []Command) error {
				if slices.ContainsFunc(batch, func(c Command) bool { return string(c.Data) == "bomb" }) {
					panic("boom")
				}
				return nil
			}
			n.machines[14].onApply = func([]Command) error { return errors.New("no") }
		}
		leader := c.leader(13)
		mustPropose(t, leader.engine, 13, "fine")
		for _, g := range []wire.GroupID{13, 14} {
			_, err := c.leader(g).engine.Propose(within(5*time.Second), g, []byte("bomb"))
			wantCode(t, err, wire.CodeUnknownOutcome) // in the log, and not applied here
			time.Sleep(time.Second)
			for id, n := range c.nodes {
				_, err = n.engine.Propose(within(time.Second), g, []byte("more"))
				wantCode(t, err, wire.CodeQuarantined)
				_, err = n.engine.Query(within(time.Second), g, nil)
				wantCode(t, err, wire.CodeQuarantined)
				if s, _ := n.engine.GroupStatus(g); s.Err == nil {
					t.Errorf("node %d: status of group %d without error", id, g)
				}
			}
		}
		for _, g := range groups {
			if g != 13 && g != 14 {
				c.leader(g)
				mustPropose(t, c.nodes[1].engine, g, "x")
			}
		}
		for id, n := range c.nodes {
			if got := len(eventsOf[GroupQuarantined](n.events)); got != 2 {
				t.Errorf("node %d: %d quarantines, want 2", id, got)
			}
		}
	})
}

// P4, P6, F20: a replica quarantined on one node alone is refused to its peers by type; the group and
// the node's other groups go on.
func TestQuarantineOnOneNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		c.leader(2)
		broken := c.other(leader)
		broken.machines[1].onQuery = func([]byte) { panic("boom") }
		_, err := broken.engine.Query(within(time.Second), 1, nil)
		wantCode(t, err, wire.CodeQuarantined)
		for i := range 5 {
			mustPropose(t, leader.engine, 1, fmt.Sprint(i))
			mustPropose(t, broken.engine, 2, fmt.Sprint(i))
		}
		time.Sleep(time.Second)
		refused := eventsOf[GroupRefused](leader.events)
		if len(refused) == 0 || refused[0] != (GroupRefused{Group: 1, Peer: broken.id, Reason: wire.RefuseQuarantined}) {
			t.Errorf("refusals seen by the leader: %v", refused)
		}
	})
}

// P4: a broken invariant in one group's core, here in one call of its owner, takes out that replica alone.
func TestPanickingCore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		c.startAll()
		defer c.killAll()
		c.leader(1)
		c.leader(2)
		n := c.nodes[1]
		g := n.engine.lookup(1)
		g.w.inbox.order(func(w *worker) { w.visit(g, func(_ *raft.Core) { panic("invariant broken") }) })
		synctest.Wait()
		_, err := n.engine.Propose(within(time.Second), 1, nil)
		wantCode(t, err, wire.CodeQuarantined)
		mustPropose(t, n.engine, 2, "x")
		mustPropose(t, c.nodes[2].engine, 2, "x")
		for {
			if _, err := c.nodes[2].engine.Propose(within(time.Second), 1, []byte("x")); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// P6, F20: a group that is missing on one node is refused for that group alone.
func TestGroupMissingOnOneNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		delete(c.nodes[3].log.mu.groups, 2)
		c.startAll()
		defer c.killAll()
		for _, g := range []wire.GroupID{1, 2} {
			leader := c.leader(g)
			mustPropose(t, leader.engine, g, "x")
			time.Sleep(time.Second)
			refused := eventsOf[GroupRefused](leader.events)
			if g == 2 && (len(refused) == 0 || refused[0] != (GroupRefused{Group: 2, Peer: 3, Reason: wire.RefuseUnknownGroup})) {
				t.Errorf("refusals: %v", refused)
			}
		}
		if got := len(c.nodes[3].machines[1].commands()); got != 1 {
			t.Errorf("group 1 on node 3 applied %d commands", got)
		}
		if c.nodes[3].engine.Stats().RefusedHere == 0 {
			t.Error("no refusal counted")
		}
	})
}

// P10, F31, D16: under load, leader changes and restarts each machine gets data entries only, in log order, each exactly
// once per process life, with growing places; all machines agree; what was acknowledged is there once.
func TestMachinesUnderLoadAndLeaderChanges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, 1)
		c.config = func(cfg *Config) {
			cfg.EpochBump = func(term wire.Term) []byte { return fmt.Appendf(nil, "bump %d", term) }
		}
		c.net.delay = 5 * time.Millisecond
		c.startAll()
		defer c.killAll()
		c.leader(1)
		acked := underLoad(t, c)
		checkMachines(t, c, acked)
	})
}

// underLoad writes to group 1 at every node while leaders are cut off and nodes restarted, and returns what was
// acknowledged.
func underLoad(t *testing.T, c *cluster) map[string]Result {
	acked := map[string]Result{}
	var mu sync.Mutex
	var over atomic.Bool
	var writers sync.WaitGroup
	engines := map[wire.NodeID]*atomic.Pointer[Engine]{}
	for id, n := range c.nodes {
		engines[id] = &atomic.Pointer[Engine]{}
		engines[id].Store(n.engine)
	}
	for id := range c.nodes {
		for w := range 4 {
			writers.Go(func() {
				for i := 0; !over.Load(); i++ {
					data := fmt.Sprintf("%d/%d/%d", id, w, i)
					res, err := engines[id].Load().Propose(within(300*time.Millisecond), 1, []byte(data))
					if err == nil {
						mu.Lock()
						acked[data] = res
						mu.Unlock()
						continue
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 12 {
		id := wire.NodeID(rng.IntN(3) + 1)
		switch round % 3 {
		case 0:
			c.net.isolate(id, true)
			time.Sleep(2 * time.Second)
			c.net.isolate(id, false)
		case 1:
			c.kill(id)
			time.Sleep(time.Second)
			c.start(id)
			engines[id].Store(c.nodes[id].engine)
		case 2:
			_ = c.leader(1).engine.TransferLeader(within(time.Second), 1, id)
		}
		time.Sleep(500 * time.Millisecond)
	}
	over.Store(true)
	writers.Wait()
	return acked
}

func checkMachines(t *testing.T, c *cluster, acked map[string]Result) {
	mustPropose(t, c.leader(1).engine, 1, "last")
	time.Sleep(2 * time.Second)
	if len(acked) < 1000 {
		t.Errorf("only %d commands acknowledged: no load", len(acked))
	}
	first := c.nodes[1].machines[1].commands()
	place := map[string]Command{}
	for i, cmd := range first {
		if i > 0 && (cmd.Index < first[i-1].Index || cmd.Term < first[i-1].Term) {
			t.Fatalf("command %d at %d/%d after %d/%d", i, cmd.Index, cmd.Term, first[i-1].Index, first[i-1].Term)
		}
		if _, twice := place[string(cmd.Data)]; twice || len(cmd.Data) == 0 {
			t.Fatalf("command %q twice, or not data", cmd.Data)
		}
		place[string(cmd.Data)] = cmd
	}
	for data, res := range acked {
		if cmd := place[data]; cmd.Index != res.Index || cmd.Term != res.Term {
			t.Fatalf("acknowledged %q at %d/%d, applied at %d/%d", data, res.Index, res.Term, cmd.Index, cmd.Term)
		}
	}
	for id := range c.nodes {
		got := c.nodes[id].machines[1].commands()
		if !slices.EqualFunc(got, first, func(a, b Command) bool {
			return a.Index == b.Index && a.Term == b.Term && string(a.Data) == string(b.Data)
		}) {
			t.Errorf("node %d applied %d commands, node 1 %d: they differ", id, len(got), len(first))
		}
	}
	bumps := c.nodes[1].machines[0].commands()
	for i, cmd := range bumps { // P20: once for each acquisition of leadership
		if string(cmd.Data) != fmt.Sprintf("bump %d", cmd.Term) || i > 0 && bumps[i-1].Term == cmd.Term {
			t.Errorf("bump %d: %q in term %d", i, cmd.Data, cmd.Term)
		}
	}
	if len(bumps) < 2 {
		t.Errorf("%d bumps", len(bumps))
	}
}

// D16: restarted fifty times, a machine that only appends holds each command once.
func TestFiftyRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		for i := range 50 {
			c.start(1)
			c.leader(1)
			mustPropose(t, c.nodes[1].engine, 1, fmt.Sprint(i))
			got := c.nodes[1].machines[1].commands()
			for n, cmd := range got {
				if string(cmd.Data) != fmt.Sprint(n) {
					t.Fatalf("start %d: command %d is %q", i, n, cmd.Data)
				}
			}
			if len(got) != i+1 {
				t.Fatalf("start %d: %d commands", i, len(got))
			}
			c.kill(1)
		}
	})
}

// P9, F32: a batch that holds only changes and empty entries moves the applied index; a change takes effect before
// the machine sees what follows it.
func TestChangesBeforeWhatFollows(t *testing.T) {
	c := newCluster(t, 1, 1)
	h := newHand(c)
	n := c.nodes[1]
	h.lead(n)
	w, err := n.engine.Watch(1)
	if err != nil {
		t.Fatal(err)
	}
	if w.Applied() != 1 { // the no-op
		t.Fatalf("applied %d after the no-op", w.Applied())
	}
	g := n.engine.lookup(1)
	change := n.engine.newProposal(g, nil, new(wire.OneChange(wire.ChangeAddLearner, 9)))
	if err := g.reserve(change.cost); err != nil {
		t.Fatal(err)
	}
	g.w.inbox.propose(change)
	done := h.propose(n, 1, "after")
	var learners []wire.NodeID
	n.machines[1].onApply = func([]Command) error {
		s, _ := n.engine.GroupStatus(1)
		learners = s.Learners
		return nil
	}
	h.settle()
	if out := <-change.done; out.err != nil || out.result.Index != 2 {
		t.Errorf("change: %+v", out)
	}
	if out := <-done; out.err != nil || out.result.Index != 3 {
		t.Errorf("command: %+v", out)
	}
	if !slices.Equal(learners, []wire.NodeID{9}) {
		t.Errorf("the machine saw what follows the change with learners %v", learners)
	}
	if w.Applied() != 3 {
		t.Errorf("applied %d, want 3", w.Applied())
	}
}

// P11, P12, F30: the applied index moves after the machine has returned, and waiters with it: reached, timed out, or
// group gone.
func TestWatcher(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		defer c.killAll()
		n := c.leader(1)
		gate := make(chan struct{})
		w, err := n.engine.Watch(1)
		if err != nil {
			t.Fatal(err)
		}
		n.machines[1].onApply = func(batch []Command) error {
			<-gate
			if w.Applied() >= batch[0].Index {
				t.Errorf("applied %d while the machine is at %d", w.Applied(), batch[0].Index)
			}
			return nil
		}
		index := w.Applied() + 1
		go func() { _, _ = n.engine.Propose(within(time.Minute), 1, []byte("x")) }()
		reached, gone := make(chan error, 1), make(chan error, 1)
		go func() { reached <- w.Wait(within(time.Minute), index) }()
		go func() { gone <- w.Wait(within(time.Minute), index+100) }()
		synctest.Wait()
		if len(reached) != 0 || w.Applied() != index-1 {
			t.Fatal("visible before the machine has returned")
		}
		wantCode(t, w.Wait(within(time.Second), index), wire.CodeTimeout)
		close(gate)
		if err := <-reached; err != nil {
			t.Errorf("reached: %v", err)
		}
		if err := w.Wait(within(0), index); err != nil {
			t.Errorf("already there: %v", err)
		}
		n.machines[1].onQuery = func([]byte) { panic("boom") }
		_, _ = n.engine.QueryStale(within(time.Second), 1, nil)
		wantCode(t, <-gone, wire.CodeQuarantined)
	})
}

// A slow machine delays no other group, and holds no more than its share of memory.
func TestSlowMachine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2, 3, 4)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		slow := c.other(leader)
		gate := make(chan struct{})
		slow.machines[1].onApply = func([]Command) error { <-gate; return nil }
		big := make([]byte, 1<<20)
		for i := range 30 {
			if _, err := leader.engine.Propose(within(time.Second), 1, append(big, byte(i))); err != nil {
				t.Fatal(err)
			}
			for _, g := range []wire.GroupID{2, 3, 4} {
				c.leader(g)
				mustPropose(t, slow.engine, g, "x")
			}
		}
		synctest.Wait()
		held := 0
		for _, job := range slow.engine.lookup(1).run.queue {
			for i := range job.entries {
				held += job.entries[i].Size()
			}
		}
		if held > 5<<20 { // raft.Config.MaxCommittedBytes and one entry
			t.Errorf("%d bytes held for a slow machine", held)
		}
		close(gate)
		time.Sleep(time.Second)
		for i, cmd := range slow.machines[1].commands() {
			if cmd.Data[1<<20] != byte(i) {
				t.Fatalf("command %d is number %d", i, cmd.Data[1<<20])
			}
		}
		if got := len(slow.machines[1].commands()); got != 30 {
			t.Errorf("%d commands applied, want 30", got)
		}
	})
}

// P6: a peer that refuses a group is told of once, not with every heartbeat it answers: a node without a thousand groups
// would flood the logs of all others. It is told of again when it has served the group in between.
func TestRefusalIsToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		l := c.leader(1)
		bad := c.other(l)
		told := func() (n int) {
			for _, ev := range eventsOf[GroupRefused](l.events) {
				if ev.Peer == bad.id {
					n++
				}
			}
			return n
		}
		bad.engine.lookup(1).quarantine(errors.New("broken"))
		time.Sleep(30 * time.Second)
		if n := told(); n != 1 {
			t.Errorf("told %d times in 30 s", n)
		}
		c.kill(bad.id)
		c.start(bad.id)
		time.Sleep(5 * time.Second)
		bad.engine.lookup(1).quarantine(errors.New("broken again"))
		time.Sleep(5 * time.Second)
		if n := told(); n != 2 {
			t.Errorf("told %d times of two quarantines", n)
		}
	})
}
