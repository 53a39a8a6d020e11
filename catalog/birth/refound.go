package birth

import (
	"encoding/binary"

	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/raft/wire"
)

// Refounding is how a cluster begins with the contents of another one: its settings, groups and routing, on other nodes. It is the
// same at each of its nodes. Groups and Replication of the Plan are taken from Old.
type Refounding struct {
	Plan
	// Old is group 0's state of the cluster that was; Archive tells what it comes from.
	Old     *catalog.Snapshot
	Archive [32]byte
	// Epoch is what the cluster begins above: more than any that the other one gave out.
	Epoch epoch.Epoch
}

// versionMargin is how far topology and routing are above those that were saved: the other cluster may have gone on since, and who has
// heard of that takes nothing older. A million changes are more than a cluster lives to see.
const versionMargin = 1_000_000

// Of returns what the node self writes: everybody's the same but for the Identity, whose Generation is drawn.
//
// Nothing of the other cluster's members is left: their ids and tombstones are not this cluster's, and they refuse each
// other by the cluster's id. Tokens went to people who meant the other one. Groups that were deleted stay so: clients may
// remember their ids.
func (r *Refounding) Of(self wire.NodeID) (catalog.Identity, catalog.Snapshot) {
	id := catalog.Identity{ClusterID: r.ClusterID(), ClusterName: r.Name, NodeID: self, Generation: NewGeneration()}
	return id, catalog.Snapshot{
		Settings: r.Old.Settings, Groups: r.Groups(), Epoch: r.Epoch, EpochTerm: r.Old.EpochTerm, Applied: r.Old.Applied,
		// Both rise, for clients that remember the other ones.
		Topology: catalog.Topology{Version: r.Old.Topology.Version + versionMargin, Nodes: r.listed()},
		Routing:  catalog.Routing{Version: r.Old.Routing.Version + versionMargin, Shards: r.Old.Routing.Shards},
	}
}

// ClusterID is the id that every node of the list finds by itself. It is not that of a birth from the same list, nor of any
// other archive: the old cluster's nodes may still run at these very addresses, with certificates of this authority. Nor is it that of a
// beginning above another epoch: such nodes would take each other for stale.
func (r *Refounding) ClusterID() wire.ClusterID {
	return r.clusterID([]byte("flotilla-refounding-2"), r.Archive[:], binary.BigEndian.AppendUint64(nil, uint64(r.Epoch)))
}

// Groups are those of Old. Each takes its voters where the one before left off, so that no node has two replicas more than another
// one: what is not balanced, the planner would move at once, states and all.
func (r *Refounding) Groups() []catalog.Group {
	plan := r.Plan
	plan.Replication = min(int(r.Old.Settings.Replication), len(plan.Nodes))
	out := []catalog.Group{plan.meta()}
	n := 0
	for i := range r.Old.Groups {
		switch g := &r.Old.Groups[i]; {
		case g.ID == wire.MetadataGroup:
		case g.Deleted:
			out = append(out, catalog.Group{ID: g.ID, Deleted: true})
		default:
			out = append(out, catalog.Group{ID: g.ID, Kind: g.Kind, Voters: plan.voters(n)}.Founded())
			n += plan.Replication
		}
	}
	return out
}

// Base is where a log begins: after an entry of Term at Index.
type Base struct {
	Group wire.GroupID
	Index wire.Index
	Term  wire.Term
}

// basesPerCommit bounds what is written at once: it is one batch, held in memory.
const basesPerCommit = 1024

// CreateBases makes the logs of groups in a store that is empty, each beginning where its state ends with the group's origin in effect.
func CreateBases(store Logs, groups []catalog.Group, bases []Base) error {
	origins := map[wire.GroupID]wire.Membership{}
	for i := range groups {
		origins[groups[i].ID] = groups[i].Origin
	}
	var batch []wire.LogUpdate
	for i, b := range bases {
		members := origins[b.Group]
		batch = append(batch, beginsAfter(b, members)...)
		if i == len(bases)-1 || len(batch) >= 2*basesPerCommit {
			if err := store.Commit(batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return nil
}

// beginsAfter are the updates that make a log which begins after b.
func beginsAfter(b Base, members wire.Membership) []wire.LogUpdate {
	return []wire.LogUpdate{
		{Group: b.Group, Create: true, SetMembership: true},
		{
			Group: b.Group, SetHardState: true, HardState: wire.HardState{Term: b.Term, Commit: b.Index}, ResetTo: b.Index, ResetTerm: b.Term,
			SetMembership: true, Membership: members,
		},
	}
}
