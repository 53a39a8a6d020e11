package flotilla_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"flotilla"
)

// TestCatalogWithoutSpace: a node whose disk has no room for what group 0 agreed on keeps serving its data groups, says
// nothing wrong and fences nothing; when there is room it is where the others are, without a restart (reliability.md,
// ENOSPC).
func TestCatalogWithoutSpace(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		var full atomic.Bool
		c.spaceless(3, &full)
		c.openAll()
		c.lead(1, 2, 3)
		node, before := c.hosts[3], c.hosts[3].Epoch()
		eventually(t, "the node leads group 1, and is to", func() bool {
			return node.Group(1).TransferLeader(t.Context(), 3) == nil && node.Status().Groups[1].Leader == 3
		})
		full.Store(true)
		c.lead(2, 1)
		c.lead(1, 2)
		pauseFor(t, 5*time.Second)
		if now := node.Epoch(); now != before || node.Err() != nil || node.Stats().Engine.Quarantined != 0 {
			t.Errorf("without space: epoch %d, then %d; %v; %d groups quarantined", before, now, node.Err(), node.Stats().Engine.Quarantined)
		}
		add(t, node, 1, 5) // data groups have their own terms and go on (P26); what is forwarded to others waits (P25)
		full.Store(false)
		eventually(t, "the node has the epoch of the others", func() bool {
			return node.Epoch() == c.hosts[1].Epoch() && node.Epoch() >= before+2
		})
		c.lead(3, 1, 2)
	})
}

// pauseFor lets d of a bubble's time pass.
func pauseFor(t testing.TB, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}

// TestAgreedOnAndNotHere: what group 0 has agreed on may have happened, also for who asked a node that cannot take it in: told that
// nothing was done, an administrator would ask another node, and have two groups (N7).
func TestAgreedOnAndNotHere(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		var full atomic.Bool
		c.spaceless(3, &full)
		c.openAll()
		c.lead(1, 2, 3)
		full.Store(true)
		before := len(c.hosts[1].Groups())
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := c.hosts[3].Admin().CreateGroup(ctx, "", nil)
		if made := len(c.hosts[1].Groups()) - before; made != 1 || flotilla.CodeOf(err) != flotilla.CodeUnknownOutcome {
			t.Errorf("%d groups were made, and who asked is told %v", made, err)
		}
		full.Store(false)
		eventually(t, "the node has heard of the group", func() bool { return len(c.hosts[3].Groups()) == before+1 })
	})
}

// spaceless has the disk under a node's catalog be full whenever full says so, from the next open on.
func (c *testCluster) spaceless(id flotilla.NodeID, full *atomic.Bool) {
	c.change = func(cfg *flotilla.Config) {
		if cfg.NodeID == id {
			flotilla.SetCatalogSpace(cfg, func(string) (int64, error) {
				if full.Load() {
					return 1 << 20, nil
				}
				return 1 << 40, nil
			})
		}
	}
}
