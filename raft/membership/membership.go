package membership

import (
	"errors"
	"fmt"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Sentinels: why a membership or a change of it is not legal.
var (
	// ErrMalformed says that a membership or a set of changes is not what wire says it must be.
	ErrMalformed = errors.New("membership or change malformed")
	// ErrUnchanged says that the node is already what the change would make it.
	ErrUnchanged = errors.New("already so")
	// ErrNotMember says that there is no such member to remove.
	ErrNotMember = errors.New("not a member")
	// ErrNotVoter says that there is no such voter to demote.
	ErrNotVoter = errors.New("not a voter")
	// ErrLastVoter says that without this voter nobody could decide anything any more.
	ErrLastVoter = errors.New("last voter")
	// ErrIsVoter says that a voter would become a learner by the way; demote it (D46).
	ErrIsVoter = errors.New("is a voter")
	// ErrFull says that the membership has wire.MaxMembers members.
	ErrFull = errors.New("too many members")
	// ErrJoint says that a joint configuration has to be left before anything else changes.
	ErrJoint = errors.New("joint configuration")
	// ErrNotJoint says that there is no joint configuration to leave.
	ErrNotJoint = errors.New("no joint configuration")
	// ErrBase says that the set was meant for another membership than the one it would change.
	ErrBase = errors.New("membership has changed")
)

// Validate says what is wrong with m, nil if nothing is. A membership without members is well formed.
func Validate(m *wire.Membership) error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...))
	}
	for _, list := range [...][]wire.NodeID{m.Voters, m.Learners, m.Outgoing, m.Demoted} {
		last := wire.NoNode
		for _, n := range list {
			if n <= last || n > wire.MaxNodeID {
				fault("node %d after %d", n, last)
			}
			last = n
		}
	}
	for _, n := range m.Learners {
		if m.IsVoter(n) {
			fault("node %d is voter and learner", n)
		}
	}
	for _, n := range m.Demoted {
		if slices.Contains(m.Voters, n) || !slices.Contains(m.Outgoing, n) {
			fault("node %d is demoted and no outgoing voter", n)
		}
	}
	if m.Joint() && len(m.Voters) == 0 {
		fault("nobody is to vote when the joint configuration is left")
	}
	if n := len(m.Members()); n > wire.MaxMembers {
		fault("%d members", n)
	}
	return errors.Join(faults...)
}

// Next returns what set, in the entry at index, makes of m. m and its slices stay as they are. The errors are
// sentinels of this package, wrapped with the change they refuse.
func Next(m wire.Membership, index wire.Index, set *wire.ChangeSet) (wire.Membership, error) {
	switch {
	case set.SetBase && set.Base != m.Index:
		return m, fmt.Errorf("%w: it is that of index %d, the change is meant for that of %d", ErrBase, m.Index, set.Base)
	case len(set.Changes) == 0:
		return leave(m, index)
	case m.Joint():
		return m, ErrJoint
	case len(set.Changes) > wire.MaxChanges:
		return m, fmt.Errorf("%w: %d changes", ErrMalformed, len(set.Changes))
	}
	next := wire.Membership{Index: index, Voters: m.Voters, Learners: m.Learners}
	var demoted []wire.NodeID
	for i, ch := range set.Changes {
		err := check(&m, ch)
		if err == nil && slices.ContainsFunc(set.Changes[:i], func(c wire.Change) bool { return c.Node == ch.Node }) {
			err = ErrMalformed
		}
		if err != nil {
			return m, fmt.Errorf("%s node %d: %w", verb(ch.Kind), ch.Node, err)
		}
		switch ch.Kind {
		case wire.ChangeAddLearner:
			next.Learners = with(next.Learners, ch.Node)
		case wire.ChangePromote:
			next.Voters, next.Learners = with(next.Voters, ch.Node), without(next.Learners, ch.Node)
		case wire.ChangeRemove:
			next.Voters, next.Learners = without(next.Voters, ch.Node), without(next.Learners, ch.Node)
		case wire.ChangeDemote:
			next.Voters, demoted = without(next.Voters, ch.Node), with(demoted, ch.Node)
		}
	}
	return settle(m, next, demoted)
}

// settle chooses how to get from m to next, whose learners lack those that are demoted: at once if one voter moves
// at most, else by a joint configuration.
func settle(m, next wire.Membership, demoted []wire.NodeID) (wire.Membership, error) {
	if moved := Moved(m.Voters, next.Voters); moved > 1 && !(mutant.Is(mutant.ExchangeInOneStep) && moved == 2) {
		next.Outgoing, next.Demoted = m.Voters, demoted
	} else {
		next.Learners = merge(next.Learners, demoted)
	}
	switch {
	case len(next.Voters) == 0 && len(m.Voters) > 0:
		return m, ErrLastVoter
	case len(next.Members()) > wire.MaxMembers:
		return m, ErrFull
	}
	return next, nil
}

// leave returns what m is when its joint configuration is left.
func leave(m wire.Membership, index wire.Index) (wire.Membership, error) {
	if !m.Joint() {
		return m, fmt.Errorf("leave: %w", ErrNotJoint)
	}
	if mutant.Is(mutant.LoseDemoted) {
		return wire.Membership{Index: index, Voters: m.Voters, Learners: m.Learners}, nil
	}
	return wire.Membership{Index: index, Voters: m.Voters, Learners: merge(m.Learners, m.Demoted)}, nil
}

// Moved returns how many nodes are in one of two sorted lists only.
func Moved(a, b []wire.NodeID) int {
	common := 0
	for _, n := range a {
		if _, found := slices.BinarySearch(b, n); found {
			common++
		}
	}
	return len(a) + len(b) - 2*common
}

// check refuses what makes no sense for one node of m.
func check(m *wire.Membership, ch wire.Change) error {
	voter, learner := m.IsVoter(ch.Node), m.IsLearner(ch.Node)
	switch {
	case !ch.Kind.Valid() || ch.Node == wire.NoNode || ch.Node > wire.MaxNodeID:
		return ErrMalformed
	case ch.Kind == wire.ChangeRemove && !voter && !learner:
		return ErrNotMember
	case ch.Kind == wire.ChangeDemote && !voter:
		return ErrNotVoter
	case ch.Kind == wire.ChangeAddLearner && voter:
		return ErrIsVoter
	case ch.Kind == wire.ChangeAddLearner && learner, ch.Kind == wire.ChangePromote && voter:
		return ErrUnchanged
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
	case wire.ChangeDemote:
		return "demote"
	}
	return fmt.Sprintf("change of kind %d on", uint8(k))
}

// merge returns a new sorted list of the nodes in two sorted ones, which have none in common.
func merge(a, b []wire.NodeID) []wire.NodeID {
	for _, n := range b {
		a = with(a, n)
	}
	return a
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
