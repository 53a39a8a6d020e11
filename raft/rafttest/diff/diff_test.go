package main

import (
	"strings"
	"testing"
)

// N11: a smoke of the differential proof. `go run . -schedules 100000` is the proof.
func TestSchedules(t *testing.T) {
	var sum total
	for seed := range uint64(1500) {
		if err := sum.one(seed+1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if per := float64(sum.steps) / 1500; per < 100 {
		t.Errorf("%.0f compared steps a schedule: too few to mean anything", per)
	}
	if sum.joints < 100 || sum.installs < 100 {
		t.Errorf("%d joint configurations, %d snapshots installed in %d steps", sum.joints, sum.installs, sum.steps)
	}
	if sum.counts.kinds() < 25 {
		t.Errorf("%d kinds of departures in %d steps: schedules do not reach what they should", sum.counts.kinds(), sum.steps)
	}
}

// The same seed gives the same schedule, step by step, with every word that is said.
func TestReplay(t *testing.T) {
	for _, seed := range []uint64{3, 17, 450, 885} {
		var first, second strings.Builder
		for _, out := range []*strings.Builder{&first, &second} {
			var sum total
			if err := sum.one(seed, out); err != nil {
				t.Fatal(err)
			}
		}
		if first.String() != second.String() {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

// A row without a reason is an excuse.
func TestTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for d, r := range table {
		if r.id == "" || r.what == "" || r.why == "" || seen[r.id] {
			t.Errorf("departure %d: row %+v", d, r)
		}
		seen[r.id] = true
	}
}
