package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flotilla/catalog"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

var members = wire.Membership{Voters: []wire.NodeID{1, 2, 3}}

func manifest() Manifest {
	return Manifest{ClusterID: wire.ClusterID{7}, Cluster: "test", Epoch: 9, Saved: time.Unix(1_800_000_000, 0).UTC(), Program: "v1"}
}

// stateOf is s as a snapshot of group 0 holds it.
func stateOf(t testing.TB, s *catalog.Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.WriteState(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// cluster is group 0's state with groups 1, 2 and 4; 3 was deleted.
func cluster() *catalog.Snapshot {
	s := &catalog.Snapshot{
		Settings: catalog.Settings{Groups: 3, Replication: 3}, Topology: catalog.Topology{Version: 4}, Routing: catalog.Routing{Version: 2},
		Epoch: 9, EpochTerm: 5,
	}
	for id := wire.NodeID(1); id <= 3; id++ {
		s.Topology.Nodes = append(s.Topology.Nodes, catalog.Node{ID: id, Addr: fmt.Sprintf("n%d:1", id), State: catalog.NodeActive, Generation: 1})
	}
	for id := range wire.GroupID(5) {
		g := catalog.Group{ID: id, Deleted: id == 3}
		if !g.Deleted {
			g.Voters = members.Voters
			g = g.Founded()
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

// snapshotOf is a whole snapshot of body, as a node sends it.
func snapshotOf(t testing.TB, id wire.GroupID, at wire.Index, body []byte) []byte {
	t.Helper()
	h, err := snapshotstream.HeaderOf(snapshotstream.State{Group: id, Index: at, Term: 5, Membership: members, Epoch: 9}, bytes.NewReader(body), snapshotstream.MinChunk)
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
	return b.Bytes()
}

func bodyOf(id wire.GroupID) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "state of %d,", id), 300*int(id)-299)
}

// streams are the snapshots of a cluster.
func streams(t testing.TB) map[wire.GroupID][]byte {
	m := map[wire.GroupID][]byte{0: snapshotOf(t, 0, 20, stateOf(t, cluster()))}
	for _, id := range []wire.GroupID{1, 2, 4} {
		m[id] = snapshotOf(t, id, wire.Index(100*id), bodyOf(id))
	}
	return m
}

func fill(t testing.TB, w *Writer) {
	t.Helper()
	all := streams(t)
	for id, more := w.Next(); more; id, more = w.Next() {
		if h, err := w.Add(iotest.HalfReader(bytes.NewReader(all[id]))); err != nil || h.Group != id {
			t.Fatal(h, err)
		}
	}
}

// whole is an archive of it all.
func whole(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, manifest())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Bytes() != uint64(b.Len()) {
		t.Errorf("%d bytes counted, %d written", w.Bytes(), b.Len())
	}
	return b.Bytes()
}

// What was saved comes back: manifest, catalog, every group's state with its kind; those that were deleted are not asked for.
func TestRoundTrip(t *testing.T) {
	b := whole(t)
	r, err := NewReader(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(manifest(), r.Manifest()); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(stateOf(t, r.Catalog()), stateOf(t, cluster())) || r.Meta().Index != 20 || r.Catalog().Applied != 20 {
		t.Errorf("catalog %+v", r.Catalog())
	}
	for i, id := range []wire.GroupID{1, 2, 4} {
		g, err := r.Next()
		if err != nil || g.Group != id || g.Index != wire.Index(100*id) || (g.Kind == "queue") != (id == 4) {
			t.Fatalf("group %d: %+v, %v", id, g, err)
		}
		if i == 1 {
			continue // not read: Next does it
		}
		if state, err := io.ReadAll(g); err != nil || !bytes.Equal(state, bodyOf(id)) {
			t.Errorf("group %d: %d bytes, %v", id, len(state), err)
		}
	}
	for range 2 {
		if _, err := r.Next(); err != io.EOF {
			t.Fatal(err)
		}
	}
	s, err := Inspect(bytes.NewReader(b))
	if err != nil || len(s.Groups) != 4 || s.Sum != r.Sum() || s.Sum == ([32]byte{}) || s.Bytes != uint64(len(b)) {
		t.Errorf("%+v, %v", s, err)
	}
}

// Every changed bit, every cut and whatever is added is found; a later version is named as such.
func TestDamage(t *testing.T) {
	b := whole(t)
	if _, err := Inspect(bytes.NewReader(append(bytes.Clone(b), 0))); !errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("one byte more: %v", err)
	}
	step := 1
	if testing.Short() {
		step = 17
	}
	for n := 0; n < len(b); n += step {
		if _, err := Inspect(bytes.NewReader(b[:n])); !errors.Is(err, snapshotstream.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		bad := bytes.Clone(b)
		bad[n] ^= 1 << (n % 8)
		if _, err := Inspect(bytes.NewReader(bad)); !errors.Is(err, snapshotstream.ErrCorrupt) {
			t.Fatalf("bit of byte %d: %v", n, err)
		}
	}
	later := bytes.Clone(b)
	later[7] = 2
	reseal(later)
	var version *snapshotstream.VersionError
	if _, err := Inspect(bytes.NewReader(later)); !errors.As(err, &version) || errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("version 2: %v", err)
	}
	broken := errors.New("disk")
	if _, err := Inspect(io.MultiReader(bytes.NewReader(b[:900]), iotest.ErrReader(broken))); !errors.Is(err, broken) || errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("a disk that fails: %v", err)
	}
}

