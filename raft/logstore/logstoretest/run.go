package logstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

// Store is what the suite exercises: multiraft.LogStore and the two ends of its life.
type Store interface {
	Commit(batch []wire.LogUpdate) error
	State(g wire.GroupID) (wire.GroupState, bool)
	Bounds(g wire.GroupID) (first, last wire.Index)
	Term(g wire.GroupID, i wire.Index) (wire.Term, error)
	Entries(g wire.GroupID, dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error)
	Groups() []wire.GroupState
	Close() error
}

// Harness makes one store for one test.
type Harness struct {
	// Open opens the store: empty at first, later with what a Close or Crash left.
	Open func(t testing.TB) Store
	// Crash ends the store's life without any courtesy. Open may be called after.
	Crash func(t testing.TB, s Store)
	// Check looks at what the store left behind, after the last Close.
	Check func(t testing.TB)
}

// Run holds an implementation against the contract. It calls fresh once for each test.
func Run(t *testing.T, fresh func(t *testing.T) *Harness) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, h *Harness)
	}{
		{"rules", testRules},
		{"reads", testReads},
		{"supersede", testSupersede},
		{"hard state", testHardState},
		{"membership", testMembership},
		{"compact all", testCompactAll},
		{"reset to a snapshot", testReset},
		{"reset breaks no rule", testResetRules},
		{"drop and create", testDropCreate},
		{"one group twice in a batch", testTwice},
		{"large entries", testLarge},
		{"many groups", testManyGroups},
		{"concurrent readers", testConcurrentReaders},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := fresh(t)
			c.test(t, h)
			h.Check(t)
		})
	}
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("random/%d", seed), func(t *testing.T) {
			h := fresh(t)
			testRandom(t, h, seed)
			h.Check(t)
		})
	}
}

