package rafttest

import (
	"strings"
	"testing"
)

// leased is a plan in which leaders are cut off while everybody reads, with a lease of so large a margin.
func leased(seed uint64, margin, skew int) Plan {
	p := Draw(seed)
	p.Voters, p.Learners, p.Spares, p.ChangeEvery, p.Length = 3, 0, 0, 0, 20_000
	p.Core.ElectionTicks, p.Core.HeartbeatTicks, p.Core.LeaseMargin = 10, 1, margin
	p.TickSkew = skew
	p.ReadEvery, p.ProposeEvery, p.CutEvery, p.CutMax = 30, 30, 1500, 3000
	p.CampaignEvery, p.TransferEvery, p.CrashEvery, p.DownMax = 700, 2000, 3000, 300
	return p
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
