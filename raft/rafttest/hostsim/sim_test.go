package hostsim

import (
	"errors"
	"slices"
	"testing"
	"time"

	"flotilla/raft/rafttest/replay"
)

// TestSmoke runs the first seeds. cmd/sim runs more.
func TestSmoke(t *testing.T) {
	first, seeds := uint64(1), uint64(10)
	if testing.Short() {
		first, seeds = 2, 3 // the first is a long one
	}
	var sum Stats
	for seed := first; seed < first+seeds; seed++ {
		r := Simulate(seed)
		if r.Err != nil {
			t.Fatalf("seed %d: %v\nreplay: go run ./raft/rafttest/cmd/sim -seed %d -v", seed, r.Err, seed)
		}
		sum = sum.Plus(r.Stats)
	}
	t.Log(sum)
	for what, times := range map[string]int{
		"made": sum.SnapshotsMade, "asked for": sum.Asked, "sent": sum.SnapshotsSent, "gone on with": sum.Resumed, "received": sum.Received,
		"taken over by machines": sum.Restored, "taken over by logs": sum.Installed, "finished at a start": sum.Finished, "rotten": sum.Rotten,
		"damaged on the way": sum.Flipped, "found damaged": sum.Corrupt, "power cuts": sum.Powerless,
	} {
		if times == 0 && !testing.Short() {
			t.Errorf("no snapshots %s in %d seeds", what, seeds)
		}
	}
	for what, times := range map[string]int{
		"begun": sum.Begun, "made": sum.Imported, "taken back": sum.TakenBack, "given up": sum.GivenUp,
	} {
		if times == 0 && !testing.Short() {
			t.Errorf("no imports %s in %d seeds", what, seeds)
		}
	}
	// A smoke without fire proves nothing: the load must have been real.
	n := int(seeds)
	if sum.Elections < 10*n || sum.Applied < 500*n || sum.Crashes < n || sum.ReadsOK < 200*n || sum.Refused < 10*n || sum.Forwards < 100*n || sum.Unknown < 10*n ||
		sum.Made < 10*n || sum.Ended < 5*n || sum.Reports < 50*n || sum.Joined+sum.Replaced < n || sum.Left < 1 || sum.Created < 1 && !testing.Short() {
		t.Errorf("too little happened in %d seeds: %s", seeds, sum)
	}
}

const replayedSeeds = 1

// TestReplay: the same seed gives the same run, event by event, in this process and in another one (N10).
func TestReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race pass, which is what -short is for") // go test ./... runs it
	}
	replay.Twice(t, replayedSeeds, func(seed uint64) uint64 { return Simulate(seed).Hash })
}

// TestSabotageIsFound breaks the world below the engine, or the product beside it, one thing at a time; the checkers whose
// matter it is must notice.
func TestSabotageIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race pass, which is what -short is for") // go test ./... runs it
	}
	for _, c := range []struct {
		name     string
		sabotage sabotage
		by       []string
	}{
		{"a disk that forgets", forgetfulDisk, []string{"durability", "machines", "elections", "disk"}},
		{"a fence that admits stale frames", blindFence, []string{"fence"}},
		{"an acknowledgement before it is durable", earlyAck, []string{"durability"}},
		{"sessions that do not tell repetitions", noSessions, []string{"sessions"}},
		{"stale reads served as linearizable", staleReads, []string{"registers"}},
		{"a lost data directory that is heard", blindGeneration, []string{"identities"}},
		{"a disk that is replaced and nobody is told", silentLoss, []string{"rebirths"}},
		{"a machine that says it has taken a state over", idleRestore, []string{"machines", "imports"}},
	} {
		t.Run(c.name, func(t *testing.T) { isFound(t, Draw, c.sabotage, c.by) })
	}
	t.Run("an import announced before it is made", func(t *testing.T) { isFound(t, importPlan, hastyImport, []string{"imports"}) })
	t.Run("an import that is cut off and left", func(t *testing.T) { isFound(t, importPlan, abandonedImport, []string{"liveness"}) })
}

// isFound looks for a sabotage in 20 seeds.
func isFound(t *testing.T, plan func(seed uint64) Plan, what sabotage, by []string) {
	for seed := uint64(1); seed <= 20; seed++ {
		p := plan(seed)
		p.sabotage = what
		var v *Violation
		if !errors.As(Run(p, nil).Err, &v) {
			continue
		}
		if !slices.Contains(by, v.Checker) {
			t.Errorf("seed %d: found by %v", seed, v)
		}
		return
	}
	t.Error("20 seeds have not noticed")
}

// TestLinesChangeNothing: whoever reads the lines changes nothing.
func TestLinesChangeNothing(t *testing.T) {
	p, lines := Draw(3), 0
	p.Length /= 10
	silent := Run(p, nil)
	loud := Run(p, func(time.Duration, string) { lines++ })
	if silent.Hash != loud.Hash || silent.Stats != loud.Stats || lines < 1000 {
		t.Errorf("hash %016x in silence, %016x with %d lines", silent.Hash, loud.Hash, lines)
	}
}
