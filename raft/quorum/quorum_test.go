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
				if got, want := tally.Verdict(voters), verdictSlowly(granted, refused, n); got != want {
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
	if got := tally.Verdict(voters); got != quorum.Open {
		t.Fatalf("one vote of five and three of strangers: %s", got)
	}
	tally.Grant(3)
	tally.Grant(4)
	if got := tally.Verdict(voters); got != quorum.Won {
		t.Fatalf("votes of 1, 3 and 4: %s", got)
	}
	if got := tally.Verdict([]wire.NodeID{2, 5, 6, 1}); got != quorum.Open {
		t.Fatalf("the same answers among other voters: %s", got)
	}
	tally.Reset()
	if got := tally.Verdict(voters); got != quorum.Open {
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
