package flotilla_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flotilla"
	"flotilla/catalog"
	"flotilla/internal/leak"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// TestRestartContradictions: a directory that has an identity restarts from it; each flag that contradicts it is an
// error that names both sides, and nothing is changed by the attempt (P33).
func TestRestartContradictions(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1)
	c.close(1)
	born := c.config(1)
	for name, tc := range map[string]struct {
		change  func(*flotilla.Config)
		setting string // "" for no contradiction
	}{
		"same flags":         {func(*flotilla.Config) {}, ""},
		"no flags":           {func(cfg *flotilla.Config) { *cfg = silent(*cfg) }, ""},
		"node-id":            {func(cfg *flotilla.Config) { cfg.NodeID = 2 }, "node-id"},
		"cluster":            {func(cfg *flotilla.Config) { cfg.Cluster = "other" }, "cluster"},
		"groups":             {func(cfg *flotilla.Config) { cfg.Groups = 3 }, "groups"},
		"replication":        {func(cfg *flotilla.Config) { cfg.Replication = 1 }, "replication"},
		"advertise":          {func(cfg *flotilla.Config) { cfg.Advertise = "127.0.0.1:1" }, "advertise"},
		"bootstrap":          {func(cfg *flotilla.Config) { cfg.InitialCluster, cfg.Bootstrap = nil, true }, "bootstrap"},
		"initial-cluster":    {func(cfg *flotilla.Config) { cfg.InitialCluster = without(c.addrs, 3) }, "initial-cluster"},
		"address in cluster": {func(cfg *flotilla.Config) { cfg.InitialCluster = moved(c.addrs) }, "initial-cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := born
			tc.change(&cfg)
			h, err := flotilla.Open(t.Context(), cfg)
			if err == nil {
				check(t, h.Kill())
			}
			var contradiction *flotilla.ContradictionError
			switch {
			case tc.setting == "" && err != nil:
				t.Fatalf("open: %v", err)
			case tc.setting == "":
			case !errors.As(err, &contradiction) || contradiction.Setting != tc.setting:
				t.Fatalf("open: %v, want a contradiction of %s", err, tc.setting)
			case contradiction.Given == contradiction.Have || contradiction.Next == "":
				t.Fatalf("contradiction %+v does not say enough", contradiction)
			}
		})
	}
	again := c.open(1)
	if again.NodeID() != 1 || again.Status().Cluster != "test" {
		t.Fatalf("after all attempts the node is %d of %s", again.NodeID(), again.Status().Cluster)
	}
}

// silent is what an operator who gives no flags asks for.
func silent(cfg flotilla.Config) flotilla.Config {
	return flotilla.Config{Dir: cfg.Dir, Listen: cfg.Listen, TLS: cfg.TLS, NewMachine: cfg.NewMachine}
}

func without(addrs map[flotilla.NodeID]string, id flotilla.NodeID) map[flotilla.NodeID]string {
	out := map[flotilla.NodeID]string{}
	for k, v := range addrs {
		if k != id {
			out[k] = v
		}
	}
	return out
}

func moved(addrs map[flotilla.NodeID]string) map[flotilla.NodeID]string {
	out := without(addrs, 3)
	out[3] = "127.0.0.1:1"
	return out
}

// TestWrongFirstList: as long as a node has voted for nobody and logged nothing, a wrong list costs its directory only, and
// the error says so; afterwards it must not (P33, D17).
func TestWrongFirstList(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1) // alone: it waits for the others
	c.close(1)
	next := func() string {
		cfg := c.config(1)
		cfg.InitialCluster = moved(c.addrs)
		_, err := flotilla.Open(t.Context(), cfg)
		var contradiction *flotilla.ContradictionError
		if !errors.As(err, &contradiction) {
			t.Fatalf("open: %v, want a contradiction", err)
		}
		return contradiction.Next
	}
	if text := next(); !strings.Contains(text, "holds no data yet") || !strings.Contains(text, "remove it") {
		t.Errorf("before anything has happened: %s", text)
	}
	c.openAll()
	c.closeAll()
	if text := next(); strings.Contains(text, "remove it") || strings.Contains(text, "holds no data") {
		t.Errorf("after the cluster was up: %s", text)
	}
}

