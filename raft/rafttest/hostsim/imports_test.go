package hostsim

import (
	"testing"
	"time"
)

// importPlan is the plan of a seed, shorter, with many imports and little else.
func importPlan(seed uint64) Plan {
	p := Draw(seed)
	if p.Peaceful || p.Nodes > 5 {
		p.Peaceful, p.Nodes, p.Replicas = false, 5, 3
	}
	p.Managed, p.Spare, p.GroupEvery = true, 2, 2*time.Second
	if p.SnapshotBytes == 0 {
		p.SnapshotBytes, p.TailBytes, p.Sends = 4096, 1024, 2
	}
	p.Rounds, p.Length = 1, time.Minute
	p.Clients, p.BusyMean, p.QuietMean = 1, 3*time.Second, 10*time.Second
	p.Imported, p.ImportEvery = 20, 2*time.Second
	p.StepMax, p.PatienceMax, p.Unfit, p.Leave = min(p.StepMax+200*time.Millisecond, time.Second), 5*time.Second, 100, 50
	if p.CrashEvery == 0 {
		p.CrashEvery = 15 * time.Second
	}
	p.CrashEvery, p.DownMax = min(p.CrashEvery, 30*time.Second), min(p.DownMax, 5*time.Second)
	return p
}

// TestImportsAreWhole: D53, D54, N8. A group that is made of an export is there as a whole or not at all, whatever happens at any step.
func TestImportsAreWhole(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	var sum Stats
	for seed := uint64(1); seed <= seeds; seed++ {
		r := Run(importPlan(seed), nil)
		if r.Err != nil {
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
		sum = sum.Plus(r.Stats)
	}
	t.Log(sum)
	for what, times := range map[string]int{
		"unfit": sum.Unfit, "begun": sum.Begun, "made": sum.Imported, "taken back": sum.TakenBack, "given up": sum.GivenUp, "cut off": sum.CutOff,
	} {
		if times < int(seeds)/4 {
			t.Errorf("%d imports %s in %d seeds", times, what, seeds)
		}
	}
}
