package rafttest

import (
	"testing"

	"flotilla/raft/rafttest/replay"
	"flotilla/raft/wire"
)

// TestSmoke runs the first seeds. cmd/sim runs more.
func TestSmoke(t *testing.T) {
	seeds, lost := uint64(120), 120
	if testing.Short() {
		seeds, lost = 20, 2 // these 20 have few crashes with a write on its way: their groups sleep
	}
	var sum Stats
	for seed := uint64(1); seed <= seeds; seed++ {
		r := Simulate(seed)
		if r.Err != nil {
			t.Fatalf("seed %d: %v\nreplay: go run ./raft/rafttest/cmd/sim -cores -seed %d -v", seed, r.Err, seed)
		}
		sum = sum.Plus(r.Stats)
	}
	t.Log(sum)
	// A smoke without fire proves nothing: the load must have been real.
	if n := int(seeds); sum.Leaders < 2*n || sum.Applied < 100*n || sum.Crashes < n || sum.Lost < lost || sum.ReadsOK < 10*n || sum.Changes < n/2 ||
		sum.Snapshots < n || sum.Installed < n/4 || sum.Slept < 10*n {
		t.Errorf("too little happened in %d seeds: %s", seeds, sum)
	}
}

const replayedSeeds = 5

// TestReplay: the same seed gives the same run, event by event, in this process and in another one (N10).
func TestReplay(t *testing.T) {
	replay.Twice(t, replayedSeeds, func(seed uint64) uint64 { return Simulate(seed).Hash })
}

// TestHashSeesEveryEvent: two seeds do not share a hash, and one message more changes it.
func TestHashSeesEveryEvent(t *testing.T) {
	a, b := newTraceHash(), newTraceHash()
	e := sends(wire.Message{Type: wire.MsgAppend, From: 1, To: 2, Term: 3, Index: 4})
	a.add(&e)
	e.Message.Commit++
	b.add(&e)
	if a == b {
		t.Error("a changed commit index does not change the hash")
	}
	if Simulate(1).Hash == Simulate(2).Hash {
		t.Error("seeds 1 and 2 share a hash")
	}
}

// TestSabotageIsFound breaks the world below the cores, where no core can help it; the simulator must notice.
// What it does not find here it would not find in a core either.
func TestSabotageIsFound(t *testing.T) {
	for _, c := range []struct {
		name     string
		sabotage sabotage
	}{
		{"disk forgets term and vote in a crash", forgetVote},      // F1, F2
		{"disk forgets the end of the log in a crash", forgetTail}, // D7
		{"core is told before the write is durable", tellEarly},    // P2, D9
	} {
		t.Run(c.name, func(t *testing.T) {
			const limit = 300
			for seed := uint64(1); seed <= limit; seed++ {
				p := Draw(seed)
				p.sabotage = c.sabotage
				if r := Run(p); r.Err != nil {
					t.Logf("found by seed %d: %.200s", seed, r.Err)
					return
				}
			}
			t.Errorf("not found by %d seeds", limit)
		})
	}
}
