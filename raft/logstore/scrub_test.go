package logstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

const scrubGroups = 8

// unpaced lets a Scrub go as fast as it can.
func unpaced(ctx context.Context, _ int) error { return context.Cause(ctx) }

// lived makes a store with several sealed files and one that is written, whose groups 1 to scrubGroups hold grow's
// entries, and returns for each where its log begins and ends.
func lived(t *testing.T, dir string) (*logstore.Store, map[wire.GroupID][2]wire.Index) {
	t.Helper()
	s := opened(t, logstore.Options{Dir: dir, RotateBytes: 64 << 10, CacheBytes: 1, ReserveBytes: -1})
	bounds := map[wire.GroupID][2]wire.Index{}
	for g := wire.GroupID(1); g <= scrubGroups; g++ {
		do(t, s, made(g))
		bounds[g] = [2]wire.Index{1, 0}
	}
	for round := range 30 {
		var batch []wire.LogUpdate
		for g := wire.GroupID(1); g <= scrubGroups; g++ {
			if (round+int(g))%3 == 0 && round > 3 {
				continue
			}
			b := bounds[g]
			b[1]++
			batch = append(batch, grow(g, b[1], 100*int(g)))
			if round == 20 && g%2 == 0 {
				batch = append(batch, wire.LogUpdate{Group: g, CompactTo: b[1] / 2})
				b[0] = b[1]/2 + 1
			}
			bounds[g] = b
		}
		do(t, s, batch...)
		s.Quiesce()
	}
	return s, bounds
}

// intact says what is wrong with a group's entries.
func intact(s *logstore.Store, g wire.GroupID, first, last wire.Index) error {
	entries, err := s.Entries(g, nil, first, last+1, 1<<30)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if want := grow(g, first+wire.Index(i), 100*int(g)).Entries[0]; e.Index != want.Index || !bytes.Equal(e.Data, want.Data) {
			return errors.New("wrong data")
		}
	}
	if len(entries) != int(last+1-first) {
		return errors.New("entries are missing")
	}
	return nil
}

// TestScrub flips bits in all files of a store that runs. What Scrub calls damaged is not served any more, everything else can be read;
// and a later start finds just that: it opens, misses no group, and quarantines none that Scrub took for sound (D12, F10).
func TestScrub(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	flips := 150
	if testing.Short() {
		flips = 40
	}
	condemned, renewed, fenced := 0, 0, 0
	for i := range flips {
		dir := filepath.Join(t.TempDir(), "log")
		s, bounds := lived(t, dir)
		names := generations(t, dir)
		what := flip(t, names[rng.IntN(len(names))], rng, i)
		res, err := s.Scrub(t.Context(), unpaced)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		condemned += len(res.Damaged)
		if res.Renewed {
			renewed++
		}
		for g, b := range bounds {
			st, _ := s.State(g)
			err := intact(s, g, b[0], b[1])
			var damage *logstore.CorruptionError
			switch {
			case res.Damaged[g] == nil && (err != nil || st.Err != nil):
				t.Errorf("%s: group %d is sound, but: %v, %v", what, g, err, st.Err)
			case res.Damaged[g] != nil && (!errors.As(err, &damage) || st.Err == nil || !errors.As(res.Damaged[g], &damage)):
				t.Errorf("%s: group %d is damaged (%v), but: %v, %v", what, g, res.Damaged[g], err, st.Err)
			}
		}
		if err := s.Commit([]wire.LogUpdate{made(100)}); errors.Is(err, wire.ErrFenced) {
			fenced++
			continue // bbolt has met the damage: the node stops
		} else if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		again, err := s.Scrub(t.Context(), unpaced)
		if err != nil || len(again.Damaged) != 0 {
			t.Errorf("%s: the next pass: %+v, %v", what, again, err)
		}
		s.Close()
		s, err = logstore.Open(logstore.Options{Dir: dir, CacheBytes: 1})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for g, b := range bounds {
			st, known := s.State(g)
			if !known || (st.Err != nil) != (res.Damaged[g] != nil) {
				t.Errorf("%s: group %d: %v; the start: %v, %v", what, g, res.Damaged[g], known, st.Err)
			}
			if st.Err == nil {
				if err := intact(s, g, b[0], b[1]); err != nil {
					t.Errorf("%s: group %d after the start: %v", what, g, err)
				}
			}
		}
		s.Close()
		os.RemoveAll(dir)
	}
	t.Logf("%d flips: %d groups damaged, %d files renewed, %d fenced", flips, condemned, renewed, fenced)
	if condemned == 0 || renewed == 0 {
		t.Error("no flip hit what it should")
	}
}

