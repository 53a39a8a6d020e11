package rafttest

import (
	"strings"
	"testing"

	"flotilla/raft"
)

// leased is a plan in which leaders are cut off, replaced and crash while everybody reads, with a lease of so large a margin.
// Nothing but the seed's schedule is drawn.
func leased(seed uint64, margin, skew int) Plan {
	return Plan{
		Seed: seed, Voters: 3, Length: 20_000, TickSkew: skew, DelayMax: 20, SyncMax: 5, ApplyMax: 5, TransferMax: 50,
		Core:         raft.Config{ElectionTicks: 10, HeartbeatTicks: 1, LeaseMargin: margin},
		ProposeEvery: 30, ReadEvery: 30, CutEvery: 1500, CutMax: 3000, CampaignEvery: 700, TransferEvery: 2000, CrashEvery: 3000, DownMax: 300,
	}
}

// Lease reads are linearizable as long as clocks differ by no more than the margin bears: 9 ticks of the fastest follower
// last as long as 4 of the slowest leader, stops of processes included.
func TestLeaseReadsAreLinearizable(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	served := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		r := Run(leased(seed, 6, 38))
		if r.Err != nil {
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
		served += r.Stats.ReadsOK
	}
	if served < 200*int(seeds) {
		t.Errorf("only %d reads answered", served)
	}
}

// What the lease rests on, taken away: clocks that differ by more, and a stopped process that serves reads before it knows
// that it was stopped. The checker must find the stale read.
func TestLeaseWithoutItsAssumptionsIsFound(t *testing.T) {
	for name, undo := range map[string]func(uint64) Plan{
		"clocks differ by more than the margin bears": func(seed uint64) Plan { return leased(seed, 2, 90) },
		"stopped, and not told what time has passed": func(seed uint64) Plan {
			p := leased(seed, 6, 0)
			p.PauseEvery, p.PauseMax, p.LateTicks = 1000, 6000, true
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 300
			for seed := uint64(1); seed <= limit; seed++ {
				if r := Run(undo(seed)); r.Err != nil {
					if !strings.Contains(r.Err.Error(), "I14") {
						t.Fatalf("seed %d: %v", seed, r.Err)
					}
					t.Logf("found by seed %d: %v", seed, r.Err)
					return
				}
			}
			t.Errorf("not found by %d seeds", limit)
		})
	}
}
