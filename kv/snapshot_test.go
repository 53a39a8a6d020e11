package kv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

// stateOf returns what a snapshot of m holds.
func stateOf(t testing.TB, m *Machine) []byte {
	t.Helper()
	f, err := m.Freeze()
	if err != nil {
		t.Fatalf("Freeze: %v", err)
	}
	var b bytes.Buffer
	n, err := f.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d of %d bytes, %v", n, b.Len(), err)
	}
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return b.Bytes()
}

func restored(t testing.TB, state []byte) *Machine {
	t.Helper()
	m := New()
	apply(t, m, put("of old", "1"), Command{Op: OpOpen})
	if err := m.Restore(9, bytes.NewReader(state)); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	return m
}

// traffic makes up commands of many clients: sessions that are opened, used in and out of order, closed, evicted and used all
// the same; writes within and without.
type traffic struct {
	rng    *rand.Rand
	opened SessionID
}

func (g *traffic) next() Command {
	key := fmt.Sprintf("k%03d", g.rng.IntN(400))
	c := put(key, strings.Repeat("v", g.rng.IntN(50)))
	switch g.rng.IntN(10) {
	case 0, 1, 2:
		g.opened++
		return Command{Op: OpOpen}
	case 3:
		return Command{Op: OpClose, Session: g.some()}
	case 4, 5:
		c = Command{Op: OpDelete, Key: c.Key}
	}
	if g.rng.IntN(3) == 0 {
		c.Require = AtRevision(Revision(g.rng.IntN(2000)))
	}
	if g.rng.IntN(5) > 0 {
		low := Sequence(1 + g.rng.IntN(8))
		c = in(c, g.some(), low+Sequence(g.rng.IntN(1<<g.rng.IntN(11))), low)
	}
	return c
}

// some is mostly a session of the last ones, which hold more results.
func (g *traffic) some() SessionID {
	if g.rng.IntN(4) > 0 {
		return g.opened - min(g.opened, SessionID(g.rng.IntN(20)))
	}
	return SessionID(g.rng.Uint64N(uint64(g.opened) + 2))
}

func (g *traffic) commands(n int) []Command {
	cs := make([]Command, n)
	for i := range cs {
		cs[i] = g.next()
	}
	return cs
}

// TestSnapshotGoesOnAlike: a machine made of another one's state has the same hash and gives the same answers from there on, to
// commands that are repeated above all (N7).
func TestSnapshotGoesOnAlike(t *testing.T) {
	for _, n := range []int{0, 1, 100, 3000, 20_000} {
		g := traffic{rng: rand.New(rand.NewPCG(5, uint64(n)))}
		m := New()
		before := g.commands(n)
		apply(t, m, before...)
		if s := stats(t, m); n == 20_000 && (s.Sessions != MaxSessions || s.Results < 2*MaxSessions) {
			t.Fatalf("the traffic has become too tame: %+v", s)
		}
		twin := restored(t, stateOf(t, m))
		if m.Hash() != twin.Hash() || stats(t, m) != stats(t, twin) {
			t.Fatalf("%d commands: the restored machine differs: %+v, %+v", n, stats(t, m), stats(t, twin))
		}
		again := append(before[max(0, n-2000):], g.commands(5000)...)
		if diff := cmp.Diff(apply(t, m, again...), apply(t, twin, again...)); diff != "" {
			t.Fatalf("%d commands: the restored machine answers otherwise (-was +restored):\n%s", n, diff)
		}
		if m.Hash() != twin.Hash() || !bytes.Equal(stateOf(t, m), stateOf(t, twin)) {
			t.Fatalf("%d commands: the restored machine went another way", n)
		}
	}
}

// TestFrozenStateStays: what was frozen stays what it was while the machine goes on, is frozen again, and other goroutines
// write what was frozen (run with -race: the tree's nodes are shared).
func TestFrozenStateStays(t *testing.T) {
	g := traffic{rng: rand.New(rand.NewPCG(6, 6))}
	m := New()
	apply(t, m, g.commands(5000)...)
	var writers sync.WaitGroup
	for range 20 {
		want := stateOf(t, m)
		f, err := m.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for range 3 {
				var got bytes.Buffer
				if _, err := f.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("a frozen state has changed: %d bytes, %d before, %v", got.Len(), len(want), err)
				}
			}
			_ = f.Close()
		})
		apply(t, m, g.commands(500)...)
	}
	writers.Wait()
}

