package flotilla_test

import (
	"fmt"
	"testing"
	"time"

	"flotilla"
)

// TestGroup0CatchesUpBySnapshot: a node that was down while group 0's log was let go of gets its state as a whole: topology, epoch and applied
// index in one, and serves (P22, P26).
func TestGroup0CatchesUpBySnapshot(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.change = func(cfg *flotilla.Config) { cfg.SnapshotThreshold = 4 << 10 }
		c.openAll()
		c.lead(1, 1, 2, 3)
		c.close(3)
		for n := range flotilla.NodeID(100) {
			admin, host := c.hosts[1].Admin(), fmt.Sprintf("10.0.1.%d", n)
			check(t, admin.AddNode(t.Context(), 100+n, host+":7000"))
			check(t, admin.MoveNode(t.Context(), 100+n, host+":8000"))
		}
		c.lead(2, 1, 2) // the epoch rises
		if made := c.hosts[2].Stats().Engine.SnapshotsMade; made == 0 {
			t.Fatal("no snapshot was made: this test would show nothing")
		}
		h := c.open(3)
		select {
		case <-h.Ready():
		case <-h.Failed():
			t.Fatal(h.Err())
		case <-time.After(time.Minute):
			t.Fatalf("node 3 is not ready: %+v", h.Status().Groups[0])
		}
		eventually(t, "node 3 holds the same state", func() bool { return h.View().Digest() == c.hosts[2].View().Digest() })
		if h.Epoch() != c.hosts[2].Epoch() || h.Administrable() != nil {
			t.Errorf("epoch %d, the others' is %d: %v", h.Epoch(), c.hosts[2].Epoch(), h.Administrable())
		}
		installed := h.Stats().Engine.SnapshotsInstalled
		if installed == 0 {
			t.Error("it came by the log: this test shows nothing")
		}
		c.close(3)
		again := c.open(3)
		c.await(3)
		if again.View().Digest() != c.hosts[2].View().Digest() {
			t.Error("after a restart its state is another one")
		}
	})
}
