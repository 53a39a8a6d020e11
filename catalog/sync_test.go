package catalog

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestNeverUnsynced: bbolt is told to sync each commit; where there is no strace, this is all that is known of it.
func TestNeverUnsynced(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "catalog.db"), Options{})
	if c.mu.db.NoSync || c.mu.db.NoGrowSync {
		t.Error("the catalog's commits are not synced")
	}
}

// TestSyncs counts what the kernel sees: two fdatasyncs for each change, the pages and then the meta page. A kill of the
// process loses nothing that was written, so no test that kills finds a commit without them (D1, D11, mutant "skip fsync").
func TestSyncs(t *testing.T) {
	if path := os.Getenv("CATALOG_TEST_SYNC_PATH"); path != "" {
		n, _ := strconv.Atoi(os.Getenv("CATALOG_TEST_SYNC_CHANGES"))
		c := open(t, path, Options{})
		must(t, c.Bootstrap(someBirth()))
		for range n {
			if _, err := c.NextIncarnation(); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	counts := map[int]int{}
	for _, n := range []int{10, 60} {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-o", trace, "-e", "trace=fsync,fdatasync", os.Args[0], "-test.run=^TestSyncs$")
		cmd.Env = append(os.Environ(), "CATALOG_TEST_SYNC_PATH="+filepath.Join(t.TempDir(), "catalog.db"), fmt.Sprint("CATALOG_TEST_SYNC_CHANGES=", n))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("strace: %v\n%s", err, out)
		}
		calls, err := os.ReadFile(trace)
		must(t, err)
		counts[n] = bytes.Count(calls, []byte("sync("))
	}
	if got := counts[60] - counts[10]; got != 100 {
		t.Errorf("50 changes more made %d calls more, want 100", got)
	}
}
