package catalog

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"flotilla/raft/wire"
)

// someBirth is a cluster of three nodes with two data groups, as node 1 sees it.
func someBirth() Birth {
	b := Birth{
		Identity: Identity{ClusterID: wire.ClusterID{1, 2, 3}, ClusterName: "flotilla", NodeID: 1, Generation: 0xfeed},
		Settings: Settings{Groups: 2, Replication: 3},
		Topology: Topology{Version: 1},
		Routing:  Routing{Version: 1},
	}
	for id := wire.NodeID(1); id <= 3; id++ {
		b.Topology.Nodes = append(b.Topology.Nodes, Node{ID: id, Addr: "127.0.0.1:740" + id.String(), State: NodeListed})
	}
	for g := wire.GroupID(0); g <= 2; g++ {
		b.Groups = append(b.Groups, Group{ID: g, Voters: []wire.NodeID{1, 2, 3}})
	}
	for i := range b.Routing.Shards {
		b.Routing.Shards[i] = wire.GroupID(1 + i%2)
	}
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens path and closes it when the test ends, then checks the file.
func open(t testing.TB, path string, opts Options) *Catalog {
	t.Helper()
	c, err := Open(path, opts)
	must(t, err)
	t.Cleanup(func() {
		must(t, c.Close())
		checkFile(t, path)
	})
	return c
}

// born returns an open catalog with an identity.
func born(t testing.TB) (*Catalog, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := open(t, path, Options{})
	must(t, c.Bootstrap(someBirth()))
	return c, path
}

// checkFile runs bbolt's own check of pages and ours of records.
func checkFile(t testing.TB, path string) {
	t.Helper()
	if _, err := Inspect(path, time.Second); err != nil {
		t.Errorf("after the test: %v", err)
		return
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	must(t, err)
	must(t, db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("after the test: %v", err)
		}
		return nil
	}))
	must(t, db.Close())
}

// P30, F47: all that a birth settles is there after a restart, to the last byte.
func TestBootstrapSurvivesRestart(t *testing.T) {
	c, path := born(t)
	if n, err := c.NextIncarnation(); n != 1 || err != nil {
		t.Fatalf("incarnation %d, %v", n, err)
	}
	want := c.View()
	must(t, c.Close())

	again := open(t, path, Options{})
	if diff := cmp.Diff(want, again.View()); diff != "" {
		t.Error(diff)
	}
	id, ok := again.Identity()
	if b := someBirth(); !ok || id != b.Identity || again.View().Routing != b.Routing || !cmp.Equal(again.View().Topology, b.Topology) {
		t.Errorf("identity %+v, %v", id, ok)
	}
	if n, err := again.NextIncarnation(); n != 2 || err != nil { // F36: it never starts again from 1
		t.Errorf("incarnation %d, %v", n, err)
	}
}

// F46: a directory that belongs to a cluster never founds or joins another one.
func TestSecondBirthRefused(t *testing.T) {
	c, _ := born(t)
	other := someBirth()
	other.Identity.ClusterID[0]++
	before := c.View()
	if err := c.Bootstrap(other); !errors.Is(err, ErrBorn) {
		t.Errorf("got %v", err)
	}
	if c.View() != before {
		t.Error("the view changed")
	}
}

func TestUnborn(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "catalog.db"), Options{})
	if _, ok := c.Identity(); ok || c.View().Born {
		t.Error("an empty catalog has an identity")
	}
	if _, err := c.NextIncarnation(); !errors.Is(err, ErrUnborn) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Apply(1, nil); !errors.Is(err, ErrUnborn) {
		t.Errorf("got %v", err)
	}
}

