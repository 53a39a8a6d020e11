package raft

import (
	"errors"
	"fmt"
	"sort"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// raftLog is a group's whole log: what is on disk, read through a LogReader, and the tail in memory of which
// some is not on disk yet. Indexes are in this order:
//
//	anchor <= durable <= given <= last
//
// (but for durable, between the installation of a snapshot and the moment when it is on disk).
// Entries after anchor are in memory. Entries up to durable are on disk and equal to what is here; entries up
// to given are on disk or on their way, in batches named by tokens.
//
// The arrays behind tail are append only: no element is ever written twice, so slices of it may be handed out
// in messages and updates and stay what they were (style 6: nobody copies). Truncation therefore copies what
// stays, and room is never reclaimed but by a new array.
type raftLog struct {
	reader     LogReader
	tail       []wire.Entry
	anchor     wire.Index
	anchorTerm wire.Term
	bytes      int // sum of sizes in tail
	spent      int // bytes of entries let go of that tail's array still keeps alive
	room       int // entries that the last array was made for

	// base is the index of the last snapshot that took the log's place in this life: whatever the reader still holds at or
	// below it is of no more use. Until that is durable, durable is 0.
	base  wire.Index
	moved bool // the move is in no batch

	durable wire.Index
	given   wire.Index
	batches []logBatch // on their way, by rising token
}

// logBatch is one write on its way: entries up to last, as far as they are not superseded since.
type logBatch struct {
	token Token
	last  wire.Index
}

func openLog(r LogReader) (raftLog, error) {
	first, last := r.Bounds()
	if first == 0 || last+1 < first {
		return raftLog{}, fmt.Errorf("%w: log from %d to %d", ErrInconsistent, first, last)
	}
	term, err := r.Term(last)
	if err != nil {
		return raftLog{}, fmt.Errorf("term of last entry %d: %w", last, err)
	}
	return raftLog{reader: r, anchor: last, anchorTerm: term, durable: last, given: last}, nil
}

// first returns the index at which the log begins.
func (l *raftLog) first() wire.Index {
	first, _ := l.reader.Bounds()
	return max(first, l.base+1)
}

// last returns the last index and its term.
func (l *raftLog) last() wire.Index { return l.anchor + wire.Index(len(l.tail)) }

func (l *raftLog) lastTerm() wire.Term {
	if n := len(l.tail); n > 0 {
		return l.tail[n-1].Term
	}
	return l.anchorTerm
}

// term returns the term of the entry at i, 0 for i = 0; LogReader's errors.
func (l *raftLog) term(i wire.Index) (wire.Term, error) {
	switch {
	case i > l.last():
		return 0, wire.ErrUnavailable
	case i > l.anchor:
		return l.tail[i-l.anchor-1].Term, nil
	case i == l.anchor:
		return l.anchorTerm, nil
	case i < l.base:
		return 0, wire.ErrCompacted
	}
	return l.reader.Term(i)
}

// matches reports whether the log holds an entry of term t at i. Then all entries up to i are equal to those of
// whoever holds it too (thesis section 3.5, log matching).
func (l *raftLog) matches(i wire.Index, t wire.Term) (bool, error) {
	got, err := l.term(i)
	if errors.Is(err, wire.ErrUnavailable) || errors.Is(err, wire.ErrCompacted) {
		return false, nil
	}
	return err == nil && got == t, err
}

// upToDate reports whether a log that ends with an entry of term t at i holds at least what this one does
// (thesis section 3.6.1).
func (l *raftLog) upToDate(i wire.Index, t wire.Term) bool {
	return t > l.lastTerm() || (t == l.lastTerm() && i >= l.last())
}

// lastNotAfter returns the highest index in [lo, hi] whose entry's term is at most t, and that entry's term; lo
// if there is none. Terms never fall along a log, so it halves the range at each step: a follower far off costs
// a few reads, not one per entry.
func (l *raftLog) lastNotAfter(lo, hi wire.Index, t wire.Term) (wire.Index, wire.Term, error) {
	var failed error
	n := sort.Search(int(hi-lo), func(k int) bool {
		got, err := l.term(lo + 1 + wire.Index(k))
		if err != nil && failed == nil {
			failed = err
		}
		return err != nil || got > t
	})
	at := lo + wire.Index(n)
	if failed != nil {
		return 0, 0, fmt.Errorf("search term %d in (%d, %d]: %w", t, lo, hi, failed)
	}
	term, err := l.term(at)
	return at, term, err
}

// slice returns entries from lo on, below hi: at least one, then as many as fit in maxBytes and lie together in
// memory or on disk. What comes from disk is appended to dst; what comes from memory is not copied.
func (l *raftLog) slice(dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	assert.That(lo < hi && hi <= l.last()+1, "I4: slice outside the log")
	if lo <= l.base {
		return dst, wire.ErrCompacted
	}
	if lo <= l.anchor {
		entries, err := l.reader.Entries(dst, lo, min(hi, l.anchor+1), maxBytes)
		if err != nil {
			return dst, fmt.Errorf("read entries [%d, %d): %w", lo, min(hi, l.anchor+1), err)
		}
		assert.That(len(entries) > len(dst) && entries[len(dst)].Index == lo, "I4: reader answers other entries than asked for")
		return entries, nil
	}
	part := l.tail[lo-l.anchor-1 : hi-l.anchor-1]
	n, bytes := 0, 0
	for n < len(part) && (n == 0 || bytes+part[n].Size() <= maxBytes) {
		bytes += part[n].Size()
		n++
	}
	return part[:n:n], nil
}

// append puts entries after the last one.
func (l *raftLog) append(entries []wire.Entry) {
	if cap(l.tail)-len(l.tail) < len(entries) {
		l.grow(len(entries))
	}
	for i := range entries {
		l.appendOne(entries[i])
	}
}

// appendOne puts one entry after the last one.
func (l *raftLog) appendOne(e wire.Entry) {
	assert.That(e.Index == l.last()+1, "I4: gap before an appended entry")
	assert.That(e.Term >= l.lastTerm(), "I4: term falls along the log")
	if len(l.tail) == cap(l.tail) {
		l.grow(1)
	}
	l.tail = append(l.tail, e)
	l.bytes += e.Size()
}

// grow moves the tail to a new array, with room for n more entries. A busy log gets larger arrays, unless they
// would keep much data alive.
func (l *raftLog) grow(n int) {
	if l.spent+l.bytes > maxSpentBytes {
		l.room /= 2
	} else {
		l.room *= 2
	}
	l.room = min(max(l.room, minTailEntries), maxTailEntries)
	array := make([]wire.Entry, len(l.tail), len(l.tail)+max(l.room, n))
	copy(array, l.tail)
	l.tail, l.spent = array, 0
}

// rest gives memory back that only a busy log needs. It is called once a tick. An empty tail's array goes however
// small it is: it keeps alive the data of entries let go of, and on a follower the frames they came in.
func (l *raftLog) rest() {
	if len(l.tail) == 0 {
		l.tail, l.spent, l.room = nil, 0, 0
	}
}

// truncate lets go of everything from i on. Batches on their way keep nothing of it: what they still write is
// superseded by the batch that follows, so their tokens vouch only for what lies below (D65, ABA).
func (l *raftLog) truncate(i wire.Index) error {
	assert.That(i > 0 && i <= l.last(), "I4: truncation outside the log")
	keep := i - 1
	if keep < l.anchor {
		term, err := l.reader.Term(keep)
		if err != nil {
			return fmt.Errorf("term of entry %d, before a conflict: %w", keep, err)
		}
		l.tail, l.bytes, l.spent = nil, 0, 0
		l.anchor, l.anchorTerm = keep, term
	} else {
		for j := keep - l.anchor; j < wire.Index(len(l.tail)); j++ {
			l.bytes -= l.tail[j].Size()
		}
		// A full slice expression, so that the next append moves to a new array.
		n := keep - l.anchor
		l.tail = l.tail[:n:n]
	}
	l.durable, l.given = min(l.durable, keep), min(l.given, keep)
	for k := range l.batches {
		l.batches[k].last = min(l.batches[k].last, keep)
	}
	return nil
}

// reset lets go of everything: the log begins after i, whose entry was of term t. What is on its way to the disk
// vouches for nothing any more.
func (l *raftLog) reset(i wire.Index, t wire.Term) {
	assert.That(i > l.base, "I18: the log goes back to an earlier snapshot")
	l.tail, l.bytes, l.spent = nil, 0, 0
	l.anchor, l.anchorTerm, l.base, l.moved = i, t, i, true
	l.durable, l.given = 0, i
	if mutant.Is(mutant.AckSnapshotBeforeDisk) {
		l.durable = i
	}
	for k := range l.batches {
		l.batches[k].last = 0
		if mutant.Is(mutant.OlderWriteVouches) {
			l.batches[k].last = i
		}
	}
}

// unsaved returns the entries that no batch holds.
func (l *raftLog) unsaved() []wire.Entry {
	part := l.tail[l.given-l.anchor:]
	return part[:len(part):len(part)]
}

// issue says that the unsaved entries are on their way under t.
func (l *raftLog) issue(t Token) {
	assert.That(len(l.batches) == 0 || l.batches[len(l.batches)-1].token < t, "I15: tokens do not rise")
	l.given, l.moved = l.last(), false
	l.batches = append(l.batches, logBatch{token: t, last: l.given})
}

// persisted says that every batch up to and including t is durable.
func (l *raftLog) persisted(t Token) {
	n := 0
	for n < len(l.batches) && l.batches[n].token <= t {
		l.durable = max(l.durable, l.batches[n].last)
		n++
	}
	l.batches = append(l.batches[:0], l.batches[n:]...)
	assert.That(l.anchor <= max(l.durable, l.base) && l.durable <= l.given && l.given <= l.last(), "I7: log marks out of order")
}

// vouches returns the token upon which the entry at i is durable: 0 when it is, next when it is in no batch.
func (l *raftLog) vouches(i wire.Index, next Token) Token {
	if i <= l.durable {
		return 0
	}
	for _, b := range l.batches {
		if b.last >= i {
			return b.token
		}
	}
	return next
}

// release lets go of the memory of entries up to i.
func (l *raftLog) release(i wire.Index) {
	if i <= l.anchor {
		return
	}
	assert.That(i <= l.durable, "I7: entry released from memory before it is durable")
	n := i - l.anchor
	for j := range n {
		size := l.tail[j].Size()
		l.bytes -= size
		l.spent += size
	}
	l.anchorTerm = l.tail[n-1].Term
	l.anchor = i
	l.tail = l.tail[n:]
}
