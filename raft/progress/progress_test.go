package progress_test

import (
	"math/rand/v2"
	"testing"

	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

var limits = progress.Limits{MaxMessages: 8, MaxBytes: 1000}

func check(t *testing.T, f *progress.Follower, state progress.State, match, next wire.Index, messages, bytes int) {
	t.Helper()
	w := f.Window()
	if f.State() != state || f.Match() != match || f.Next() != next || w.Messages() != messages || w.Bytes() != bytes {
		t.Fatalf("%s match %d next %d, %d messages of %d bytes; want %s match %d next %d, %d of %d",
			f.State(), f.Match(), f.Next(), w.Messages(), w.Bytes(), state, match, next, messages, bytes)
	}
}

// F22: one probe at a time; once the place is found, what was sent is not sent again.
func TestProbeThenReplicate(t *testing.T) {
	f := progress.New(2, progress.Voter, 11, limits)
	check(t, &f, progress.Probe, 0, 11, 0, 0)
	f.Sent(12, 100, 5)
	if f.Probing() || f.Room() != 0 {
		t.Fatal("a second probe before the answer")
	}
	f.Refused(10, 4)
	check(t, &f, progress.Probe, 0, 5, 0, 0)
	f.Sent(12, 100, 5)
	f.Refused(10, 1) // late, of the first probe
	check(t, &f, progress.Probe, 0, 5, 0, 0)
	if f.Probing() {
		t.Fatal("a late refusal ended the probe that is out")
	}
	f.Acked(12)
	check(t, &f, progress.Replicate, 12, 13, 0, 0)
	f.Sent(14, 300, 5)
	f.Sent(15, 300, 5)
	check(t, &f, progress.Replicate, 12, 16, 2, 600)
	f.Sent(15, 0, 9) // no entries: the commit index only
	check(t, &f, progress.Replicate, 12, 16, 2, 600)
	f.Acked(14)
	check(t, &f, progress.Replicate, 14, 16, 1, 300)
	f.Acked(14)
	f.Acked(11)
	check(t, &f, progress.Replicate, 14, 16, 1, 300)
}

// D63: whatever way leaves state Replicate, nothing stays counted as in flight.
func TestEveryResetEmptiesTheWindow(t *testing.T) {
	for name, leave := range map[string]func(*progress.Follower){
		"refused":  func(f *progress.Follower) { f.Refused(6, 3) },
		"lost":     func(f *progress.Follower) { f.Lost() },
		"snapshot": func(f *progress.Follower) { f.NeedsSnapshot() },
		"restored": func(f *progress.Follower) { f.NeedsSnapshot(); f.Restored(9) },
		"acked":    func(f *progress.Follower) { f.Acked(7) },
	} {
		f := progress.New(2, progress.Voter, 3, limits)
		f.Sent(2, 0, 0)
		f.Acked(2)
		f.Sent(5, 400, 0)
		f.Sent(7, 500, 0)
		leave(&f)
		if w := f.Window(); w.Bytes() != 0 || w.Messages() != 0 {
			t.Errorf("%s: %d messages of %d bytes left", name, w.Messages(), w.Bytes())
		}
		if f.Match() >= f.Next() {
			t.Errorf("%s: match %d, next %d", name, f.Match(), f.Next())
		}
	}
}

// F21, F23: the window is full by messages or by bytes; an entry larger than it still goes, alone.
func TestWindowLimits(t *testing.T) {
	f := progress.New(2, progress.Voter, 1, limits)
	f.Sent(0, 0, 0)
	f.Acked(0)
	check(t, &f, progress.Replicate, 0, 1, 0, 0)
	f.Sent(1, 5000, 0)
	if f.Room() != 0 {
		t.Fatalf("room of %d beside an append larger than the window", f.Room())
	}
	f.Acked(1)
	for i := range wire.Index(8) {
		if f.Room() == 0 {
			t.Fatalf("full after %d messages", i)
		}
		f.Sent(2+i, 10, 0)
	}
	if f.Room() != 0 {
		t.Fatal("a ninth message of eight")
	}
	f.Acked(4)
	if got := f.Room(); got != 1000-50 {
		t.Fatalf("room %d", got)
	}
}

// D22: appends that were lost without a trace are found by the next heartbeat replies.
func TestStallIsFound(t *testing.T) {
	f := progress.New(2, progress.Voter, 1, limits)
	f.Sent(0, 0, 0)
	f.Acked(0)
	f.Sent(1, 10, 0)
	f.Acked(1)
	f.Sent(2, 10, 0)
	if f.Alive() {
		t.Fatal("stalled although something was acknowledged since the last heartbeat")
	}
	if !f.Alive() {
		t.Fatal("nothing acknowledged, something in flight, and not stalled")
	}
	f.Acked(2)
	f.Alive()
	if f.Alive() {
		t.Fatal("stalled with nothing in flight")
	}
}

// P6: a follower that cannot be reached gets no appends until it is heard; then one probe, without what may
// still be on its way.
func TestLost(t *testing.T) {
	f := progress.New(2, progress.Voter, 5, limits)
	f.Lost()
	check(t, &f, progress.Probe, 0, 5, 0, 0) // not back to 1: that may be compacted
	if f.Probing() {
		t.Fatal("a probe for who cannot be reached")
	}
	f.Alive()
	if !f.Probing() || !f.Again() {
		t.Fatal("no second probe for who was heard again")
	}
	f.Sent(4, 0, 0)
	f.Acked(4)
	f.Sent(9, 100, 0)
	f.Lost()
	check(t, &f, progress.Probe, 4, 5, 0, 0)
}

// Random walks of a leader and a follower that lies about nothing: Match never falls, stays below Next, and the
// window's sum is what is in it. The assertions of the package watch.
func TestWalk(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		f := progress.New(2, progress.Voter, 20, limits)
		last, held, match := wire.Index(30), wire.Index(r.Uint64N(25)), wire.Index(0)
		for range 300 {
			switch r.UintN(8) {
			case 0:
				last++
			case 1, 2:
				if f.Room() > 0 {
					to := min(f.Next()+wire.Index(r.Uint64N(3)), last)
					f.Sent(max(to, f.Next()-1), 100, 0)
					if f.Next()-1 <= held && r.UintN(4) > 0 {
						held = max(held, to)
					}
				}
			case 3, 4:
				f.Acked(wire.Index(r.Uint64N(uint64(held + 1))))
			case 5:
				f.Refused(wire.Index(r.Uint64N(uint64(last+1))), held)
			case 6:
				f.Alive()
			case 7:
				switch r.UintN(10) {
				case 0:
					f.Lost()
				case 1:
					f.NeedsSnapshot()
				case 2:
					if f.State() == progress.Snapshot {
						f.Restored(held)
					}
				}
			}
			if f.Match() < match || f.Match() >= f.Next() {
				t.Fatalf("match %d after %d, next %d", f.Match(), match, f.Next())
			}
			match = f.Match()
		}
	}
}
