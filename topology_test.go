package flotilla_test

import (
	"context"
	"testing"
	"time"

	"flotilla/catalog"
)

// Topology never tells of one state twice, nor of an older one: what was told while nobody looked is in what is looked at first.
func TestTopologyOnlyRises(t *testing.T) {
	simulated(t, 1, func(t *testing.T, c *testCluster) {
		c.openAll()
		c.await(1)
		sequence := c.hosts[1].Topology(t.Context())
		check(t, c.hosts[1].Admin().AddNode(t.Context(), 8, "10.0.0.8:1"))
		time.AfterFunc(time.Second, func() { // when the loop below waits
			if err := c.hosts[1].Admin().AddNode(t.Context(), 9, "10.0.0.9:1"); err != nil {
				t.Error(err)
			}
		})
		var last *catalog.Snapshot
		for v := range sequence {
			if last != nil && v.Applied <= last.Applied {
				t.Fatalf("the state at %d after that at %d", v.Applied, last.Applied)
			}
			if last = v; len(v.Topology.Nodes) == 3 {
				return
			}
		}
	})
}

// Whoever listens to a node is told when it is closed: no loop waits for a context that its owner has forgotten.
func TestListeningEndsWithTheNode(t *testing.T) {
	simulated(t, 1, func(t *testing.T, c *testCluster) {
		c.openAll()
		c.await(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		h := c.hosts[1]
		events, topology := h.Events(ctx), h.Topology(ctx)
		check(t, h.Close(t.Context()))
		for range events {
		}
		for range topology {
		}
		for range h.Events(ctx) {
		}
		if ctx.Err() != nil {
			t.Error("a loop over a closed node ended with its context alone")
		}
	})
}
