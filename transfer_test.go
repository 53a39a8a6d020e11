package flotilla_test

import (
	"context"
	"testing"
	"time"

	"flotilla"
)

// Administrators ask any node: one without a replica of the group passes the transfer on to those that have one (P18).
func TestTransferFromANodeWithoutAReplica(t *testing.T) {
	simulated(t, 4, func(t *testing.T, c *testCluster) {
		c.openAll()
		for id := range c.hosts {
			c.await(id)
		}
		g, _ := c.view(4).FindGroup(1)
		if g.Members.Contains(4) {
			t.Fatalf("node 4 has a replica: %v", g.Members)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, to := range []flotilla.NodeID{3, 1, 2, 2} {
			eventually(t, "the leader hands over", func() bool {
				err := c.hosts[4].Admin().TransferLeader(ctx, 1, to)
				if err != nil && flotilla.CodeOf(err) == flotilla.CodeUnknownGroup {
					t.Fatal(err)
				}
				return err == nil
			})
			eventually(t, "it leads", func() bool { return c.hosts[to].Status().Groups[1].Leader == to })
		}
	})
}
