package flotilla_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"flotilla"
	"flotilla/catalog"
	"flotilla/epoch"
)

// eventually waits until ok holds, for a time that no healthy cluster needs.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("still not: %s", what)
		}
		pause(ctx)
	}
}

// metaGroup is group 0 as node id sees it.
func (c *testCluster) metaGroup(id flotilla.NodeID) (leader flotilla.NodeID, term flotilla.Term) {
	g := c.hosts[id].Status().Groups[0]
	return g.Leader, g.Term
}

// lead makes node id the leader of group 0 and waits until every node in listeners agrees and has applied its epoch.
func (c *testCluster) lead(id flotilla.NodeID, listeners ...flotilla.NodeID) {
	c.t.Helper()
	eventually(c.t, "the node leads group 0", func() bool {
		now, _ := c.metaGroup(id)
		if now == id {
			return true
		}
		if now != 0 && c.hosts[now] != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = c.hosts[now].Group(0).TransferLeader(ctx, id)
		}
		return false
	})
	eventually(c.t, "the others agree and have its epoch", func() bool {
		for _, l := range listeners {
			now, _ := c.metaGroup(l)
			if now != id || c.hosts[l].Epoch() != c.hosts[id].Epoch() {
				return false
			}
		}
		return c.hosts[id].Administrable() == nil
	})
}

// TestEpochCountsAcquisitions: each acquisition of group 0's leadership raises the epoch by exactly one, at every node,
// and a node that wins again counts again (P20, P21).
func TestEpochCountsAcquisitions(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		c.lead(1, 2, 3)
		for round := range 30 {
			to := flotilla.NodeID(round%3 + 1)
			_, termBefore := c.metaGroup(to)
			before := c.hosts[to].Epoch()
			held, _ := c.metaGroup(to)
			c.lead(to, 1, 2, 3)
			_, term := c.metaGroup(to)
			rose := c.hosts[to].Epoch() - before
			switch {
			case held == to && term == termBefore && rose != 0:
				t.Fatalf("round %d: the epoch rose by %d without an election", round, rose)
			case term == termBefore+1 && rose != 1:
				t.Fatalf("round %d: one election raised the epoch by %d", round, rose)
			case rose > flotilla.Epoch(term-termBefore):
				t.Fatalf("round %d: %d terms raised the epoch by %d", round, term-termBefore, rose)
			}
		}
		if c.hosts[1].Epoch() < 20 {
			t.Fatalf("only epoch %d after 30 rounds: the load was not real", c.hosts[1].Epoch())
		}
	})
}

// TestEpochSurvivesKill: the applied epoch is in the catalog with group 0's applied index, so a killed node starts with
// it and never below (P22).
func TestEpochSurvivesKill(t *testing.T) {
	c := newCluster(t, 1)
	c.openAll()
	for range 5 {
		at := c.hosts[1].Epoch()
		check(t, c.hosts[1].Kill())
		saved, err := catalog.Inspect(filepath.Join(c.config(1).Dir, "catalog.db"), time.Second)
		check(t, err)
		if saved.Epoch != at {
			t.Fatalf("the catalog holds epoch %d, applied was %d", saved.Epoch, at)
		}
		h := c.open(1)
		if h.Epoch() < at {
			t.Fatalf("started with epoch %d after %d", h.Epoch(), at)
		}
		c.await(1)
		eventually(t, "the new leadership is counted", func() bool { return h.Epoch() == at+1 }) // P20
	}
}

// TestFenceAroundPartition: a node that missed a change of group 0's leader is behind: it hears of the new epoch from any
// peer, refuses administration naming both numbers while it has not applied it (P26), goes on with its data groups, and
// heals by itself (P24, P25).
func TestFenceAroundPartition(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		c.lead(2, 1, 3)
		handTo(t, c, 1, 2)
		handTo(t, c, 2, 3)
		before := c.hosts[3].Epoch()
		c.sim.Cut(c.addrs[1], c.addrs[3]) // the leader to be, and the node that misses it
		c.lead(1, 2)
		eventually(t, "node 3 has heard of the new epoch from node 2", func() bool {
			return c.hosts[3].Stats().Epoch.Observed > before
		})
		err := c.hosts[3].Group(1).TransferLeader(t.Context(), 2)
		var behind *epoch.BehindError
		if !errors.As(err, &behind) || behind.Applied != before || behind.Observed <= before {
			t.Fatalf("administration at node 3: %v, want *epoch.BehindError from %d", err, before)
		}
		if _, err := c.hosts[3].Group(1).Propose(t.Context(), []byte("1")); flotilla.CodeOf(err) != flotilla.CodeStaleEpoch {
			t.Fatalf("a proposal forwarded without authority: %v, want CodeStaleEpoch", err) // P25
		}
		add(t, c.hosts[3], 2, 1) // led here: its term protects it
		c.sim.Heal()
		eventually(t, "node 3 has caught up", func() bool {
			return c.hosts[3].Epoch() == c.hosts[1].Epoch() && c.hosts[3].Administrable() == nil
		})
		if c.hosts[3].Epoch() <= before {
			t.Fatalf("epoch %d after the heal, was %d before", c.hosts[3].Epoch(), before)
		}
		add(t, c.hosts[3], 1, 1)
	})
}

// handTo makes node to the leader of a data group, as node 3 knows.
func handTo(t *testing.T, c *testCluster, group flotilla.GroupID, to flotilla.NodeID) {
	t.Helper()
	eventually(t, "the data group is led by the wanted node", func() bool {
		leads := func(at flotilla.NodeID) flotilla.NodeID { return c.hosts[at].Status().Groups[group].Leader }
		if leads(to) == to && leads(3) == to {
			return true
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for at, h := range c.hosts {
			if now := leads(at); now == at && now != to {
				_ = h.Group(group).TransferLeader(ctx, to)
			}
		}
		return false
	})
}

// TestIsolatedNodeIsFenced: a node cut off from everybody across a change of leader comes back with frames of an old
// epoch; they are refused or it has heard the new one first, and either way it serves again without help (P24).
func TestIsolatedNodeIsFenced(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		c.lead(3, 1, 2) // the one that will be isolated leads
		before := c.hosts[3].Epoch()
		c.sim.Cut(c.addrs[1], c.addrs[3])
		c.sim.Cut(c.addrs[2], c.addrs[3])
		eventually(t, "the majority has another leader of group 0", func() bool {
			leader, _ := c.metaGroup(1)
			return (leader == 1 || leader == 2) && c.hosts[leader].Epoch() == before+1
		})
		if got := c.hosts[3].Epoch(); got != before {
			t.Fatalf("the isolated node applied epoch %d", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := c.hosts[3].Group(1).Propose(ctx, []byte("1")); err == nil {
			t.Fatal("an isolated node took a write")
		}
		c.sim.Heal()
		eventually(t, "the isolated node has caught up", func() bool {
			leader, _ := c.metaGroup(3)
			return leader != 0 && c.hosts[3].Epoch() == c.hosts[leader].Epoch() && c.hosts[3].Epoch() > before
		})
		add(t, c.hosts[3], 1, 1)
	})
}
