package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// place is a moment of a join or a removal at which somebody is killed: once reached returns nil.
type place struct {
	name string
	// leaves says that the moment is one of the removal, else it is one of the join.
	leaves  bool
	reached func(c *testCluster, id int) error
	// victim is who is killed: the node that comes or goes, or the leader of a group.
	victim func(t *testing.T, c *testCluster, id int) int
}

// somePlaces are ten: joiner and leaders, before and after each thing that is agreed on.
func somePlaces() []place {
	itself := func(_ *testing.T, _ *testCluster, id int) int { return id }
	leads := func(group uint64) func(*testing.T, *testCluster, int) int {
		return func(t *testing.T, c *testCluster, _ int) int { return c.leaderNow(t, group) }
	}
	return []place{
		{"joiner, at once", false, func(*testCluster, int) error { return nil }, itself},
		{"joiner, admitted", false, nodeIs("up"), itself},
		{"joiner, a learner", false, member(false), itself},
		{"joiner, a voter", false, member(true), itself},
		{"metadata leader, joiner admitted", false, nodeIs("up"), leads(0)},
		{"metadata leader, replicas move", false, member(false), leads(0)},
		{"leader of data, replicas move", false, member(false), leads(1)},
		{"metadata leader, removal agreed on", true, nodeIs("leaving"), leads(0)},
		{"leaving node", true, nodeIs("leaving"), itself},
		{"leader of data, node leaves", true, nodeIs("leaving"), leads(2)},
	}
}

// nodeIs waits for a state of the node.
func nodeIs(state string) func(*testCluster, int) error {
	return func(c *testCluster, id int) error {
		st, err := c.Status(c.Running()[0])
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.ID == id && (n.State == state || n.State == "removed") {
				return nil
			}
		}
		return fmt.Errorf("node %d is not %s yet", id, state)
	}
}

// member waits until the node is in some data group: as a learner or more, or as a voter.
func member(votes bool) func(*testCluster, int) error {
	return func(c *testCluster, id int) error {
		st, err := c.Status(c.Running()[0])
		if err != nil {
			return err
		}
		for _, g := range st.Groups {
			for i, n := range append(g.Voters, g.Learners...) {
				if n == id && g.ID != 0 && (!votes || i < len(g.Voters)) {
					return nil
				}
			}
		}
		return fmt.Errorf("node %d is in no data group yet", id)
	}
}

// leaderNow asks running nodes in turn until one knows the leader.
func (c *testCluster) leaderNow(t *testing.T, group uint64) (leader int) {
	t.Helper()
	c.eventually(t, "a leader is known", func() error {
		for _, id := range c.Running() {
			if l, _, err := c.Leader(id, group); err == nil && l != 0 && c.nodes[l-1].proc != nil {
				leader = l
				return nil
			}
		}
		return errors.New("nobody knows one")
	})
	return leader
}

// TestMembersUnderKills lets a fourth node join three and leave again, under load, and kills with SIGKILL whoever matters at a place;
// each time the cluster comes to the same end as without, once the victim runs again, and has all that was acknowledged.
// P31 F40 P22 D16
func TestMembersUnderKills(t *testing.T) {
	c := startCluster(t)
	ledger := NewLedger()
	load, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	stores := []Store{c.dialAll(t)}
	wg.Go(func() { ledger.Fill(load, stores, 4, "kills", 0) })
	all := somePlaces()
	for i := range min(*places, len(all)) {
		p := all[i*len(all)/min(*places, len(all))]
		if err := c.Prepare(); err != nil {
			t.Fatal(err)
		}
		id := c.Size()
		c.joins = append(c.joins, id)
		began := time.Now()
		if err := c.Start(id); err != nil {
			t.Fatal(err)
		}
		if !p.leaves {
			c.killAt(t, p, id)
		}
		c.awaitSettled(t, 3, 1, 2, 3, id)
		joined := time.Since(began)
		removal := make(chan error, 1)
		go func() {
			_, err := c.Command("member", "remove", strconv.Itoa(id))
			removal <- err
		}()
		if p.leaves {
			c.killAt(t, p, id)
		}
		if err := <-removal; err != nil { // the metadata leader may have gone in the middle of it: again
			if _, err := c.Command("member", "remove", strconv.Itoa(id)); err != nil {
				t.Fatal(err)
			}
		}
		c.awaitSettled(t, 3, 1, 2, 3)
		c.expectExit(t, id, 10)
		t.Logf("%s: joined after %v, gone after %v", p.name, joined.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	stop()
	wg.Wait()
	acked, unsure, refused := ledger.Counts()
	t.Logf("%d writes acknowledged, %d unknown, %d refused", acked, unsure, refused)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := ledger.Verify(ctx, c.dialAll(t)); err != nil {
		t.Fatal(err)
	}
}

// killAt kills p's victim when p is reached, and starts it again.
func (c *testCluster) killAt(t *testing.T, p place, id int) {
	t.Helper()
	c.eventually(t, p.name, func() error { return p.reached(c, id) })
	victim := p.victim(t, c, id)
	if err := c.Kill(victim); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(victim); err != nil {
		t.Fatal(err)
	}
}