// testRandom is the random walk beside the model, through restarts and crashes (F2, F3, F9, F10, D3, D8, D14).
func testRandom(t *testing.T, h *Harness, seed uint64) {
	m := NewModel(seed)
	s := h.Open(t)
	steps := 400
	if testing.Short() {
		steps = 100
	}
	for step := range steps {
		must(t, s.Commit(m.Batch(7)))
		m.compareSome(t, s)
		switch m.rng.IntN(60) {
		case 0:
			must(t, s.Close())
			s = h.Open(t)
			m.compare(t, s)
		case 1:
			h.Crash(t, s)
			s = h.Open(t)
			m.compare(t, s)
		case 2:
			m.compare(t, s)
		}
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
	m.compare(t, s)
	must(t, s.Close())
	s = h.Open(t)
	m.compare(t, s)
	must(t, s.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var three = wire.Membership{Voters: []wire.NodeID{1, 2, 3}}

func entries(first wire.Index, term wire.Term, sizes ...int) []wire.Entry {
	var es []wire.Entry
	for i, n := range sizes {
		data := bytes.Repeat([]byte{byte(first) + byte(i)}, n)
		es = append(es, wire.Entry{Term: term, Index: first + wire.Index(i), Kind: wire.EntryData, Data: data})
	}
	return es
}

func put(g wire.GroupID, es ...wire.Entry) wire.LogUpdate {
	return wire.LogUpdate{Group: g, SetHardState: true, HardState: wire.HardState{Term: es[len(es)-1].Term}, Entries: es}
}

// testRules: each breach of wire.LogUpdate is refused as a whole, changes nothing, and does not fence (F9, D29).
func testRules(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{
		{Group: 1, Create: true, Membership: three},
		put(1, entries(1, 2, 10, 10, 10)...),
		{Group: 1, CompactTo: 1, SetHardState: true, HardState: wire.HardState{Term: 2, Vote: 3, Commit: 2}},
	}))
	before := s.Groups()
	hard := wire.HardState{Term: 2, Vote: 3}
	for name, u := range map[string]wire.LogUpdate{
		"create twice":        {Group: 1, Create: true, Membership: three},
		"unknown group":       {Group: 2, CompactTo: 1},
		"drop unknown":        {Group: 2, Drop: true},
		"drop and more":       {Group: 1, Drop: true, CompactTo: 2},
		"gap":                 {Group: 1, SetHardState: true, HardState: hard, Entries: entries(5, 2, 1)},
		"hole inside":         {Group: 1, SetHardState: true, HardState: hard, Entries: append(entries(4, 2, 1), entries(6, 2, 1)...)},
		"below first":         {Group: 1, SetHardState: true, HardState: hard, Entries: entries(1, 2, 1)},
		"no hard state":       {Group: 1, Entries: entries(4, 2, 1)},
		"entry above term":    {Group: 1, SetHardState: true, HardState: hard, Entries: entries(4, 3, 1)},
		"entry without kind":  {Group: 1, SetHardState: true, HardState: hard, Entries: []wire.Entry{{Term: 2, Index: 4}}},
		"too large":           {Group: 1, SetHardState: true, HardState: hard, Entries: entries(4, 2, wire.MaxEntryData+1)}, // D27
		"term back":           {Group: 1, SetHardState: true, HardState: wire.HardState{Term: 1}},
		"vote changed":        {Group: 1, SetHardState: true, HardState: wire.HardState{Term: 2, Vote: 1}}, // F1
		"commit beyond last":  {Group: 1, SetHardState: true, HardState: wire.HardState{Term: 2, Vote: 3, Commit: 4}},
		"compact beyond last": {Group: 1, CompactTo: 4},
		"unsorted voters":     {Group: 1, SetMembership: true, Membership: wire.Membership{Voters: []wire.NodeID{2, 1}}},
		"outgoing learner":    {Group: 1, SetMembership: true, Membership: wire.Membership{Voters: []wire.NodeID{1}, Learners: []wire.NodeID{2}, Outgoing: []wire.NodeID{2}}},
		"voter and learner":   {Group: 1, SetMembership: true, Membership: wire.Membership{Voters: []wire.NodeID{1}, Learners: []wire.NodeID{1}}},
	} {
		good := wire.LogUpdate{Group: 9, Create: true, Membership: three}
		err := s.Commit([]wire.LogUpdate{good, u})
		var fault *logstore.UpdateError
		if !errors.As(err, &fault) || errors.Is(err, wire.ErrFenced) {
			t.Errorf("%s: got %v, want an UpdateError", name, err)
		}
	}
	after := s.Groups()
	if !slices.EqualFunc(before, after, func(a, b wire.GroupState) bool {
		return a.Group == b.Group && a.HardState == b.HardState && a.First == b.First && a.Last == b.Last
	}) {
		t.Errorf("refused batches changed %+v to %+v", before, after)
	}
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, SetHardState: true, HardState: hard, Entries: entries(4, 2, 1)}}))
	must(t, s.Commit(nil))
	must(t, s.Close())
}

// testReads: bounds of reads, and how much they give.
func testReads(t *testing.T, h *Harness) {
	s := h.Open(t)
	if first, last := s.Bounds(1); first != 0 || last != 0 {
		t.Errorf("bounds of nothing: %d, %d", first, last)
	}
	if _, err := s.Term(1, 1); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("term of nothing: %v", err)
	}
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}}))
	if first, last := s.Bounds(1); first != 1 || last != 0 {
		t.Errorf("bounds of an empty log: %d, %d", first, last)
	}
	if term, err := s.Term(1, 0); term != 0 || err != nil {
		t.Errorf("term before the log: %d, %v", term, err)
	}
	es := entries(1, 3, 100, 200, 300, 400, 500)
	must(t, s.Commit([]wire.LogUpdate{put(1, es[:2]...)}))
	must(t, s.Commit([]wire.LogUpdate{put(1, es[2:]...), {Group: 1, CompactTo: 1}}))
	for range 2 {
		readTable(t, s, es)
		must(t, s.Close())
		s = h.Open(t)
	}
	readTable(t, s, es)
	must(t, s.Close())
}

