package flotilla_test

import (
	"context"
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
		for _, longest := range []time.Duration{3 * time.Second, 200 * time.Millisecond} { // election timeouts are 500 ms
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			began := time.Now()
			_, err := c.hosts[1].Group(1).Query(ctx, nil)
			cancel()
			if took := time.Since(began); flotilla.CodeOf(err) != flotilla.CodeNoLeader || took > longest {
				t.Errorf("after %v: %v", took, err)
			}
		}
		for _, g := range c.hosts[1].Replicas() {
			if g.Leader != 0 {
				t.Errorf("group %d: led by node %d", g.ID, g.Leader)
			}
		}
		if _, err := c.hosts[1].Group(1).QueryStale(t.Context(), nil); err != nil {
			t.Errorf("stale: %v", err)
		}
	})
}
