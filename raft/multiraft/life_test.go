package multiraft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/internal/leak"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// P7, F35: every call that comes before, during or after Close ends, with a type that tells the truth; nothing is missed.
func TestCloseMissesNobody(t *testing.T) {
	for _, courtesy := range []string{"close", "kill"} {
		t.Run(courtesy, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCluster(t, 3, 1, 2)
				c.net.delay = time.Millisecond
				c.startAll()
				defer c.killAll()
				leader := c.leader(1)
				var callers sync.WaitGroup
				var calls atomic.Int64
				var over atomic.Bool
				for range 20 {
					callers.Go(func() {
						for !over.Load() {
							_, err := leader.engine.Propose(context.Background(), 1, []byte("x"))
							checkEnd(t, err, wire.CodeUnknownOutcome, wire.CodeStopped, wire.CodeNoLeader, wire.CodeNotLeader, wire.CodeNotApplied)
							calls.Add(1)
							time.Sleep(time.Microsecond)
						}
					})
					callers.Go(func() {
						for !over.Load() {
							_, err := leader.engine.Query(context.Background(), 1, nil)
							checkEnd(t, err, wire.CodeStopped)
							time.Sleep(time.Microsecond)
						}
					})
				}
				forever := make(chan error, 1)
				go func() {
					w, _ := leader.engine.Watch(2)
					forever <- w.Wait(context.Background(), 1<<40)
				}()
				time.Sleep(20 * time.Millisecond)
				stop(t, leader.engine, courtesy)
				time.Sleep(20 * time.Millisecond)
				over.Store(true)
				callers.Wait()
				wantCode(t, <-forever, wire.CodeStopped)
				if calls.Load() < 100 {
					t.Errorf("only %d calls", calls.Load())
				}
				if got := leader.engine.bytes.Load(); got != 0 {
					t.Errorf("%d bytes wait for nobody", got)
				}
			})
		})
	}
}

func stop(t *testing.T, e *Engine, courtesy string) {
	t.Helper()
	if courtesy == "kill" {
		e.Kill()
		return
	}
	if err := e.Close(within(5 * time.Second)); err != nil {
		t.Errorf("close: %v", err)
	}
}

func checkEnd(t *testing.T, err error, codes ...wire.Code) {
	t.Helper()
	if err == nil {
		return
	}
	for _, code := range codes {
		if wire.CodeOf(err) == code {
			return
		}
	}
	t.Errorf("call ended with %v", err)
}

// Close hands leaderships over before it goes, and lets what is under way end: with a steady load nobody sees an unknown
// outcome, and the others have a leader at once.
func TestCloseHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2, 3)
		c.net.delay = time.Millisecond
		heartbeat := 300 * time.Millisecond
		c.config = func(cfg *Config) { cfg.Heartbeat = heartbeat }
		started := time.Now()
		c.startAll()
		defer c.killAll()
		for _, g := range c.groups {
			mustPropose(t, c.leader(g).engine, g, "x")
		}
		leaving := c.leader(1)
		time.Sleep(heartbeat - time.Since(started)%heartbeat + time.Millisecond) // no tick is near
		began := time.Now()
		if err := leaving.engine.Close(within(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("close took %v", took)
		}
		for _, g := range c.groups {
			if c.leader(g).id == leaving.id {
				t.Errorf("group %d is led by who left", g)
			}
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("leaderships moved after %v", took)
		}
		if err := leaving.engine.Close(context.Background()); err != nil { // idempotent
			t.Errorf("second close: %v", err)
		}
		leaving.engine.Kill()
		leaving.engine.Start() // too late: does nothing
		_, err := leaving.engine.Propose(context.Background(), 1, nil)
		wantCode(t, err, wire.CodeStopped)
		wantCode(t, leaving.engine.AddGroup(GroupConfig{ID: 9, Machine: &recorder{}}), wire.CodeStopped)
	})
}