func readTable(t *testing.T, s Store, es []wire.Entry) {
	t.Helper()
	for _, c := range []struct {
		lo, hi wire.Index
		bytes  int
		want   int
		err    error
	}{
		{1, 3, 1 << 20, 0, wire.ErrCompacted},
		{2, 7, 1 << 20, 0, wire.ErrUnavailable},
		{2, 6, 1 << 20, 4, nil},
		{2, 6, 0, 1, nil},
		{2, 6, es[1].Size() + es[2].Size() - 1, 1, nil},
		{2, 6, es[1].Size() + es[2].Size(), 2, nil},
		{2, 6, es[1].Size() + es[2].Size() + es[3].Size(), 3, nil},
		{3, 3, 1 << 20, 0, nil},
		{6, 6, 1 << 20, 0, nil},
	} {
		dst := make([]wire.Entry, 1, 10)
		got, err := s.Entries(1, dst, c.lo, c.hi, c.bytes)
		if !errors.Is(err, c.err) || len(got) != c.want+1 {
			t.Errorf("[%d,%d) within %d: %d entries, %v; want %d, %v", c.lo, c.hi, c.bytes, len(got)-1, err, c.want, c.err)
			continue
		}
		for i, e := range got[1:] {
			if want := es[int(c.lo)-1+i]; e.Index != want.Index || e.Term != want.Term || !bytes.Equal(e.Data, want.Data) {
				t.Errorf("[%d,%d): entry %d is wrong", c.lo, c.hi, e.Index)
			}
		}
	}
	for i, want := range map[wire.Index]error{0: wire.ErrCompacted, 1: nil, 2: nil, 5: nil, 6: wire.ErrUnavailable} {
		if term, err := s.Term(1, i); !errors.Is(err, want) || err == nil && term != 3 {
			t.Errorf("term of %d: %d, %v; want %v", i, term, err, want)
		}
	}
}

// testSupersede: entries replace what was held from their index on, also after a restart (F11).
func testSupersede(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, put(1, entries(1, 1, 1, 2, 3, 4, 5)...)}))
	must(t, s.Commit([]wire.LogUpdate{put(1, entries(3, 2, 30)...)}))
	must(t, s.Commit([]wire.LogUpdate{put(1, entries(1, 3, 10)...)}))
	must(t, s.Commit([]wire.LogUpdate{put(1, entries(2, 4, 20, 21)...)}))
	for range 2 {
		got, err := s.Entries(1, nil, 1, 4, 1<<20)
		must(t, err)
		if len(got) != 3 || got[0].Term != 3 || got[1].Term != 4 || len(got[1].Data) != 20 || len(got[2].Data) != 21 {
			t.Errorf("got %+v", got)
		}
		h.Crash(t, s)
		s = h.Open(t)
	}
	must(t, s.Close())
}

// testHardState: term and vote are there after a restart; the commit index never goes back (F1, F2).
func testHardState(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, SetHardState: true, HardState: wire.HardState{Term: 5}}}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, SetHardState: true, HardState: wire.HardState{Term: 5, Vote: 2}}}))
	u := put(1, entries(1, 5, 1, 2, 3)...)
	u.HardState = wire.HardState{Term: 6, Commit: 3}
	must(t, s.Commit([]wire.LogUpdate{u}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, SetHardState: true, HardState: wire.HardState{Term: 7, Vote: 1, Commit: 2}}}))
	h.Crash(t, s)
	s = h.Open(t)
	st, ok := s.State(1)
	if want := (wire.HardState{Term: 7, Vote: 1, Commit: 3}); !ok || st.HardState != want {
		t.Errorf("got %+v, want %+v", st.HardState, want)
	}
	must(t, s.Close())
}

func testMembership(t *testing.T, h *Harness) {
	s := h.Open(t)
	want := wire.Membership{ // D59
		Index: 4, Voters: []wire.NodeID{1, 9}, Learners: []wire.NodeID{4}, Outgoing: []wire.NodeID{1, 2, 3}, Demoted: []wire.NodeID{3},
	}
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, SetMembership: true, Membership: want}}))
	h.Crash(t, s)
	s = h.Open(t)
	st, _ := s.State(1)
	if got := st.Membership; !got.Equal(&want) {
		t.Errorf("got %+v", got)
	}
	must(t, s.Close())
}

