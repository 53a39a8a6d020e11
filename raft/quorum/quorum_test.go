package quorum_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"

	"flotilla/raft/quorum"
	"flotilla/raft/wire"
)

// reachedSlowly is the slow twin of Reached: it tries every mark and counts heads.
func reachedSlowly(marks []wire.Index) wire.Index {
	best := wire.Index(0)
	for _, m := range marks {
		n := 0
		for _, other := range marks {
			if other >= m {
				n++
			}
		}
		if 2*n > len(marks) {
			best = max(best, m)
		}
	}
	return best
}

// D35: the majority of 1 to 9 voters, the even sizes above all.
func TestSizeTable(t *testing.T) {
	want := []int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 8: 5, 9: 5}
	for n := 1; n <= 9; n++ {
		if got := quorum.Size(n); got != want[n] {
			t.Errorf("majority of %d voters = %d, want %d", n, got, want[n])
		}
		if 2*quorum.Size(n) <= n {
			t.Errorf("two majorities of %d voters need not meet", n)
		}
		// One voter less than a majority decides nothing, a majority does.
		marks := make([]wire.Index, n)
		for reached := 0; reached <= n; reached++ {
			for i := range marks {
				marks[i] = 4
				if i < reached {
					marks[i] = 7
				}
			}
			want7 := reached >= want[n]
			if got := quorum.Reached(slices.Clone(marks)); (got == 7) != want7 {
				t.Errorf("%d of %d voters reached 7: agreed on %d", reached, n, got)
			}
		}
	}
}

// D35: every assignment of marks 0 to 4 to 1 to 5 voters, against the slow twin.
func TestReachedExhaustively(t *testing.T) {
	const top = 5
	for n := 1; n <= 5; n++ {
		combinations := 1
		for range n {
			combinations *= top
		}
		marks := make([]wire.Index, n)
		for k := range combinations {
			for i := range marks {
				marks[i] = wire.Index(k % top)
				k /= top
			}
			if got, want := quorum.Reached(slices.Clone(marks)), reachedSlowly(marks); got != want {
				t.Fatalf("Reached(%v) = %d, the slow twin says %d", marks, got, want)
			}
		}
	}
}

func TestReachedQuick(t *testing.T) {
	same := func(raw []uint16) bool {
		marks := make([]wire.Index, len(raw))
		for i, r := range raw {
			marks[i] = wire.Index(r % 16)
		}
		return quorum.Reached(slices.Clone(marks)) == reachedSlowly(marks)
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

func TestReachedWithoutVoters(t *testing.T) {
	if got := quorum.Reached([]wire.Index(nil)); got != 0 {
		t.Errorf("nobody agreed on %d", got)
	}
}

// verdictSlowly tries every way in which the missing answers could come in.
func verdictSlowly(granted, refused, voters int) quorum.Verdict {
	won, lost := true, true
	for more := 0; more <= voters-granted-refused; more++ {
		if 2*(granted+more) > voters {
			lost = false
		} else {
			won = false
		}
	}
	switch {
	case won && voters > 0:
		return quorum.Won
	case lost:
		return quorum.Lost
	}
	return quorum.Open
}

// D35: every split of answers among 0 to 9 voters, against the slow twin.
func TestVerdictExhaustively(t *testing.T) {
	for n := range 10 {
		var voters []wire.NodeID
		for i := range n {
			voters = append(voters, wire.NodeID(i+1))
		}
		for granted := 0; granted <= n; granted++ {
			for refused := 0; granted+refused <= n; refused++ {
				var tally quorum.Tally
				for i := range granted {
					tally.Grant(voters[i])
				}
				for i := range refused {
					tally.Refuse(voters[granted+i])
				}
				if got, want := tally.Verdict(voters, nil), verdictSlowly(granted, refused, n); got != want {
					t.Errorf("%d voters, %d granted, %d refused: %s, want %s", n, granted, refused, got, want)
				}
			}
		}
	}
}

// F5: strangers and learners never count, and nobody counts twice or changes its mind.
func TestTallyCountsVotersOnce(t *testing.T) {
	voters := []wire.NodeID{1, 2, 3, 4, 5}
	var tally quorum.Tally
	for _, n := range []wire.NodeID{1, 7, 8, 9, 1, 1} {
		tally.Grant(n)
	}
	tally.Refuse(2)
	tally.Grant(2)
	if got := tally.Verdict(voters, nil); got != quorum.Open {
		t.Fatalf("one vote of five and three of strangers: %s", got)
	}
	tally.Grant(3)
	tally.Grant(4)
	if got := tally.Verdict(voters, nil); got != quorum.Won {
		t.Fatalf("votes of 1, 3 and 4: %s", got)
	}
	if got := tally.Verdict([]wire.NodeID{2, 5, 6, 1}, nil); got != quorum.Open {
		t.Fatalf("the same answers among other voters: %s", got)
	}
	tally.Reset()
	if got := tally.Verdict(voters, nil); got != quorum.Open {
		t.Fatalf("after Reset: %s", got)
	}
}

func BenchmarkReached(b *testing.B) {
	b.ReportAllocs()
	marks := make([]wire.Index, 5)
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		for i := range marks {
			marks[i] = wire.Index(r.Uint64N(1000))
		}
		quorum.Reached(marks)
	}
}

// jointSlowly is the slow twin of Joint: it tries every mark and counts heads in both halves.
func jointSlowly(incoming, outgoing []wire.Index) wire.Index {
	best := wire.Index(0)
	for _, m := range slices.Concat(incoming, outgoing) {
		in, out := 0, 0
		for _, other := range incoming {
			if other >= m {
				in++
			}
		}
		for _, other := range outgoing {
			if other >= m {
				out++
			}
		}
		if 2*in > len(incoming) && (2*out > len(outgoing) || len(outgoing) == 0) {
			best = max(best, m)
		}
	}
	return best
}

// D35: 1 to 9 incoming voters beside 1 to 9 outgoing ones: one less than a majority in either half decides nothing,
// whatever the other half says, and a majority in both does.
func TestJointSizeTable(t *testing.T) {
	majority := []int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 8: 5, 9: 5}
	half := func(n, reached, first int) (marks []wire.Index, voters []wire.NodeID) {
		for i := range n {
			marks, voters = append(marks, 4), append(voters, wire.NodeID(first+i))
			if i < reached {
				marks[i] = 7
			}
		}
		return marks, voters
	}
	for n := 1; n <= 9; n++ {
		for o := 1; o <= 9; o++ {
			for in := 0; in <= n; in++ {
				for out := 0; out <= o; out++ {
					incoming, voters := half(n, in, 1)
					outgoing, leaving := half(o, out, 11)
					var grants, refusals quorum.Tally
					for i := range n {
						if i < in {
							grants.Grant(voters[i])
							refusals.Refuse(voters[i])
						}
					}
					for i := range o {
						if i < out {
							grants.Grant(leaving[i])
							refusals.Refuse(leaving[i])
						}
					}
					decided := in >= majority[n] && out >= majority[o]
					if got := quorum.Joint(incoming, outgoing); (got == 7) != decided {
						t.Fatalf("%d of %d incoming and %d of %d outgoing voters reached 7: agreed on %d", in, n, out, o, got)
					}
					if got := grants.Verdict(voters, leaving); (got == quorum.Won) != decided || got == quorum.Lost {
						t.Fatalf("%d of %d incoming and %d of %d outgoing voters granted: %s", in, n, out, o, got)
					}
					lost := n-in < majority[n] || o-out < majority[o]
					if got := refusals.Verdict(voters, leaving); (got == quorum.Lost) != lost || got == quorum.Won {
						t.Fatalf("%d of %d incoming and %d of %d outgoing voters refused: %s", in, n, out, o, got)
					}
				}
			}
		}
	}
}

