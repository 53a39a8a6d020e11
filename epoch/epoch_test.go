package epoch

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
)

// stale asserts that err is a *StaleError with these fields.
func stale(t *testing.T, err error, want StaleError) {
	t.Helper()
	var got *StaleError
	if !errors.As(err, &got) || *got != want {
		t.Errorf("got %v, want %+v", err, want)
	}
}

// P20 (the holder's part): applying is monotonic and idempotent, so replay after a restart counts nothing twice.
func TestApplyOnlyRises(t *testing.T) {
	h := NewHolder(4)
	for _, c := range []struct{ apply, want Epoch }{{5, 5}, {5, 5}, {3, 5}, {6, 6}, {0, 6}} {
		h.Apply(c.apply)
		if h.Applied() != c.want || h.Observed() != c.want {
			t.Errorf("after %d: applied %d, observed %d, want %d", c.apply, h.Applied(), h.Observed(), c.want)
		}
	}
}

// P22 (the holder's part): a restarted holder starts from what the catalog saved, not from what was heard.
func TestRestartForgetsTheObserved(t *testing.T) {
	h := NewHolder(4)
	if _, err := h.Observe(9); err != nil {
		t.Fatal(err)
	}
	again := NewHolder(h.Applied())
	if again.Stamp() != (Stamp{Observed: 4, Applied: 4}) {
		t.Errorf("got %+v", again.Stamp())
	}
}

// P23: the stamp is of the moment it is taken, so a retry carries the present epochs.
func TestStampIsTakenAnew(t *testing.T) {
	h := NewHolder(2)
	queued := h.Stamp()
	h.Apply(3)
	if _, err := h.Observe(5); err != nil {
		t.Fatal(err)
	}
	if queued != (Stamp{2, 2}) || h.Stamp() != (Stamp{Observed: 5, Applied: 3}) {
		t.Errorf("queued %+v, now %+v", queued, h.Stamp())
	}
}

// P24: an old frame is refused, the sender learns the current epoch from the refusal, and its next frame
// is heard: one round trip.
func TestRefusedFrameHealsInOneRoundTrip(t *testing.T) {
	paused, current := NewHolder(7), NewHolder(7)
	current.Apply(8)

	err := current.Admit(paused.Stamp())
	stale(t, err, StaleError{Claimed: 7, Current: 8})
	if err := paused.Admit(current.Stamp()); err != nil { // the typed refusal is itself a stamped frame
		t.Fatalf("the refusal was refused: %v", err)
	}
	if err := current.Admit(paused.Stamp()); err != nil {
		t.Errorf("still refused after one round trip: %v", err)
	}
}

// P24: the boundary is the applied epoch, not the observed one, and equal is young enough.
func TestAdmitBoundary(t *testing.T) {
	h := NewHolder(5)
	if _, err := h.Observe(9); err != nil {
		t.Fatal(err)
	}
	if err := h.Admit(Stamp{Observed: 5, Applied: 5}); err != nil {
		t.Errorf("equal to the applied epoch: %v", err)
	}
	if err := h.AdmitAuthority(Stamp{Observed: 5, Applied: 5}); err != nil {
		t.Errorf("equal to the applied epoch, with authority: %v", err)
	}
	stale(t, h.Admit(Stamp{Observed: 4, Applied: 4}), StaleError{Claimed: 4, Current: 5})
	if h.Observed() != 9 {
		t.Errorf("observed fell to %d", h.Observed())
	}
}

// P25: having heard of the new epoch is not enough to act with authority; it must have been applied.
func TestAuthorityNeedsTheAppliedEpoch(t *testing.T) {
	pausedLeader, h := NewHolder(7), NewHolder(8)
	if _, err := pausedLeader.Observe(8); err != nil {
		t.Fatal(err)
	}
	if err := h.Admit(pausedLeader.Stamp()); err != nil {
		t.Errorf("as a plain frame: %v", err)
	}
	stale(t, h.AdmitAuthority(pausedLeader.Stamp()), StaleError{Claimed: 7, Current: 8, Authority: true})
	pausedLeader.Apply(8)
	if err := h.AdmitAuthority(pausedLeader.Stamp()); err != nil {
		t.Errorf("after applying: %v", err)
	}
}

// P26: administration waits until what was observed has been applied, and the error names both numbers.
func TestAdministrationWaits(t *testing.T) {
	h := NewHolder(3)
	if err := h.Administrable(); err != nil {
		t.Errorf("nothing observed: %v", err)
	}
	if err := h.Admit(Stamp{Observed: 6, Applied: 6}); err != nil {
		t.Fatal(err)
	}
	var behind *BehindError
	err := h.Administrable()
	if !errors.As(err, &behind) || *behind != (BehindError{Applied: 3, Observed: 6}) {
		t.Fatalf("got %v", err)
	}
	if s := err.Error(); !strings.Contains(s, "3") || !strings.Contains(s, "6") || !strings.Contains(s, "retry") {
		t.Errorf("the error is %q", s)
	}
	h.Apply(6)
	if err := h.Administrable(); err != nil {
		t.Errorf("caught up: %v", err)
	}
}

