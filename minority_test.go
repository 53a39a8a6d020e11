package flotilla_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"flotilla"
)

// TestMinorityRefusesReads: a node that has lost its majority refuses linearizable reads by type long before their deadline,
// and says that it knows no leader of any group; stale reads go on.
func TestMinorityRefusesReads(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		add(t, c.hosts[1], 1, 7)
		c.close(2)
		c.close(3)
		alone := time.Now()
		for _, longest := range []time.Duration{3 * time.Second, 200 * time.Millisecond} { // election timeouts are 500 ms
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			began := time.Now()
			_, err := c.hosts[1].Group(1).Query(ctx, nil)
			cancel()
			if took := time.Since(began); flotilla.CodeOf(err) != flotilla.CodeNoLeader || took > longest {
				t.Errorf("after %v: %v", took, err)
			}
		}
		eventually(t, "the node knows no leader of any group", func() bool { // it may lead some itself, for an election timeout
			return !slices.ContainsFunc(c.hosts[1].Replicas(), func(g flotilla.GroupStatus) bool { return g.Leader != 0 })
		})
		if took := time.Since(alone); took > 5*time.Second {
			t.Errorf("it took %v until it knew that it leads nothing", took)
		}
		if _, err := c.hosts[1].Group(1).QueryStale(t.Context(), nil); err != nil {
			t.Errorf("stale: %v", err)
		}
	})
}
