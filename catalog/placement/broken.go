package placement

import (
	"slices"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Broken returns what node self tells of its replicas in damaged, which are out of service for what the disk has lost. It leaves out
// those of which it was told, and group 0: a node is replaced as a whole that has lost that (CanReplace).
func Broken(v *catalog.Snapshot, self wire.NodeID, damaged []wire.GroupID) []catalog.ReplicaBroken {
	var out []catalog.ReplicaBroken
	n, _ := v.Topology.Find(self)
	for _, id := range damaged {
		g, found := v.FindGroup(id)
		if found && id != wire.MetadataGroup && g.Hosted(self) {
			out = append(out, catalog.ReplicaBroken{ID: id, Node: self, Generation: n.Generation, Since: g.SinceOf(self)})
		}
	}
	return out
}

// CanReplace says why node n must not come with an empty disk in place of one that can be read in part: a *QuorumError if in some
// group the alive voters without it are no majority. alive reports whether a node was heard lately.
func CanReplace(v *catalog.Snapshot, n wire.NodeID, alive func(wire.NodeID) bool) error {
	var endangered []wire.GroupID
	for g := range v.Live() {
		if !slices.Contains(g.Lost, n) && !v.DecidesWithout(g, n, alive) {
			endangered = append(endangered, g.ID)
		}
	}
	if len(endangered) > 0 {
		return &QuorumError{Node: n, Groups: endangered}
	}
	return nil
}