// TestDialledElsewhere: a node that listens elsewhere than its cluster dials it says so.
func TestDialledElsewhere(t *testing.T) {
	c := newCluster(t, 1)
	log := &strings.Builder{}
	c.change = func(cfg *flotilla.Config) { cfg.Logger = slog.New(slog.NewTextHandler(log, nil)) }
	const told = "others dial this node where it does not listen"
	c.openAll()
	c.close(1)
	if strings.Contains(log.String(), told) {
		t.Errorf("it listens where it was registered:\n%s", log)
	}
	c.change = func(cfg *flotilla.Config) {
		cfg.Logger, cfg.Listen = slog.New(slog.NewTextHandler(log, nil)), "127.0.0.1:0"
	}
	c.openAll()
	c.close(1)
	if !strings.Contains(log.String(), told) || !strings.Contains(log.String(), "registered="+c.addrs[1]) {
		t.Errorf("it listens elsewhere and does not say so:\n%s", log)
	}
}

// TestBirthList: a changed certificate authority changes the derived cluster id, and the list given at birth must still
// be accepted on a restart.
func TestRestartAfterNewAuthority(t *testing.T) {
	c := newCluster(t, 1)
	c.open(1)
	c.close(1)
	ca, err := pki.CreateCA("test")
	check(t, err)
	c.ca = ca
	c.open(1)
	c.await(1)
}

// TestFirstStartNeeds: what a first start cannot do without.
func TestFirstStartNeeds(t *testing.T) {
	c := newCluster(t, 1)
	for name, tc := range map[string]struct {
		change func(*flotilla.Config)
		want   string
	}{
		"a birth":        {func(cfg *flotilla.Config) { cfg.InitialCluster = nil }, flotilla.ErrNotBorn.Error()},
		"an id":          {func(cfg *flotilla.Config) { cfg.NodeID = 0 }, "no node id"},
		"one birth":      {func(cfg *flotilla.Config) { cfg.Bootstrap = true }, "not both"},
		"to be listed":   {func(cfg *flotilla.Config) { cfg.InitialCluster = map[flotilla.NodeID]string{2: "a:1"} }, "not in the initial cluster"},
		"one address":    {func(cfg *flotilla.Config) { cfg.Advertise = "127.0.0.1:1" }, "it advertises"},
		"own address":    {func(cfg *flotilla.Config) { cfg.InitialCluster = map[flotilla.NodeID]string{1: "a:1", 2: "a:1"} }, "share the address"},
		"machines":       {func(cfg *flotilla.Config) { cfg.NewMachine = nil }, "no state machines"},
		"its own name":   {func(cfg *flotilla.Config) { cfg.TLS = c.source(2) }, "the certificate names"},
		"certificates":   {func(cfg *flotilla.Config) { cfg.TLS = nil }, "ca.crt"},
		"sane elections": {func(cfg *flotilla.Config) { cfg.ElectionTimeout = cfg.Heartbeat }, "election timeout"},
		"few groups":     {func(cfg *flotilla.Config) { cfg.Groups = 20_000 }, "20000 groups"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := c.config(1)
			tc.change(&cfg)
			h, err := flotilla.Open(t.Context(), cfg)
			if err == nil {
				check(t, h.Kill())
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("open: %v, want %q", err, tc.want)
			}
			if _, err := os.Stat(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a directory was left behind: %v", err)
			}
		})
	}
	c.open(1)
	c.await(1)
}

// TestDirectoryInUse: a second node on the same directory is told who holds it, and the first goes on (P8).
func TestDirectoryInUse(t *testing.T) {
	c := newCluster(t, 1)
	c.openAll()
	cfg := c.config(1)
	cfg.Listen = "127.0.0.1:0"
	if _, err := flotilla.Open(t.Context(), cfg); !errors.Is(err, catalog.ErrInUse) {
		t.Fatalf("second open: %v, want catalog.ErrInUse", err)
	}
	add(t, c.hosts[1], 1, 1)
}