// TestScrubBesideWork scrubs while groups grow, shrink, go and come: nothing is found, and nothing waits for a pass; what is paced
// ends with its context.
func TestScrubBesideWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s, bounds := lived(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	passes, scrubbed := 0, make(chan error, 1)
	go func() {
		for {
			res, err := s.Scrub(ctx, unpaced)
			if err == nil && (len(res.Damaged) > 0 || res.Renewed || res.Blobs == 0) {
				err = errors.New("found what is not there")
			}
			if err != nil {
				scrubbed <- err
				return
			}
			passes++
		}
	}()
	for n := range 300 {
		g := wire.GroupID(n%scrubGroups + 1)
		b := bounds[g]
		switch {
		case n%50 == 49:
			do(t, s, wire.LogUpdate{Group: g, Drop: true})
			do(t, s, made(g))
			bounds[g] = [2]wire.Index{1, 0}
			continue
		case n%20 == 19 && b[1] > b[0]:
			do(t, s, wire.LogUpdate{Group: g, CompactTo: b[1] - 1})
			b[0] = b[1]
		default:
			b[1]++
			do(t, s, grow(g, b[1], 100*int(g)))
		}
		bounds[g] = b
	}
	cancel()
	if err := <-scrubbed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if passes == 0 {
		t.Error("no pass came to its end")
	}
	s.Close()
	if _, err := s.Scrub(t.Context(), unpaced); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("scrub of a closed store: %v", err)
	}
}

// TestCloseWhileScrubFinds: Close waits for the files that a pass reads, and the pass, when it has found damage, for nothing that Close holds (P8).
func TestCloseWhileScrubFinds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s, bounds := lived(t, dir)
	last := bounds[1][1]
	rot(t, dir, grow(1, last, 100).Entries[0].Data)
	closed := make(chan error, 1)
	var once sync.Once
	closeIt := func() {
		go func() { closed <- s.Close() }()
		for _, err := s.Term(1, last); !errors.Is(err, logstore.ErrClosed); _, err = s.Term(1, last) {
			runtime.Gosched()
		}
	}
	res, err := s.Scrub(t.Context(), func(context.Context, int) error {
		once.Do(closeIt)
		return nil
	})
	if err != nil || res.Damaged[1] == nil {
		t.Errorf("%+v, %v", res, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestSpaceReturnsAfterRot: a file that cannot be drained because one group's entry in it has rotted keeps all later ones until a pass has
// found the rot, and no longer: then what others have in it is carried along again (N3).
func TestSpaceReturnsAfterRot(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir, RotateBytes: 64 << 10})
	do(t, s, made(1), made(2), made(3), grow(2, 1, 1000), grow(3, 1, 500))
	rot(t, dir, grow(2, 1, 1000).Entries[0].Data)
	next := wire.Index(1)
	work := func(commits int) {
		for range commits {
			u := grow(1, next, 10_000)
			u.CompactTo = next - 1
			next++
			do(t, s, u)
			s.Quiesce()
		}
	}
	work(100)
	if n := s.Stats().Generations; n < 10 {
		t.Fatalf("%d files: a rotten entry was carried along", n)
	}
	res, err := s.Scrub(t.Context(), unpaced)
	if err != nil || res.Damaged[2] == nil || len(res.Damaged) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	work(40)
	if n := s.Stats().Generations; n > 4 {
		t.Errorf("%d files hold two entries", n)
	}
	if es, err := s.Entries(3, nil, 1, 2, 1); err != nil || len(es[0].Data) != 500 {
		t.Errorf("the entry beside the rot: %v", err)
	}
}

// rot flips a bit of data wherever it stands in the files in dir.
func rot(t *testing.T, dir string, data []byte) {
	t.Helper()
	hit := false
	for _, name := range generations(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := bytes.Index(b, data); at >= 0; at = bytes.Index(b, data) {
			hit, b[at] = true, b[at]^1
			if _, err := f.WriteAt(b[at:at+1], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
	if !hit {
		t.Fatal("nothing to rot")
	}
}

// TestScrubRenews: damage in the file that is written, to a blob of which memory knows everything and that holds no entries, is worth no
// group: another file is begun. Without it no start would know what the blob held, and refuse (TestLostEnd).
func TestScrubRenews(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s := opened(t, logstore.Options{Dir: dir})
	do(t, s, made(1))
	do(t, s, grow(1, 1, 100))
	do(t, s, wire.LogUpdate{Group: 1, SetHardState: true, HardState: wire.HardState{Term: 1, Commit: 1}})
	s.Quiesce()
	name := s.ActivePath()
	root, _ := logstore.JournalRoot(t, name)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	element := make([]byte, 4)
	third := root + 16 + 2*16 // as in TestDamagedKeyHidesNoGroup
	if _, err := f.ReadAt(element, third+4); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0x7f}, third+int64(binary.NativeEndian.Uint32(element))); err != nil {
		t.Fatal(err)
	}
	res, err := s.Scrub(t.Context(), unpaced)
	if err != nil || !res.Renewed || len(res.Damaged) != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	s.Quiesce()
	do(t, s, grow(1, 2, 100))
	if s.ActivePath() == name {
		t.Error("the damaged file is written still")
	}
	s.Close()
	s = opened(t, logstore.Options{Dir: dir})
	if st, known := s.State(1); !known || st.Err != nil || st.Last != 2 {
		t.Errorf("after a start: %v, %+v", known, st)
	}
}
