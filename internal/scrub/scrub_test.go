package scrub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/raft/logstore"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// specimen is a Scrubber over a log of two groups and a snapshot, which tells what it was told.
type specimen struct {
	*Scrubber
	dir     string
	damaged []wire.GroupID
	remade  []wire.GroupID
	events  []Event
}

func newSpecimen(t *testing.T) *specimen {
	t.Helper()
	s := &specimen{dir: t.TempDir()}
	log, err := logstore.Open(logstore.Options{Dir: filepath.Join(s.dir, "log"), CacheBytes: 1, ReserveBytes: -1, RotateBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	for g := range wire.GroupID(2) {
		u := wire.LogUpdate{Group: g, Create: true, Membership: wire.Membership{Voters: []wire.NodeID{1}}, SetHardState: true, HardState: wire.HardState{Term: 1}}
		u.Entries = []wire.Entry{{Term: 1, Index: 1, Kind: wire.EntryData, Data: []byte("an entry of group " + g.String())}}
		if err := log.Commit([]wire.LogUpdate{u}); err != nil {
			t.Fatal(err)
		}
	}
	snaps, err := snapshotstream.Open(snapshotstream.Config{Dir: s.dir, ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := snaps.Create(snapshotstream.State{Group: 1, Index: 1, Term: 1, Membership: wire.Membership{Voters: []wire.NodeID{1}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("a state")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Scrubber = New(Config{
		Interval: time.Hour, Log: log, Snapshots: snaps, Busy: func() bool { return false },
		Damaged: func(g wire.GroupID, _ error) { s.damaged = append(s.damaged, g) },
		Remake:  func(_ context.Context, g wire.GroupID) error { s.remade = append(s.remade, g); return nil },
		Events:  func(e Event) { s.events = append(s.events, e) },
	})
	return s
}

// spoil changes a byte of text wherever it stands in the files that match.
func (s *specimen) spoil(t *testing.T, pattern, text string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	for _, name := range names {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at+len(text) <= len(b); at++ {
			if string(b[at:at+len(text)]) == text {
				if _, err := f.WriteAt([]byte{b[at] ^ 1}, int64(at)); err != nil {
					t.Fatal(err)
				}
			}
		}
		f.Close()
	}
}

// A pass that finds nothing says so, and each finding is handed to whom it concerns, once.
func TestPass(t *testing.T) {
	s := newSpecimen(t)
	s.Pass(t.Context())
	if p, ok := s.events[0].(Passed); !ok || len(s.events) != 1 || p.Damaged != 0 || p.Snapshots != 1 || p.Bytes == 0 || len(s.damaged)+len(s.remade) != 0 {
		t.Fatalf("sound files: %+v, %v, %v", s.events, s.damaged, s.remade)
	}
	s.spoil(t, "log/g-*.db", "an entry of group 1")
	s.spoil(t, "snap/1/*", "a state")
	s.Pass(t.Context())
	s.Pass(t.Context())
	if len(s.damaged) != 1 || s.damaged[0] != 1 || len(s.remade) != 1 || s.remade[0] != 1 {
		t.Errorf("damaged %v, remade %v", s.damaged, s.remade)
	}
	st := s.Stats()
	if st.Passes != 3 || st.Failed != 0 || st.DamagedLogs != 1 || st.DamagedSnapshots != 1 || st.Last.IsZero() || st.Bytes == 0 {
		t.Errorf("%+v", st)
	}
	if err := s.cfg.Log.Close(); err != nil {
		t.Fatal(err)
	}
	s.Pass(t.Context())
	if f, ok := s.events[len(s.events)-1].(PassFailed); !ok || !errors.Is(f.Err, logstore.ErrClosed) || s.Stats().Failed != 1 {
		t.Errorf("a closed log: %+v", s.events[len(s.events)-1])
	}
}

// Passes come an interval apart, and none without one.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpecimen(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour+30*time.Minute)
		defer cancel()
		s.Run(ctx)
		if n := s.Stats().Passes; n != 3 {
			t.Errorf("%d passes in three hours and a half", n)
		}
		never := New(Config{Interval: -1})
		never.Run(t.Context())
	})
}
