package flotilla_test

import (
	"context"
	"testing"
	"time"

	"flotilla"
)

// The log of a joiner's group 0 begins where it joined. When it leads, a member that was down since before that must still
// catch up (P31): leadership goes to a member whose log goes back further.
func TestMemberFromBeforeAJoinCatchesUp(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.change = func(cfg *flotilla.Config) {
			if len(c.addrs) > 3 {
				cfg.InitialCluster = nil
			}
			if cfg.NodeID == 4 {
				cfg.Join = []string{c.addrs[1]}
			}
		}
		c.openAll()
		for id := range c.hosts {
			c.await(id)
		}
		check(t, c.hosts[2].Close(t.Context()))
		delete(c.hosts, 2)
		c.join(4)
		eventually(t, "node 4 votes in group 0", func() bool {
			g, _ := c.view(1).FindGroup(0)
			return g.Members.IsVoter(4)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		eventually(t, "node 4 leads group 0", func() bool { return c.hosts[1].Group(0).TransferLeader(ctx, 4) == nil })
		c.open(2)
		c.await(2)
	})
}
