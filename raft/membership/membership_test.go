package membership_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

type ids = []wire.NodeID

func set(changes ...wire.Change) wire.ChangeSet { return wire.ChangeSet{Changes: changes} }

func based(base wire.Index, changes ...wire.Change) wire.ChangeSet {
	return wire.ChangeSet{Changes: changes, SetBase: true, Base: base}
}

func add(n wire.NodeID) wire.Change     { return wire.Change{Kind: wire.ChangeAddLearner, Node: n} }
func promote(n wire.NodeID) wire.Change { return wire.Change{Kind: wire.ChangePromote, Node: n} }
func remove(n wire.NodeID) wire.Change  { return wire.Change{Kind: wire.ChangeRemove, Node: n} }
func demote(n wire.NodeID) wire.Change  { return wire.Change{Kind: wire.ChangeDemote, Node: n} }

// F13, D46, D52: the law, case by case.
func TestNext(t *testing.T) {
	base := wire.Membership{Index: 3, Voters: ids{1, 2, 4}, Learners: ids{3, 5}}
	one := wire.Membership{Voters: ids{1}}
	joint := wire.Membership{Index: 3, Voters: ids{1, 6}, Learners: ids{3}, Outgoing: ids{1, 2, 4}, Demoted: ids{4}}
	for _, test := range []struct {
		name string
		from wire.Membership
		set  wire.ChangeSet
		want wire.Membership
		err  error
	}{
		{"add learner", base, set(add(6)), wire.Membership{Index: 9, Voters: ids{1, 2, 4}, Learners: ids{3, 5, 6}}, nil},
		{"promote", base, set(promote(3)), wire.Membership{Index: 9, Voters: ids{1, 2, 3, 4}, Learners: ids{5}}, nil},
		{"voter outright", base, set(promote(7)), wire.Membership{Index: 9, Voters: ids{1, 2, 4, 7}, Learners: ids{3, 5}}, nil},
		{"remove voter", base, set(remove(2)), wire.Membership{Index: 9, Voters: ids{1, 4}, Learners: ids{3, 5}}, nil},
		{"remove learner", base, set(remove(5)), wire.Membership{Index: 9, Voters: ids{1, 2, 4}, Learners: ids{3}}, nil},
		{"demote", base, set(demote(2)), wire.Membership{Index: 9, Voters: ids{1, 4}, Learners: ids{2, 3, 5}}, nil},
		{"one voter and learners", base, set(add(6), promote(5), remove(3)), wire.Membership{Index: 9, Voters: ids{1, 2, 4, 5}, Learners: ids{6}}, nil},
		{"exchange", base, set(promote(3), remove(1)), wire.Membership{Index: 9, Voters: ids{2, 3, 4}, Learners: ids{5}, Outgoing: ids{1, 2, 4}}, nil},
		{
			"exchange and demote", base, set(remove(5), demote(4), promote(3), demote(1), add(8)),
			wire.Membership{Index: 9, Voters: ids{2, 3}, Learners: ids{8}, Outgoing: ids{1, 2, 4}, Demoted: ids{1, 4}},
			nil,
		},
		{"exchange all", one, set(remove(1), promote(2)), wire.Membership{Index: 9, Voters: ids{2}, Outgoing: ids{1}}, nil},
		{"leave", joint, set(), wire.Membership{Index: 9, Voters: ids{1, 6}, Learners: ids{3, 4}}, nil},
		{"base as it is", base, based(3, add(6)), wire.Membership{Index: 9, Voters: ids{1, 2, 4}, Learners: ids{3, 5, 6}}, nil},
		{"base of birth", one, based(0, add(6)), wire.Membership{Index: 9, Voters: ids{1}, Learners: ids{6}}, nil},
		{"base gone", base, based(2, add(6)), base, membership.ErrBase},
		{"base to come", one, based(1, add(6)), one, membership.ErrBase},
		{"demote by the way", base, set(add(1)), base, membership.ErrIsVoter},
		{"learner twice", base, set(add(3)), base, membership.ErrUnchanged},
		{"voter twice", base, set(promote(4)), base, membership.ErrUnchanged},
		{"remove a stranger", base, set(remove(9)), base, membership.ErrNotMember},
		{"demote a stranger", base, set(demote(9)), base, membership.ErrNotVoter},
		{"demote a learner", base, set(demote(3)), base, membership.ErrNotVoter},
		{"remove the last voter", one, set(remove(1)), one, membership.ErrLastVoter},
		{"demote the last voter", one, set(demote(1)), one, membership.ErrLastVoter},
		{"remove all voters", base, set(remove(1), demote(2), remove(4)), base, membership.ErrLastVoter},
		{"one of a set is illegal", base, set(promote(3), remove(9)), base, membership.ErrNotMember},
		{"one node twice", base, set(remove(2), promote(3), remove(2)), base, membership.ErrMalformed},
		{"change a joint one", joint, set(add(9)), joint, membership.ErrJoint},
		{"leave none", base, set(), base, membership.ErrNotJoint},
		{"no kind", one, set(wire.Change{Node: 1}), one, membership.ErrMalformed},
		{"nobody", one, set(promote(0)), one, membership.ErrMalformed},
		{"too many", one, set(make([]wire.Change, wire.MaxChanges+1)...), one, membership.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := membership.Next(test.from, 9, &test.set)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// randomSet draws changes of nodes 1 to 8, legal or not.
func randomSet(r *rand.Rand) wire.ChangeSet {
	var s wire.ChangeSet
	for range r.IntN(5) {
		s.Changes = append(s.Changes, wire.Change{Kind: wire.ChangeKind(r.UintN(6)), Node: wire.NodeID(r.UintN(9))})
	}
	return s
}

func clone(m *wire.Membership) wire.Membership {
	return wire.Membership{
		Index: m.Index, Voters: slices.Clone(m.Voters), Learners: slices.Clone(m.Learners),
		Outgoing: slices.Clone(m.Outgoing), Demoted: slices.Clone(m.Demoted),
	}
}

// decides reports whether the nodes in set, by bits, are enough to decide anything in m.
func decides(m *wire.Membership, set uint) bool {
	enough := func(half ids) bool {
		n := 0
		for _, v := range half {
			n += int(set >> v & 1)
		}
		return 2*n > len(half)
	}
	return enough(m.Voters) && (!m.Joint() || enough(m.Outgoing))
}

// D51: random walks. Every membership reached is well formed, nothing handed in is written to, and whichever nodes
// decide by one membership, the nodes outside of them decide nothing by the next one: all sets of nodes are tried.
func TestDecisionsOfAStepMeet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	m := wire.Membership{Voters: ids{1}}
	joint, demoted := 0, 0
	for i := range 30000 {
		was, s := clone(&m), randomSet(r)
		next, err := membership.Next(m, wire.Index(i+1), &s)
		if !cmp.Equal(was, m) {
			t.Fatalf("%v wrote to the membership it was given", s)
		}
		if err != nil {
			continue
		}
		if err := membership.Validate(&next); err != nil || !next.WellFormed() {
			t.Fatalf("%v made of %v: %v", s, m, err)
		}
		for one := range uint(1 << 9) {
			if others := ^one; decides(&m, one) && decides(&next, others) {
				t.Fatalf("%b decide by %v, and the others by %v", one, m, next)
			}
		}
		if next.Joint() {
			joint++
		}
		if len(next.Demoted) > 0 {
			demoted++
		}
		m = next
	}
	if joint < 200 || demoted < 80 {
		t.Errorf("%d joint configurations, %d with demoted voters: the walk does not go where it should", joint, demoted)
	}
}

// D59: leaving a joint configuration brings about just what the set said, whatever order it said it in.
func TestJointEndsWhereTheSetSays(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	tried := 0
	for tried < 2000 {
		from := wire.Membership{}
		for n := wire.NodeID(1); n <= 8; n++ {
			switch r.IntN(3) {
			case 0:
				from.Voters = append(from.Voters, n)
			case 1:
				from.Learners = append(from.Learners, n)
			}
		}
		s := randomSet(r)
		next, err := membership.Next(from, 5, &s)
		if err != nil {
			continue
		}
		tried++
		r.Shuffle(len(s.Changes), func(i, j int) { s.Changes[i], s.Changes[j] = s.Changes[j], s.Changes[i] })
		if again, err := membership.Next(from, 5, &s); err != nil || !cmp.Equal(next, again) {
			t.Fatalf("%v in another order: %v, %s", s, err, cmp.Diff(next, again))
		}
		if next.Joint() {
			if next, err = membership.Next(next, 6, &wire.ChangeSet{}); err != nil {
				t.Fatal(err)
			}
		}
		for n := wire.NodeID(1); n <= 8; n++ {
			voter, learner := from.IsVoter(n), from.IsLearner(n)
			for _, ch := range s.Changes {
				if ch.Node == n {
					voter = ch.Kind == wire.ChangePromote
					learner = ch.Kind == wire.ChangeAddLearner || ch.Kind == wire.ChangeDemote
				}
			}
			if next.IsVoter(n) != voter || next.IsLearner(n) != learner || next.Joint() {
				t.Fatalf("%v made of %v: %v", s, from, next)
			}
		}
	}
}

// Validate and WellFormed are two ways to say the same.
func TestValidateAgreesWithWire(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	list := func() (out ids) {
		for n := range wire.NodeID(5) {
			if r.IntN(3) == 0 {
				out = append(out, n)
			}
		}
		if len(out) > 1 && r.IntN(8) == 0 {
			out[0], out[1] = out[1], out[0]
		}
		return out
	}
	good := 0
	for range 20000 {
		m := wire.Membership{Voters: list(), Learners: list(), Outgoing: list(), Demoted: list()}
		if r.IntN(2) == 0 {
			m.Outgoing, m.Demoted = nil, nil
		}
		if (membership.Validate(&m) == nil) != m.WellFormed() {
			t.Fatalf("%+v: %v, well formed %v", m, membership.Validate(&m), m.WellFormed())
		}
		if m.WellFormed() {
			good++
		}
	}
	if good < 500 {
		t.Errorf("%d of them were well formed", good)
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
		{"joint", wire.Membership{Voters: ids{1, 3}, Learners: ids{2}, Outgoing: ids{3, 4}, Demoted: ids{4}}, true},
		{"learner is outgoing", wire.Membership{Voters: ids{1}, Learners: ids{2}, Outgoing: ids{2}}, false},
		{"demoted stays", wire.Membership{Voters: ids{1}, Outgoing: ids{1}, Demoted: ids{1}}, false},
		{"demoted was none", wire.Membership{Voters: ids{1}, Outgoing: ids{2}, Demoted: ids{3}}, false},
		{"nobody to come", wire.Membership{Outgoing: ids{2}}, false},
		{"crowd in two halves", wire.Membership{Voters: crowd[:wire.MaxMembers], Outgoing: crowd[1:]}, false},
	} {
		if err := membership.Validate(&test.m); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	full := wire.Membership{Voters: crowd[:wire.MaxMembers]}
	more := set(add(9999))
	if _, err := membership.Next(full, 1, &more); !errors.Is(err, membership.ErrFull) {
		t.Errorf("one more than %d: %v", wire.MaxMembers, err)
	}
}
