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
	// Left are members no more, or lost by damage (ReplicaBroken), and each may still have its replica: Index is that of the report which said so, sorted by
	// node. They are not added again before they have ended it (ReplicaEnded). Else a node that hears late of both its
	// removal and its return would end a replica that votes, and make one that knows of no vote (N8). Group 0, whose
	// replicas are never ended, has none.
	Left []Since
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

// SinceOf returns the index of the log up to which n's replica must not stand for election, nor be counted: it may not know
// yet that it was a member before, and what has been decided since (ADR 0006). 0 for a member of Origin.
func (g *Group) SinceOf(n wire.NodeID) wire.Index { return indexOf(g.Since, n) }

// ReplicaSince is what raft.Config.Since is to be of the replica that n has. One that is about to be ended may have been made
// anew and have learned nothing yet; at which index it was, nobody remembers. It is never needed again, so it never counts.
func (g *Group) ReplicaSince(n wire.NodeID) wire.Index {
	known := g.Deleted || len(g.Members.Voters) > 0
	if known && g.ID != wire.MetadataGroup && !g.Hosted(n) {
		return wire.MaxNumber
	}
	return g.SinceOf(n)
}

// LeftAt returns the index of the report by which n was taken out, 0 when it can have no replica of that time any more.
func (g *Group) LeftAt(n wire.NodeID) wire.Index { return indexOf(g.Left, n) }

func indexOf(list []Since, n wire.NodeID) wire.Index {
	for _, s := range list {
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
	g = g.leave(members)
	var lost []wire.NodeID
	for _, n := range members.Members() {
		// Added again before its replica was ended: that one may be ended at any time.
		early := !g.Members.Contains(n) && g.LeftAt(n) != 0
		if (slices.Contains(g.Lost, n) || early) && !mutant.Is(mutant.ForgetLost) {
			lost = append(lost, n)
		}
	}
	slices.Sort(lost)
	g.Members, g.Since, g.Lost = members, since, lost
	return g
}

// leave returns g after those that are not in members have left. Who is lost has no replica on the disk that it has.
func (g Group) leave(members wire.Membership) Group {
	for _, n := range g.Members.Members() {
		if g.ID != wire.MetadataGroup && !members.Contains(n) && !slices.Contains(g.Lost, n) && g.LeftAt(n) == 0 {
			g.Left = insertSince(g.Left, Since{n, members.Index})
		}
	}
	return g
}

// insertSince returns a new list that has s, too, sorted.
func insertSince(list []Since, s Since) []Since {
	list = append(slices.Clone(list), s)
	slices.SortFunc(list, func(a, b Since) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

// ended returns g after n can have no replica any more of the time before it left.
func (g Group) ended(n wire.NodeID) Group {
	g.Left = slices.DeleteFunc(slices.Clone(g.Left), func(s Since) bool { return s.Node == n })
	if len(g.Left) == 0 {
		g.Left = nil
	}
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
	b = wire.AppendUint(wire.AppendArray(b, 11), uint64(g.ID))
	b = wire.AppendString(b, g.Kind)
	b = wire.AppendUint(wire.AppendNodes(wire.AppendNodes(b, g.Voters), g.Learners), uint64(g.Leader))
	b = wire.AppendMembership(wire.AppendMembership(b, &g.Origin), &g.Members)
	b = appendSince(wire.AppendNodes(appendSince(b, g.Since), g.Lost), g.Left)
	return wire.AppendBool(b, g.Deleted)
}

func appendSince(b []byte, list []Since) []byte {
	b = wire.AppendArray(b, len(list))
	for _, s := range list {
		b = wire.AppendUint(wire.AppendUint(wire.AppendArray(b, 2), uint64(s.Node)), uint64(s.Index))
	}
	return b
}

func readSince(r *wire.Reader, limit int) []Since {
	var list []Since
	for range r.ArrayLen(limit) {
		r.Array(2)
		s := Since{wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))), wire.Index(r.UintMax(wire.MaxNumber))}
		if r.Err() != nil {
			return nil
		}
		list = append(list, s)
	}
	return list
}

func readGroup(r *wire.Reader) Group {
	r.Array(11)
	g := Group{
		ID: wire.GroupID(r.UintMax(wire.MaxNumber)), Kind: r.String(maxKind), Voters: wire.ReadNodes(r), Learners: wire.ReadNodes(r),
		Leader: wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))), Origin: wire.ReadMembership(r), Members: wire.ReadMembership(r),
	}
	g.Since, g.Lost = readSince(r, wire.MaxMembers), wire.ReadNodes(r)
	g.Left, g.Deleted = readSince(r, maxNodes), r.Bool()
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
