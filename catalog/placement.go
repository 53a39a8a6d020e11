package catalog

import (
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// AdmitNode makes the data directory with Generation that of node ID from now on: a node that joins, or one that comes back
// with another disk than Old, which is the generation it was decided on, 0 for a node that is unknown or has never registered.
// Whatever replicas the old disk had are lost. Result.Value is the generation that holds, or the node's id after a refusal as removed.
type AdmitNode struct {
	ID              wire.NodeID
	Generation, Old wire.Generation
	Addr, HTTP      string
	Version         string
}

// CreateGroup makes a group with the members that are wanted. ID 0 stands for the lowest id that never was a group's. Result.Value
// is the group's id; an id that is or was taken by another group is refused.
type CreateGroup struct {
	ID               wire.GroupID
	Kind             string
	Voters, Learners []wire.NodeID
	Leader           wire.NodeID
}

// DeleteGroup leaves a tombstone of a data group that nothing is routed to, or of an import. Result.Value is the topology's version.
type DeleteGroup struct{ ID wire.GroupID }

// PlaceGroup says where a group is wanted. IfVersion is as in SetNodeState. Result.Value is the topology's version.
type PlaceGroup struct {
	ID               wire.GroupID
	Voters, Learners []wire.NodeID
	Leader           wire.NodeID
	IfVersion        uint64
}

// ReportMembers tells the membership in effect of a group, as a leader of it has applied it; it is no joint one. Memberships of a group
// have one order, that of their indexes, so that an older report is Unchanged. Result.Value is the index that is known now.
type ReportMembers struct {
	ID      wire.GroupID
	Members wire.Membership
}

// MoveNode tells that a node is dialled elsewhere from now on. Result.Value is the topology's version.
type MoveNode struct {
	ID   wire.NodeID
	Addr string
}

// ReplicaEnded tells that the replica of a group which Node, running from the data directory with Generation, had when it was
// taken out by the report at Index is no more, durably. Told late, of an earlier removal, it is Unchanged. Result.Value is Index.
type ReplicaEnded struct {
	ID         wire.GroupID
	Node       wire.NodeID
	Generation wire.Generation
	Index      wire.Index
}

// Append implements Change.
func (c ReplicaEnded) Append(dst []byte) []byte {
	dst = wire.AppendUint(wire.AppendUint(header(dst, 4, kindReplicaEnded), uint64(c.ID)), uint64(c.Node))
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.Generation)), uint64(c.Index))
}

// Append implements Change.
func (c AdmitNode) Append(dst []byte) []byte { return c.appendAs(dst, kindAdmitNode) }

func (c AdmitNode) appendAs(dst []byte, kind uint64) []byte {
	dst = wire.AppendUint(header(dst, 6, kind), uint64(c.ID))
	dst = wire.AppendUint(wire.AppendUint(dst, uint64(c.Generation)), uint64(c.Old))
	return wire.AppendString(wire.AppendString(wire.AppendString(dst, c.Addr), c.HTTP), c.Version)
}

// Append implements Change.
func (c CreateGroup) Append(dst []byte) []byte {
	dst = wire.AppendUint(header(dst, 5, kindCreateGroup), uint64(c.ID))
	dst = wire.AppendNodes(wire.AppendNodes(wire.AppendString(dst, c.Kind), c.Voters), c.Learners)
	return wire.AppendUint(dst, uint64(c.Leader))
}

// Append implements Change.
func (c DeleteGroup) Append(dst []byte) []byte {
	return wire.AppendUint(header(dst, 1, kindDeleteGroup), uint64(c.ID))
}

// Append implements Change.
func (c PlaceGroup) Append(dst []byte) []byte {
	dst = wire.AppendUint(header(dst, 5, kindPlaceGroup), uint64(c.ID))
	dst = wire.AppendNodes(wire.AppendNodes(dst, c.Voters), c.Learners)
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.Leader)), c.IfVersion)
}

// Append implements Change.
func (c ReportMembers) Append(dst []byte) []byte {
	return wire.AppendMembership(wire.AppendUint(header(dst, 2, kindReportMembers), uint64(c.ID)), &c.Members)
}

// Append implements Change.
func (c MoveNode) Append(dst []byte) []byte {
	return wire.AppendString(wire.AppendUint(header(dst, 2, kindMoveNode), uint64(c.ID)), c.Addr)
}

