package flotilla_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"flotilla"
	"flotilla/snapshotstream/archive"
)

// newDurableCluster is newCluster with machines whose state leaves them.
func newDurableCluster(t *testing.T, n int) *testCluster {
	c := newCluster(t, n)
	c.change = func(cfg *flotilla.Config) {
		cfg.NewMachine = func(flotilla.GroupID) flotilla.StateMachine { return &durableCounter{} }
	}
	return c
}

// save has every group exported into one archive, and returns its path and the epoch when it began.
func (c *testCluster) save() (path string, epoch flotilla.Epoch) {
	c.t.Helper()
	st := c.hosts[1].Status()
	path, epoch = filepath.Join(c.dir, "backup"), st.Epoch
	f, err := archive.Create(path, archive.Manifest{
		ClusterID: c.hosts[1].View().Identity.ClusterID, Cluster: st.Cluster, Epoch: epoch, Saved: time.Unix(time.Now().Unix(), 0).UTC(),
	}, archive.Fresh)
	check(c.t, err)
	for id, more := f.Next(); more; id, more = f.Next() {
		var b bytes.Buffer
		exportAnywhere(c.t, c, id, &b)
		_, err := f.Add(&b)
		check(c.t, err)
	}
	check(c.t, f.Commit())
	return path, epoch
}

// restoredFrom is a cluster of n nodes that were made from an archive of c, and are opened without a word on who they are with.
func (c *testCluster) restoredFrom(path string, n int) *testCluster {
	c.t.Helper()
	b := newDurableCluster(c.t, n)
	b.ca = c.ca
	b.restore(path)
	return b
}

func (c *testCluster) restore(path string) {
	c.t.Helper()
	for id := range c.addrs {
		_, err := flotilla.Restore(c.t.Context(), flotilla.RestoreConfig{
			Archive: path, Dir: filepath.Join(c.dir, fmt.Sprintf("node-%d", id)), NodeID: id, Nodes: c.addrs, TLS: c.source(id),
		})
		check(c.t, err)
	}
	change := c.change
	c.change = func(cfg *flotilla.Config) {
		change(cfg)
		cfg.InitialCluster, cfg.Groups = nil, 0
	}
}

// N8, P21: what was saved is on the nodes of another cluster, whatever their number, and goes on there: read at each node, written,
// replicated as the settings say, still there after a restart; what came after the save is not. Its epoch is above all that
// the old cluster has given out, and rises.
func TestRestoredCluster(t *testing.T) {
	a := newDurableCluster(t, 3)
	a.openAll()
	want := map[flotilla.GroupID]uint64{}
	for id := range a.hosts {
		want[1], want[2] = add(t, a.hosts[id], 1, 5), add(t, a.hosts[id], 2, 700)
	}
	path, saved := a.save()
	add(t, a.hosts[1], 1, 1000)
	last := a.hosts[1].Epoch()
	a.closeAll()
	for _, n := range []int{1, 3, 5} {
		b := a.restoredFrom(path, n)
		b.openAll()
		for id := range b.hosts {
			for g, sumOf := range want {
				if got := sum(t, b.hosts[id], g); got != sumOf {
					t.Errorf("%d nodes: node %d reads %d of group %d, %d was saved", n, id, got, g, sumOf)
				}
			}
			if e := b.hosts[id].Epoch(); e <= saved || e <= last {
				t.Errorf("epoch %d after %d", e, last)
			}
		}
		if got := add(t, b.hosts[1], 1, 1); got != want[1]+1 {
			t.Errorf("the first write makes %d of %d", got, want[1])
		}
		for _, g := range b.hosts[1].Status().Groups {
			if g.ID != 0 && len(g.Voters) != min(3, n) {
				t.Errorf("%d nodes: %+v", n, g)
			}
		}
		before := b.hosts[1].Epoch()
		b.closeAll()
		b.openAll()
		if got := sum(t, b.hosts[1], 1); got != want[1]+1 {
			t.Errorf("after a restart: %d", got)
		}
		for b.hosts[1].Epoch() <= before && t.Context().Err() == nil {
			pause(t.Context()) // an election was needed, and its epoch is on its way
		}
		b.closeAll()
	}
}

// D49, D47: a node of the cluster that was saved finds the new one at the addresses of its own, with certificates of its own authority,
// and is refused: it never becomes ready, and the new cluster goes on as if nothing were there.
func TestOldNodeIsRefused(t *testing.T) {
	a := newDurableCluster(t, 3)
	a.openAll()
	add(t, a.hosts[1], 1, 7)
	path, _ := a.save()
	a.closeAll()
	b := newDurableCluster(t, 0)
	b.ca, b.addrs = a.ca, a.addrs
	b.restore(path)
	for id := flotilla.NodeID(1); id <= 2; id++ {
		b.open(id)
	}
	b.await(1)
	b.await(2)
	add(t, b.hosts[1], 1, 1)
	epoch := b.hosts[1].Epoch()
	refused, change := &listener{word: []byte("wrong cluster"), heard: make(chan struct{})}, a.change
	a.change = func(cfg *flotilla.Config) {
		change(cfg)
		cfg.Logger = slog.New(slog.NewTextHandler(refused, nil))
	}
	old := a.open(3)
	select {
	case <-refused.heard:
	case <-time.After(20 * time.Second):
		t.Error("nobody told the node of the old cluster that this is another one")
	}
	select {
	case <-old.Ready():
		t.Error("a node of the old cluster is ready among those of the new one")
	case <-time.After(time.Second):
	}
	if got := add(t, b.hosts[2], 1, 1); got != 9 {
		t.Errorf("sum %d", got)
	}
	if now := b.hosts[1].Epoch(); now != epoch {
		t.Errorf("epoch %d after %d because of a stranger", now, epoch)
	}
	for _, n := range b.hosts[1].Status().Nodes {
		if n.ID == 3 && n.State != "listed" {
			t.Errorf("node 3 is %s in the new cluster", n.State)
		}
	}
}

// listener is a log that waits for a word.
type listener struct {
	word  []byte
	once  sync.Once
	heard chan struct{}
}

func (l *listener) Write(p []byte) (int, error) {
	if bytes.Contains(p, l.word) {
		l.once.Do(func() { close(l.heard) })
	}
	return len(p), nil
}

// P33: a directory in which a restore was cut off is not started from.
func TestUnfinishedRestore(t *testing.T) {
	c := newCluster(t, 1)
	cfg := c.config(1)
	check(t, os.MkdirAll(filepath.Join(cfg.Dir, "restore-tmp"), 0o700))
	if _, err := flotilla.Open(t.Context(), cfg); !errors.Is(err, flotilla.ErrUnfinished) {
		t.Error(err)
	}
}
