package snapshotstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

func unpaced(ctx context.Context, _ int) error { return context.Cause(ctx) }

// 1,000 flips of chance in snapshots that lie there: each is found by the next pass, which takes that one out of use and no other (D12, N5).
func TestScrub(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 12))
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	for flips := range 1000 {
		g := wire.GroupID(rng.IntN(3))
		for _, id := range []wire.GroupID{0, 1, 2} {
			for i := wire.Index(10); len(s.List(id)) < 2; i++ {
				if _, err := make1(s, id, i, bodyOf(i, int(id)*3*chunk+int(i))); err != nil && !errors.Is(err, snapshotstream.ErrHeld) && !errors.Is(err, snapshotstream.ErrOvertaken) {
					t.Fatal(err)
				}
			}
		}
		hurt := s.List(g)[rng.IntN(2)]
		path := fmt.Sprintf("/snap/%d/%020d-%020d.snap", g, hurt.Index, hurt.Term)
		bit := rng.IntN(8 * disk.Size(path))
		if err := disk.Flip(path, bit); err != nil {
			t.Fatal(err)
		}
		res, err := s.Scrub(t.Context(), unpaced)
		if err != nil || len(res.Damaged) != 1 || res.Damaged[0].Header.ID != hurt.ID || !errors.Is(res.Damaged[0].Err, snapshotstream.ErrCorrupt) {
			t.Fatalf("flip %d, bit %d of %s: %+v, %v", flips, bit, path, res, err)
		}
		if got := indexes(s, g); len(got) != 1 || slices.Contains(got, hurt.Index) {
			t.Fatalf("flip %d: %v is held still", flips, got)
		}
		if res, err := s.Scrub(t.Context(), unpaced); err != nil || len(res.Damaged) != 0 || res.Snapshots != 5 {
			t.Fatalf("flip %d, the next pass: %+v, %v", flips, res, err)
		}
		if err := s.Drop(g); err != nil {
			t.Fatal(err)
		}
	}
}

// A pass ends with its context, and what it reads may go meanwhile.
func TestScrubBesideWork(t *testing.T) {
	s := open(t, snapshottest.NewDisk())
	for g := range wire.GroupID(4) {
		mustMake(t, s, g, 10, 20*chunk)
	}
	res, err := s.Scrub(t.Context(), func(context.Context, int) error { return s.Drop(1) })
	if err != nil || len(res.Damaged) != 0 || res.Snapshots != 3 {
		t.Errorf("beside a drop: %+v, %v", res, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	pieces := 0
	_, err = s.Scrub(ctx, func(ctx context.Context, _ int) error {
		if pieces++; pieces == 7 {
			cancel()
		}
		return context.Cause(ctx)
	})
	if !errors.Is(err, context.Canceled) || pieces != 7 {
		t.Errorf("cancelled: %v after %d pieces", err, pieces)
	}
}

// VerifyDir finds what a pass would, changes nothing, and has no opinion about a directory without snapshots.
func TestVerifyDir(t *testing.T) {
	dir := t.TempDir()
	verify := func() (found []snapshotstream.Finding) {
		t.Helper()
		before := filesIn(t, dir)
		if err := snapshotstream.VerifyDir(dir, func(f snapshotstream.Finding) { found = append(found, f) }); err != nil {
			t.Fatal(err)
		}
		if after := filesIn(t, dir); !slices.Equal(before, after) {
			t.Errorf("files were %v and are %v", before, after)
		}
		return found
	}
	if found := verify(); len(found) != 0 {
		t.Errorf("in an empty directory: %v", found)
	}
	s, err := snapshotstream.Open(snapshotstream.Config{Dir: dir, ChunkSize: chunk, ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	mustMake(t, s, 4, 10, 5*chunk)
	mustMake(t, s, 5, 11, 5*chunk)
	x := source(t, 6, 12, 5*chunk)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(r, x, 2); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if found := verify(); len(found) != 0 {
		t.Errorf("sound ones: %v", found)
	}
	hurt(t, filepath.Join(dir, "snap", "4"), 3*chunk)
	hurt(t, filepath.Join(dir, "recv"), chunk)
	found := verify()
	if len(found) != 2 || found[0].Group != 4 || found[0].Harmless || found[1].Group != 6 || !found[1].Harmless {
		t.Fatalf("found %+v", found)
	}
	if _, err := s.Scrub(t.Context(), unpaced); err != nil {
		t.Fatal(err)
	}
	if found := verify(); len(found) != 2 || !found[0].Harmless || !strings.HasSuffix(found[0].Path, ".bad") {
		t.Errorf("set aside: %+v", found)
	}
}

// hurt changes a byte of the largest file in dir.
func hurt(t *testing.T, dir string, at int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*[tp]")) // part, snap
	if err != nil || len(names) != 1 {
		t.Fatalf("%v in %s: %v", names, dir, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 4
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// filesIn lists name, size and content of what is in dir.
func filesIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, fmt.Sprintf("%s %d %x", path, len(b), bytes.Count(b, []byte{0})))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
