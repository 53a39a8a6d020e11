package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/epoch"
	"flotilla/quictransport/pki"
	"flotilla/raft/logstore"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/archive"
)

var was = wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Index: 9}

// old is group 0's state at 20 of a cluster of three nodes, one of them removed, with groups 1, 2 and 4; 3 was deleted.
func old() *catalog.Snapshot {
	s := &catalog.Snapshot{
		Settings: catalog.Settings{Groups: 3, Replication: 3}, Topology: catalog.Topology{Version: 4}, Routing: catalog.Routing{Version: 2},
		Epoch: 7, EpochTerm: 5, Tokens: []catalog.Token{{Hash: [32]byte{1}, Expires: 1 << 40}},
	}
	for id := wire.NodeID(1); id <= 3; id++ {
		n := catalog.Node{ID: id, Addr: fmt.Sprintf("old-%d:1", id), State: catalog.NodeActive, Generation: 1}
		if id == 2 {
			n.State = catalog.NodeRemoved
		}
		s.Topology.Nodes = append(s.Topology.Nodes, n)
	}
	for id := range wire.GroupID(5) {
		g := catalog.Group{ID: id, Deleted: id == 3}
		if !g.Deleted {
			g.Voters = []wire.NodeID{1, 3}
			g = g.Founded()
			g.Leader = 1
		}
		if id == 4 {
			g.Kind = "queue"
		}
		s.Groups = append(s.Groups, g)
	}
	for i := range s.Routing.Shards {
		s.Routing.Shards[i] = wire.GroupID(1 + i%2)
	}
	return s
}

func bodyOf(id wire.GroupID) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "state of %d,", id), 30_000*int(id))
}

func snapshotOf(t *testing.T, id wire.GroupID, at wire.Index, body []byte) io.Reader {
	t.Helper()
	h, err := snapshotstream.HeaderOf(snapshotstream.State{Group: id, Index: at, Term: 6, Membership: was, Epoch: epochOf(id)}, bytes.NewReader(body), snapshotstream.DefaultChunk)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e, err := snapshotstream.NewEncoder(&b, h)
	if err == nil {
		_, err = e.Write(body)
	}
	if err = errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	return &b
}

// epochOf is that of who made a snapshot: the epoch rose while the cluster was saved.
func epochOf(id wire.GroupID) snapshotstream.Epoch { return 9 + snapshotstream.Epoch(min(id, 1)) }

