package flotilla_test

import (
	"testing"

	"flotilla"
)

// TestNonMembersForward: in a cluster larger than the replication factor every node takes proposals and linearizable
// reads for every group, by asking a member and following the leader it names once (P18, F42).
func TestNonMembersForward(t *testing.T) {
	simulated(t, 5, func(t *testing.T, c *testCluster) {
		c.openAll()
		want := map[flotilla.GroupID]uint64{}
		for id := range c.hosts {
			for group := flotilla.GroupID(1); group <= 2; group++ {
				want[group]++
				add(t, c.hosts[id], group, 1)
			}
		}
		for id, h := range c.hosts {
			for group := flotilla.GroupID(1); group <= 2; group++ {
				if got := sum(t, h, group); got != want[group] {
					t.Fatalf("node %d reads %d in group %d, want %d", id, got, group, want[group])
				}
			}
			for group := flotilla.GroupID(1); group <= 2; group++ {
				if g, _ := h.View().FindGroup(group); len(g.Voters) != 3 { // as wanted: one that moves has more for a while
					t.Fatalf("group %d is wanted on %v, want three of five nodes", group, g.Voters)
				}
			}
		}
		_, err := c.hosts[1].Group(77).Propose(t.Context(), []byte("1"))
		if flotilla.CodeOf(err) != flotilla.CodeUnknownGroup {
			t.Fatalf("propose to a group that does not exist: %v, want CodeUnknownGroup", err)
		}
	})
}

// TestSixthNodeFollowsGroupZero: nodes beyond the fifth get topology and epoch as learners of group 0 (P14, P32).
func TestSixthNodeFollowsGroupZero(t *testing.T) {
	simulated(t, 7, func(t *testing.T, c *testCluster) {
		c.openAll()
		eventually(t, "node 7 knows that all are up", func() bool {
			s := c.hosts[7].Status()
			for _, n := range s.Nodes {
				if n.State != "up" {
					return false
				}
			}
			return s.Epoch == c.hosts[1].Epoch()
		})
		g := c.hosts[1].Status().Groups[0]
		if len(g.Voters) != 5 || len(g.Learners) != 2 {
			t.Fatalf("group 0 has voters %v and learners %v, want five and two", g.Voters, g.Learners)
		}
		c.lead(2, 1, 7) // learners apply what the new leader says
	})
}