// D35: random marks of random halves, against the slow twin.
func TestJointQuick(t *testing.T) {
	small := func(raw []uint16) []wire.Index {
		marks := make([]wire.Index, min(len(raw), 9))
		for i := range marks {
			marks[i] = wire.Index(raw[i] % 8)
		}
		return marks
	}
	same := func(a, b []uint16) bool {
		in, out := small(a), small(b)
		return quorum.Joint(slices.Clone(in), slices.Clone(out)) == jointSlowly(in, out)
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

// jointVerdictSlowly tries every way in which the missing answers could come in, where the halves may share voters.
func jointVerdictSlowly(answers map[wire.NodeID]bool, incoming, outgoing []wire.NodeID) quorum.Verdict {
	var missing []wire.NodeID
	for _, n := range slices.Concat(incoming, outgoing) {
		if _, known := answers[n]; !known && !slices.Contains(missing, n) {
			missing = append(missing, n)
		}
	}
	granted := func(half []wire.NodeID, more int) bool {
		yes := 0
		for _, n := range half {
			if at := slices.Index(missing, n); answers[n] || at >= 0 && more>>at&1 == 1 {
				yes++
			}
		}
		return 2*yes > len(half)
	}
	won, lost := true, true
	for more := range 1 << len(missing) {
		if granted(incoming, more) && (len(outgoing) == 0 || granted(outgoing, more)) {
			lost = false
		} else {
			won = false
		}
	}
	switch {
	case won:
		return quorum.Won
	case lost:
		return quorum.Lost
	}
	return quorum.Open
}

// D35: random answers of halves of up to 5 voters each, that overlap, against the slow twin.
func TestJointVerdictRandomly(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	seen := map[quorum.Verdict]int{}
	for range 20000 {
		var incoming, outgoing []wire.NodeID
		var tally quorum.Tally
		answers := map[wire.NodeID]bool{}
		for n := wire.NodeID(1); n <= 7; n++ {
			if r.IntN(2) == 0 && len(incoming) < 5 {
				incoming = append(incoming, n)
			}
			if r.IntN(2) == 0 && len(outgoing) < 5 {
				outgoing = append(outgoing, n)
			}
			switch r.IntN(3) {
			case 0:
				answers[n] = true
				tally.Grant(n)
			case 1:
				answers[n] = false
				tally.Refuse(n)
			}
		}
		got, want := tally.Verdict(incoming, outgoing), jointVerdictSlowly(answers, incoming, outgoing)
		if got != want {
			t.Fatalf("incoming %v outgoing %v answers %v: %s, want %s", incoming, outgoing, answers, got, want)
		}
		seen[got]++
	}
	if len(seen) != 3 {
		t.Errorf("verdicts reached: %v", seen)
	}
}