// TestEqualStatesAreEqualBytes: two histories that end in the same state end in the same bytes, so a receiver may go on with
// another node's (N5).
func TestEqualStatesAreEqualBytes(t *testing.T) {
	end := func(m *Machine, passing string) {
		for i := range 3000 {
			apply(t, m, put(fmt.Sprintf("%s%04d", passing, i), "x"))
			apply(t, m, put(fmt.Sprintf("m%04d", i*7%3000), "stays"))
		}
		for i := range 3000 {
			apply(t, m, Command{Op: OpDelete, Key: fmt.Appendf(nil, "%s%04d", passing, i)})
		}
	}
	a, b := New(), New()
	end(a, "a")
	end(b, "z")
	c := restored(t, stateOf(t, a))
	if a.Hash() != b.Hash() {
		t.Fatal("the states are not equal: this test would show nothing")
	}
	if !bytes.Equal(stateOf(t, a), stateOf(t, b)) || !bytes.Equal(stateOf(t, a), stateOf(t, c)) {
		t.Error("equal states, different bytes")
	}
}

// small returns a machine with a bit of everything, for tests that try every byte.
func small(t testing.TB) *Machine {
	m := New()
	first, second := open(t, m), open(t, m)
	apply(t, m, in(put("a", "1"), first, 1, 1), in(put("b", ""), first, 9, 2), in(put("key", strings.Repeat("x", 300)), second, 1, 1),
		Command{Op: OpDelete, Key: []byte("a")}, in(put("c", "3"), first, 11, 4), Command{Op: OpOpen})
	return m
}

