package client

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// TestAddressesAreForgotten: a client outlives more addresses than it remembers, keeps those that are dialled at the moment, and
// whoever has chosen one before it was forgotten does not dial it.
func TestAddressesAreForgotten(t *testing.T) {
	c := &Client{endpoints: []string{"endpoint:1"}}
	c.mu.peers = make(map[string]*peer)
	busy := c.peer("busy:1")
	busy.mu.dialing = make(chan struct{})
	var last *peer
	for i := range 3 * maxPeers {
		addr := fmt.Sprintf("node-%d:1", i)
		c.routes.Store(newRoutes(&protocol.Routes{Nodes: []protocol.NodeAddress{{Node: wire.NodeID(i + 1), Address: addr}}}, c.endpoints))
		c.forgetPeers()
		if c.peer("endpoint:1") == nil || c.peer(addr) == nil {
			t.Fatalf("no room for address %d beside %d", i, len(c.mu.peers))
		}
		last = c.peer(addr)
	}
	if c.peer("busy:1") != busy {
		t.Error("an address was forgotten while it was dialled")
	}
	c.routes.Store(newRoutes(&protocol.Routes{}, c.endpoints))
	c.forgetPeers()
	if err := c.startDial(last); err == nil || last.mu.dialing != nil {
		t.Errorf("a forgotten address is dialled: %v", err)
	}
}

// TestOlderRoutesAreNotAdopted: a node that missed changes does not take away what the client knows of newer nodes; one as current as
// the last may name other leaders.
func TestOlderRoutesAreNotAdopted(t *testing.T) {
	c := &Client{}
	c.routes.Store(newRoutes(&protocol.Routes{}, nil))
	adopt := func(version uint64, leader wire.NodeID) wire.NodeID {
		c.adopt(newRoutes(&protocol.Routes{Version: version, Leaders: []protocol.GroupLeader{{Group: 1, Node: leader}}}, nil))
		return c.routes.Load().leaders[1]
	}
	for _, step := range []struct {
		version      uint64
		leader, want wire.NodeID
	}{{5, 1, 1}, {4, 2, 1}, {5, 3, 3}, {6, 4, 4}, {5, 5, 4}} {
		if got := adopt(step.version, step.leader); got != step.want {
			t.Errorf("version %d: leader %d, want %d", step.version, got, step.want)
		}
	}
}

// TestHintToUnknownNode: a hint to a node that joined since the routes were learned makes the client ask for fresh ones; a hint to one
// that it knows is followed at once.
func TestHintToUnknownNode(t *testing.T) {
	c := &Client{life: context.Background(), stale: make(chan struct{}, 1)}
	c.routes.Store(newRoutes(&protocol.Routes{Nodes: []protocol.NodeAddress{{Node: 1, Address: "a:1"}}}, nil))
	for leader, want := range map[wire.NodeID]struct {
		leader wire.NodeID
		fresh  int
	}{1: {1, 0}, 9: {wire.NoNode, 1}} {
		p := newPause()
		if err := c.again(t.Context(), 3, &p, &wire.Error{Code: wire.CodeNotLeader, Group: 3, Leader: leader}); err != nil {
			t.Error(err)
		}
		if got := c.routes.Load().leaders[3]; got != want.leader || len(c.stale) != want.fresh {
			t.Errorf("hint to %d: goes to %d, asks for routes %d times; want %+v", leader, got, len(c.stale), want)
		}
		c.learnLeader(3, wire.NoNode)
		for len(c.stale) > 0 {
			<-c.stale
		}
	}
}

// Routes that are wanted again and again, as by every request while a group has no leader, are asked for ever more rarely; after a quiet
// moment the first one is soon followed by another.
func TestRefreshesGrowRare(t *testing.T) {
	var g gap
	asked, at := 0, time.Duration(0)
	for ; at < 10*time.Second; asked++ {
		at += g.after(0)
	}
	if asked > 15 {
		t.Errorf("%d refreshes in ten seconds in which they were always wanted", asked)
	}
	if got := g.after(2 * time.Second); got != refreshGap {
		t.Errorf("after a quiet moment the pause is %v", got)
	}
	if got := g.after(refreshGap * 2); got != refreshGap {
		t.Errorf("wanted now and then, the pause is %v", got)
	}
}