// P7, F34: a caller that looked before the doors closed and comes through them after is refused, not forgotten.
func TestDoorsStayClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		e := c.leader(1).engine
		w, err := e.Watch(1)
		if err != nil {
			t.Fatal(err)
		}
		e.Kill()
		e.closing.Store(false) // as the caller saw it
		_, err = e.Propose(context.Background(), 1, nil)
		wantCode(t, err, wire.CodeStopped)
		_, err = e.Query(context.Background(), 1, nil)
		wantCode(t, err, wire.CodeStopped)
		_, err = e.QueryStale(context.Background(), 1, nil)
		wantCode(t, err, wire.CodeStopped)
		wantCode(t, e.TransferLeader(context.Background(), 1, 2), wire.CodeStopped)
		wantCode(t, w.Wait(context.Background(), 1<<40), wire.CodeStopped)
		if got := e.bytes.Load(); got != 0 {
			t.Errorf("%d bytes wait for nobody", got)
		}
	})
}

// Close before Start, without a quorum, and with a context that has ended.
func TestCloseInOddStates(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		n := c.prepare(1)
		if err := n.engine.Close(context.Background()); err != nil {
			t.Errorf("before start: %v", err)
		}
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		c.net.isolate(leader.id, true)
		lost := make(chan error, 1)
		go func() {
			_, err := leader.engine.Propose(context.Background(), 1, []byte("x"))
			lost <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := leader.engine.Close(context.Background()); err != nil {
			t.Errorf("without a quorum: %v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("close without a quorum took %v", took)
		}
		wantCode(t, <-lost, wire.CodeUnknownOutcome)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := c.other(leader).engine.Close(ended); err != nil {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

// A hung disk does not keep Close for ever, and it says what is stuck.
func TestCloseWithHungDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		n := c.leader(1)
		gate := make(chan struct{})
		defer close(gate)
		n.log.hook(func([]wire.LogUpdate) error { <-gate; return nil })
		lost := make(chan error, 1)
		go func() {
			_, err := n.engine.Propose(context.Background(), 1, []byte("x"))
			lost <- err
		}()
		synctest.Wait()
		if err := n.engine.Close(within(time.Second)); !errors.Is(err, errStopped) {
			t.Errorf("close with a hung disk: %v", err)
		}
		wantCode(t, <-lost, wire.CodeUnknownOutcome)
	})
}

// P8: two hundred restarts in one process leave no goroutine behind. Real time, as the process is asked.
func TestTwoHundredRestarts(t *testing.T) {
	c := newCluster(t, 1, 0, 1, 2)
	c.config = func(cfg *Config) { cfg.Heartbeat, cfg.ElectionTimeout = time.Millisecond, 3*time.Millisecond }
	before := leak.Running()
	for i := range 200 {
		c.start(1)
		e := c.nodes[1].engine
		if i%4 != 0 { // at any moment, also before there is a leader
			<-e.Ready()
		}
		if i%2 == 0 {
			e.Kill()
		} else if err := e.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	before.CheckJoined(t)
}

// The number of goroutines does not depend on the number of groups.
func TestGoroutinesDoNotGrowWithGroups(t *testing.T) {
	count := func(groups int) int {
		var ids []wire.GroupID
		for g := range wire.GroupID(groups) {
			ids = append(ids, g)
		}
		c := newCluster(t, 1, ids...)
		before := leak.Running()
		c.start(1)
		defer c.killAll()
		return len(before.Since())
	}
	if few, many := count(1), count(1000); few != many || many > 25 {
		t.Errorf("%d goroutines for one group, %d for 1000", few, many)
	}
}

// P13, F34: ready once group 0 has applied an entry of the current leader's term here, whoever looks and when.
func TestReadinessLatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, 1)
		c.start(1)
		defer c.killAll()
		time.Sleep(5 * time.Second)
		if isClosed(c.nodes[1].engine.Ready()) {
			t.Fatal("ready alone")
		}
		c.start(2)
		leader := c.leader(0)
		<-leader.engine.Ready()
		<-c.nodes[1].engine.Ready()
		<-c.nodes[1].engine.Ready() // late listeners see it too
		c.net.lose(func(_, to wire.NodeID, m *wire.Message) bool {
			return to == 3 && m.Type == wire.MsgAppend && len(m.Entries) > 0
		})
		c.start(3)
		time.Sleep(2 * time.Second)
		if s, _ := c.nodes[3].engine.GroupStatus(0); s.Leader != leader.id || isClosed(c.nodes[3].engine.Ready()) {
			t.Fatalf("node 3 knows leader %d and has applied nothing, ready %v", s.Leader, isClosed(c.nodes[3].engine.Ready()))
		}
		c.net.lose(nil)
		<-c.nodes[3].engine.Ready()
		if got := len(eventsOf[NodeReady](c.nodes[3].events)); got != 1 {
			t.Errorf("told %d times", got)
		}
		for range 20 { // fast restarts in the same term
			c.kill(3)
			c.start(3)
			<-c.nodes[3].engine.Ready()
		}
	})
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// P14: a learner that has caught up is promoted by the loop, by one change, without anybody asking.
func TestLearnersArePromoted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 1)
		for _, n := range c.nodes { // nodes 4 and 5 are outside at first
			n.log.mu.groups[1].state.Membership = wire.Membership{Voters: []wire.NodeID{1, 2, 3}}
		}
		c.start(1, 2, 3, 4, 5)
		defer c.killAll()
		leader := c.leaderOf(1, 1, 2, 3)
		for i := range 300 {
			mustPropose(t, leader.engine, 1, fmt.Sprint(i))
		}
		for _, id := range []wire.NodeID{4, 5} {
			for c.nodes[1].engine.Change(within(10*time.Second), 1, wire.OneChange(wire.ChangeAddLearner, id)) != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(3 * time.Second)
		for id, n := range c.nodes {
			s, _ := n.engine.GroupStatus(1)
			if len(s.Voters) != 5 || len(s.Learners) != 0 {
				t.Errorf("node %d: voters %v, learners %v", id, s.Voters, s.Learners)
			}
		}
		promotions := map[wire.Change]int{}
		for _, e := range leader.log.mu.groups[1].entries {
			if e.Kind == wire.EntryChange {
				promotions[wire.ReadChangeSet(wire.NewReader(e.Data)).Changes[0]]++
			}
		}
		for _, id := range []wire.NodeID{4, 5} {
			if got := promotions[wire.Change{Kind: wire.ChangePromote, Node: id}]; got != 1 {
				t.Errorf("%d promotions of node %d in the log, want 1", got, id)
			}
		}
		if got := len(c.nodes[5].machines[1].commands()); got != 300 {
			t.Errorf("the new voter applied %d commands", got)
		}
	})
}

