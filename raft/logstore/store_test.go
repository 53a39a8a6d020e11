package logstore

import (
	"errors"
	"fmt"
	"testing"

	"flotilla/raft/wire"
)

func entriesOf(first wire.Index, term wire.Term, n int, size int) []wire.Entry {
	es := make([]wire.Entry, n)
	for i := range es {
		es[i] = wire.Entry{Term: term, Index: first + wire.Index(i), Kind: wire.EntryData, Data: fillData(first+wire.Index(i), term, size)}
	}
	return es
}

func fillData(i wire.Index, t wire.Term, size int) []byte {
	b := make([]byte, size)
	copy(b, fmt.Sprintf("%d@%d ", i, t))
	return b
}

func create(g wire.GroupID) wire.LogUpdate {
	return wire.LogUpdate{Group: g, Create: true, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}
}

func appendUpdate(g wire.GroupID, term wire.Term, es []wire.Entry) wire.LogUpdate {
	return wire.LogUpdate{Group: g, SetHardState: true, HardState: wire.HardState{Term: term}, Entries: es}
}

// open opens dir and closes it when the test ends.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func commit(t testing.TB, s *Store, batch ...wire.LogUpdate) {
	t.Helper()
	if err := s.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

func TestFirstLight(t *testing.T) {
	dir := t.TempDir()
	for life := range 5 {
		s := open(t, Options{Dir: dir, RotateBytes: 1 << 16, CacheBytes: 1})
		if life == 0 {
			commit(t, s, create(7))
		}
		_, last := s.Bounds(7)
		for i := range 100 {
			commit(t, s, appendUpdate(7, 1, entriesOf(last+1+wire.Index(i), 1, 1, 2000)))
		}
		es, err := s.Entries(7, nil, 1, last+101, 1<<30)
		if err != nil || len(es) != int(last)+100 {
			t.Fatal(len(es), err)
		}
		for i, e := range es {
			if string(e.Data) != string(fillData(wire.Index(i+1), 1, 2000)) {
				t.Fatal(i)
			}
		}
		t.Logf("%+v", s.Stats())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Options{Dir: dir, RotateBytes: 1 << 16})
	if _, err := s.Entries(7, nil, 501, 502, 1); !errors.Is(err, wire.ErrUnavailable) {
		t.Fatal(err)
	}
	commit(t, s, wire.LogUpdate{Group: 7, CompactTo: 499})
	if _, err := s.Entries(7, nil, 1, 502, 1); !errors.Is(err, wire.ErrCompacted) {
		t.Fatal(err)
	}
	es := entriesOf(501, 1, 1, 2000)
	commit(t, s, appendUpdate(7, 1, es))
	t.Logf("%+v", s.Stats())
}