// save writes an archive of the old cluster, saved at epoch 8, and returns its path.
func save(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	f, err := archive.Create(path, archive.Manifest{
		ClusterID: wire.ClusterID{7}, Cluster: "test", Epoch: 8, Saved: time.Unix(1_800_000_000, 0).UTC(), Program: "v1",
	}, archive.Fresh)
	if err != nil {
		t.Fatal(err)
	}
	var state bytes.Buffer
	if _, err := old().WriteState(&state); err != nil {
		t.Fatal(err)
	}
	for id, more := f.Next(); more; id, more = f.Next() {
		at, body := wire.Index(100*id), bodyOf(id)
		if id == wire.MetadataGroup {
			at, body = 20, state.Bytes()
		}
		if _, err := f.Add(snapshotOf(t, id, at, body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// site is where nodes of a new cluster are made.
type site struct {
	ca      *pki.Authority
	archive string
	nodes   map[wire.NodeID]string
}

func newSite(t *testing.T, n int) *site {
	t.Helper()
	ca, err := pki.CreateCA("test")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{ca: ca, archive: save(t), nodes: map[wire.NodeID]string{}}
	for id := range n {
		s.nodes[wire.NodeID(id+1)] = fmt.Sprintf("127.0.0.1:%d", 7401+id)
	}
	return s
}

// config is that of a node of the new cluster, in a directory that is not there yet.
func (s *site) config(t *testing.T, id wire.NodeID) Config {
	t.Helper()
	bundle, err := s.ca.IssueNode("test", id, []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := bundle.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Archive: s.archive, Dir: filepath.Join(t.TempDir(), "deep", "node"), NodeID: id, Nodes: s.nodes, TLS: pki.NewSource(credentials)}
}

// made is what a data directory holds.
type made struct {
	view   *catalog.Snapshot
	logs   map[wire.GroupID]wire.GroupState
	states map[wire.GroupID][]byte
	heads  map[wire.GroupID]snapshotstream.Header
}

func look(t *testing.T, dir string) made {
	t.Helper()
	m := made{logs: map[wire.GroupID]wire.GroupState{}, states: map[wire.GroupID][]byte{}, heads: map[wire.GroupID]snapshotstream.Header{}}
	var err error
	if m.view, err = catalog.Inspect(filepath.Join(dir, catalogName), time.Second); err != nil {
		t.Fatal(err)
	}
	logs, err := logstore.Open(logstore.Options{Dir: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range logs.Groups() {
		m.logs[g.Group] = g
	}
	if err := logs.Close(); err != nil {
		t.Fatal(err)
	}
	snaps, err := snapshotstream.Open(snapshotstream.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for g := range m.view.Live() {
		h, ok := snaps.Newest(g.ID)
		if !ok {
			continue
		}
		x, err := snaps.Open(g.ID, h.Index)
		if err != nil {
			t.Fatal(err)
		}
		body, err := x.Body()
		if err == nil {
			m.heads[g.ID] = h
			m.states[g.ID], err = io.ReadAll(body)
		}
		if err := errors.Join(err, x.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// N8, D47, D49: every node of a list makes the same cluster of an archive, whatever its size: same id and state, its own generation, the
// contents that were saved on Replication nodes each, in logs that begin after them; nobody and nothing of the old
// cluster's but settings, groups, kinds and routing; above its epoch.
func TestRestore(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		s := newSite(t, n)
		var first *made
		held, replicas := map[wire.GroupID]int{}, []int{}
		for id := wire.NodeID(1); id <= wire.NodeID(n); id++ {
			cfg := s.config(t, id)
			read := int64(0)
			cfg.Progress = func(done, total int64) {
				if done < read || done > total {
					t.Errorf("%d of %d after %d", done, total, read)
				}
				read = done
			}
			r, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			m := look(t, cfg.Dir)
			if first == nil {
				first = &m
			}
			checkNode(t, &m, id)
			if m.view.Digest() != first.view.Digest() || m.view.Identity.ClusterID != first.view.Identity.ClusterID || r.Identity != m.view.Identity {
				t.Errorf("node %d of %d makes another cluster", id, n)
			}
			if m.view.Identity.Generation == first.view.Identity.Generation && id > 1 {
				t.Error("two directories of one generation")
			}
			if info, _ := os.Stat(s.archive); read != info.Size() || r.Bytes != uint64(read) || r.Groups != 4 || r.Here != len(m.logs) || r.Nodes != n {
				t.Errorf("%+v after %d of %d bytes", r, read, info.Size())
			}
			replicas = append(replicas, len(m.states))
			for g, state := range m.states {
				held[g]++
				if !bytes.Equal(state, bodyOf(g)) || m.heads[g].ID != first.heads[g].ID && first.heads[g].Index != 0 {
					t.Errorf("node %d: group %d has %d bytes of state", id, g, len(state))
				}
			}
		}
		if slices.Max(replicas)-slices.Min(replicas) > 1 {
			t.Errorf("replicas on each node: %v", replicas)
		}
		for _, g := range []wire.GroupID{1, 2, 4} {
			if held[g] != min(3, n) {
				t.Errorf("%d nodes: group %d is on %d", n, g, held[g])
			}
		}
		if first.view.Identity.ClusterID == (&birth.Plan{Name: "test", Nodes: s.nodes, Authority: s.ca.Certificate}).ClusterID() {
			t.Error("the cluster id is that of a birth from the same list")
		}
		cfg := s.config(t, 1)
		cfg.Epoch = first.view.Epoch + 1
		if r, err := Run(t.Context(), cfg); err != nil || r.Identity.ClusterID == first.view.Identity.ClusterID {
			t.Errorf("nodes that begin above different epochs are of one cluster: %v", err)
		}
	}
}

func checkNode(t *testing.T, m *made, self wire.NodeID) {
	t.Helper()
	v := m.view
	if v.Settings != old().Settings || v.Routing.Shards != old().Routing.Shards || v.Topology.Version < 500_000 || v.Routing.Version < 500_000 || len(v.Tokens) != 0 {
		t.Errorf("node %d: %+v, topology %d, routing %d, %d tokens", self, v.Settings, v.Topology.Version, v.Routing.Version, len(v.Tokens))
	}
	if v.Epoch != 9+EpochMargin || v.EpochTerm != 5 || v.Applied != 20 || v.Identity.NodeID != self || v.Incarnation != 0 {
		t.Errorf("node %d: epoch %d of term %d, applied %d, %+v", self, v.Epoch, v.EpochTerm, v.Applied, v.Identity)
	}
	for _, n := range v.Topology.Nodes {
		if n.State != catalog.NodeListed || n.Addr != fmt.Sprintf("127.0.0.1:%d", 7400+n.ID) {
			t.Errorf("node %d knows %+v", self, n)
		}
	}
	for i := range v.Groups {
		g := &v.Groups[i]
		log, here := m.logs[g.ID]
		if g.Deleted != (g.ID == 3) || (g.Kind == "queue") != (g.ID == 4) || here != g.Hosted(self) || g.Leader != wire.NoNode || !g.Deleted && !g.Settled() {
			t.Errorf("node %d: %+v with a log %t", self, g, here)
		}
		if !here {
			continue
		}
		at := wire.Index(100 * g.ID)
		if g.ID == wire.MetadataGroup {
			at = 20
		}
		if log.First != at+1 || log.Last != at || log.HardState != (wire.HardState{Term: 6, Commit: at}) || !log.Membership.Equal(&g.Origin) || log.Err != nil {
			t.Errorf("node %d: log %+v of group at %d", self, log, at)
		}
		if h := m.heads[g.ID]; g.ID != wire.MetadataGroup && (h.Index != at || h.Term != 6 || !h.Membership.Equal(&g.Origin)) {
			t.Errorf("node %d: snapshot %+v of group at %d", self, h, at)
		}
	}
}

// What cannot become a cluster is refused with its reason, and leaves nothing behind: neither do a damaged archive and an interrupt.
func TestRefusals(t *testing.T) {
	s := newSite(t, 3)
	raw, err := os.ReadFile(s.archive)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-2000] ^= 1
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	config := errors.New("a *birth.ConfigError")
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"not listed": {func(c *Config) { c.NodeID = 4 }, config}, "nobody": {func(c *Config) { c.Nodes = nil }, config},
		"epoch": {func(c *Config) { c.Epoch = 9 }, config}, "a group's epoch": {func(c *Config) { c.Epoch = 10 }, config},
		"another node's certificate": {func(c *Config) { c.TLS = s.config(t, 2).TLS }, config}, "another name": {func(c *Config) { c.Cluster = "other" }, config},
		"damaged": {func(c *Config) { c.Archive = damaged }, snapshotstream.ErrCorrupt}, "missing": {func(c *Config) { c.Archive += "?" }, fs.ErrNotExist},
		"no room": {func(c *Config) { c.Free = func(string) (int64, error) { return 1, nil } }, wire.ErrNoSpace},
	} {
		cfg := s.config(t, 1)
		c.change(&cfg)
		_, err := Run(t.Context(), cfg)
		var asConfig *birth.ConfigError
		if !errors.Is(err, c.want) && (c.want != config || !errors.As(err, &asConfig)) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s left something behind: %v", name, err)
		}
	}
	cfg := s.config(t, 1)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cfg.Progress = func(done, total int64) {
		if done > total/2 {
			cancel(stop)
		}
	}
	if _, err := Run(ctx, cfg); !errors.Is(err, stop) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Lstat(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an interrupt left something behind: %v", err)
	}
	cfg = s.config(t, 1)
	cfg.Epoch = 11
	if r, err := Run(t.Context(), cfg); err != nil || r.Epoch != epoch.Epoch(11) {
		t.Errorf("epoch 11: %+v, %v", r, err)
	}
}

// A directory that holds anything of somebody's is left alone; certificates may be there before.
func TestNotEmpty(t *testing.T) {
	s := newSite(t, 1)
	for _, entry := range []string{catalogName, "log", "snap", "notes.txt"} {
		cfg := s.config(t, 1)
		if err := os.MkdirAll(filepath.Join(cfg.Dir, entry, "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		var e *NotEmptyError
		if _, err := Run(t.Context(), cfg); !errors.As(err, &e) || e.Entry != entry {
			t.Errorf("%s: %v", entry, err)
		}
		if names, _ := namesIn(cfg.Dir); !slices.Equal(names, []string{entry}) {
			t.Errorf("left: %v", names)
		}
	}
	cfg := s.config(t, 1)
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if names, _ := namesIn(cfg.Dir); !slices.Equal(names, []string{catalogName, "log", "recv", "snap", "tls"}) {
		t.Errorf("made: %v", names)
	}
	var e *NotEmptyError
	if _, err := Run(t.Context(), cfg); !errors.As(err, &e) {
		t.Errorf("over itself: %v", err)
	}
}

// P37: cut off in front of any of its steps, a restore is not taken for a data directory, and the next one makes a whole one. Two at a time
// do not meet.
func TestCutOff(t *testing.T) {
	s := newSite(t, 1)
	for moved := range len(parts) + 1 {
		cfg := s.config(t, 1)
		d, err := occupy(cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), cfg); !errors.Is(err, ErrInUse) {
			t.Errorf("two at a time: %v", err)
		}
		for i, name := range parts {
			dir := d.building
			if i < moved {
				dir = d.path
			}
			if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.lock.Close(); err != nil { // as a process that dies
			t.Fatal(err)
		}
		if moved == len(parts) {
			if err := Check(cfg.Dir); err != nil {
				t.Error(err)
			}
			var e *NotEmptyError
			if _, err := Run(t.Context(), cfg); !errors.As(err, &e) {
				t.Errorf("over one that is whole: %v", err)
			}
			if names, _ := namesIn(cfg.Dir); slices.Contains(names, buildingName) {
				t.Errorf("left: %v", names)
			}
			continue
		}
		if err := Check(cfg.Dir); !errors.Is(err, ErrUnfinished) {
			t.Errorf("%d moved: %v", moved, err)
		}
		if _, err := Run(t.Context(), cfg); err != nil {
			t.Fatalf("%d moved: %v", moved, err)
		}
		if err := Check(cfg.Dir); err != nil {
			t.Error(err)
		}
		m := look(t, cfg.Dir)
		checkNode(t, &m, 1)
	}
	if err := Check(filepath.Join(t.TempDir(), "missing")); err != nil {
		t.Error(err)
	}
}