// readPlacement reads the fields of the kinds of this file, of tokens and of imports, and returns how many they are.
func readPlacement(r *wire.Reader, kind uint64) (Change, int) {
	node := func() wire.NodeID { return wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))) }
	group := func() wire.GroupID { return wire.GroupID(r.UintMax(wire.MaxNumber)) }
	switch kind {
	case kindAdmitNode, kindReplaceNode:
		c := AdmitNode{
			ID: node(), Generation: wire.Generation(r.Uint()), Old: wire.Generation(r.Uint()),
			Addr: r.String(wire.MaxEntryData), HTTP: r.String(wire.MaxEntryData), Version: r.String(wire.MaxEntryData),
		}
		if kind == kindReplaceNode {
			return ReplaceNode{c}, 6
		}
		return c, 6
	case kindCreateGroup:
		return CreateGroup{ID: group(), Kind: r.String(wire.MaxEntryData), Voters: wire.ReadNodes(r), Learners: wire.ReadNodes(r), Leader: node()}, 5
	case kindDeleteGroup:
		return DeleteGroup{ID: group()}, 1
	case kindPlaceGroup:
		return PlaceGroup{ID: group(), Voters: wire.ReadNodes(r), Learners: wire.ReadNodes(r), Leader: node(), IfVersion: r.Uint()}, 5
	case kindReportMembers:
		return ReportMembers{ID: group(), Members: wire.ReadMembership(r)}, 2
	case kindReplicaEnded:
		return ReplicaEnded{ID: group(), Node: node(), Generation: wire.Generation(r.Uint()), Index: wire.Index(r.UintMax(wire.MaxNumber))}, 4
	case kindReplicaBroken:
		return ReplicaBroken{ID: group(), Node: node(), Generation: wire.Generation(r.Uint()), Since: wire.Index(r.UintMax(wire.MaxNumber))}, 4
	case kindMoveNode:
		return MoveNode{ID: node(), Addr: r.String(wire.MaxEntryData)}, 2
	case kindPutToken, kindSpendToken:
		return readTokenChange(r, kind)
	case kindBeginImport, kindEndImport:
		return readImportChange(r, kind)
	}
	return nil, 0
}

func (c AdmitNode) apply(s *Snapshot, _ wire.Term) Result {
	n, found := s.Topology.Find(c.ID)
	switch {
	case c.ID == wire.NoNode || c.Generation == 0 || !validText(c.Addr) || len(c.HTTP) > maxText || !ValidVersion(c.Version):
		return Result{RefusedInvalid, uint64(c.Generation)}
	case n.State == NodeRemoved:
		return Result{RefusedRemoved, uint64(c.ID)}
	case n.Generation != 0 && n.Generation == c.Generation:
		return Result{Unchanged, uint64(n.Generation)}
	case n.Generation != c.Old:
		return Result{RefusedGeneration, uint64(n.Generation)}
	case !found && len(s.Topology.Nodes) >= maxNodes:
		return Result{RefusedInvalid, maxNodes}
	}
	if !found || n.State == NodeListed {
		n.State = NodeActive
	}
	n.ID, n.Generation, n.Addr, n.HTTP, n.Version = c.ID, c.Generation, c.Addr, c.HTTP, c.Version
	s.Topology.put(n)
	s.endReplicas(c.ID)
	s.endImports(c.ID)
	for i, g := range s.Groups {
		if g.Members.Contains(c.ID) && !mutant.Is(mutant.AdmitWithReplicas) {
			s.Groups[i] = g.lose(c.ID)
		}
	}
	return Result{Done, uint64(n.Generation)}
}

func (c ReplicaEnded) apply(s *Snapshot, _ wire.Term) Result {
	n, _ := s.Topology.Find(c.Node)
	i, found := s.searchGroup(c.ID)
	switch {
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case n.Generation != c.Generation:
		return Result{RefusedGeneration, uint64(n.Generation)}
	case c.Index == 0 || s.Groups[i].LeftAt(c.Node) != c.Index:
		return Result{Unchanged, uint64(c.Index)}
	}
	s.putGroup(s.Groups[i].ended(c.Node))
	return Result{Done, uint64(c.Index)}
}

// endReplicas notes, in a new slice of groups, that the disk of n which took part in them until now does so no more.
func (s *Snapshot) endReplicas(n wire.NodeID) {
	s.Groups = slices.Clone(s.Groups)
	for i, g := range s.Groups {
		if g.LeftAt(n) != 0 {
			s.Groups[i] = g.ended(n)
		}
	}
}

func (c CreateGroup) apply(s *Snapshot, _ wire.Term) Result {
	id := c.ID
	if id == wire.MetadataGroup {
		id = s.freeGroup()
	}
	g := Group{ID: id, Kind: c.Kind, Voters: c.Voters, Learners: c.Learners, Leader: c.Leader}.Founded()
	if r, fine := s.placeable(&g); !fine {
		return r
	}
	if i, found := s.searchGroup(id); found {
		old := &s.Groups[i]
		if !old.Deleted && old.Kind == g.Kind && old.Origin.Equal(&g.Origin) {
			return Result{Unchanged, uint64(id)}
		}
		if !old.Deleted || !mutant.Is(mutant.ReviveGroup) {
			return Result{RefusedInvalid, uint64(id)}
		}
	}
	if _, reserved := s.FindImport(id); reserved && !mutant.Is(mutant.CreateReserved) {
		return Result{RefusedInvalid, uint64(id)}
	}
	if len(s.Groups)+len(s.Imports) >= maxGroups {
		return Result{RefusedInvalid, maxGroups}
	}
	s.putGroup(g)
	return Result{Done, uint64(id)}
}