// Two voters are exchanged in one step, by order of a node that does not lead: the loop leaves the joint configuration
// by itself. The same order again is refused with its type across the network, as the membership has changed (D52).
func TestVotersAreExchanged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 1)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		var others []*node
		for id := wire.NodeID(1); id <= 5; id++ {
			if id != leader.id {
				others = append(others, c.nodes[id])
			}
		}
		set := wire.ChangeSet{SetBase: true, Changes: []wire.Change{
			{Kind: wire.ChangeRemove, Node: others[0].id}, {Kind: wire.ChangeRemove, Node: others[1].id},
		}}
		asked := others[3].engine
		if err := asked.Change(within(10*time.Second), 1, set); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for _, n := range []*node{leader, others[2], others[3]} {
			s, _ := n.engine.GroupStatus(1)
			if len(s.Voters) != 3 || len(s.Outgoing) != 0 {
				t.Errorf("node %d: voters %v, outgoing %v", n.id, s.Voters, s.Outgoing)
			}
		}
		joint := eventsOf[MembershipChanged](leader.events)
		if len(joint) != 2 || len(joint[0].Membership.Outgoing) != 5 || joint[1].Membership.Joint() {
			t.Errorf("memberships %+v", joint)
		}
		if err := asked.Change(within(10*time.Second), 1, set); wire.CodeOf(err) != wire.CodeConflict {
			t.Errorf("the same once more: %v", err)
		}
		mustPropose(t, leader.engine, 1, "x")
	})
}