// A snapshot of another group, a damaged one, one whose state is no catalog of its index, and missing ones make no archive.
func TestWrongSnapshots(t *testing.T) {
	all := streams(t)
	flipped := bytes.Clone(all[0])
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"another group": {all[1], ErrGroup}, "flipped": {flipped, snapshotstream.ErrCorrupt}, "cut": {all[0][:len(all[0])-1], snapshotstream.ErrCorrupt},
		"more": {append(bytes.Clone(all[0]), 0), snapshotstream.ErrCorrupt}, "no catalog": {snapshotOf(t, 0, 20, []byte("x")), ErrGroup},
		"huge": {snapshotOf(t, 0, 20, make([]byte, catalog.MaxState+1)), ErrGroup},
	} {
		w, err := NewWriter(io.Discard, manifest())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); !errors.Is(err, ErrGroup) {
			t.Errorf("closed without groups: %v", err)
		}
		for range 2 { // it stays
			if _, err := w.Add(bytes.NewReader(c.stream)); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	full := errors.New("no room")
	w, err := NewWriter(&limited{room: 700, err: full}, manifest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(bytes.NewReader(all[0])); !errors.Is(err, full) || errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("a writer that fails: %v", err)
	}
	for name, change := range map[string]func(*Manifest){
		"id": func(m *Manifest) { m.ClusterID = wire.ClusterID{} }, "name": func(m *Manifest) { m.Cluster = "" },
		"time": func(m *Manifest) { m.Saved = m.Saved.Add(1) }, "program": func(m *Manifest) { m.Program = "a b" }, "epoch": func(m *Manifest) { m.Epoch = 1 << 63 },
	} {
		m := manifest()
		change(&m)
		if _, err := NewWriter(io.Discard, m); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// limited fails once it has no room.
type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if l.room -= len(p); l.room < 0 {
		return 0, l.err
	}
	return len(p), nil
}

// A file has its name when it is whole, and not before; one that is there is not replaced unless that is said, not even
// if it came meanwhile; nobody else may read it.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup")
	absent := func() {
		t.Helper()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s is there: %v", path, err)
		}
	}
	create := func(p Policy) *File {
		t.Helper()
		f, err := Create(path, manifest(), p)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if err := os.WriteFile(path+".tmp", []byte("of a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := create(Fresh)
	if err := f.Commit(); !errors.Is(err, ErrGroup) {
		t.Errorf("half of it: %v", err)
	}
	absent()
	f = create(Fresh)
	fill(t, f.Writer)
	absent()
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if info, _ := os.Stat(path); err != nil || !bytes.Equal(raw, whole(t)) || info.Mode() != 0o600 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if _, err := Create(path, manifest(), Fresh); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
	f = create(Replace)
	fill(t, f.Writer)
	if err := errors.Join(f.Abort(), f.Abort()); err != nil {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	first, second := create(Fresh), create(Fresh)
	fill(t, first.Writer)
	fill(t, second.Writer)
	if err := first.Commit(); err == nil {
		t.Error("the other one's file was published")
	}
	absent()
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over one that came meanwhile: %v", err)
	}
	f = create(Replace)
	fill(t, f.Writer)
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

// What is no file is not replaced: a rename onto a device would be the end of it. A link is, and not what it points at.
func TestOnlyFilesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	pipe, link, target := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "target")
	err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(target, []byte("somebody's"), 0o600), os.Symlink(target, link))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, dir} {
		f, err := Create(path, manifest(), Replace)
		if failed := (*fs.PathError)(nil); !errors.As(err, &failed) {
			t.Errorf("%s: %v, %v", path, f, err)
		}
		if names, _ := filepath.Glob(path + ".tmp"); len(names) != 0 {
			t.Errorf("left behind: %v", names)
		}
	}
	f, err := Create(link, manifest(), Replace)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, f.Writer)
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(target); string(raw) != "somebody's" {
		t.Errorf("what the link pointed at is %d bytes, %v", len(raw), err)
	}
}
