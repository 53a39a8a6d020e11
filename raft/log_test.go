package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"weak"

	"flotilla/raft/wire"
)

// memoryLog is a LogReader and its disk: writes are visible when they are written.
type memoryLog struct {
	first    wire.Index
	prevTerm wire.Term
	entries  []wire.Entry // from first on
	err      error        // answered by Entries and Term when not nil
}

func newMemoryLog(terms ...wire.Term) *memoryLog {
	l := &memoryLog{first: 1}
	for i, t := range terms {
		l.entries = append(l.entries, entry(wire.Index(i+1), t))
	}
	return l
}

func entry(i wire.Index, t wire.Term) wire.Entry {
	return wire.Entry{Index: i, Term: t, Kind: wire.EntryData, Data: fmt.Appendf(nil, "%d@%d", i, t)}
}

func (l *memoryLog) Bounds() (first, last wire.Index) {
	return l.first, l.first + wire.Index(len(l.entries)) - 1
}

func (l *memoryLog) Term(i wire.Index) (wire.Term, error) {
	_, last := l.Bounds()
	switch {
	case l.err != nil:
		return 0, l.err
	case i+1 == l.first:
		return l.prevTerm, nil
	case i < l.first:
		return 0, wire.ErrCompacted
	case i > last:
		return 0, wire.ErrUnavailable
	}
	return l.entries[i-l.first].Term, nil
}

