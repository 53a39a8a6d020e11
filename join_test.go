package flotilla_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flotilla"
	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/raft/multiraft"
)

// founded runs f on a cluster of one bootstrapped node on a simulated network, which others join by address.
func founded(t *testing.T, f func(t *testing.T, c *testCluster)) {
	t.Helper()
	simulated(t, 1, func(t *testing.T, c *testCluster) {
		c.change = func(cfg *flotilla.Config) {
			if cfg.InitialCluster = nil; cfg.NodeID == 1 {
				cfg.Bootstrap = true
				return
			}
			for _, id := range []flotilla.NodeID{1, 2, 3} { // members, or not yet, or not any more
				cfg.Join = append(cfg.Join, fmt.Sprintf("10.0.0.%d:7400", id))
			}
		}
		c.openAll()
		f(t, c)
	})
}

// join has new nodes join and waits until they are ready.
func (c *testCluster) join(ids ...flotilla.NodeID) {
	c.t.Helper()
	for _, id := range ids {
		c.addrs[id] = fmt.Sprintf("10.0.0.%d:7400", id)
		c.open(id)
		c.await(id)
	}
}

// view is the catalog as node id has applied it.
func (c *testCluster) view(id flotilla.NodeID) (view *catalog.Snapshot) {
	for view = range c.hosts[id].Topology(c.t.Context()) {
		break
	}
	return view
}

// placed reports whether every group is where it is wanted, with so many voters on eligible nodes, as node id sees it.
func (c *testCluster) placed(id flotilla.NodeID, voters int) bool {
	v := c.view(id)
	for g := range v.Live() {
		if !g.Settled() || len(g.Voters) != voters || g.ID > 0 && g.Leader == 0 {
			return false
		}
	}
	return true
}

