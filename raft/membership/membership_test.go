package membership_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/membership"
	"flotilla/raft/quorum"
	"flotilla/raft/wire"
)

type ids = []wire.NodeID

// F13, D46: the law, case by case.
func TestNext(t *testing.T) {
	base := wire.Membership{Index: 3, Voters: ids{1, 2, 4}, Learners: ids{3, 5}}
	one := wire.Membership{Voters: ids{1}}
	for _, test := range []struct {
		name string
		from wire.Membership
		ch   wire.Change
		want wire.Membership
		err  error
	}{
		{"add learner", base, wire.Change{Kind: wire.ChangeAddLearner, Node: 6}, wire.Membership{Index: 9, Voters: ids{1, 2, 4}, Learners: ids{3, 5, 6}}, nil},
		{"promote", base, wire.Change{Kind: wire.ChangePromote, Node: 3}, wire.Membership{Index: 9, Voters: ids{1, 2, 3, 4}, Learners: ids{5}}, nil},
		{"voter outright", base, wire.Change{Kind: wire.ChangePromote, Node: 7}, wire.Membership{Index: 9, Voters: ids{1, 2, 4, 7}, Learners: ids{3, 5}}, nil},
		{"remove voter", base, wire.Change{Kind: wire.ChangeRemove, Node: 2}, wire.Membership{Index: 9, Voters: ids{1, 4}, Learners: ids{3, 5}}, nil},
		{"remove learner", base, wire.Change{Kind: wire.ChangeRemove, Node: 5}, wire.Membership{Index: 9, Voters: ids{1, 2, 4}, Learners: ids{3}}, nil},
		{"demote by the way", base, wire.Change{Kind: wire.ChangeAddLearner, Node: 1}, base, membership.ErrIsVoter},
		{"learner twice", base, wire.Change{Kind: wire.ChangeAddLearner, Node: 3}, base, membership.ErrUnchanged},
		{"voter twice", base, wire.Change{Kind: wire.ChangePromote, Node: 4}, base, membership.ErrUnchanged},
		{"remove a stranger", base, wire.Change{Kind: wire.ChangeRemove, Node: 9}, base, membership.ErrNotMember},
		{"remove the last voter", one, wire.Change{Kind: wire.ChangeRemove, Node: 1}, one, membership.ErrLastVoter},
		{"no kind", one, wire.Change{Node: 1}, one, membership.ErrMalformed},
		{"nobody", one, wire.Change{Kind: wire.ChangePromote}, one, membership.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := membership.Next(test.from, 9, test.ch)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Random walks: every membership reached is well formed, nothing handed in is written to, and the voters before
// and after a step differ by one at most, so that majorities meet (thesis section 4.1).
func TestNextKeepsMajoritiesMeeting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	m := wire.Membership{Voters: ids{1}}
	for i := range 20000 {
		voters, learners := slices.Clone(m.Voters), slices.Clone(m.Learners)
		ch := wire.Change{Kind: wire.ChangeKind(r.UintN(5)), Node: wire.NodeID(r.UintN(9))}
		next, err := membership.Next(m, wire.Index(i+1), ch)
		if !slices.Equal(voters, m.Voters) || !slices.Equal(learners, m.Learners) {
			t.Fatalf("%v wrote to the membership it was given", ch)
		}
		if err != nil {
			continue
		}
		if err := membership.Validate(&next); err != nil {
			t.Fatalf("%v made of %v: %v", ch, m, err)
		}
		common := 0
		for _, n := range m.Voters {
			if next.IsVoter(n) {
				common++
			}
		}
		union := len(m.Voters) + len(next.Voters) - common
		if quorum.Size(len(m.Voters))+quorum.Size(len(next.Voters)) <= union {
			t.Fatalf("a majority of %v need not meet one of %v", m.Voters, next.Voters)
		}
		m = next
	}
}

func TestValidate(t *testing.T) {
	var crowd ids
	for i := range wire.MaxMembers + 1 {
		crowd = append(crowd, wire.NodeID(i+1))
	}
	for _, test := range []struct {
		name string
		m    wire.Membership
		ok   bool
	}{
		{"nobody", wire.Membership{}, true},
		{"some", wire.Membership{Voters: ids{1, 3}, Learners: ids{2}}, true},
		{"unsorted", wire.Membership{Voters: ids{3, 1}}, false},
		{"twice", wire.Membership{Voters: ids{1, 1}}, false},
		{"both", wire.Membership{Voters: ids{1, 2}, Learners: ids{2}}, false},
		{"none among some", wire.Membership{Learners: ids{0, 2}}, false},
		{"beyond the largest id", wire.Membership{Voters: ids{wire.MaxNodeID + 1}}, false},
		{"crowd", wire.Membership{Voters: crowd}, false},
	} {
		if err := membership.Validate(&test.m); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	full := wire.Membership{Voters: crowd[:wire.MaxMembers]}
	if _, err := membership.Next(full, 1, wire.Change{Kind: wire.ChangeAddLearner, Node: 9999}); !errors.Is(err, membership.ErrFull) {
		t.Errorf("one more than %d: %v", wire.MaxMembers, err)
	}
}
