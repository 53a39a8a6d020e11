package catalog

import (
	"cmp"
	"iter"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Group is one group: where placement wants its replicas, and where they are as far as group 0 was told. What is in effect
// is in the group's own log (F14). It is immutable, as all of a Snapshot.
type Group struct {
	ID wire.GroupID
	// Kind names the state machine; "" is the default kind.
	Kind string
	// Voters and Learners are wanted, Leader is the voter that is wanted to lead, NoNode for any.
	Voters, Learners []wire.NodeID
	Leader           wire.NodeID
	// Origin is the membership that the group's log begins with; its Index is 0. It never changes.
	Origin wire.Membership
	// Members are those in effect as the group's leader reported last; Origin before the first report.
	Members wire.Membership
	// Since says of the members that a change has added up to which index of the log they were reported first, sorted by
	// node. Members that are not in it are of Origin.
	Since []Since
	// Lost are members whose disk is gone, sorted: they are taken out before they are placed again (N8).
	Lost []wire.NodeID
	// Deleted is a tombstone: the id never comes back (D54). All other fields are zero then.
	Deleted bool
}

// Since says that Node became a member not after Index.
type Since struct {
	Node  wire.NodeID
	Index wire.Index
}

// Wants reports whether placement wants a replica on n.
func (g *Group) Wants(n wire.NodeID) bool {
	return slices.Contains(g.Voters, n) || slices.Contains(g.Learners, n)
}

// Hosted reports whether node n is to have a replica now: it is a member, and was so with the disk that it has.
func (g *Group) Hosted(n wire.NodeID) bool {
	return !g.Deleted && g.Members.Contains(n) && !slices.Contains(g.Lost, n)
}

// SinceOf returns the index of the log up to which n's replica must not stand for election: it may not know yet that it was
// a member before, and what has been decided since (ADR 0006). 0 for a member of Origin.
func (g *Group) SinceOf(n wire.NodeID) wire.Index {
	for _, s := range g.Since {
		if s.Node == n {
			return s.Index
		}
	}
	return 0
}

// Settled reports whether the group is what placement wants, as far as is known.
func (g *Group) Settled() bool {
	return g.Deleted || len(g.Lost) == 0 && slices.Equal(g.Members.Voters, g.Voters) && slices.Equal(g.Members.Learners, g.Learners)
}

// report returns g after members were reported.
func (g Group) report(members wire.Membership) Group {
	var since []Since
	for _, n := range members.Members() {
		switch at := g.SinceOf(n); {
		case !g.Members.Contains(n) && !mutant.Is(mutant.ForgetSince):
			since = append(since, Since{n, members.Index})
		case at != 0:
			since = append(since, Since{n, at})
		}
	}
	slices.SortFunc(since, func(a, b Since) int { return cmp.Compare(a.Node, b.Node) })
	var lost []wire.NodeID
	for _, n := range g.Lost {
		if members.Contains(n) && !mutant.Is(mutant.ForgetLost) {
			lost = append(lost, n)
		}
	}
	g.Members, g.Since, g.Lost = members, since, lost
	return g
}

// lose returns g after the disk of n, a member, is gone.
func (g Group) lose(n wire.NodeID) Group {
	if i, found := slices.BinarySearch(g.Lost, n); !found {
		g.Lost = slices.Insert(slices.Clone(g.Lost), i, n)
	}
	return g
}

// Live returns the groups that were not deleted, by id.
func (s *Snapshot) Live() iter.Seq[*Group] {
	return func(yield func(*Group) bool) {
		for i := range s.Groups {
			if !s.Groups[i].Deleted && !yield(&s.Groups[i]) {
				return
			}
		}
	}
}

func appendGroup(b []byte, g *Group) []byte {
	b = wire.AppendUint(wire.AppendArray(b, 10), uint64(g.ID))
	b = wire.AppendString(b, g.Kind)
	b = wire.AppendUint(wire.AppendNodes(wire.AppendNodes(b, g.Voters), g.Learners), uint64(g.Leader))
	b = wire.AppendMembership(wire.AppendMembership(b, &g.Origin), &g.Members)
	b = wire.AppendArray(b, len(g.Since))
	for _, s := range g.Since {
		b = wire.AppendUint(wire.AppendUint(wire.AppendArray(b, 2), uint64(s.Node)), uint64(s.Index))
	}
	return wire.AppendBool(wire.AppendNodes(b, g.Lost), g.Deleted)
}

func readGroup(r *wire.Reader) Group {
	r.Array(10)
	g := Group{
		ID: wire.GroupID(r.UintMax(wire.MaxNumber)), Kind: r.String(maxKind), Voters: wire.ReadNodes(r), Learners: wire.ReadNodes(r),
		Leader: wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))), Origin: wire.ReadMembership(r), Members: wire.ReadMembership(r),
	}
	for range r.ArrayLen(wire.MaxMembers) {
		r.Array(2)
		s := Since{wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))), wire.Index(r.UintMax(wire.MaxNumber))}
		if r.Err() != nil {
			return g
		}
		g.Since = append(g.Since, s)
	}
	g.Lost, g.Deleted = wire.ReadNodes(r), r.Bool()
	return g
}

// A group of format 1, and of PutGroup: [id, voters, learners].

func appendListedGroup(b []byte, g *Group) []byte {
	b = wire.AppendUint(wire.AppendArray(b, 3), uint64(g.ID))
	return wire.AppendNodes(wire.AppendNodes(b, g.Voters), g.Learners)
}

func readListedGroup(r *wire.Reader) Group {
	r.Array(3)
	return Group{ID: wire.GroupID(r.UintMax(wire.MaxNumber)), Voters: wire.ReadNodes(r), Learners: wire.ReadNodes(r)}
}

// Founded returns g as it begins: what is wanted is what is in effect.
func (g Group) Founded() Group {
	g.Origin = wire.Membership{Voters: g.Voters, Learners: g.Learners}
	g.Members = g.Origin
	return g
}
