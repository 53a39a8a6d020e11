package integration

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flotilla/internal/crashpoint"
	"flotilla/raft/wire"
	"flotilla/snapshotstream/archive"
)

var (
	installs = flag.Int("installs", 1, "kills at each named step of an install in TestKilledWhileInstalling; 10 is the long run")
	soak     = flag.Duration("soak", 8*time.Second, "how long TestDiskStaysBounded writes; an hour is the long run")
)

// snapshotFlags have snapshots made early and often, of one data group.
var snapshotFlags = []string{"--groups", "1", "--snapshot-threshold", "64KiB", "--snapshot-chunk", "4KiB"}

// fillBehind writes n keys while node id is down, and others again and again until the nodes have let go of what it lacks.
func (c *testCluster) fillBehind(t *testing.T, ledger *Ledger, id, n int, name string) {
	t.Helper()
	if err := c.Kill(id); err != nil {
		t.Fatal(err)
	}
	leader := c.leaderAmong(t, id)
	c.eventually(t, "nobody waits for it", func() error { // a leader keeps its log for who answers
		st, err := c.Status(leader)
		if err != nil {
			return err
		}
		if st.Nodes[id-1].State != "down" {
			return fmt.Errorf("node %d is %s to node %d", id, st.Nodes[id-1].State, leader)
		}
		return nil
	})
	before := c.sum(t, "flotilla_snapshot_made_total")
	stores := c.storesWithout(t, id)
	ledger.Fill(t.Context(), stores, *workers, name, n)
	c.eventually(t, "snapshots of what the node was not there for", func() error {
		if now := c.sum(t, "flotilla_snapshot_made_total"); now < before+4 {
			c.write(t, stores, 2048) // the same keys each time: the state does not grow, and a window of it is some chunks
			return fmt.Errorf("%v made before, %v now", before, now)
		}
		return nil
	})
}

// leaderAmong returns the leader of group 1 as some node but id knows it.
func (c *testCluster) leaderAmong(t *testing.T, id int) (leader int) {
	t.Helper()
	c.eventually(t, "a leader", func() (err error) {
		leader, _, err = c.Leader(id%c.Size()+1, 1)
		if err == nil && (leader == 0 || leader == id) {
			err = errors.New("none, or one that is down")
		}
		return err
	})
	return leader
}

// caughtUp waits until node id has applied all that group 1 had committed.
func (c *testCluster) caughtUp(t *testing.T, id int) {
	t.Helper()
	leader := c.leaderOf(t, 1)
	st, err := c.Status(leader)
	if err != nil {
		t.Fatal(err)
	}
	var want uint64
	for _, g := range st.Groups {
		if g.ID == 1 {
			want = g.Commit
		}
	}
	c.eventually(t, fmt.Sprintf("node %d has caught up", id), func() error {
		st, err := c.Status(id)
		if err != nil {
			return err
		}
		for _, g := range st.Groups {
			if g.ID == 1 && g.Applied >= want {
				return nil
			}
		}
		return fmt.Errorf("node %d has not applied %d: %+v", id, want, st.Groups)
	})
}

// verifyAt reads every acknowledged key from the memory of node id.
func (l *Ledger) verifyAt(c *testCluster, id int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.mu.acked {
		got, err := c.Get(id, "/v1/kv/"+url.PathEscape(key)+"?consistency=stale")
		if err != nil {
			return fmt.Errorf("read %s from node %d: %w", key, id, err)
		}
		if got != "v-"+key {
			return fmt.Errorf("node %d has %q under %s", id, got, key)
		}
	}
	return nil
}

// sameState has each node lead the group in turn and save it out of its own memory, while nobody writes: the states have the same digest,
// what sessions remember included.
func (c *testCluster) sameState(t *testing.T, group wire.GroupID) {
	t.Helper()
	var first [sha256.Size]byte
	for id := 1; id <= c.Size(); id++ {
		if c.leaderOf(t, uint64(group)) != id {
			if out, err := c.Command("group", "transfer", group.String(), strconv.Itoa(id)); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		sum := digest(t, c.save(t, fmt.Sprintf("memory-of-%d", id)).File, group)
		if id == 1 {
			first = sum
		} else if sum != first {
			t.Fatalf("the state of node %d is not that of node 1", id)
		}
	}
}

// digest takes a group's state out of a saved cluster, which it removes.
func digest(t *testing.T, file string, group wire.GroupID) (sum [sha256.Size]byte) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := archive.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		g, err := r.Next()
		if err != nil { // io.EOF too: it has to be there
			t.Fatal(err)
		}
		if g.Group != group {
			continue
		}
		h := sha256.New()
		if _, err := io.Copy(h, g); err != nil {
			t.Fatal(err)
		}
		h.Sum(sum[:0])
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return sum
	}
}

