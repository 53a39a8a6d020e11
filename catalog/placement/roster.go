package placement

import (
	"cmp"
	"slices"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// seat is one node of the topology and what it is wanted for.
type seat struct {
	id    wire.NodeID
	state catalog.NodeState
	// registered: it has a generation, so it was here once.
	registered bool
	// eligible: it may be wanted for more.
	eligible bool
	// replicas and leads count the data groups that want it and that want it to lead; kept of eligible ones.
	replicas, leads int
	// busy: it is a member of some data group still, or wanted there, or votes in group 0. Known of leaving nodes.
	busy bool
}

// roster is the topology, sorted by id.
type roster []seat

// newRoster looks who may be wanted: the active nodes, and the listed ones that a cluster's birth made members of
// group 0. A node that an operator announced is nobody before it comes.
func newRoster(v *catalog.Snapshot) roster {
	meta, _ := v.FindGroup(wire.MetadataGroup)
	r := make(roster, len(v.Topology.Nodes))
	for i, n := range v.Topology.Nodes {
		r[i] = seat{
			id: n.ID, state: n.State, registered: n.Generation != 0,
			eligible: n.State == catalog.NodeActive || n.State == catalog.NodeListed && meta.Members.Contains(n.ID),
		}
	}
	return r
}

// find returns n's seat, nil if the topology has no such node.
func (r roster) find(n wire.NodeID) *seat {
	i, found := slices.BinarySearchFunc(r, n, func(s seat, n wire.NodeID) int { return cmp.Compare(s.id, n) })
	if !found {
		return nil
	}
	return &r[i]
}

func (r roster) eligible(n wire.NodeID) bool {
	s := r.find(n)
	return s != nil && s.eligible
}

// allEligible reports whether nobody in list has stopped being eligible.
func (r roster) allEligible(list []wire.NodeID) bool {
	return !slices.ContainsFunc(list, func(n wire.NodeID) bool { return !r.eligible(n) })
}

// keepEligible returns a new list of those in list that are eligible.
func (r roster) keepEligible(list []wire.NodeID) []wire.NodeID {
	return slices.DeleteFunc(slices.Clone(list), func(n wire.NodeID) bool { return !r.eligible(n) })
}

func (r roster) countEligible() int {
	count := 0
	for i := range r {
		if r[i].eligible {
			count++
		}
	}
	return count
}

// least returns the eligible node with the fewest replicas that is not in list, the one with the lowest id of several;
// nil if there is none.
func (r roster) least(list []wire.NodeID) *seat {
	var best *seat
	for i := range r {
		s := &r[i]
		if s.eligible && (best == nil || s.replicas < best.replicas) && !slices.Contains(list, s.id) {
			best = s
		}
	}
	return best
}

// most returns the eligible node with the most replicas, the one with the lowest id of several; nil if there is none.
func (r roster) most() *seat {
	var best *seat
	for i := range r {
		if s := &r[i]; s.eligible && (best == nil || s.replicas > best.replicas) {
			best = s
		}
	}
	return best
}

// count adds delta to the replicas of the eligible nodes in list.
func (r roster) count(list []wire.NodeID, delta int) {
	for _, n := range list {
		if s := r.find(n); s != nil {
			s.replicas += delta
		}
	}
}

// occupy notes that the nodes in list are busy.
func (r roster) occupy(list []wire.NodeID) {
	for _, n := range list {
		if s := r.find(n); s != nil {
			s.busy = true
		}
	}
}
