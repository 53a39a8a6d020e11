package integration

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// saved is what snapshot save prints.
type saved struct {
	File      string `json:"file"`
	ClusterID string `json:"cluster_id"`
	Epoch     uint64 `json:"epoch"`
	Groups    []struct {
		ID    uint64 `json:"id"`
		Bytes uint64 `json:"bytes"`
	} `json:"groups"`
}

// save has a running cluster saved to a new file.
func (c *testCluster) save(t *testing.T, name string) (s saved) {
	t.Helper()
	out, err := c.Command("snapshot", "save", filepath.Join(c.Dir, name))
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	if err != nil {
		t.Fatalf("save: %v\n%s", err, out)
	}
	return s
}

// contents is all keys with values and revisions.
func (c *testCluster) contents(t *testing.T) string {
	t.Helper()
	out, err := c.Command("kv", "scan", "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// restoredFrom starts n nodes with the contents of a file; the first have the addresses given.
func restoredFrom(t *testing.T, old *testCluster, file string, n int, addrs ...string) *testCluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "flotilla-restored-")
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := old.Restored(dir, file, n, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	c := attend(t, dir, cluster)
	c.startAll(t)
	return c
}

// lowestEpoch is that of the node that knows the least.
func (c *testCluster) lowestEpoch(t *testing.T) uint64 {
	t.Helper()
	lowest := ^uint64(0)
	for id := 1; id <= c.Size(); id++ {
		st, err := c.Status(id)
		if err != nil {
			t.Fatal(err)
		}
		lowest = min(lowest, st.Epoch)
	}
	return lowest
}

// TestSaveUnderLoadAndRestore: three nodes are saved while they are written to and restored as three others: everything
// acknowledged before the command is there, in the very revisions, and whatever else is there was written; epochs are higher (P21); the new
// cluster takes writes; and a node of the old one, which finds the new ones where its own peers were, is refused by them and
// never serves (D49).
func TestSaveUnderLoadAndRestore(t *testing.T) {
	old := startCluster(t, "--snapshot-threshold", "1MiB")
	stores := old.stores(t)
	before, during := NewLedger(), NewLedger()
	before.Fill(t.Context(), stores, *workers, "before", 3000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { during.Fill(ctx, stores, *workers, "during", 0) })
	s := old.save(t, "under-load")
	epoch := old.lowestEpoch(t)
	stop()
	load.Wait()
	written, _, _ := during.Counts()
	if acked, unknown, _ := before.Counts(); acked != 3000 || unknown != 0 || written == 0 || len(s.Groups) != 5 {
		t.Fatalf("%d acknowledged before, %d unknown, %d meanwhile, %+v", acked, unknown, written, s)
	}
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}

	now := restoredFrom(t, old, s.File, 3, old.Endpoints()...) // the same list: only the archive tells the two apart
	fresh := now.stores(t)
	if err := before.Verify(t.Context(), fresh[0]); err != nil {
		t.Error(err)
	}
	if n := now.checkDuring(t, during); n == 0 {
		t.Error("nothing that was written during the save is in it: it was no save under load")
	}
	if got := now.lowestEpoch(t); got <= epoch || got <= s.Epoch {
		t.Errorf("epoch %d after %d", got, epoch)
	}
	after := NewLedger()
	after.Fill(t.Context(), fresh, *workers, "after", 200)
	if acked, _, _ := after.Counts(); acked != 200 {
		t.Errorf("the new cluster took %d writes of 200", acked)
	}

	if err := now.Kill(3); err != nil { // the old one is to take its place
		t.Fatal(err)
	}
	var leader int
	var term uint64
	now.eventually(t, "a leader of group 0 among the other two", func() (err error) {
		if leader, term, err = now.Leader(1, 0); err == nil && leader != 1 && leader != 2 {
			err = errors.New("none")
		}
		return err
	})
	if err := old.Start(3); err != nil {
		t.Fatal(err)
	}
	refused, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := old.WaitReady(refused, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the old cluster's node 3 among the new one's nodes: %v", err)
	}
	if words := old.said(t, 3); !strings.Contains(words, "wrong cluster") {
		t.Errorf("it was not told why:\n%s", words)
	}
	if l, again, err := now.Leader(1, 0); err != nil || l != leader || again != term {
		t.Errorf("it disturbed the new cluster: group 0 was led by %d in term %d, now by %d in %d, %v", leader, term, l, again, err)
	}
	if err := before.Verify(t.Context(), fresh[1]); err != nil {
		t.Error(err)
	}
}

// said is all that node id has logged.
func (c *testCluster) said(t *testing.T, id int) string {
	t.Helper()
	return c.nodes[id-1].proc.lastWords()
}

// checkDuring compares what is there of a load with what was acknowledged of it, and counts it.
func (c *testCluster) checkDuring(t *testing.T, l *Ledger) (n int) {
	t.Helper()
	out, err := c.Command("kv", "scan", "during")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var it struct {
			Key, Value string
			Revision   uint64
		}
		if err := json.Unmarshal([]byte(line), &it); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		revision, acked := l.mu.acked[it.Key]
		l.mu.Unlock()
		if it.Value != "v-"+it.Key || acked && revision != it.Revision {
			t.Errorf("%+v, acknowledged at %d", it, revision)
		}
		n++
	}
	return n
}

// TestRestoreToOtherNumbers: three nodes at rest are saved and restored as one, as five, and what the one holds as three again: the same contents,
// byte for byte, each time.
func TestRestoreToOtherNumbers(t *testing.T) {
	c := startCluster(t)
	ledger := NewLedger()
	ledger.Fill(t.Context(), c.stores(t), *workers, "key", 500)
	if _, err := c.Command("kv", "put", "empty", ""); err != nil {
		t.Fatal(err)
	}
	want, s := c.contents(t), c.save(t, "three")
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	epoch := s.Epoch
	for _, n := range []int{1, 5, 3} {
		next := restoredFrom(t, c, s.File, n)
		if got := next.contents(t); got != want {
			t.Fatalf("%d nodes hold other contents: %d bytes, want %d", n, len(got), len(want))
		}
		if got := next.lowestEpoch(t); got <= epoch {
			t.Fatalf("%d nodes: epoch %d after %d", n, got, epoch)
		}
		if n == 1 { // and on from there
			epoch, s = next.lowestEpoch(t), next.save(t, "again")
		}
		if err := next.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}
