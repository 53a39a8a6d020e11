package catalog

import (
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// ReplicaBroken tells that the replica of a group which Node, running from the data directory with Generation, has since the report
// at Since (Group.SinceOf) is damaged on disk and out of service. From then on it is lost, and to be ended: the group takes the node
// out, and adds it again after that. Refused as RefusedQuorum where the voters that are left would decide nothing: then
// the damaged replica stays, as somebody may want to salvage it. Result.Value is Since.
type ReplicaBroken struct {
	ID         wire.GroupID
	Node       wire.NodeID
	Generation wire.Generation
	Since      wire.Index
}

// Append implements Change.
func (c ReplicaBroken) Append(dst []byte) []byte {
	dst = wire.AppendUint(wire.AppendUint(header(dst, 4, kindReplicaBroken), uint64(c.ID)), uint64(c.Node))
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.Generation)), uint64(c.Since))
}

func (c ReplicaBroken) apply(s *Snapshot, _ wire.Term) Result {
	n, _ := s.Topology.Find(c.Node)
	i, found := s.searchGroup(c.ID)
	switch {
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case c.ID == wire.MetadataGroup: // its replicas are never ended: the node comes anew (AdmitNode)
		return Result{RefusedInvalid, uint64(c.ID)}
	case n.Generation != c.Generation:
		return Result{RefusedGeneration, uint64(n.Generation)}
	}
	g := s.Groups[i]
	switch {
	case !g.Hosted(c.Node) || g.SinceOf(c.Node) != c.Since: // told late: that replica is on its way out, or was
		return Result{Unchanged, uint64(c.Since)}
	case !s.DecidesWithout(&g, c.Node, func(wire.NodeID) bool { return true }) && !mutant.Is(mutant.BreakQuorum):
		return Result{RefusedQuorum, uint64(c.Since)}
	}
	s.putGroup(g.breakAt(c.Node))
	return Result{Done, uint64(c.Since)}
}

// ReplaceNode is AdmitNode for a node whose disk can still be read in part, and whose replicas are given up with it: refused as
// RefusedQuorum where the other voters of some group would decide nothing.
type ReplaceNode struct{ AdmitNode }

// Append implements Change.
func (c ReplaceNode) Append(dst []byte) []byte { return c.appendAs(dst, kindReplaceNode) }

func (c ReplaceNode) apply(s *Snapshot, term wire.Term) Result {
	if n, _ := s.Topology.Find(c.ID); n.Generation == c.Old && c.Old != c.Generation {
		for g := range s.Live() {
			if !slices.Contains(g.Lost, c.ID) && !s.DecidesWithout(g, c.ID, func(wire.NodeID) bool { return true }) {
				return Result{RefusedQuorum, uint64(g.ID)}
			}
		}
	}
	return c.AdmitNode.apply(s, term)
}

// breakAt returns g after the replica of n, a member, was found damaged: what it holds is lost, and n ends it before it is added again.
func (g Group) breakAt(n wire.NodeID) Group {
	g = g.lose(n)
	if g.LeftAt(n) == 0 { // an index that no other time has: whoever comes back is reported at a higher one
		g.Left = insertSince(g.Left, Since{n, max(g.Members.Index, 1)})
	}
	return g
}

// DecidesWithout reports whether the voters of g decide when n has lost all that it knows: a majority of them, n counted, is alive
// and has lost nothing. A learner is never missed. alive is not asked for n.
func (s *Snapshot) DecidesWithout(g *Group, n wire.NodeID, alive func(wire.NodeID) bool) bool {
	voters := g.Members.AllVoters()
	if !slices.Contains(voters, n) {
		return true
	}
	good := 0
	for _, x := range voters {
		node, _ := s.Topology.Find(x)
		if x != n && node.State != NodeRemoved && !slices.Contains(g.Lost, x) && alive(x) {
			good++
		}
	}
	return 2*good > len(voters)
}