// testCompactAll: a log compacted to its last entry remembers its place and term, and goes on (F3, D3, D29).
func testCompactAll(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, put(1, entries(1, 1, 1, 2, 3)...)}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, CompactTo: 3}}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, CompactTo: 2}})) // again, lower: nothing happens
	for range 2 {
		h.Crash(t, s)
		s = h.Open(t)
		st, _ := s.State(1)
		if st.First != 4 || st.Last != 3 || st.PrevTerm != 1 {
			t.Errorf("got %+v", st)
		}
		if term, err := s.Term(1, 3); term != 1 || err != nil {
			t.Errorf("term of the compacted end: %d, %v", term, err)
		}
	}
	var fault *logstore.UpdateError
	if err := s.Commit([]wire.LogUpdate{put(1, entries(5, 2, 1)...)}); !errors.As(err, &fault) {
		t.Errorf("gap after compaction: %v", err)
	}
	must(t, s.Commit([]wire.LogUpdate{put(1, entries(4, 2, 1)...)}))
	got, err := s.Entries(1, nil, 4, 5, 1)
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	must(t, s.Close())
}

// moved is how a log moves to a snapshot.
func moved(to wire.Index, term wire.Term, es ...wire.Entry) wire.LogUpdate {
	return wire.LogUpdate{
		Group: 1, SetHardState: true, HardState: wire.HardState{Term: max(term, 5), Commit: to}, ResetTo: to, ResetTerm: term,
		Entries: es, SetMembership: true, Membership: wire.Membership{Index: to - 1, Voters: []wire.NodeID{1, 7}},
	}
}

// testReset: log, commit index and membership move to a snapshot together, whether it lies beyond the log (D29) or in the
// middle of one that another leader made (F11); the next entry goes on behind it, and a later snapshot follows (D28).
func testReset(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, put(1, entries(1, 1, 1, 2, 3, 4)...)}))
	for _, u := range []wire.LogUpdate{moved(3, 2), moved(10, 3), moved(20, 4, entries(21, 4, 7, 8)...), moved(21, 5)} {
		must(t, s.Commit([]wire.LogUpdate{u}))
		for range 2 {
			checkMoved(t, s, &u)
			h.Crash(t, s)
			s = h.Open(t)
		}
	}
	var fault *logstore.UpdateError
	if err := s.Commit([]wire.LogUpdate{put(1, entries(23, 6, 1)...)}); !errors.As(err, &fault) {
		t.Errorf("gap behind a snapshot: %v", err)
	}
	must(t, s.Commit([]wire.LogUpdate{put(1, entries(22, 6, 1)...)}))
	must(t, s.Close())
}

func checkMoved(t *testing.T, s Store, u *wire.LogUpdate) {
	t.Helper()
	st, _ := s.State(1)
	last := u.ResetTo + wire.Index(len(u.Entries))
	if st.First != u.ResetTo+1 || st.Last != last || st.PrevTerm != u.ResetTerm || st.HardState != u.HardState ||
		st.Membership.Index != u.Membership.Index || !slices.Equal(st.Membership.Voters, u.Membership.Voters) {
		t.Errorf("after a reset to %d: %+v", u.ResetTo, st)
	}
	if term, err := s.Term(1, u.ResetTo); term != u.ResetTerm || err != nil {
		t.Errorf("term at %d: %d, %v", u.ResetTo, term, err)
	}
	if _, err := s.Term(1, u.ResetTo-1); !errors.Is(err, wire.ErrCompacted) {
		t.Errorf("term before %d: %v", u.ResetTo, err)
	}
	if got, err := s.Entries(1, nil, u.ResetTo+1, last+1, 1<<20); err != nil || len(got) != len(u.Entries) {
		t.Errorf("entries after %d: %d, %v", u.ResetTo, len(got), err)
	}
	if _, err := s.Entries(1, nil, u.ResetTo, last+1, 1<<20); !errors.Is(err, wire.ErrCompacted) {
		t.Errorf("entry at %d: %v", u.ResetTo, err)
	}
}