// TestClusterGrowsAndShrinks: one node, then three, then five, then three again, while every node is written to: each joiner becomes
// a learner and a voter where placement wants it, with nobody's hand (P14, P31, F40, F41, F42); whoever leaves loses its replicas, is told,
// and cannot come back (P33, D47, D48). Nothing that was acknowledged is lost.
func TestClusterGrowsAndShrinks(t *testing.T) {
	founded(t, func(t *testing.T, c *testCluster) {
		sums := map[flotilla.GroupID]uint64{}
		write := func(at flotilla.NodeID) {
			for g := flotilla.GroupID(1); g <= 2; g++ {
				sums[g]++
				if got := add(t, c.hosts[at], g, 1); got != sums[g] {
					t.Fatalf("group %d at node %d: %d, want %d", g, at, got, sums[g])
				}
			}
		}
		write(1)
		c.join(2, 3)
		write(2)
		eventually(t, "three vote everywhere", func() bool { return c.placed(1, 3) })
		c.join(4, 5)
		write(5)
		eventually(t, "groups are spread over five", func() bool { return c.fits(3) })
		for _, id := range []flotilla.NodeID{1, 2, 3, 4, 5} {
			write(id)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, id := range []flotilla.NodeID{4, 1} {
			check(t, c.hosts[2].Admin().RemoveNode(ctx, id, flotilla.Gently))
			c.awaitRemoval(id)
			term := c.view(2).EpochTerm
			if h, err := flotilla.Open(ctx, c.config(id)); !errors.Is(err, flotilla.ErrRemoved) { // it may not know yet
				check(t, err)
				c.hosts[id] = h
				c.awaitRemoval(id)
			}
			if now := c.view(2).EpochTerm; now != term {
				t.Errorf("the removed node %d raised the term from %d to %d", id, term, now)
			}
			write(3)
		}
		eventually(t, "three vote everywhere, again", func() bool { return c.placed(2, 3) })
		c.placeAgain(4)
		for _, id := range []flotilla.NodeID{2, 3, 5} {
			write(id)
		}
		for g := range c.view(2).Live() {
			if !slices.Equal(g.Members.Voters, []flotilla.NodeID{2, 3, 5}) || len(g.Members.Learners) > 0 {
				t.Errorf("group %d has %+v", g.ID, g.Members)
			}
		}
	})
}

// awaitRemoval waits until node id has ended because it was removed, and closes it.
func (c *testCluster) awaitRemoval(id flotilla.NodeID) {
	c.t.Helper()
	select {
	case <-c.hosts[id].Failed():
	case <-time.After(time.Minute):
		c.t.Fatalf("node %d is not told that it was removed: %+v", id, c.view(2).Topology)
	}
	if err := c.hosts[id].Err(); !errors.Is(err, flotilla.ErrRemoved) {
		c.t.Fatalf("node %d ended with %v", id, err)
	}
	c.close(id)
}

// fits reports whether every group is settled, data groups with so many voters.
func (c *testCluster) fits(voters int) bool {
	for g := range c.view(2).Live() {
		if !g.Settled() || g.ID > 0 && len(g.Voters) != voters {
			return false
		}
	}
	return true
}

// placeAgain checks that a removed node's empty directory does not join under the old id.
func (c *testCluster) placeAgain(id flotilla.NodeID) {
	c.t.Helper()
	check(c.t, os.RemoveAll(filepath.Join(c.dir, fmt.Sprintf("node-%d", id))))
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, err := flotilla.Open(ctx, c.config(id))
	if flotilla.CodeOf(err) != flotilla.CodeUnsafe {
		c.t.Errorf("the removed node %d joins again: %v", id, err)
	}
}

// TestWatches: an embedder ranges over what happens on a node and over the topology, whose versions only rise, while nodes join and
// groups are made; the end of its context ends both (P32, P7).
func TestWatches(t *testing.T) {
	founded(t, func(t *testing.T, c *testCluster) {
		ctx, cancel := context.WithCancel(t.Context())
		versions, moved := make(chan uint64, 1000), make(chan flotilla.GroupID, 1000)
		ended := make(chan struct{}, 2)
		go func() {
			for v := range c.hosts[1].Topology(ctx) {
				versions <- v.Topology.Version
			}
			ended <- struct{}{}
		}()
		events := c.hosts[1].Events(ctx)
		go func() {
			for e, missed := range events {
				if m, ok := e.(multiraft.MembershipChanged); ok {
					moved <- m.Group
				}
				if missed > 0 {
					t.Errorf("%d events were lost before %+v", missed, e)
				}
			}
			ended <- struct{}{}
		}()
		c.join(2, 3)
		eventually(t, "three vote everywhere", func() bool { return c.placed(1, 3) })
		id, err := c.hosts[2].Admin().CreateGroup(ctx, "", nil)
		check(t, err)
		add(t, c.hosts[1], id, 1)
		eventually(t, "node 1 has seen it", func() bool { _, found := c.view(1).FindGroup(id); return found })
		last := c.view(1).Topology.Version
		for seen := uint64(0); seen < last; {
			v := <-versions
			if v <= seen {
				t.Fatalf("version %d after %d", v, seen)
			}
			seen = v
		}
		cancel()
		<-ended
		<-ended
		close(moved)
		groups := map[flotilla.GroupID]bool{}
		for g := range moved {
			groups[g] = true
		}
		if len(groups) != 3 { // 0, 1 and 2: the new one was born with its members
			t.Errorf("memberships of %v changed, want three groups", groups)
		}
	})
}

// TestBehindNodeAdministersNothing: a node that has heard of an epoch which it has not applied refuses administration of every kind, and
// takes no node in, until it has (P26).
func TestBehindNodeAdministersNothing(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		var full atomic.Bool
		c.change = func(cfg *flotilla.Config) {
			flotilla.SetCatalogSpace(cfg, func(string) (int64, error) {
				if full.Load() && cfg.NodeID == 3 {
					return 1 << 20, nil
				}
				return 1 << 40, nil
			})
		}
		c.openAll()
		c.lead(1, 2, 3)
		full.Store(true) // node 3 applies nothing more of group 0
		c.lead(2, 1)
		admin := c.hosts[3].Admin()
		eventually(t, "node 3 has heard of the epoch", func() bool { return c.hosts[3].Administrable() != nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for name, do := range map[string]func() error{
			"add": func() error { return admin.AddNode(ctx, 9, "a:1") }, "remove": func() error { return admin.RemoveNode(ctx, 1, flotilla.Force) },
			"drain": func() error { return admin.DrainNode(ctx, 1) }, "undrain": func() error { return admin.UndrainNode(ctx, 1) },
			"move": func() error { return admin.MoveNode(ctx, 1, "a:1") }, "create": func() error { _, err := admin.CreateGroup(ctx, "", nil); return err },
			"delete": func() error { return admin.DeleteGroup(ctx, 2) }, "place": func() error { return admin.PlaceGroup(ctx, 1, []flotilla.NodeID{1}, nil, 0) },
			"transfer": func() error { return admin.TransferLeader(ctx, 1, 3) },
		} {
			var behind *epoch.BehindError
			if err := do(); !errors.As(err, &behind) || !strings.Contains(err.Error(), fmt.Sprint(c.hosts[2].Epoch())) {
				t.Errorf("%s: %v", name, err)
			}
		}
		full.Store(false)
		eventually(t, "node 3 administers", func() bool { return admin.DrainNode(ctx, 1) == nil })
	})
}
