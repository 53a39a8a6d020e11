package multiraft

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/raft/wire"
)

// N7: a command that a deposed leader had in its log is answered by the new leader's first commit: not applied.
func TestOutcomeNotApplied(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		old := c.leader(1)
		c.net.isolate(old.id, true)
		lost := make(chan error, 1)
		go func() {
			_, err := old.engine.Propose(within(time.Minute), 1, []byte("lost"))
			lost <- err
		}()
		time.Sleep(1900 * time.Millisecond) // the others elect; the old one has stepped down but not given up
		if len(lost) != 0 {
			t.Fatalf("answered by %v while nobody can know", <-lost)
		}
		c.net.isolate(old.id, false)
		wantCode(t, <-lost, wire.CodeNotApplied)
		mustPropose(t, c.leader(1).engine, 1, "x")
		for _, cmd := range old.machines[1].commands() {
			if string(cmd.Data) == "lost" {
				t.Error("applied after all")
			}
		}
	})
}

// N7: the caller leaves while the command is under way, or nobody can ever tell: unknown.
func TestOutcomeUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		old := c.leader(1)
		c.net.isolate(old.id, true)
		_, err := old.engine.Propose(within(100*time.Millisecond), 1, []byte("a"))
		wantCode(t, err, wire.CodeUnknownOutcome)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cause is lost: %v", err)
		}
		began := time.Now()
		_, err = old.engine.Propose(context.Background(), 1, []byte("b")) // steps down, and nobody tells
		wantCode(t, err, wire.CodeUnknownOutcome)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("unknown only after %v", took)
		}
		if got := old.engine.Stats().WaitingBytes; got != 0 {
			t.Errorf("%d bytes wait for nobody", got)
		}
		if got := old.engine.Stats().Errors[wire.CodeUnknownOutcome]; got == 0 {
			t.Error("no unknown outcome counted") // P17
		}
	})
}

// N7: a caller that leaves before its command was begun knows that nothing happened.
func TestOutcomeTimeoutBeforeTakenIn(t *testing.T) {
	c := newCluster(t, 1, 1)
	h := newHand(c)
	n := c.nodes[1]
	h.lead(n)
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := n.engine.Propose(ctx, 1, []byte("x"))
		failed <- err
	}()
	for n.engine.bytes.Load() == 0 { // until it is in the inbox
	}
	cancel()
	wantCode(t, <-failed, wire.CodeTimeout)
	h.settle()
	if got := n.machines[1].commands(); len(got) != 0 {
		t.Errorf("applied after all: %v", got)
	}
	if got := n.engine.bytes.Load(); got != 0 {
		t.Errorf("%d bytes wait for nobody", got)
	}
	_, err := n.engine.Propose(ctx, 1, nil)
	wantCode(t, err, wire.CodeTimeout)
}

// The pending book: what is committed settles what it supersedes (N7).
func TestPendingBook(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := newHand(c).c.nodes[1]
	g := n.engine.lookup(1)
	make1 := func() *proposal { return n.engine.newProposal(g, nil, nil) }
	type place struct {
		index wire.Index
		term  wire.Term
	}
	for name, tc := range map[string]struct {
		pending   []place
		committed place
		mine      bool
		settled   int
	}{
		"mine":                           {[]place{{5, 2}, {6, 2}}, place{5, 2}, true, 0},
		"before mine":                    {[]place{{5, 2}}, place{4, 2}, false, 0},
		"a later term before mine":       {[]place{{5, 2}, {6, 2}}, place{4, 3}, false, 2},
		"a later term at mine":           {[]place{{5, 2}}, place{5, 3}, false, 1},
		"mine, after an earlier life's":  {[]place{{5, 2}, {6, 2}, {5, 4}}, place{5, 4}, true, 2},
		"an earlier term, mine to come":  {[]place{{5, 4}}, place{4, 2}, false, 0},
		"two lives, a third one decides": {[]place{{5, 2}, {5, 4}, {9, 6}}, place{5, 5}, false, 2},
	} {
		var book pendingBook
		var props []*proposal
		for _, p := range tc.pending {
			prop := make1()
			props = append(props, prop)
			book.add(pendingEntry{index: p.index, term: p.term, props: []*proposal{prop}})
		}
		mine := book.commit(g, tc.committed.index, tc.committed.term)
		settled := 0
		for _, p := range props {
			settled += len(p.done)
		}
		if (mine != nil) != tc.mine || settled != tc.settled {
			t.Errorf("%s: mine %v, %d settled; want %v, %d", name, mine != nil, settled, tc.mine, tc.settled)
		}
	}
}

// P18: without a known leader Propose says so at once.
func TestNoLeaderAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.start(1)
		defer c.killAll()
		began := time.Now()
		_, err := c.nodes[1].engine.Propose(context.Background(), 1, nil)
		wantCode(t, err, wire.CodeNoLeader)
		if took := time.Since(began); took != 0 {
			t.Errorf("said so after %v", took)
		}
	})
}

