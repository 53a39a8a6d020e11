package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/catalog"
	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// replace starts two nodes, moves all groups to them, waits until settled returns, and ends the nodes that had them, but for the
// first one, which hears nothing of it and goes on answering. Those left behind refuse by hints, or know nothing of the groups.
func (c *fakeCluster) replace(t *testing.T, round int, settled func()) {
	t.Helper()
	old := slices.Clone(c.nodes[1:])
	first := wire.NodeID(100 + 2*round)
	c.start(t, first, "", defaultLimits())
	c.start(t, first+1, "", defaultLimits())
	c.mu.Lock()
	for g := range c.mu.leaders {
		c.mu.leaders[g] = first + wire.NodeID(g%2)
	}
	for _, n := range old {
		c.mu.empty[n.id] = round%2 == 0
	}
	c.mu.empty[c.nodes[0].id] = round%2 == 0
	c.mu.version++
	c.mu.Unlock()
	settled()
	c.mu.Lock()
	c.mu.nodes = slices.DeleteFunc(c.mu.nodes, func(a protocol.NodeAddress) bool {
		return slices.ContainsFunc(old, func(n *fakeNode) bool { return n.id == a.Node })
	})
	c.mu.version++
	c.mu.Unlock()
	for _, n := range old {
		n.stop()
	}
	c.nodes = slices.DeleteFunc(c.nodes, func(n *fakeNode) bool { return slices.Contains(old, n) })
}

// TestClientFollowsMovedGroups: all groups move, again and again, to nodes that the client was never told of, and those that had
// them leave. Its callers see no error, each write happens once, each read sees the write before it. Its one endpoint is cut off
// and names nodes that are gone (N7, P18).
func TestClientFollowsMovedGroups(t *testing.T) {
	b := newBackend(3)
	b.strict = true
	c := newCluster(t, b, 3, defaultLimits())
	c.nodes[0].behind.Store(c.nodes[0].Routes())
	b.mu.version++ // it has missed a change already
	cl := c.dial(t, c.nodes[0])
	var stop atomic.Bool
	var writes atomic.Uint64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for !stop.Load() && !t.Failed() {
				putAndGet(t, cl, key(w))
				writes.Add(1)
			}
		})
	}
	more := func() {
		for target := writes.Load() + 100; writes.Load() < target && !t.Failed(); {
			wait(t, time.Millisecond)
		}
	}
	for round := range 4 {
		more()
		c.replace(t, round, more)
	}
	more()
	stop.Store(true)
	wg.Wait()
	if applied := uint64(b.stats(t, 1).Revision + b.stats(t, 2).Revision + b.stats(t, 3).Revision); applied != writes.Load() {
		t.Errorf("%d writes were applied %d times", writes.Load(), applied)
	}
}

// putAndGet writes a key that nobody else writes, and reads it.
func putAndGet(t *testing.T, cl *client.Client, key []byte) {
	put, err := cl.Put(t.Context(), key, nil)
	if err != nil {
		t.Errorf("put: %v", err)
	}
	got, err := cl.Get(t.Context(), key)
	if err != nil || got.Revision != put.Revision {
		t.Errorf("get: revision %d, %v; want %d", got.Revision, err, put.Revision)
	}
}

// TestRoutesVersion: a change of shards and a change of nodes both make newer routes.
func TestRoutesVersion(t *testing.T) {
	var v catalog.Snapshot
	last := routesVersion(&v)
	for name, change := range map[string]func(){
		"nodes": func() { v.Topology.Version++ }, "shards": func() { v.Routing.Version++ },
	} {
		change()
		if now := routesVersion(&v); now <= last {
			t.Errorf("%s: version %d after %d", name, now, last)
		}
		last = routesVersion(&v)
	}
}