func TestBirthValidated(t *testing.T) {
	for name, damage := range map[string]func(*Birth){
		"cluster id":            func(b *Birth) { b.Identity.ClusterID = wire.ClusterID{} },
		"generation":            func(b *Birth) { b.Identity.Generation = 0 },
		"name":                  func(b *Birth) { b.Identity.ClusterName = "" },
		"node 0":                func(b *Birth) { b.Identity.NodeID = 0 },
		"stranger":              func(b *Birth) { b.Identity.NodeID = 9 },
		"no groups":             func(b *Birth) { b.Settings.Groups = 0 },
		"no replication":        func(b *Birth) { b.Settings.Replication = 0 },
		"topology version":      func(b *Birth) { b.Topology.Version = 0 },
		"nodes unsorted":        func(b *Birth) { b.Topology.Nodes[0], b.Topology.Nodes[1] = b.Topology.Nodes[1], b.Topology.Nodes[0] },
		"address":               func(b *Birth) { b.Topology.Nodes[1].Addr = "" },
		"active, not known":     func(b *Birth) { b.Topology.Nodes[1].State = NodeActive },
		"state":                 func(b *Birth) { b.Topology.Nodes[1].State = 0 },
		"group twice":           func(b *Birth) { b.Groups[1].ID = 0 },
		"group without voters":  func(b *Birth) { b.Groups[1].Voters = nil },
		"voter and learner":     func(b *Birth) { b.Groups[1].Learners = []wire.NodeID{2} },
		"routing version":       func(b *Birth) { b.Routing.Version = 0 },
		"shard to metadata":     func(b *Birth) { b.Routing.Shards[7] = 0 },
		"shard to no group":     func(b *Birth) { b.Routing.Shards[1023] = 3 },
		"replication of a city": func(b *Birth) { b.Settings.Replication = 1 << 40 },
	} {
		b := someBirth()
		if damage(&b); b.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	b := someBirth()
	must(t, b.Validate())
	b.Identity.NodeID, b.Routing.Version = 0, 0
	if s := b.Validate().Error(); !strings.Contains(s, "node id") || !strings.Contains(s, "routing") {
		t.Errorf("not all faults in %q", s)
	}
}

// F43: versions that a node is given when it joins are kept, not begun anew.
func TestVersionsKeptAtBirth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := open(t, path, Options{})
	b := someBirth()
	b.Topology.Version, b.Routing.Version = 70, 9
	must(t, c.Bootstrap(b))
	if s := c.View(); s.Topology.Version != 70 || s.Routing.Version != 9 {
		t.Errorf("topology %d, routing %d", s.Topology.Version, s.Routing.Version)
	}
}

// The second handle says who holds the file, within a bounded wait; once it is closed the next one works at
// once (P8).
func TestInUse(t *testing.T) {
	c, path := born(t)
	start := time.Now()
	_, err := Open(path, Options{LockTimeout: 100 * time.Millisecond})
	var inUse *InUseError
	if !errors.Is(err, ErrInUse) || !errors.As(err, &inUse) || inUse.Path != path {
		t.Fatalf("got %v", err)
	}
	if pid := os.Getpid(); inUse.PID != pid && inUse.PID != 0 { // 0 where the kernel does not tell
		t.Errorf("held by %d, this is %d", inUse.PID, pid)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("waited %v", d)
	}
	must(t, c.Close())
	open(t, path, Options{LockTimeout: time.Millisecond})
}

// The holder in another process is named too: a child of this test holds the file.
func TestInUseByAnotherProcess(t *testing.T) {
	const env = "CATALOG_TEST_HOLD"
	if path := os.Getenv(env); path != "" {
		c, err := Open(path, Options{})
		must(t, err)
		os.Stdout.WriteString("held\n")
		bufio.NewReader(os.Stdin).ReadString('\n') // until the parent is done
		must(t, c.Close())
		return
	}
	path := filepath.Join(t.TempDir(), "catalog.db")
	child := exec.Command(os.Args[0], "-test.run=^TestInUseByAnotherProcess$")
	child.Env = append(os.Environ(), env+"="+path)
	in, err := child.StdinPipe()
	must(t, err)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	_, err = Open(path, Options{LockTimeout: 10 * time.Millisecond})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != child.Process.Pid && inUse.PID != 0 {
		t.Errorf("got %v, the holder is %d", err, child.Process.Pid)
	}
	must(t, in.Close())
	must(t, child.Wait())
	open(t, path, Options{})
}

