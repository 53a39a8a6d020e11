package depot

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

// TestRot: whatever rot does to the newest snapshot, a start does without it and has the one before.
func TestRot(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := New()
		opened(t, d)
		for i := range wire.Index(3) {
			if err := save(d, 10*(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Rot(4, 1, rng.IntN); err != nil {
			t.Fatal(err)
		}
		d.Crash(snapshottest.None)
		opened(t, d)
		for _, at := range d.Held(4) {
			err := d.Load(4, at, func(r io.Reader) error {
				_, err := io.ReadAll(r)
				return err
			})
			if (err == nil) != (at < 30) || err != nil && !errors.Is(err, snapshotstream.ErrCorrupt) {
				t.Errorf("seed %d: load %d: %v", seed, at, err)
			}
		}
		if got := d.Held(4); got[0] != 20 { // that of 10 may have come back: its removal waits for no disk
			t.Errorf("seed %d: held %v", seed, got)
		}
	}
}

// TestCut: a cut in the middle of a Save leaves what was there or the new one, and Written knows of each.
func TestCut(t *testing.T) {
	kept, lost := 0, 0
	for n := range 20 {
		d := New()
		opened(t, d)
		var written []wire.Index
		d.Written = func(_ wire.GroupID, s wire.Snapshot, _ []byte) { written = append(written, s.Index) }
		if err := save(d, 10); err != nil {
			t.Fatal(err)
		}
		d.CutAfter(n)
		err := save(d, 20)
		d.Crash(snapshottest.Torn(rand.New(rand.NewPCG(uint64(n), 2))))
		opened(t, d)
		held := d.Held(4)
		switch {
		case slices.Contains(held, 20):
			kept++
		case err == nil:
			t.Errorf("cut after %d: a snapshot that was saved is gone", n)
		default:
			lost++
		}
		for _, at := range held {
			if !slices.Contains(written, at) {
				t.Errorf("cut after %d: nobody heard of %d", n, at)
			}
		}
	}
	if kept == 0 || lost == 0 {
		t.Errorf("%d kept and %d lost", kept, lost)
	}
}

func opened(t *testing.T, d *Depot) {
	t.Helper()
	if err := d.Open(func() bool { return false }); err != nil {
		t.Fatal(err)
	}
}

func save(d *Depot, at wire.Index) error {
	return d.Save(4, wire.Snapshot{Index: at, Term: 1, Membership: wire.Membership{Voters: []wire.NodeID{1}}}, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 3000))
		return err
	})
}