// TestKilledWhileInstalling: a node that lacks the log's beginning is killed at each named step of receiving and installing a
// snapshot; its next start has the old state or the new one and goes on to what the others have.
// P37 N5 D18 D3
func TestKilledWhileInstalling(t *testing.T) {
	c := startCluster(t, snapshotFlags...)
	ledger := NewLedger()
	for round := range *installs {
		for _, point := range crashpoint.All() {
			victim := c.leaderOf(t, 1)%c.Size() + 1
			c.fillBehind(t, ledger, victim, 100, fmt.Sprintf("%d-%s", round, point))
			if err := c.Start(victim, crashpoint.Variable+"="+string(point)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), recovery)
			code, err := c.Exited(ctx, victim)
			cancel()
			if err != nil || code != -1 {
				t.Fatalf("%s: node %d did not come by: %d, %v", point, victim, code, err)
			}
			c.startNode(t, victim)
			c.caughtUp(t, victim)
		}
		for id := 1; id <= c.Size(); id++ {
			c.caughtUp(t, id)
			if err := ledger.verifyAt(c, id); err != nil {
				t.Fatal(err)
			}
		}
		c.sameState(t, 1)
		t.Logf("round %d of %d: killed at all steps, the same state on all nodes", round+1, *installs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := ledger.Verify(ctx, c.stores(t)[0]); err != nil {
		t.Fatal(err)
	}
	acked, _, _ := ledger.Counts()
	t.Logf("%d kills, %d acknowledged writes there on every node", *installs*len(crashpoint.All()), acked)
}

// TestDiskStaysBounded writes at full speed with small thresholds, for a while and until every node has let go of some files of its log: what
// its directory takes stays below four times its state and the log's tail, however long that lasts.
// F25 N3
func TestDiskStaysBounded(t *testing.T) {
	c := startCluster(t, "--groups", "2", "--snapshot-threshold", "1MiB")
	stores := c.stores(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	value := []byte(strings.Repeat("v", 1000))
	for w := range *workers {
		wg.Go(func() { // the same keys again and again: the state does not grow
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = stores[w%len(stores)].Put(ctx, fmt.Sprintf("%d-%d", w, i%1000), value, nil)
			}
		})
	}
	const state = 16 * 1000 * 1100 // keys and values of all writers, and what a tree takes for an item
	const gone = 1
	var most int64
	began := time.Now()
	for oldest := 0; time.Since(began) < *soak || oldest <= gone; {
		if time.Since(began) > *soak+2*recovery {
			t.Fatalf("some node still has file %d of its log", oldest)
		}
		<-time.After(500 * time.Millisecond)
		oldest = math.MaxInt
		for id := 1; id <= c.Size(); id++ {
			used, err := diskUse(c.DataDir(id))
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, used)
			oldest = min(oldest, oldestLogFile(t, c.DataDir(id)))
		}
	}
	stop()
	wg.Wait()
	made := c.sum(t, "flotilla_snapshot_made_total")
	t.Logf("%d MiB at most after %v, %v snapshots made; four times the state are %d MiB", most>>20, time.Since(began).Round(time.Second), made, 4*state>>20)
	if most > 4*state+diskFloor {
		t.Errorf("a node took %d MiB, more than four times its state of %d MiB and %d for the log", most>>20, state>>20, diskFloor>>20)
	}
	if made < 6 {
		t.Errorf("%v snapshots were made: this was no load", made)
	}
}

// oldestLogFile returns the number of the first file that a node's log still has.
func oldestLogFile(t *testing.T, dir string) (n int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "g-*.db"))
	if err != nil || len(names) == 0 {
		t.Fatalf("files of the log in %s: %v, %v", dir, names, err)
	}
	if _, err := fmt.Sscanf(filepath.Base(names[0]), "g-%d.db", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// diskFloor is the configured tail of the log: four of its files, which are of 16 MiB with a threshold of 1 MiB.
const diskFloor = 64 << 20

// diskUse returns the bytes that the files below dir take on disk.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed between the list and the look
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		sum += allocated(info)
		return nil
	})
	return sum, err
}