// testResetRules: a reset alone, backwards, or to what contradicts it is refused and changes nothing.
func testResetRules(t *testing.T, h *Harness) {
	s := h.Open(t)
	known := put(1, entries(1, 1, 1, 2, 3, 4)...)
	known.HardState.Commit = 2
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, known}))
	alone, naked := moved(9, 3), moved(9, 3)
	alone.SetMembership, naked.SetHardState = false, false
	behind, future := moved(9, 3), moved(9, 3)
	behind.HardState.Commit, future.Membership.Index = 8, 10
	for name, u := range map[string]wire.LogUpdate{
		"without membership":     alone,
		"without hard state":     naked,
		"below commit":           moved(2, 1),
		"commit below":           behind,
		"membership above":       future,
		"no term":                moved(9, 0),
		"term above":             moved(9, 6),
		"gap after":              moved(9, 3, entries(11, 3, 1)...),
		"entry where it begins":  moved(9, 3, entries(9, 3, 1)...),
		"together with a drop":   {Group: 1, Drop: true, ResetTo: 9},
		"of a group not held":    {Group: 4, SetHardState: true, ResetTo: 9, ResetTerm: 1, SetMembership: true, Membership: three},
		"beyond what is counted": moved(wire.MaxNumber, 3),
	} {
		if u.ResetTerm == 6 {
			u.HardState.Term = 5
		}
		var fault *logstore.UpdateError
		if err := s.Commit([]wire.LogUpdate{u}); !errors.As(err, &fault) {
			t.Errorf("%s: got %v, want an UpdateError", name, err)
		}
	}
	if st, _ := s.State(1); st.First != 1 || st.Last != 4 || st.HardState.Commit != 2 || len(st.Membership.Voters) != 3 {
		t.Errorf("refused resets changed the group to %+v", st)
	}
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, CompactTo: 4}}))
	var fault *logstore.UpdateError
	if err := s.Commit([]wire.LogUpdate{moved(4, 1)}); !errors.As(err, &fault) {
		t.Errorf("reset to what is compacted: %v", err)
	}
	must(t, s.Commit([]wire.LogUpdate{{ // a replica that is made from a snapshot
		Group: 2, Create: true, Membership: three, SetHardState: true, HardState: wire.HardState{Term: 7, Commit: 30},
		ResetTo: 30, ResetTerm: 6,
	}}))
	if st, _ := s.State(2); st.First != 31 || st.Last != 30 || st.PrevTerm != 6 {
		t.Errorf("made from a snapshot: %+v", st)
	}
	must(t, s.Close())
}

func testDropCreate(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, put(1, entries(1, 1, 1, 2, 3)...)}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Drop: true}}))
	if _, ok := s.State(1); ok {
		t.Error("dropped group is held")
	}
	h.Crash(t, s)
	s = h.Open(t)
	if _, ok := s.State(1); ok {
		t.Error("dropped group is back")
	}
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}}))
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Drop: true}, {Group: 1, Create: true, Membership: three}, put(1, entries(1, 7, 9)...)}))
	h.Crash(t, s)
	s = h.Open(t)
	if st, _ := s.State(1); st.Last != 1 || st.HardState.Term != 7 {
		t.Errorf("got %+v", st)
	}
	must(t, s.Close())
}

func testTwice(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{
		{Group: 1, Create: true, Membership: three},
		put(1, entries(1, 1, 1, 2, 3)...),
		put(1, entries(2, 2, 20)...),
		{Group: 1, CompactTo: 1},
		put(1, entries(3, 2, 30)...),
	}))
	for range 2 {
		got, err := s.Entries(1, nil, 2, 4, 1<<20)
		must(t, err)
		if len(got) != 2 || len(got[0].Data) != 20 || len(got[1].Data) != 30 {
			t.Errorf("got %+v", got)
		}
		h.Crash(t, s)
		s = h.Open(t)
	}
	must(t, s.Close())
}

// testLarge: entries up to the limit (D27).
func testLarge(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}}))
	for i := range 3 {
		must(t, s.Commit([]wire.LogUpdate{put(1, entries(wire.Index(i+1), 1, wire.MaxEntryData)...)}))
	}
	h.Crash(t, s)
	s = h.Open(t)
	got, err := s.Entries(1, nil, 1, 4, 1<<30)
	must(t, err)
	for i, e := range got {
		if !bytes.Equal(e.Data, bytes.Repeat([]byte{byte(i + 1)}, wire.MaxEntryData)) {
			t.Errorf("entry %d differs", e.Index)
		}
	}
	must(t, s.Close())
}

