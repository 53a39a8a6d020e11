package wire

import "slices"

// Membership is the set of replicas of one group as of the change entry at Index. All lists are sorted and
// immutable. The zero value has no members.
//
// While voters are being exchanged it is a joint configuration (thesis section 4.3): Voters are those that are
// coming, Outgoing those that are going, many are both, and a majority of each is needed to decide anything.
type Membership struct {
	// Index is that of the change entry that made this membership; 0 for the one a group was created with.
	// It serves as the configuration version: it only rises.
	Index  Index
	Voters []NodeID
	// Learners are disjoint from Voters and Outgoing.
	Learners []NodeID
	// Outgoing are the voters of the configuration that is being left; empty unless this is a joint one.
	Outgoing []NodeID
	// Demoted are those of Outgoing that stay as learners when the joint configuration is left. Until then they vote.
	Demoted []NodeID
}

// Joint reports whether m is a joint configuration.
func (m *Membership) Joint() bool { return len(m.Outgoing) > 0 }

// IsVoter reports whether n votes, be it only until a joint configuration is left.
func (m *Membership) IsVoter(n NodeID) bool {
	return slices.Contains(m.Voters, n) || slices.Contains(m.Outgoing, n)
}

// IsLearner reports whether n is a learner now.
func (m *Membership) IsLearner(n NodeID) bool { return slices.Contains(m.Learners, n) }

// Contains reports whether n is a member of any kind.
func (m *Membership) Contains(n NodeID) bool { return m.IsVoter(n) || m.IsLearner(n) }

// AllVoters returns everybody who votes, each once, sorted. It is Voters itself unless m is a joint configuration.
func (m *Membership) AllVoters() []NodeID { return union(m.Voters, m.Outgoing) }

// Members returns all members, each once: voters before learners.
func (m *Membership) Members() []NodeID { return slices.Concat(m.AllVoters(), m.Learners) }

// Equal reports whether m and o are the same membership.
func (m *Membership) Equal(o *Membership) bool {
	return m.Index == o.Index && slices.Equal(m.Voters, o.Voters) && slices.Equal(m.Learners, o.Learners) &&
		slices.Equal(m.Outgoing, o.Outgoing) && slices.Equal(m.Demoted, o.Demoted)
}

// WellFormed reports whether the lists are what they are said to be and MaxMembers at most together.
func (m *Membership) WellFormed() bool {
	for _, list := range [...][]NodeID{m.Voters, m.Learners, m.Outgoing, m.Demoted} {
		if !rising(list) {
			return false
		}
	}
	return disjoint(m.Learners, m.Voters) && disjoint(m.Learners, m.Outgoing) &&
		disjoint(m.Demoted, m.Voters) && contained(m.Demoted, m.Outgoing) &&
		len(m.Voters) >= min(len(m.Outgoing), 1) && len(m.AllVoters())+len(m.Learners) <= MaxMembers
}

// rising reports whether ids are in range and strictly rise.
func rising(ids []NodeID) bool {
	last := NoNode
	for _, id := range ids {
		if id <= last || id > MaxNodeID {
			return false
		}
		last = id
	}
	return true
}

// disjoint reports whether two sorted lists have no element in common.
func disjoint(a, b []NodeID) bool {
	for _, id := range a {
		if _, found := slices.BinarySearch(b, id); found {
			return false
		}
	}
	return true
}

// contained reports whether every element of a is one of the sorted list b.
func contained(a, b []NodeID) bool {
	for _, id := range a {
		if _, found := slices.BinarySearch(b, id); !found {
			return false
		}
	}
	return true
}

// union merges two sorted lists; with an empty one it returns the other itself.
func union(a, b []NodeID) []NodeID {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// ChangeKind says what a Change does to its node.
type ChangeKind uint8

// The changes of a membership. 0 is no kind.
const (
	// ChangeAddLearner adds a node that receives the log and neither votes nor counts.
	ChangeAddLearner ChangeKind = 1
	// ChangePromote makes a learner a voter, or adds a voter outright.
	ChangePromote ChangeKind = 2
	// ChangeRemove removes a member of either kind.
	ChangeRemove ChangeKind = 3
	// ChangeDemote makes a voter a learner.
	ChangeDemote ChangeKind = 4
)

// Valid reports whether k is a known kind.
func (k ChangeKind) Valid() bool { return k >= ChangeAddLearner && k <= ChangeDemote }

// Change is what is to happen to one node.
type Change struct {
	Kind ChangeKind
	Node NodeID
}

// ChangeSet is one step from a membership to the next, the Data of an EntryChange. All of it happens or nothing.
type ChangeSet struct {
	// Changes are MaxChanges at most, each of another node. An empty set leaves a joint configuration; only a
	// leader proposes that.
	Changes []Change
	// SetBase says that the set is meant for the membership whose Index is Base, and for no other.
	SetBase bool
	Base    Index
}

// OneChange is the set that does one thing to one node, whatever the membership is.
func OneChange(kind ChangeKind, n NodeID) ChangeSet {
	return ChangeSet{Changes: []Change{{Kind: kind, Node: n}}}
}

// distinct reports whether no node is changed twice.
func (s *ChangeSet) distinct() bool {
	for i, c := range s.Changes {
		for _, other := range s.Changes[:i] {
			if c.Node == other.Node {
				return false
			}
		}
	}
	return true
}