func (c DeleteGroup) apply(s *Snapshot, _ wire.Term) Result {
	if i, found := s.FindImport(c.ID); found {
		s.endImport(i, false)
		return Result{Done, s.Topology.Version}
	}
	i, found := s.searchGroup(c.ID)
	switch {
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case s.Groups[i].Deleted:
		return Result{Unchanged, s.Topology.Version}
	case c.ID == wire.MetadataGroup || slices.Contains(s.Routing.Shards[:], c.ID):
		return Result{RefusedInvalid, uint64(c.ID)}
	}
	s.putGroup(Group{ID: c.ID, Deleted: true})
	return Result{Done, s.Topology.Version}
}

func (c PlaceGroup) apply(s *Snapshot, _ wire.Term) Result {
	if c.IfVersion != 0 && c.IfVersion != s.Topology.Version {
		return Result{RefusedVersion, s.Topology.Version}
	}
	i, found := s.searchGroup(c.ID)
	if !found || s.Groups[i].Deleted {
		return Result{RefusedUnknown, uint64(c.ID)}
	}
	g := s.Groups[i]
	same := slices.Equal(g.Voters, c.Voters) && slices.Equal(g.Learners, c.Learners) && g.Leader == c.Leader
	g.Voters, g.Learners, g.Leader = c.Voters, c.Learners, c.Leader
	if r, fine := s.placeable(&g); !fine {
		return r
	}
	if same {
		return Result{Unchanged, s.Topology.Version}
	}
	s.putGroup(g)
	return Result{Done, s.Topology.Version}
}

func (c ReportMembers) apply(s *Snapshot, _ wire.Term) Result {
	i, found := s.searchGroup(c.ID)
	switch {
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case !settled(&c.Members):
		return Result{RefusedInvalid, uint64(c.Members.Index)}
	}
	g := s.Groups[i]
	if g.Deleted || c.Members.Index <= g.Members.Index && !mutant.Is(mutant.ReportBackwards) {
		return Result{Unchanged, uint64(g.Members.Index)}
	}
	g = g.report(c.Members)
	for _, left := range g.Left { // a removed node tells nothing any more, and is never added again (D47)
		if n, _ := s.Topology.Find(left.Node); n.State == NodeRemoved {
			g = g.ended(left.Node)
		}
	}
	s.putGroup(g)
	return Result{Done, uint64(c.Members.Index)}
}

func (c MoveNode) apply(s *Snapshot, _ wire.Term) Result {
	n, found := s.Topology.Find(c.ID)
	switch {
	case !validText(c.Addr):
		return Result{RefusedInvalid, s.Topology.Version}
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case n.State == NodeRemoved:
		return Result{RefusedRemoved, uint64(c.ID)}
	case n.Addr == c.Addr:
		return Result{Unchanged, s.Topology.Version}
	}
	n.Addr = c.Addr // role and state are the node's, not the address's (D46)
	s.Topology.put(n)
	return Result{Done, s.Topology.Version}
}

// placeable says why g cannot be placed as it wants.
func (s *Snapshot) placeable(g *Group) (Result, bool) {
	if validWanted(g) != nil {
		return Result{RefusedInvalid, uint64(g.ID)}, false
	}
	for _, id := range slices.Concat(g.Voters, g.Learners) {
		if n, found := s.Topology.Find(id); !found || n.State == NodeRemoved {
			return Result{RefusedUnknown, uint64(id)}, false
		}
	}
	return Result{}, true
}

// freeGroup returns the lowest id that is not in the table, which keeps those that were deleted, nor reserved.
func (s *Snapshot) freeGroup() wire.GroupID {
	id := wire.MetadataGroup
	imports := s.Imports
	for i := 0; ; id++ {
		switch {
		case i < len(s.Groups) && s.Groups[i].ID == id:
			i++
		case len(imports) > 0 && imports[0].ID == id && !mutant.Is(mutant.ReserveTwice):
			imports = imports[1:]
		default:
			return id
		}
	}
}

// putGroup adds g or replaces it, in a new slice, and raises the topology's version.
func (s *Snapshot) putGroup(g Group) {
	s.Groups = slices.Clone(s.Groups)
	if i, found := s.searchGroup(g.ID); found {
		s.Groups[i] = g
	} else {
		s.Groups = slices.Insert(s.Groups, i, g)
	}
	s.Topology.Version++
}
