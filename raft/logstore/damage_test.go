package logstore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"flotilla/raft/logstore"
	"flotilla/raft/logstore/logstoretest"
	"flotilla/raft/wire"
)

const damageSeed, damageSteps = 11, 150

// specimen makes a directory of several generations and returns the model of what is in it.
func specimen(t *testing.T, dir string) *logstoretest.Model {
	t.Helper()
	s, err := logstore.Open(logstore.Options{Dir: dir, RotateBytes: 128 << 10})
	if err != nil {
		t.Fatal(err)
	}
	m := logstoretest.NewModel(damageSeed)
	for step := range damageSteps {
		if err := s.Commit(m.Batch(6)); err != nil {
			t.Fatal(err)
		}
		if step == damageSteps/2 { // as if started again: the files of two lives
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = logstore.Open(logstore.Options{Dir: dir, RotateBytes: 128 << 10}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Quiesce()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// quarantined waves the groups through that the store does not serve, after seeing that it does not.
func quarantined(t *testing.T, s *logstore.Store) func(wire.GroupState) bool {
	return func(st wire.GroupState) bool {
		if st.Err == nil {
			return false
		}
		if _, err := s.Entries(st.Group, nil, st.First, st.First+1, 1); err == nil {
			t.Errorf("group %d is quarantined and served", st.Group)
		}
		return true
	}
}

// tally counts what became of damaged stores.
type tally struct{ refused, quarantined, silent, harmless int }

// autopsy opens a damaged copy: what is served must be right, whatever else happens.
func autopsy(t *testing.T, dir string, m *logstoretest.Model, n *tally) error {
	t.Helper()
	seen := false
	s, err := logstore.Open(logstore.Options{Dir: dir, Events: func(e logstore.Event) {
		if _, ok := e.(logstore.Corrupted); ok {
			seen = true
		}
	}})
	if err != nil {
		n.refused++
		return typed(err)
	}
	defer s.Close()
	bad := 0
	for _, st := range s.Groups() {
		if st.Err != nil {
			bad++
			if err := typed(st.Err); err != nil {
				return err
			}
		}
	}
	switch {
	case bad > 0:
		n.quarantined++
	case seen:
		n.harmless++
	default:
		n.silent++
	}
	if bad > 0 && !seen {
		return errors.New("quarantined without an event")
	}
	return m.Diff(s, quarantined(t, s))
}

// typed returns nil for an error that says what is corrupt.
func typed(err error) error {
	var damage *logstore.CorruptionError
	var format *logstore.FormatError
	if errors.As(err, &damage) || errors.As(err, &format) {
		return nil
	}
	return fmt.Errorf("not a typed error: %w", err)
}

func generations(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "g-*.db"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no generations in %s: %v", dir, err)
	}
	return names
}

// TestBitFlips flips one bit anywhere: it is found, or what it was in does not matter; wrong data is never
// served, and no group silently loses its end (D12, D7, reliability: bit rot in log and state).
func TestBitFlips(t *testing.T) {
	dir := t.TempDir()
	m := specimen(t, dir)
	names := generations(t, dir)
	t.Logf("%d generations", len(names))
	rng := rand.New(rand.NewPCG(8, 8))
	flips := 300
	if testing.Short() {
		flips = 60
	}
	var n tally
	for i := range flips {
		name := names[rng.IntN(len(names))]
		hurt := t.TempDir()
		copyDir(t, dir, hurt)
		what := flip(t, filepath.Join(hurt, filepath.Base(name)), rng, i)
		if err := autopsy(t, hurt, m, &n); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		os.RemoveAll(hurt)
	}
	t.Logf("%d flips: %+v", flips, n)
	if n.quarantined == 0 {
		t.Error("no flip hit anything")
	}
}

// flip changes one bit of the file; every third one in the first bytes of a page, where bbolt keeps its own.
func flip(t *testing.T, name string, rng *rand.Rand, i int) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := rng.IntN(len(b))
	if i%3 == 0 {
		at = at/4096*4096 + rng.IntN(80)
	}
	bit := rng.IntN(8)
	b[at] ^= 1 << bit
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s byte %d (page %d+%d) bit %d", filepath.Base(name), at, at/4096, at%4096, bit)
}

// TestFlipWhileOpen flips bits under a running store: a read gives what was written or a typed error.
func TestFlipWhileOpen(t *testing.T) {
	dir := t.TempDir()
	m := specimen(t, dir)
	rng := rand.New(rand.NewPCG(8, 9))
	found := 0
	for i := range 60 {
		hurt := t.TempDir()
		copyDir(t, dir, hurt)
		s, err := logstore.Open(logstore.Options{Dir: hurt})
		if err != nil {
			t.Fatal(err)
		}
		names := generations(t, dir)
		what := flip(t, filepath.Join(hurt, filepath.Base(names[rng.IntN(len(names))])), rng, i)
		if err := m.Diff(s, logstoretest.Strict); err != nil {
			found++
			if err := typed(err); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		s.Close()
		os.RemoveAll(hurt)
	}
	if found == 0 {
		t.Error("no flip hit anything")
	}
}

// TestTruncatedFiles cuts a file anywhere: a typed error or a quarantine, never a SIGBUS, never less than was
// written without a word (D6, D26).
func TestTruncatedFiles(t *testing.T) {
	dir := t.TempDir()
	m := specimen(t, dir)
	rng := rand.New(rand.NewPCG(8, 10))
	var n tally
	for _, name := range generations(t, dir) {
		used := usedBytes(t, name)
		cuts := []int64{0, 1, 4095, 4096, 8191, 8192, used - 1, used - 4096}
		for range 6 {
			cuts = append(cuts, rng.Int64N(used))
		}
		for _, cut := range cuts {
			hurt := t.TempDir()
			copyDir(t, dir, hurt)
			if err := os.Truncate(filepath.Join(hurt, filepath.Base(name)), cut); err != nil {
				t.Fatal(err)
			}
			if err := autopsy(t, hurt, m, &n); err != nil {
				t.Errorf("%s cut to %d of %d: %v", filepath.Base(name), cut, used, err)
			}
			os.RemoveAll(hurt)
		}
	}
	if n.silent+n.harmless > 0 {
		t.Errorf("cuts that nobody saw: %+v", n)
	}
}

// usedBytes is the file's length without the room made at its end.
func usedBytes(t *testing.T, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	n := len(bytes.TrimRight(b, "\x00"))
	return int64((n + 4095) / 4096 * 4096)
}

// TestCutWhileOpen truncates files under a running store: reads fail, the process lives (D26).
func TestCutWhileOpen(t *testing.T) {
	dir := t.TempDir()
	m := specimen(t, dir)
	s, err := logstore.Open(logstore.Options{Dir: dir, CacheBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 20 { // some entries in the active file too, not all of them in memory
		if err := s.Commit(m.Batch(6)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range generations(t, dir) {
		if err := os.Truncate(name, 8192); err != nil {
			t.Fatal(err)
		}
	}
	failed := 0
	for _, st := range s.Groups() {
		if st.Last < st.First {
			continue
		}
		if _, err := s.Entries(st.Group, nil, st.First, st.Last+1, 1<<30); err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("truncated files were read")
	}
	if err := s.Commit(m.Batch(6)); err != nil && !errors.Is(err, wire.ErrFenced) {
		t.Errorf("commit: %v", err)
	}
}

// TestGarbageFiles puts noise where generations are (D7, D26).
func TestGarbageFiles(t *testing.T) {
	dir := t.TempDir()
	m := specimen(t, dir)
	rng := rand.New(rand.NewPCG(8, 11))
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	var n tally
	for _, name := range generations(t, dir) {
		for at := range 3 { // all of it, the second half, one page
			hurt := t.TempDir()
			copyDir(t, dir, hurt)
			name := filepath.Join(hurt, filepath.Base(name))
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			switch at {
			case 0:
				b = noise
			case 1:
				copy(b[len(b)/2:], noise)
			default:
				copy(b[rng.IntN(len(b)/4096-2)*4096+8192:][:4096], noise)
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := autopsy(t, hurt, m, &n); err != nil {
				t.Errorf("%s, kind %d: %v", filepath.Base(name), at, err)
			}
		}
	}
	t.Logf("%+v", n)
}

// TestQuarantineStays: a group found corrupt stays so through restarts and rotations until it is dropped, and
// takes nothing meanwhile; the others go on.
func TestQuarantineStays(t *testing.T) {
	dir := t.TempDir()
	s, err := logstore.Open(logstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	mark := []byte("the entry that will rot away, a long and unmistakable one")
	for g := range wire.GroupID(4) {
		u := wire.LogUpdate{Group: g, Create: true, Membership: wire.Membership{Voters: []wire.NodeID{1}}}
		u.SetHardState, u.HardState = true, wire.HardState{Term: 1}
		u.Entries = []wire.Entry{{Term: 1, Index: 1, Kind: wire.EntryData, Data: fmt.Appendf(nil, "%d %s", g, mark)}}
		if err := s.Commit([]wire.LogUpdate{u}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	spoil(t, generations(t, dir)[0], fmt.Appendf(nil, "2 %s", mark))
	for life := range 3 {
		if s, err = logstore.Open(logstore.Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		for _, st := range s.Groups() {
			if (st.Err != nil) != (st.Group == 2) {
				t.Errorf("life %d: group %d: %v", life, st.Group, st.Err)
			}
		}
		var fault *logstore.UpdateError
		if err := s.Commit([]wire.LogUpdate{{Group: 2, CompactTo: 1}}); !errors.As(err, &fault) {
			t.Errorf("life %d: update of a quarantined group: %v", life, err)
		}
		u := wire.LogUpdate{Group: 1, SetHardState: true, HardState: wire.HardState{Term: wire.Term(life + 2)}}
		if err := s.Commit([]wire.LogUpdate{u}); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if s, err = logstore.Open(logstore.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit([]wire.LogUpdate{{Group: 2, Drop: true}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	// The file keeps its wound until it goes; no group suffers from it any more.
	err = logstore.Verify(dir, func(f logstore.Finding) {
		if f.Group != logstore.NoGroup {
			t.Errorf("verify: %v", f)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLostGroupIsKeptAside: what is left of a group that has lost an entry stays under other names, found by a start or by a scrub, however
// many files go after that; it goes when the group is dropped (D13).
func TestLostGroupIsKeptAside(t *testing.T) {
	for name, find := range map[string]func(*logstore.Store, logstore.Options) *logstore.Store{
		"start": func(s *logstore.Store, o logstore.Options) *logstore.Store {
			s.Close()
			return opened(t, o)
		},
		"scrub": func(s *logstore.Store, _ logstore.Options) *logstore.Store {
			if res, err := s.Scrub(t.Context(), unpaced); err != nil || res.Damaged[1] == nil {
				t.Fatalf("%+v, %v", res, err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := logstore.Options{Dir: dir, RotateBytes: 64 << 10}
			s := opened(t, o)
			do(t, s, made(1), made(2))
			for i := range wire.Index(40) {
				do(t, s, grow(1, i+1, 5000))
				s.Quiesce()
			}
			rot(t, dir, grow(1, 20, 5000).Entries[0].Data)
			s = find(s, o)
			if st, _ := s.State(1); st.Err == nil {
				t.Fatal("the group is served")
			}
			for i := range wire.Index(40) {
				u := grow(2, i+1, 4000)
				u.CompactTo = i
				do(t, s, u)
				s.Quiesce()
			}
			s.Close()
			s = opened(t, o)
			s.Quiesce() // a file that is being prepared changes its name
			if n := entriesIn(t, dir, 40); n != 39 {
				t.Errorf("%d entries of 39 are left", n)
			}
			do(t, s, wire.LogUpdate{Group: 1, Drop: true})
			if names, err := filepath.Glob(filepath.Join(dir, "*.bad")); len(names) != 0 {
				t.Errorf("the group was dropped, and there is %v, %v", names, err)
			}
		})
	}
}

// entriesIn counts the first n entries of group 1 that stand in any file in dir.
func entriesIn(t *testing.T, dir string, n wire.Index) (found int) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "g-*"))
	var all []byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for i := range n {
		if bytes.Contains(all, grow(1, i+1, 5000).Entries[0].Data) {
			found++
		}
	}
	return found
}

// spoil changes a byte inside text, wherever it stands in the file.
func spoil(t *testing.T, name string, text []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for at := 0; at+len(text) <= len(b); at++ {
		if string(b[at:at+len(text)]) == string(text) {
			b[at+len(text)/2] ^= 0x10
			n++
		}
	}
	if n == 0 {
		t.Fatalf("%s does not hold %q", name, text)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLostEnd: the last commit vanishes, once with the count of its page, once with the meta page that knows of
// it (bbolt itself then quietly takes the one before). Nobody serves the shorter log; and as the commit may have created a
// group, which could otherwise be created anew and vote again, nothing is served at all (D12, F2).
func TestLostEnd(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir})
	do(t, s, made(1))
	for i := range wire.Index(3) {
		do(t, s, grow(1, i+1, 500))
	}
	do(t, s, made(2))
	s.Close()
	name := generations(t, dir)[0]
	root, meta := logstore.JournalRoot(t, name)
	for what, at := range map[string]int64{"page count": root + 10, "meta page": meta + 40} {
		hurt := t.TempDir()
		copyDir(t, dir, hurt)
		name := filepath.Join(hurt, filepath.Base(name))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[at]-- // a count of 5 blobs becomes one of 4
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := logstore.Open(logstore.Options{Dir: hurt})
		var damage *logstore.CorruptionError
		if !errors.As(err, &damage) || len(damage.Groups) != 0 {
			t.Errorf("%s: opened with %v", what, err)
		}
		if err == nil {
			_, ok := s.State(2)
			t.Errorf("%s: group 2 is there: %v", what, ok)
			s.Close()
		}
	}
}

// TestDamagedKeyHidesNoGroup: a rotten key makes its blob unreadable and no other: a group that was created after it is
// known as damaged, and not taken for one that never was, which would be made anew and vote again (F2, D12).
func TestDamagedKeyHidesNoGroup(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir})
	do(t, s, made(1))
	do(t, s, grow(1, 1, 100))
	do(t, s, made(2))
	do(t, s, grow(2, 1, 100))
	s.Close()
	name := generations(t, dir)[0]
	root, _ := logstore.JournalRoot(t, name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	second := root + 16 + 16 // after the page's header and the first element: flags, where the key is, its length, the value's
	b[second+int64(binary.NativeEndian.Uint32(b[second+4:]))] = 0x7f
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := map[wire.GroupID]bool{}
	if err := logstore.Verify(dir, func(f logstore.Finding) { damaged[f.Group] = true }); err != nil {
		t.Fatal(err)
	}
	if !damaged[1] || !damaged[2] {
		t.Errorf("damaged: %v", damaged)
	}
	var damage *logstore.CorruptionError
	if _, err := logstore.Open(logstore.Options{Dir: dir}); !errors.As(err, &damage) {
		t.Errorf("opened with %v", err)
	}
}