// P27: a jump of more than 2^20 is refused and changes nothing; the largest epoch there is does no harm.
func TestImplausibleJump(t *testing.T) {
	for _, c := range []struct {
		from, claim Epoch
		ok          bool
	}{
		{0, MaxJump, true},
		{0, MaxJump + 1, false},
		{10, 10 + MaxJump, true},
		{10, 11 + MaxJump, false},
		{10, math.MaxUint64, false},
		{math.MaxUint64 - 1, math.MaxUint64, true},
		{math.MaxUint64, 0, true}, // old news is no jump
	} {
		h := NewHolder(c.from)
		rose, err := h.Observe(c.claim)
		if (err == nil) != c.ok || !c.ok && (!errors.Is(err, ErrImplausible) || rose || h.Observed() != c.from) {
			t.Errorf("%d from %d: rose %v, observed %d, %v", c.claim, c.from, rose, h.Observed(), err)
		}
		if rose != (c.ok && c.claim > c.from) {
			t.Errorf("%d from %d: rose %v", c.claim, c.from, rose)
		}
	}
}

// P27: a liar that climbs step by step gets no further than with one step, and what a node has been made to observe is
// plausible to one that has applied less.
func TestPoisonStaysPlausible(t *testing.T) {
	poisoned, fresh := NewHolder(20), NewHolder(7)
	for i := range Epoch(8) {
		_, _ = poisoned.Observe(20 + (i+1)*MaxJump)
	}
	if got := poisoned.Observed(); got > 20+MaxJump {
		t.Errorf("observed %d", got)
	}
	if err := fresh.Admit(poisoned.Stamp()); err != nil {
		t.Errorf("an honest node refuses another one's stamp: %v", err)
	}
	poisoned.Apply(21)
	if rose, err := poisoned.Observe(21 + MaxJump); err != nil || !rose {
		t.Errorf("the bound does not follow the applied epoch: %v, %v", rose, err)
	}
}

// P27: hostile stamps change nothing.
func TestHostileStamps(t *testing.T) {
	for _, s := range []Stamp{
		{Observed: math.MaxUint64, Applied: 5},
		{Observed: math.MaxUint64, Applied: math.MaxUint64},
		{Observed: 5, Applied: 6}, // applied more than it observed
		{Observed: 5, Applied: math.MaxUint64},
	} {
		h := NewHolder(5)
		if err := h.AdmitAuthority(s); !errors.Is(err, ErrImplausible) {
			t.Errorf("%+v: got %v", s, err)
		}
		if h.Stamp() != (Stamp{5, 5}) {
			t.Errorf("%+v moved the holder to %+v", s, h.Stamp())
		}
	}
}

// P27: the epoch belongs to a node object: two clusters in one process do not see each other.
func TestHoldersAreIndependent(t *testing.T) {
	a, b := NewHolder(1), NewHolder(1)
	a.Apply(40)
	if b.Stamp() != (Stamp{1, 1}) {
		t.Errorf("b is at %+v", b.Stamp())
	}
	if err := b.Admit(Stamp{1, 1}); err != nil {
		t.Errorf("b refuses its own cluster's frame: %v", err)
	}
}

// F37 (the holder's part): a stamp recorded on its way to a receiver that lags is refused by another that
// does not. What binds a frame to one receiver is the connection, quictransport's part.
func TestReplayToAnotherReceiver(t *testing.T) {
	lagging, current := NewHolder(3), NewHolder(4)
	recorded := NewHolder(3).Stamp()
	if err := lagging.Admit(recorded); err != nil {
		t.Errorf("to the one it was meant for: %v", err)
	}
	stale(t, current.Admit(recorded), StaleError{Claimed: 3, Current: 4})
}

// P27, P3: any number of lanes may use one holder. Under concurrent rises no stamp ever shows an applied
// epoch above the observed one, and nothing falls. Run with -race.
func TestConcurrentUse(t *testing.T) {
	h := NewHolder(0)
	const top = 2000
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { // appliers and observers race for the same numbers
			for e := Epoch(1); e <= top; e++ {
				if _, err := h.Observe(e + 3); err != nil {
					t.Error(err)
				}
				h.Apply(e)
			}
		})
		wg.Go(func() {
			var last Stamp
			for last.Applied < top {
				s := h.Stamp()
				if s.Applied > s.Observed || s.Applied < last.Applied || s.Observed < last.Observed {
					t.Errorf("%+v after %+v", s, last)
					return
				}
				if err := h.Admit(s); err != nil && !errors.As(err, new(*StaleError)) {
					t.Error(err)
				}
				last = s
			}
		})
	}
	wg.Wait()
	if h.Stamp() != (Stamp{Observed: top + 3, Applied: top}) {
		t.Errorf("ended at %+v", h.Stamp())
	}
}

// Of many concurrent observers of one epoch exactly one is told that it was news.
func TestOneObserverHearsNews(t *testing.T) {
	h := NewHolder(0)
	news := make([]int, 4)
	var wg sync.WaitGroup
	for i := range news {
		wg.Go(func() {
			for e := Epoch(1); e <= 500; e++ {
				if rose, _ := h.Observe(e); rose {
					news[i]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range news {
		total += n
	}
	if total > 500 || total < 1 || h.Observed() != 500 {
		t.Errorf("%d rises for 500 epochs, observed %d", total, h.Observed())
	}
}

func BenchmarkAdmit(b *testing.B) {
	b.ReportAllocs()
	h := NewHolder(7)
	s := h.Stamp()
	for b.Loop() {
		if err := h.Admit(s); err != nil {
			b.Fatal(err)
		}
	}
}

// While an applier rises, no stamp taken beside it shows an applied epoch above the observed one: such a
// stamp would be refused by every peer.
func TestStampNeverContradictsItself(t *testing.T) {
	h := NewHolder(0)
	const top = 300_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for e := Epoch(1); e <= top; e++ {
			h.Apply(e)
		}
	})
	for s := h.Stamp(); s.Applied < top; s = h.Stamp() {
		if s.Applied > s.Observed {
			t.Errorf("%+v", s)
			break
		}
	}
	wg.Wait()
}