// TestLostFiles: a directory that lost a part of itself is refused, as an empty log could vote twice (D17).
func TestLostFiles(t *testing.T) {
	for _, lost := range []string{"log", "catalog.db"} {
		t.Run(lost, func(t *testing.T) {
			c := newCluster(t, 1)
			c.openAll()
			add(t, c.hosts[1], 1, 1)
			c.close(1)
			cfg := c.config(1)
			check(t, os.RemoveAll(filepath.Join(cfg.Dir, lost)))
			_, err := flotilla.Open(t.Context(), cfg)
			var unsafe *flotilla.UnsafeError
			if !errors.As(err, &unsafe) {
				t.Fatalf("open without %s: %v, want *UnsafeError", lost, err)
			}
		})
	}
}

// TestWipedNodeComesBack: a node that lost its disk and is started again with the same list does not vote under its old
// identity, as the cluster knows its generation (N8, D17). It ends by itself, and with the next start, from the same list, it joins:
// learner first, voter again in all its groups soon, without a hand.
func TestWipedNodeComesBack(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		add(t, c.hosts[1], 1, 1)
		add(t, c.hosts[1], 2, 2)
		old := c.registered(3)
		c.close(3)
		check(t, os.RemoveAll(filepath.Join(c.dir, "node-3")))
		c.reopenSuperseded(3)
		eventually(t, "node 3 votes in all groups again", func() bool {
			for _, g := range c.hosts[1].Status().Groups {
				if len(g.Voters) != 3 || len(g.Learners) != 0 {
					return false
				}
			}
			return true
		})
		if now := c.registered(3); now == old || now == 0 {
			t.Errorf("the data directory is known by %d, was %d", now, old)
		}
		add(t, c.hosts[3], 1, 1)
		c.close(1)
		c.close(2) // what is left has all that was acknowledged
		c.open(2)
		if got := add(t, c.hosts[3], 1, 1); got != 3 {
			t.Errorf("group 1 adds up to %d, want 3", got)
		}
		if got := add(t, c.hosts[3], 2, 1); got != 3 {
			t.Errorf("group 2 adds up to %d, want 3", got)
		}
	})
}

// registered is the data directory by which node 1 knows node id.
func (c *testCluster) registered(id flotilla.NodeID) wire.Generation {
	for v := range c.hosts[1].Topology(c.t.Context()) {
		n, _ := v.Topology.Find(id)
		return n.Generation
	}
	return 0
}

// reopenSuperseded starts node id, which lost its disk, until it is ready.
func (c *testCluster) reopenSuperseded(id flotilla.NodeID) {
	c.t.Helper()
	h := c.open(id)
	select {
	case <-h.Failed():
	case <-h.Ready():
		c.t.Fatalf("node %d became ready under its old identity", id)
	case <-time.After(20 * time.Second):
		c.t.Fatalf("node %d was not told that it is refused", id)
	}
	if !errors.Is(h.Err(), flotilla.ErrSuperseded) {
		c.t.Fatalf("failed with %v, want ErrSuperseded", h.Err())
	}
	c.close(id)
	c.open(id)
	c.await(id)
}

// TestOpenCancelled: Open ends with its context and leaves nothing behind.
func TestOpenCancelled(t *testing.T) {
	c := newCluster(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := flotilla.Open(ctx, c.config(1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("open: %v, want context.Canceled", err)
	}
	c.openAll()
}

// countdown is a context that ends after its error was asked for so many times: Open asks once before each step.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestOpenUndoesEachStep: whichever step Open fails at, it leaves neither a lock nor a goroutine nor half a birth: the
// next Open works at once (P8, F47).
func TestOpenUndoesEachStep(t *testing.T) {
	c := newCluster(t, 1)
	before := leak.Running()
	for steps := range 20 {
		h, err := flotilla.Open(&countdown{t.Context(), steps}, c.config(1))
		if err == nil {
			if steps < 8 {
				t.Fatalf("open succeeded after %d questions: the steps do not ask", steps)
			}
			c.hosts[1] = h
			c.await(1)
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("open cut short at step %d: %v", steps, err)
		}
		if before.Check(t, 20*time.Second); t.Failed() { // QUIC's own goroutines end a moment after its Close
			t.Fatalf("open cut short at step %d leaves goroutines", steps)
		}
	}
	t.Fatal("open never succeeded")
}