func testManyGroups(t *testing.T, h *Harness) {
	const n = 2000
	s := h.Open(t)
	var batch []wire.LogUpdate
	for g := range wire.GroupID(n) {
		batch = append(batch, wire.LogUpdate{Group: g, Create: true, Membership: three})
	}
	must(t, s.Commit(batch))
	for turn := range wire.Index(5) {
		batch = batch[:0]
		for g := range wire.GroupID(n) {
			batch = append(batch, put(g, entries(turn+1, 1, int(g)%50)...))
		}
		must(t, s.Commit(batch))
	}
	h.Crash(t, s)
	s = h.Open(t)
	for g := range wire.GroupID(n) {
		got, err := s.Entries(g, nil, 1, 6, 1<<20)
		if err != nil || len(got) != 5 || len(got[4].Data) != int(g)%50 {
			t.Fatalf("group %d: %d entries, %v", g, len(got), err)
		}
	}
	must(t, s.Close())
}

// testConcurrentReaders: readers see a prefix-consistent log while the writer appends, supersedes and compacts.
// An entry's data names index and term; the race detector does the rest (P3, D25).
func testConcurrentReaders(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}}))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for r := range 2 {
		wg.Go(func() { readUntil(t, s, rand.New(rand.NewPCG(uint64(r), 2)), done) })
	}
	term, last := wire.Term(1), wire.Index(0)
	rng := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		from := last + 1
		if first, _ := s.Bounds(1); last > first+5 && rng.IntN(5) == 0 {
			from, term = last-2, term+1
		}
		var es []wire.Entry
		for i := range wire.Index(1 + rng.IntN(5)) {
			data := fmt.Appendf(nil, "%d/%d%s", from+i, term, bytes.Repeat([]byte{' '}, rng.IntN(3000)))
			es = append(es, wire.Entry{Term: term, Index: from + i, Kind: wire.EntryData, Data: data})
		}
		last = from + wire.Index(len(es)) - 1
		u := put(1, es...)
		if rng.IntN(10) == 0 && last > 20 {
			u.CompactTo = last - 15
		}
		must(t, s.Commit([]wire.LogUpdate{u}))
	}
	close(done)
	wg.Wait()
	must(t, s.Close())
}

func readUntil(t *testing.T, s Store, rng *rand.Rand, done <-chan struct{}) {
	var dst []wire.Entry
	for {
		select {
		case <-done:
			return
		default:
		}
		first, last := s.Bounds(1)
		if last < first {
			runtime.Gosched()
			continue
		}
		lo := first + wire.Index(rng.IntN(int(last-first)+1))
		es, err := s.Entries(1, dst[:0], lo, last+1, rng.IntN(20_000))
		if errors.Is(err, wire.ErrCompacted) || errors.Is(err, wire.ErrUnavailable) {
			continue // moved on since Bounds
		}
		if err != nil {
			t.Errorf("read [%d,%d]: %v", lo, last, err)
			return
		}
		for i, e := range es {
			if e.Index != lo+wire.Index(i) || !bytes.HasPrefix(e.Data, fmt.Appendf(nil, "%d/%d", e.Index, e.Term)) {
				t.Errorf("entry %d of term %d at place %d holds %.20q", e.Index, e.Term, lo+wire.Index(i), e.Data)
				return
			}
		}
		dst = es
		runtime.Gosched() // let the writer on: with two processors, readers would starve it
	}
}

func testClosed(t *testing.T, h *Harness) {
	s := h.Open(t)
	must(t, s.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, put(1, entries(1, 1, 1)...)}))
	must(t, s.Close())
	must(t, s.Close())
	if err := s.Commit([]wire.LogUpdate{{Group: 1, CompactTo: 1}}); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("commit after close: %v", err)
	}
	if _, err := s.Entries(1, nil, 1, 2, 1); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}
