package placement

import (
	"slices"

	"flotilla/catalog"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Ended returns what node self, which has the replicas of the groups in here, tells of those that it has no more. Whoever proposes
// it has made sure that what was removed is gone durably, and that nothing is being made.
func Ended(v *catalog.Snapshot, self wire.NodeID, here []wire.GroupID) []catalog.ReplicaEnded {
	var out []catalog.ReplicaEnded
	n, _ := v.Topology.Find(self)
	for g := range v.Live() {
		if at := g.LeftAt(self); at != 0 && !slices.Contains(here, g.ID) {
			out = append(out, catalog.ReplicaEnded{ID: g.ID, Node: self, Generation: n.Generation, Index: at})
		}
	}
	return out
}

// Replicas returns which replicas node self, which has those of the groups in here, is to make and to destroy, by rising
// ids. It goes by what groups reported, never by what is wanted: a replica is made only after the change that adds it was
// committed, and destroyed only after the one that removes it was (N8). Group 0 comes by birth or by joining, and stays.
// Nor is the replica of a group destroyed that the catalog has never heard of: ids do not vanish from it.
func Replicas(v *catalog.Snapshot, self wire.NodeID, here []wire.GroupID) (create, destroy []wire.GroupID) {
	has := slices.Clone(here)
	slices.Sort(has)
	for i := range v.Groups {
		g := &v.Groups[i]
		if g.ID == wire.MetadataGroup {
			continue
		}
		hosted := g.Hosted(self)
		if mutant.Is(mutant.ReplicaBeforeReport) {
			hosted = !g.Deleted && (hosted || g.Wants(self))
		}
		switch _, is := slices.BinarySearch(has, g.ID); {
		case hosted && !is:
			create = append(create, g.ID)
		case !hosted && is:
			destroy = append(destroy, g.ID)
		}
	}
	return create, destroy
}