// D55: a node that was removed while it was away is told so by type when it comes back asking for votes.
func TestRemovedNodeIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 4, 1)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		removed := c.other(leader)
		c.net.isolate(removed.id, true)
		if err := leader.engine.Change(within(10*time.Second), 1, wire.OneChange(wire.ChangeRemove, removed.id)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		before, _ := leader.engine.GroupStatus(1)
		c.net.isolate(removed.id, false)
		time.Sleep(5 * time.Second)
		refused := eventsOf[GroupRefused](removed.events)
		if len(refused) == 0 || refused[0] != (GroupRefused{Group: 1, Peer: leader.id, Reason: wire.RefuseRemoved}) {
			t.Errorf("told %v", refused)
		}
		if after, _ := leader.engine.GroupStatus(1); after.Term != before.Term {
			t.Errorf("it raised the term from %d to %d", before.Term, after.Term)
		}
	})
}

// leaderOf is leader among some nodes only.
func (c *cluster) leaderOf(g wire.GroupID, among ...wire.NodeID) *node {
	for range 200 {
		for _, id := range among {
			if s, _ := c.nodes[id].engine.GroupStatus(g); s.Role == raft.Leader {
				return c.nodes[id]
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatal("no leader")
	return nil
}

// A leader's goodbye: the groups it led elect without waiting for their timeouts, the others do not move.
func TestGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		c.net.delay = time.Millisecond
		c.startAll()
		defer c.killAll()
		leaving := c.leader(1)
		staying := c.other(leaving)
		c.leader(2)
		_ = leaving.engine.TransferLeader(within(time.Second), 2, staying.id)
		before, _ := c.leader(2).engine.GroupStatus(2)
		c.kill(leaving.id)
		began := time.Now()
		for _, n := range c.nodes {
			if n != leaving {
				n.engine.HandlePeer(leaving.id, wire.PeerGoodbye)
			}
		}
		c.leader(1)
		if took := time.Since(began); took > 600*time.Millisecond {
			t.Errorf("new leader after %v, the election timeout is 1s", took)
		}
		if after, _ := staying.engine.GroupStatus(2); after.Term != before.Term {
			t.Errorf("a group led elsewhere went from term %d to %d", before.Term, after.Term)
		}
	})
}

// Config.Validate names all faults at once.
func TestValidate(t *testing.T) {
	_, err := New(Config{Workers: 9, Heartbeat: time.Second, ElectionTimeout: time.Second})
	for _, want := range []string{"self", "log store", "transport", "workers", "election timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s: %v", want, err)
		}
	}
}

// D45: a machine on disk may have applied changes of membership that the store was never told of. They count: for the
// status, and for who is a stranger to a leader.
func TestMembershipAheadOfTheStore(t *testing.T) {
	c := newCluster(t, 1)
	log := c.nodes[1].log
	log.create(0, wire.Membership{Voters: []wire.NodeID{1, 2}})
	set := wire.OneChange(wire.ChangePromote, 3)
	ch := wire.AppendChangeSet(nil, &set)
	err := log.Commit([]wire.LogUpdate{{Group: 0, SetHardState: true, HardState: wire.HardState{Term: 1, Commit: 1}, Entries: []wire.Entry{
		{Index: 1, Term: 1, Kind: wire.EntryEmpty}, {Index: 2, Term: 1, Kind: wire.EntryChange, Data: ch},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Self: 1, Log: log, Transport: c.net.port(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Kill()
	if err := e.AddGroup(GroupConfig{ID: 0, Machine: &recorder{}, Applied: 2}); err != nil {
		t.Fatal(err)
	}
	if s, _ := e.GroupStatus(0); len(s.Voters) != 3 {
		t.Errorf("voters %v, the machine has applied the change that adds 3", s.Voters)
	}
}
