package membership

import (
	"errors"
	"fmt"
	"slices"

	"flotilla/raft/wire"
)

// Sentinels: why a membership or a change of it is not legal.
var (
	// ErrMalformed says that a membership is not sorted, not disjoint, too large, or names nobody.
	ErrMalformed = errors.New("membership malformed")
	// ErrUnchanged says that the node is already what the change would make it.
	ErrUnchanged = errors.New("already so")
	// ErrNotMember says that there is no such member to remove.
	ErrNotMember = errors.New("not a member")
	// ErrLastVoter says that without this voter nobody could decide anything any more.
	ErrLastVoter = errors.New("last voter")
	// ErrIsVoter says that a voter would become a learner; remove it and add it again (D46).
	ErrIsVoter = errors.New("is a voter")
	// ErrFull says that the membership has wire.MaxMembers members.
	ErrFull = errors.New("too many members")
)

// Validate says what is wrong with m, nil if nothing is. A membership without members is well formed.
func Validate(m *wire.Membership) error {
	var faults []error
	for _, list := range [][]wire.NodeID{m.Voters, m.Learners} {
		last := wire.NoNode
		for _, n := range list {
			if n <= last || n > wire.MaxNodeID {
				faults = append(faults, fmt.Errorf("%w: node %d after %d", ErrMalformed, n, last))
			}
			last = n
		}
	}
	for _, n := range m.Learners {
		if m.IsVoter(n) {
			faults = append(faults, fmt.Errorf("%w: node %d is voter and learner", ErrMalformed, n))
		}
	}
	if n := len(m.Voters) + len(m.Learners); n > wire.MaxMembers {
		faults = append(faults, fmt.Errorf("%w: %d members", ErrMalformed, n))
	}
	return errors.Join(faults...)
}

// Next returns what ch, in the entry at index, makes of m. m and its slices stay as they are. The errors are
// sentinels of this package, wrapped with the change they refuse.
func Next(m wire.Membership, index wire.Index, ch wire.Change) (wire.Membership, error) {
	if err := check(&m, ch); err != nil {
		return m, fmt.Errorf("%s node %d: %w", verb(ch.Kind), ch.Node, err)
	}
	next := wire.Membership{Index: index, Voters: m.Voters, Learners: m.Learners}
	switch ch.Kind {
	case wire.ChangeAddLearner:
		next.Learners = with(m.Learners, ch.Node)
	case wire.ChangePromote:
		next.Voters, next.Learners = with(m.Voters, ch.Node), without(m.Learners, ch.Node)
	case wire.ChangeRemove:
		next.Voters, next.Learners = without(m.Voters, ch.Node), without(m.Learners, ch.Node)
	}
	return next, nil
}

func check(m *wire.Membership, ch wire.Change) error {
	if !ch.Kind.Valid() || ch.Node == wire.NoNode || ch.Node > wire.MaxNodeID {
		return ErrMalformed
	}
	full := len(m.Voters)+len(m.Learners) >= wire.MaxMembers
	switch {
	case ch.Kind == wire.ChangeRemove:
		if !m.Contains(ch.Node) {
			return ErrNotMember
		}
		if len(m.Voters) == 1 && m.IsVoter(ch.Node) {
			return ErrLastVoter
		}
	case ch.Kind == wire.ChangeAddLearner && m.IsVoter(ch.Node):
		return ErrIsVoter
	case ch.Kind == wire.ChangeAddLearner && m.IsLearner(ch.Node), ch.Kind == wire.ChangePromote && m.IsVoter(ch.Node):
		return ErrUnchanged
	case full && !m.Contains(ch.Node):
		return ErrFull
	}
	return nil
}

func verb(k wire.ChangeKind) string {
	switch k {
	case wire.ChangeAddLearner:
		return "add learner"
	case wire.ChangePromote:
		return "promote"
	case wire.ChangeRemove:
		return "remove"
	}
	return fmt.Sprintf("change of kind %d on", uint8(k))
}

// with returns a new sorted list that has n, too.
func with(list []wire.NodeID, n wire.NodeID) []wire.NodeID {
	at, found := slices.BinarySearch(list, n)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), at, n)
}

// without returns a list that has not got n: a new one if it had; nil instead of an empty one.
func without(list []wire.NodeID, n wire.NodeID) []wire.NodeID {
	at, found := slices.BinarySearch(list, n)
	if !found {
		return list
	}
	if len(list) == 1 {
		return nil
	}
	return slices.Delete(slices.Clone(list), at, at+1)
}
