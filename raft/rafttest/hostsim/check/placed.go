package check

import (
	"fmt"
	"slices"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Placed: where everybody was left in peace, every group is where it is wanted, wanted on as many nodes as the settings say, and
// on none that is to have nothing; who leaves has left; replicas are on members and nowhere else (P14, D54, D62).
type Placed struct{}

// Healed is told the catalog and, by node, the groups of which there are replicas on the nodes that run.
func (Placed) Healed(v *catalog.Snapshot, replicas map[wire.NodeID][]wire.GroupID) error {
	var active []wire.NodeID
	for _, n := range v.Topology.Nodes {
		switch n.State {
		case catalog.NodeLeaving:
			return fmt.Errorf("node %d is leaving still", n.ID)
		case catalog.NodeActive:
			active = append(active, n.ID)
		}
	}
	for i := range v.Groups {
		g := &v.Groups[i]
		if err := whole(v, g, active); err != nil {
			return err
		}
		for _, n := range v.Topology.Nodes {
			here, runs := replicas[n.ID]
			has, member := slices.Contains(here, g.ID), !g.Deleted && g.Members.Contains(n.ID)
			if runs && has != member && (g.ID != wire.MetadataGroup || member) {
				return fmt.Errorf("node %d has a replica of group %d: %t, is a member: %t", n.ID, g.ID, has, member)
			}
		}
	}
	return nil
}

// whole judges one group.
func whole(v *catalog.Snapshot, g *catalog.Group, active []wire.NodeID) error {
	if g.Deleted {
		return nil
	}
	if !g.Settled() || len(g.Left) > 0 {
		return fmt.Errorf("group %d is wanted on %v and %v and has %v and %v, lost %v, left %v",
			g.ID, g.Voters, g.Learners, g.Members.Voters, g.Members.Learners, g.Lost, g.Left)
	}
	if len(active) == 0 {
		return nil // nobody may take anything
	}
	for _, n := range g.Voters {
		if !slices.Contains(active, n) {
			return fmt.Errorf("group %d is on node %d, which is to have nothing", g.ID, n)
		}
	}
	if want := min(int(v.Settings.Replication), len(active)); g.ID != wire.MetadataGroup && len(g.Voters) != want {
		return fmt.Errorf("group %d has %d voters, is to have %d", g.ID, len(g.Voters), want)
	}
	for _, n := range active {
		if g.ID == wire.MetadataGroup && !g.Members.Contains(n) {
			return fmt.Errorf("node %d is no member of group 0", n)
		}
	}
	return nil
}
