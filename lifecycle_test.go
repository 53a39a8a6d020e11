package flotilla_test

import (
	"bytes"
	"context"
	"flag"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"flotilla"
	"flotilla/internal/leak"
)

// rounds is the size of TestReopen; a promise is shown with 200, a quick gate needs fewer.
var rounds = flag.Int("rounds", 40, "how often TestReopen opens and closes a node")

// TestReopen opens and closes a node on the same directory many times in one process, by Close and by Kill in turn: each
// time it becomes ready, holds every acknowledged write, and leaves neither a goroutine nor a file lock (P8).
func TestReopen(t *testing.T) {
	files := leak.Open(t)
	c := newCluster(t, 1)
	c.openAll()
	c.close(1)
	goroutines := leak.Running()
	want := uint64(0)
	for round := range *rounds {
		c.openAll()
		if got := sum(t, c.hosts[1], 1); got != want {
			t.Fatalf("round %d: the sum is %d, want %d: a write was lost or applied twice", round, got, want)
		}
		want = add(t, c.hosts[1], 1, uint64(round+1))
		if round%2 == 0 {
			c.close(1)
			continue
		}
		check(t, c.hosts[1].Kill())
		delete(c.hosts, 1)
	}
	goroutines.Check(t, 20*time.Second) // QUIC's own goroutines end a moment after its Close
	if leaked := leakedGoroutines(); leaked != "" {
		t.Fatalf("leaked goroutines:\n%s", leaked)
	}
	files.Check(t)
}

// leakedGoroutines asks the runtime for goroutines that can never run again (GOEXPERIMENT=goroutineleakprofile); without
// the experiment there is nothing to ask.
func leakedGoroutines() string {
	p := pprof.Lookup("goroutineleak")
	if p == nil {
		return ""
	}
	var b bytes.Buffer
	_ = p.WriteTo(&b, 1)
	if strings.Contains(b.String(), "flotilla") {
		return b.String()
	}
	return ""
}

// TestCloseIsIdempotent: a second Close and a Kill after it change nothing; work after it is refused as stopped, and
// what waited is answered (P7, P8).
func TestCloseIsIdempotent(t *testing.T) {
	c := newCluster(t, 1)
	c.openAll()
	h := c.hosts[1]
	waiting := make(chan error, 1)
	go func() { waiting <- h.Group(1).Wait(context.Background(), 1<<40) }()
	c.close(1)
	check(t, h.Close(t.Context()))
	check(t, h.Kill())
	if err := <-waiting; flotilla.CodeOf(err) != flotilla.CodeStopped {
		t.Fatalf("the waiter got %v, want CodeStopped", err)
	}
	if _, err := h.Group(1).Propose(t.Context(), []byte("1")); flotilla.CodeOf(err) != flotilla.CodeStopped {
		t.Fatalf("propose after Close: %v, want CodeStopped", err)
	}
	if h.Serving() {
		t.Fatal("a closed node says that it serves")
	}
}

// TestReadyMeansApplied: whoever has seen Ready can read what was acknowledged before the restart, and a node without
// a majority never becomes ready (P13).
func TestReadyMeansApplied(t *testing.T) {
	c := newCluster(t, 3)
	c.openAll()
	want := add(t, c.hosts[1], 1, 7)
	for id := range c.addrs {
		c.close(id)
	}
	lone := c.open(1)
	select {
	case <-lone.Ready():
		t.Fatal("one node of three became ready alone")
	case <-time.After(600 * time.Millisecond):
	}
	if lone.Serving() {
		t.Fatal("a node that is not ready says that it serves")
	}
	if _, err := lone.Group(1).Propose(t.Context(), []byte("1")); flotilla.CodeOf(err) != flotilla.CodeNoLeader {
		t.Fatalf("propose without a leader: %v, want CodeNoLeader at once", err) // P18
	}
	c.open(2)
	c.await(1)
	if got := sum(t, lone, 1); got != want {
		t.Fatalf("the sum is %d, want %d", got, want)
	}
}

// TestTwoClustersInOneProcess: epochs, identities and data of two clusters never touch (P27).
func TestTwoClustersInOneProcess(t *testing.T) {
	a, b := newCluster(t, 1), newCluster(t, 3)
	a.openAll()
	b.openAll()
	forceElections(t, a, 3)
	add(t, a.hosts[1], 1, 1)
	add(t, b.hosts[1], 1, 2)
	if a.hosts[1].Epoch() == b.hosts[1].Epoch() {
		t.Fatalf("both clusters have epoch %d although one had more elections", a.hosts[1].Epoch())
	}
	if a.hosts[1].Status().ClusterID == b.hosts[1].Status().ClusterID {
		t.Fatal("both clusters have the same id")
	}
	if got := sum(t, b.hosts[2], 1); got != 2 {
		t.Fatalf("cluster b has the sum %d, want 2", got)
	}
}

// TestSwappedAddresses: a node told the addresses of another cluster's nodes is refused at the handshake, and harms
// nobody (P27, D49).
func TestSwappedAddresses(t *testing.T) {
	a, b := newCluster(t, 3), newCluster(t, 3)
	a.openAll()
	b.addrs = map[flotilla.NodeID]string{1: a.addrs[1], 2: a.addrs[2], 3: b.addrs[3]}
	stranger := b.open(3)
	select {
	case <-stranger.Ready():
		t.Fatal("a node of another cluster became ready")
	case <-time.After(600 * time.Millisecond):
	}
	epoch := a.hosts[1].Epoch()
	add(t, a.hosts[2], 1, 1)
	if now := a.hosts[1].Epoch(); now != epoch {
		t.Fatalf("epoch went from %d to %d because of a stranger", epoch, now)
	}
}

// forceElections makes a single-node cluster acquire the leadership of group 0 n more times.
func forceElections(t *testing.T, c *testCluster, n int) {
	t.Helper()
	for range n {
		c.close(1)
		c.openAll()
	}
}

// TestCloseWhileStarting: closing a node that is still looking for its cluster is no failure.
func TestCloseWhileStarting(t *testing.T) {
	c := newCluster(t, 3)
	h := c.open(2)
	c.close(2)
	if err := h.Err(); err != nil {
		t.Fatalf("the closed node says it failed: %v", err)
	}
	select {
	case <-h.Ready():
		t.Fatal("the closed node says it is ready")
	default:
	}
}