func (l *memoryLog) Entries(dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	_, last := l.Bounds()
	switch {
	case l.err != nil:
		return dst, l.err
	case lo < l.first:
		return dst, wire.ErrCompacted
	case hi > last+1:
		return dst, wire.ErrUnavailable
	}
	bytes := 0
	for i := lo; i < hi; i++ {
		e := l.entries[i-l.first]
		if bytes += e.Size(); i > lo && bytes > maxBytes {
			break
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// update does what a store does with an update.
func (l *memoryLog) update(u *wire.LogUpdate) {
	if u.ResetTo != 0 {
		l.first, l.prevTerm, l.entries = u.ResetTo+1, u.ResetTerm, nil
	}
	l.write(u.Entries)
	if u.CompactTo >= l.first {
		l.compact(u.CompactTo)
	}
}

// write takes entries in.
func (l *memoryLog) write(entries []wire.Entry) {
	if len(entries) == 0 {
		return
	}
	l.entries = append(l.entries[:entries[0].Index-l.first:entries[0].Index-l.first], entries...)
}

func (l *memoryLog) compact(to wire.Index) {
	l.prevTerm, _ = l.Term(to)
	l.entries = l.entries[to+1-l.first:]
	l.first = to + 1
}

func openTestLog(t testing.TB, m *memoryLog) *raftLog {
	t.Helper()
	l, err := openLog(m)
	if err != nil {
		t.Fatal(err)
	}
	return &l
}

// D65: the same index is written, overwritten and written again while writes are on their way; a token vouches
// only for what nothing has superseded since.
func TestPersistedAfterOverwrite(t *testing.T) {
	disk := newMemoryLog(1, 1)
	l := openTestLog(t, disk)
	step := func(token Token, wantDurable wire.Index) {
		t.Helper()
		l.persisted(token)
		if l.durable != wantDurable {
			t.Fatalf("after token %d: durable %d, want %d", token, l.durable, wantDurable)
		}
	}
	issue := func(token Token) {
		disk.write(l.unsaved())
		l.issue(token)
	}
	l.append([]wire.Entry{entry(3, 2), entry(4, 2)})
	issue(1)
	if err := l.truncate(3); err != nil {
		t.Fatal(err)
	}
	l.append([]wire.Entry{entry(3, 3)})
	issue(2)
	if err := l.truncate(3); err != nil {
		t.Fatal(err)
	}
	l.append([]wire.Entry{entry(3, 4), entry(4, 4)}) // the ABA: 3 and 4 again, other entries
	issue(3)
	if got := l.vouches(4, 9); got != 3 {
		t.Fatalf("entry 4 waits for token %d, want 3", got)
	}
	step(1, 2)
	step(2, 2)
	step(3, 4)
}

// D66: a log cut into what is on disk, with nothing in memory, goes on from there.
func TestTruncateIntoDurablePart(t *testing.T) {
	disk := newMemoryLog(1, 1, 2, 2)
	l := openTestLog(t, disk)
	if err := l.truncate(2); err != nil {
		t.Fatal(err)
	}
	if l.last() != 1 || l.lastTerm() != 1 || l.durable != 1 || l.given != 1 {
		t.Fatalf("last %d@%d durable %d given %d", l.last(), l.lastTerm(), l.durable, l.given)
	}
	l.append([]wire.Entry{entry(2, 3)})
	if got := l.unsaved(); len(got) != 1 || got[0].Index != 2 {
		t.Fatalf("unsaved %v", got)
	}
	if term, err := l.term(3); !errors.Is(err, wire.ErrUnavailable) {
		t.Fatalf("term of what was cut off: %d, %v", term, err)
	}
}

// What was handed out in messages and updates stays what it was, whatever happens to the log: nobody copies it.
func TestHandedOutEntriesNeverChange(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	disk := newMemoryLog()
	l := openTestLog(t, disk)
	type handed struct{ alias, copied []wire.Entry }
	var all []handed
	term, token := wire.Term(1), Token(0)
	for range 20000 {
		switch r.UintN(6) {
		case 0, 1, 2:
			l.append([]wire.Entry{entry(l.last()+1, term)})
		case 3:
			if l.last() > l.anchor {
				part, err := l.slice(nil, l.anchor+1, l.last()+1, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, handed{part, slices.Clone(part)})
			}
		case 4:
			token++
			part := l.unsaved()
			all = append(all, handed{part, slices.Clone(part)})
			disk.write(part)
			l.issue(token)
			if r.UintN(2) == 0 {
				l.persisted(token)
				l.release(l.durable)
			}
		case 5:
			if r.UintN(8) == 0 && l.last() > 0 {
				term++
				if err := l.truncate(l.last() - wire.Index(r.Uint64N(min(uint64(l.last()), 4)))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, h := range all {
		for i := range h.alias {
			a, b := &h.alias[i], &h.copied[i]
			if a.Index != b.Index || a.Term != b.Term {
				t.Fatalf("handed out %d@%d, now %d@%d", b.Index, b.Term, a.Index, a.Term)
			}
		}
	}
}

// The log behaves like one slice of entries, whichever part is in memory.
func TestLogAgainstSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	disk := newMemoryLog(1, 1, 1)
	l := openTestLog(t, disk)
	model := slices.Clone(disk.entries)
	term, token := wire.Term(1), Token(0)
	for range 30000 {
		switch r.UintN(8) {
		case 0, 1, 2:
			term += wire.Term(r.Uint64N(2))
			e := entry(l.last()+1, term)
			l.append([]wire.Entry{e})
			model = append(model, e)
		case 3:
			if cut := l.last() - wire.Index(r.Uint64N(3)); cut > 0 && cut+4 > l.last() && r.UintN(4) == 0 {
				if err := l.truncate(cut); err != nil {
					t.Fatal(err)
				}
				model = model[:cut-1]
				term++
			}
		case 4:
			token++
			disk.write(l.unsaved())
			l.issue(token)
		case 5:
			l.persisted(Token(r.Uint64N(uint64(token) + 1)))
		case 6:
			l.release(wire.Index(r.Uint64N(uint64(l.durable) + 1)))
		case 7:
			l.rest()
		}
		if l.last() != wire.Index(len(model)) {
			t.Fatalf("last %d, want %d", l.last(), len(model))
		}
		if len(model) == 0 {
			continue
		}
		i := wire.Index(r.Uint64N(uint64(len(model)))) + 1
		if got, err := l.term(i); err != nil || got != model[i-1].Term {
			t.Fatalf("term of %d: %d, %v, want %d", i, got, err, model[i-1].Term)
		}
		part, err := l.slice(nil, i, l.last()+1, 200)
		if err != nil || len(part) == 0 || part[0].Term != model[i-1].Term || part[0].Index != i {
			t.Fatalf("slice from %d: %v, %v", i, part, err)
		}
		want := wire.Index(0)
		lo := wire.Index(r.Uint64N(uint64(i)))
		for want = i; want > lo && model[want-1].Term > term-1; want-- {
		}
		if got, _, err := l.lastNotAfter(lo, i, term-1); err != nil || got != want {
			t.Fatalf("last in (%d, %d] not after term %d: %d, %v, want %d", lo, i, term-1, got, err, want)
		}
	}
	sum := 0
	for i := range l.tail {
		sum += l.tail[i].Size()
	}
	if sum != l.bytes {
		t.Errorf("tail of %d bytes counted as %d", sum, l.bytes)
	}
}

// An idle group gives back what its log kept in memory: the array behind an empty tail must not keep the data of
// entries that were handed out long ago, or 10,000 idle groups keep their last entries, and the frames they came in.
func TestIdleLogKeepsNoData(t *testing.T) {
	l, err := openLog(newMemoryLog())
	if err != nil {
		t.Fatal(err)
	}
	fill := func() weak.Pointer[byte] {
		data := make([]byte, 1<<20)
		l.append([]wire.Entry{{Index: 1, Term: 1, Kind: wire.EntryData, Data: data}})
		l.issue(1)
		l.persisted(1)
		l.release(1)
		return weak.Make(&data[0])
	}
	data := fill()
	l.rest()
	runtime.GC()
	if data.Value() != nil {
		t.Error("the data of a released entry is still reachable after a tick")
	}
	runtime.KeepAlive(&l)
}
