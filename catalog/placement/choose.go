package placement

import (
	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Choose returns the voters that a new data group is best made with, those with the fewest replicas; none when no node is
// eligible.
func Choose(v *catalog.Snapshot) []wire.NodeID {
	p := newPlanner(v)
	var voters []wire.NodeID
	for len(voters) < p.want {
		voters = with(voters, p.roster.least(voters).id)
	}
	return voters
}

// Placed reports whether a data group has as many voters as it is to have, and they are those that are wanted.
func Placed(v *catalog.Snapshot, g *catalog.Group) bool {
	return g.Settled() && len(g.Voters) >= newPlanner(v).want
}