// D40: a forwarded request is never forwarded again, also where two nodes take each other for the leader.
func TestForwardOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		a, b := c.other(leader), c.other(c.other(leader))
		for _, pair := range [][2]*node{{a, b}, {b, a}} {
			v := *pair[0].engine.lookup(1).view.Load()
			v.leader = pair[1].id
			pair[0].engine.lookup(1).view.Store(&v)
		}
		_, err := a.engine.Propose(within(time.Second), 1, []byte("x"))
		wantCode(t, err, wire.CodeNotLeader)
		var w *wire.Error
		if errors.As(err, &w); w.Leader != leader.id {
			t.Errorf("names leader %d, want %d", w.Leader, leader.id)
		}
		if a.port.mu.forwards != 1 || b.port.mu.forwards != 0 {
			t.Errorf("%d and %d hops, want 1 and 0", a.port.mu.forwards, b.port.mu.forwards)
		}
	})
}

// A forwarded request that makes no sense is refused, and what does not fit too.
func TestRefusedRequests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		c.start(1)
		defer c.killAll()
		e := c.leader(1).engine
		for name, tc := range map[string]struct {
			req  forwardRequest
			want wire.Code
		}{
			"no op":         {forwardRequest{group: 1}, wire.CodeBadRequest},
			"unknown group": {forwardRequest{group: 2, op: opPropose}, wire.CodeUnknownGroup},
			"bad change":    {forwardRequest{group: 1, op: opChange, data: []byte{1}}, wire.CodeBadRequest},
			"bad transfer":  {forwardRequest{group: 1, op: opTransfer}, wire.CodeBadRequest},
			"too large":     {forwardRequest{group: 1, op: opPropose, data: make([]byte, MaxCommandBytes+1)}, wire.CodeTooLarge},
		} {
			_, err := e.HandleForward(context.Background(), 2, tc.req.append(nil))
			if got := wire.CodeOf(err); got != tc.want {
				t.Errorf("%s: %v, want code %v", name, err, tc.want)
			}
		}
		_, err := e.Propose(context.Background(), 1, make([]byte, MaxCommandBytes+1))
		wantCode(t, err, wire.CodeTooLarge)
		if _, err := e.Propose(context.Background(), 1, make([]byte, MaxCommandBytes)); err != nil {
			t.Errorf("the largest command: %v", err)
		}
	})
}

// F21: what waits is bounded in bytes, for one group and for the node; more is refused by type, and room comes back.
func TestOverload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2, 3)
		c.config = func(cfg *Config) { cfg.GroupBytes, cfg.NodeBytes = 10<<10, 25<<10 }
		c.startAll()
		defer c.killAll()
		for _, g := range c.groups {
			leader := c.leader(g)
			if leader.id != 1 {
				if err := leader.engine.TransferLeader(within(time.Second), g, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		e := c.nodes[1].engine
		c.net.isolate(1, true)
		admitted := map[wire.GroupID]int{}
		for _, g := range c.groups {
			for range 20 {
				go func() { _, _ = e.Propose(context.Background(), g, make([]byte, 1000)) }()
				synctest.Wait()
			}
			s, _ := e.GroupStatus(g)
			admitted[g] = int(s.WaitingBytes) / (1000 + commandOverhead)
		}
		if fmt.Sprint(admitted) != "map[1:9 2:9 3:4]" {
			t.Errorf("admitted %v, want 9 for a group and 22 for the node", admitted)
		}
		_, err := e.Propose(context.Background(), 1, make([]byte, 1000))
		wantCode(t, err, wire.CodeOverloaded)
		c.net.isolate(1, false)
		time.Sleep(10 * time.Second)
		if got := e.bytes.Load(); got != 0 {
			t.Errorf("%d bytes still taken", got)
		}
		c.leader(1)
		mustPropose(t, e, 1, "x")
	})
}

// F21: messages that come faster than turns are bounded too; bulk goes first.
func TestInboxIsBounded(t *testing.T) {
	b := newInbox(1000)
	bulk := letter{m: wire.Message{Type: wire.MsgAppend, Entries: []wire.Entry{{Data: make([]byte, 600)}}}}
	if got := b.deliver([]letter{bulk, bulk, bulk}); got != 2 {
		t.Errorf("%d of three appends dropped, want 2", got)
	}
	if got := b.deliver([]letter{{m: wire.Message{Type: wire.MsgHeartbeat}}, bulk}); got != 1 {
		t.Errorf("%d dropped, want the append alone", got)
	}
	var m mail
	b.swap(&m, takeAll)
	if got := b.deliver([]letter{bulk}); got != 0 {
		t.Errorf("dropped after the inbox was emptied")
	}
}
