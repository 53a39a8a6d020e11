package wire

import "slices"

// Membership is the set of replicas of one group as of the change entry at Index.
// Voters and Learners are sorted, disjoint and immutable. The zero value has no members.
type Membership struct {
	// Index is that of the change entry that made this membership; 0 for the one a group was created with.
	// It serves as the configuration version: it only rises.
	Index    Index
	Voters   []NodeID
	Learners []NodeID
}

// IsVoter reports whether n votes.
func (m *Membership) IsVoter(n NodeID) bool { return slices.Contains(m.Voters, n) }

// IsLearner reports whether n is a learner.
func (m *Membership) IsLearner(n NodeID) bool { return slices.Contains(m.Learners, n) }

// Contains reports whether n is a member of either kind.
func (m *Membership) Contains(n NodeID) bool { return m.IsVoter(n) || m.IsLearner(n) }

// ChangeKind says what a Change does to its node.
type ChangeKind uint8

// The changes of a membership, one node at a time (thesis section 4.1). 0 is no kind.
const (
	// ChangeAddLearner adds a node that receives the log and neither votes nor counts.
	ChangeAddLearner ChangeKind = 1
	// ChangePromote makes a learner a voter, or adds a voter outright.
	ChangePromote ChangeKind = 2
	// ChangeRemove removes a member of either kind.
	ChangeRemove ChangeKind = 3
)

// Valid reports whether k is a known kind.
func (k ChangeKind) Valid() bool { return k >= ChangeAddLearner && k <= ChangeRemove }

// Change is one step from a membership to the next, the Data of an EntryChange.
type Change struct {
	Kind ChangeKind
	Node NodeID
}
