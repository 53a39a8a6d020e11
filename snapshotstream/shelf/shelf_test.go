package shelf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

func open(t *testing.T, free int64) (*Shelf, string) {
	t.Helper()
	dir := t.TempDir()
	store, err := snapshotstream.Open(snapshotstream.Config{
		Dir: dir, ReserveBytes: 1, Free: func(string) (int64, error) { return free, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(store, Config{Rate: 1 << 30}), dir
}

func at(i wire.Index) wire.Snapshot {
	return wire.Snapshot{Index: i, Term: 1, Membership: wire.Membership{Voters: []wire.NodeID{1}}}
}

func writes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// What was saved is loaded; one as new as there is counts as made; a failed one leaves nothing.
func TestSaveAndLoad(t *testing.T) {
	s, _ := open(t, 1<<40)
	state := bytes.Repeat([]byte("state"), 200_000)
	failed := errors.New("failed")
	if err := s.Save(7, at(5), func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if _, _, ok := s.Newest(7); ok {
		t.Fatal("a failed snapshot is there")
	}
	for range 2 {
		if err := s.Save(7, at(5), writes(state)); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes, ok := s.Newest(7); !ok || n.Index != 5 || bytes != int64(len(state)) {
		t.Fatalf("%+v %d %v", n, bytes, ok)
	}
	var got []byte
	if err := s.Load(7, 5, func(r io.Reader) (err error) { got, err = io.ReadAll(r); return err }); err != nil || !bytes.Equal(got, state) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := s.Drop(7); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(7, 5, func(io.Reader) error { return nil }); !errors.Is(err, snapshotstream.ErrNotHeld) {
		t.Fatal(err)
	}
}

// P36: a damaged snapshot is found while it is read, set aside, and not offered again.
func TestDamagedIsSetAside(t *testing.T) {
	s, dir := open(t, 1<<40)
	for _, i := range []wire.Index{5, 9} {
		if err := s.Save(7, at(i), writes(bytes.Repeat([]byte{byte(i)}, 3000))); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "snap", "*", "*9-*.snap"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	raw, _ := os.ReadFile(files[0])
	raw[len(raw)/2] ^= 4
	if err := os.WriteFile(files[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(7, 9, func(r io.Reader) error { _, err := io.ReadAll(r); return err }); !errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Fatalf("loaded: %v", err)
	}
	if n, _, _ := s.Newest(7); n.Index != 5 {
		t.Errorf("the newest is %d", n.Index)
	}
}

// A full disk has the name that the loop knows.
func TestNoSpace(t *testing.T) {
	s, _ := open(t, 10)
	if err := s.Save(7, at(5), writes([]byte("x"))); !errors.Is(err, wire.ErrNoSpace) {
		t.Error(err)
	}
}

// N6: what is more urgent finds the disk free: the rate falls while somebody says so.
func TestSlowsDown(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, busy := range []bool{false, true} {
		s, _ := open(t, 1<<40)
		c := &clock{now: time.Unix(0, 0)}
		s.cfg.Busy = func() bool { return busy }
		s.pacer = snapshotstream.NewPacer(1<<20, c)
		if err := s.Save(7, at(5), writes(make([]byte, 8<<20))); err != nil {
			t.Fatal(err)
		}
		took[busy] = c.now.Sub(time.Unix(0, 0))
	}
	if took[false] > 8*time.Second || took[true] < 3*took[false] {
		t.Errorf("8 MiB at 1 MiB/s: %v, and %v while something else waits", took[false], took[true])
	}
}

// clock is a time that passes when somebody sleeps.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return nil
}