// TestRestoreIsAllOrNothing: a state that is cut off, goes on, is damaged or whose stream ends otherwise than by io.EOF leaves the machine as it
// was, and never panics; how the bytes come in does not matter.
func TestRestoreIsAllOrNothing(t *testing.T) {
	source := small(t)
	state := stateOf(t, source)
	m := New()
	apply(t, m, put("present", "1"))
	before := m.Hash()
	refused := func(what string, r io.Reader) {
		t.Helper()
		if err := m.Restore(3, r); err == nil || m.Hash() != before {
			t.Fatalf("%s: %v, changed %v", what, err, m.Hash() != before)
		}
	}
	for n := range state {
		refused(fmt.Sprintf("cut off at %d", n), bytes.NewReader(state[:n]))
	}
	refused("goes on", bytes.NewReader(append(bytes.Clone(state), 0)))
	refused("goes on later", io.MultiReader(bytes.NewReader(state), bytes.NewReader([]byte{0xc0})))
	lost := errors.New("the stream cannot be trusted")
	refused("ends in an error", io.MultiReader(bytes.NewReader(state), iotest.ErrReader(lost)))
	if err := m.Restore(3, io.MultiReader(bytes.NewReader(state[:20]), iotest.ErrReader(lost))); !errors.Is(err, lost) {
		t.Errorf("the stream's own error is hidden: %v", err)
	}
	var bad *wire.DecodeError
	if err := m.Restore(3, bytes.NewReader(state[:40])); !errors.As(err, &bad) || !errors.Is(err, wire.ErrShort) {
		t.Errorf("cut off: %v", err)
	}
	for i := range state {
		for bit := range 8 {
			damaged := bytes.Clone(state)
			damaged[i] ^= 1 << bit
			victim := New()
			if err := victim.Restore(3, bytes.NewReader(damaged)); err != nil && victim.Hash() != New().Hash() {
				t.Fatalf("bit %d of byte %d: refused (%v) and yet changed", bit, i, err)
			}
			apply(t, victim, in(put("z", "1"), 1, 12, 4), in(put("z", "1"), 2, 1<<40, 1<<39), Command{Op: OpOpen})
		}
	}
	for name, r := range map[string]io.Reader{
		"one by one":      iotest.OneByteReader(bytes.NewReader(state)),
		"error with data": iotest.DataErrReader(bytes.NewReader(state)),
		"halves":          iotest.HalfReader(bytes.NewReader(state)),
	} {
		if err := m.Restore(3, r); err != nil || m.Hash() != source.Hash() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRestoreIsStrict: a state that is well-formed and makes no sense is refused.
func TestRestoreIsStrict(t *testing.T) {
	record := func(vs ...any) []byte {
		b := wire.AppendArray(nil, len(vs))
		for _, v := range vs {
			switch v := v.(type) {
			case int:
				b = wire.AppendUint(b, uint64(v))
			case string:
				b = wire.AppendBytes(b, []byte(v))
			}
		}
		return b
	}
	one, key := record(1, 5, 9, 1, 0), record(1, 5, 9, 0, 1)
	for name, records := range map[string][][]byte{
		"nothing":             {},
		"newer version":       {record(2, 5, 9, 0, 0)},
		"many sessions":       {record(1, 5, 9, MaxSessions+1, 0)},
		"session 0":           {one, record(0, 1, 0)},
		"session to come":     {one, record(10, 1, 0)},
		"session twice":       {record(1, 5, 9, 2, 0), record(3, 1, 0), record(3, 1, 0)},
		"mark 0":              {one, record(3, 0, 0)},
		"odd places":          {one, record(3, 1, 9)},
		"few places":          {one, record(3, 1, 4)},
		"many places":         {one, record(3, 1, 2*MaxWindow)},
		"half a result":       {one, record(3, 1, 8, 1)},
		"results off places":  {one, record(3, 1, 0, 1, 1)},
		"unknown status":      {one, record(3, 1, 8, int(StatusInvalid)+1, 1)},
		"result to come":      {one, record(3, 1, 8, 1, 6)},
		"none with revision":  {one, record(3, 1, 8, 0, 1, 1, 1)},
		"none at the end":     {one, record(3, 1, 8, 1, 1, 0, 0)},
		"short session":       {one, record(3, 1)},
		"empty key":           {key, record("", "v", 1)},
		"long key":            {key, record(strings.Repeat("k", MaxKeyBytes+1), "v", 1)},
		"large value":         {key, record("k", strings.Repeat("v", MaxValueBytes+1), 1)},
		"huge value declared": {key, {0x93, 0xc4, 1, 'k', 0xc6, 0xff, 0xff, 0xff, 0xff}, make([]byte, 3<<20)}, // D75
		"item at 0":           {key, record("k", "v", 0)},
		"item to come":        {key, record("k", "v", 6)},
		"key twice":           {record(1, 5, 9, 0, 2), record("k", "v", 1), record("k", "v", 2)},
		"keys out of order":   {record(1, 5, 9, 0, 2), record("k", "v", 1), record("a", "v", 2)},
		"too few":             {record(1, 5, 9, 0, 2), record("k", "v", 1)},
		"too many":            {key, record("k", "v", 1), record("l", "v", 2)},
	} {
		var bad *wire.DecodeError
		if err := New().Restore(1, bytes.NewReader(bytes.Join(records, nil))); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := make([][]byte, 0, MaxSessions)
	full = append(full, record(1, 5, 9000, MaxResults/MaxWindow+1, 0))
	for i := range MaxResults/MaxWindow + 1 {
		full = append(full, record(i+1, 1, MaxWindow))
	}
	if err := New().Restore(1, bytes.NewReader(bytes.Join(full, nil))); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("more results than there may be: %v", err)
	}
}

// TestRestoreNeedsLittleMore: the largest items pass through, and a large state takes its own size and not twice.
func TestRestoreNeedsLittleMore(t *testing.T) {
	m := New()
	apply(t, m, Command{Op: OpPut, Key: make([]byte, MaxKeyBytes), Value: make([]byte, MaxValueBytes)})
	value := strings.Repeat("v", 1<<10)
	for i := range 32 << 10 {
		apply(t, m, put(fmt.Sprintf("k%06d", i), value))
	}
	state := stateOf(t, m)
	twin := New()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := twin.Restore(1, bytes.NewReader(state)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > uint64(len(state))*3/2+8<<20 {
		t.Errorf("restoring %d bytes allocated %d in all", len(state), used)
	}
	if m.Hash() != twin.Hash() {
		t.Error("another state")
	}
}

// TestStateOfVersion1 keeps the states that were written able to come back: testdata is never changed, only added to (D81).
func TestStateOfVersion1(t *testing.T) {
	text, err := os.ReadFile("testdata/state1.hex")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	m := small(t)
	if got := restored(t, golden); got.Hash() != m.Hash() {
		t.Error("the old state comes back as another one")
	}
	if got := stateOf(t, m); !bytes.Equal(got, golden) {
		t.Errorf("this state is written otherwise than it was; a new form needs a new version\n%x", got)
	}
}

// TestWriteToReportsErrors: a disk that takes no more ends the writing, and the error is its own.
func TestWriteToReportsErrors(t *testing.T) {
	m := New()
	for i := range 200 {
		apply(t, m, put(fmt.Sprintf("k%03d", i), strings.Repeat("v", 1000)))
	}
	f, err := m.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	w := &limitedWriter{left: 100_000, err: full}
	if n, err := f.WriteTo(w); !errors.Is(err, full) || n != 100_000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(b []byte) (int, error) {
	n := min(len(b), w.left)
	if w.left -= n; n < len(b) {
		return n, w.err
	}
	return n, nil
}

// FuzzRestore: no bytes make a machine panic; what it takes, it gives back as a state that restores to the same, and goes on with.
func FuzzRestore(f *testing.F) {
	state := stateOf(f, small(f))
	f.Add(state)
	f.Add(stateOf(f, New()))
	for i := range state {
		f.Add(append(bytes.Clone(state[:i]), 0xdd, 0xff, 0xff, 0xff, 0xff)) // D75
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := New()
		if err := m.Restore(1, bytes.NewReader(b)); err != nil {
			if m.Hash() != New().Hash() {
				t.Fatalf("refused (%v) and yet changed", err)
			}
			return
		}
		again := stateOf(t, m)
		if len(again) > len(b) || restored(t, again).Hash() != m.Hash() {
			t.Fatalf("%x came back as %x", b, again)
		}
		apply(t, m, in(put("a", "0"), 1, 2, 1), in(put("b", "0"), 1, 1<<63, 1<<62), Command{Op: OpDelete, Key: []byte("a")}, Command{Op: OpOpen})
		if restored(t, stateOf(t, m)).Hash() != m.Hash() {
			t.Fatal("what was taken does not go on")
		}
	})
}

// BenchmarkFreeze is what the group waits for, with a million items and all sessions and results that there may be.
func BenchmarkFreeze(b *testing.B) {
	m := New()
	for i := range MaxSessions {
		s := open(b, m)
		apply(b, m, in(put(fmt.Sprint(i), "v"), s, MaxResults/MaxSessions, 1))
	}
	if now := stats(b, m); now.Sessions != MaxSessions || now.Results != MaxResults {
		b.Fatalf("%+v", now)
	}
	for i := range 1_000_000 {
		apply(b, m, put(fmt.Sprintf("k%07d", i), "v"))
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := m.Freeze()
		if err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}

// BenchmarkWriteState and BenchmarkRestore move 64 MiB in values of 1 KiB.
func BenchmarkWriteState(b *testing.B) {
	m := New()
	for i := range 64 << 10 {
		apply(b, m, put(fmt.Sprintf("k%06d", i), strings.Repeat("v", 1<<10)))
	}
	f, err := m.Freeze()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, err := f.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore(b *testing.B) {
	m := New()
	for i := range 64 << 10 {
		apply(b, m, put(fmt.Sprintf("k%06d", i), strings.Repeat("v", 1<<10)))
	}
	state := stateOf(b, m)
	b.SetBytes(64 << 20)
	for b.Loop() {
		if err := New().Restore(1, bytes.NewReader(state)); err != nil {
			b.Fatal(err)
		}
	}
}