// P8: 200 restarts on one file in one process, each counted.
func TestManyRestarts(t *testing.T) {
	c, path := born(t)
	must(t, c.Close())
	for i := range 200 {
		c, err := Open(path, Options{LockTimeout: time.Millisecond})
		must(t, err)
		n, err := c.NextIncarnation()
		if n != wire.Incarnation(i+1) || err != nil {
			t.Fatalf("start %d got incarnation %d, %v", i+1, n, err)
		}
		must(t, c.Close())
		must(t, c.Close()) // idempotent
	}
}

func TestClosed(t *testing.T) {
	c, _ := born(t)
	must(t, c.Close())
	if _, err := c.NextIncarnation(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if !c.View().Born {
		t.Error("the view is gone")
	}
}

func TestFileMode(t *testing.T) {
	_, path := born(t)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "catalog.db"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

// A creation that was cut short leaves a temporary file: the next start is not troubled, and removes it.
func TestLeftoversRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	must(t, os.WriteFile(path+tmpInfix+"123", []byte("half"), 0o600))
	open(t, path, Options{})
	if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Of many that create at once each ends with the one file, or finds it in use.
func TestRacingCreators(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := Open(path, Options{LockTimeout: 5 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.Bootstrap(someBirth()); err != nil && !errors.Is(err, ErrBorn) {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	checkFile(t, path)
}

// Changed hears of each committed change once, in order, and may look at the catalog itself: no lock is held (29).
func TestChanged(t *testing.T) {
	var heard []*Snapshot
	var c *Catalog
	c = open(t, filepath.Join(t.TempDir(), "catalog.db"), Options{Changed: func(s *Snapshot) {
		if c.View() != s {
			t.Error("called before the view shows it")
		}
		heard = append(heard, s)
	}})
	must(t, c.Bootstrap(someBirth()))
	_, err := c.NextIncarnation()
	must(t, err)
	_, err = c.Apply(4, nil)
	must(t, err)
	_, err = c.Apply(4, nil) // changes nothing
	must(t, err)
	if len(heard) != 3 || heard[0].Incarnation != 0 || heard[1].Incarnation != 1 || heard[2].Applied != 4 {
		t.Errorf("heard %d times", len(heard))
	}
}

// P3: views are immutable and never wait for a change on its way to disk. Run with -race.
func TestConcurrentViews(t *testing.T) {
	c, _ := born(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var last *Snapshot
			for {
				s := c.View()
				if last != nil && (s.Applied < last.Applied || s.Epoch < last.Epoch || s.Topology.Version < last.Topology.Version) {
					t.Error("a later view shows an earlier state")
				}
				n, ok := s.Topology.Find(2)
				if !ok || n.HTTP != "" && uint64(s.Applied)+1 != s.Topology.Version {
					t.Errorf("a view of two states: applied %d, version %d", s.Applied, s.Topology.Version)
				}
				last = s
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := wire.Index(1); i <= 60; i++ {
		cmd := RegisterNode{ID: 2, Generation: 7, Addr: "a:1", HTTP: "h:" + wire.NodeID(i).String()}
		_, err := c.Apply(i, []Command{{Index: i, Term: 1, Data: cmd.Append(nil)}})
		must(t, err)
	}
	close(stop)
	wg.Wait()
}

func BenchmarkView(b *testing.B) {
	c, _ := born(b)
	b.ReportAllocs()
	for b.Loop() {
		if c.View().Routing.Of([]byte("key")) == wire.MetadataGroup {
			b.Fatal("routed to group 0")
		}
	}
}

func BenchmarkApplyEpochBump(b *testing.B) {
	c, _ := born(b)
	b.ReportAllocs()
	i := wire.Index(0)
	for b.Loop() {
		i++
		if _, err := c.Apply(i, []Command{{Index: i, Term: wire.Term(i), Data: EpochBump{wire.Term(i)}.Append(nil)}}); err != nil {
			b.Fatal(err)
		}
	}
}
