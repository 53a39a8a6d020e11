package logstore

import (
	"slices"
	"sort"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// span says where count consecutive entries are, the first of them with index first.
type span struct {
	first wire.Index
	seq   uint64
	gen   uint32
	count uint32
	// off is the record's in the blob; bytes the sum of Entry.Size, or a lower bound once the span was trimmed.
	off   uint32
	bytes uint32
}

func (s *span) end() wire.Index { return s.first + wire.Index(s.count) }

// trim narrows s to [lo, hi), which must be inside and not empty.
func (s *span) trim(lo, hi wire.Index) {
	assert.That(s.first <= lo && lo < hi && hi <= s.end(), "span [%d,%d) trimmed to [%d,%d)", s.first, s.end(), lo, hi)
	if n := uint32(hi - lo); n != s.count {
		s.bytes = uint32(uint64(s.bytes) * uint64(n) / uint64(s.count))
		s.first, s.count = lo, n
	}
}

// spanCounts says how many spans point into each generation. One that has none is needed by nobody.
type spanCounts map[uint32]int

// group is the index of one group: everything but the entries' data, and of that the tail.
//
// Invariants: I1 first >= 1 and last+1 >= first. I2 runs cover [first, last]. I3 spans cover [first, last] without gap
// or overlap (but in replay, where holes are filled later). I4 tail ends at last.
type group struct {
	id         wire.GroupID
	hard       wire.HardState
	membership wire.Membership
	first      wire.Index
	last       wire.Index
	prevTerm   wire.Term
	runs       []termRun
	spans      []span
	tail       tail
	// err is not nil for a group that a start found damaged; nothing else of it counts then.
	err error
	// damage is what Scrub found since: the group is not read any more and has no spans of before (I3), but takes updates.
	damage error
}

func newGroup(id wire.GroupID, m wire.Membership) *group {
	return &group{id: id, membership: m, first: 1}
}

func (g *group) state() wire.GroupState {
	return wire.GroupState{
		Group: g.id, HardState: g.hard, Membership: g.membership,
		First: g.first, Last: g.last, PrevTerm: g.prevTerm, Err: g.fault(),
	}
}

// fault is why g is quarantined, nil when it is not.
func (g *group) fault() error {
	if g.err != nil {
		return g.err
	}
	return g.damage
}

// term returns the term of the entry at i, which must be in [first-1, last].
func (g *group) term(i wire.Index) wire.Term {
	if i < g.first {
		return g.prevTerm
	}
	k := sort.Search(len(g.runs), func(k int) bool { return g.runs[k].first > i })
	assert.That(k > 0, "I2: group %d has no term at %d", g.id, i)
	return g.runs[k-1].term
}

// apply makes the update of rec, found at (gen, seq), part of the index.
func (g *group) apply(rec *record, gen uint32, seq uint64, counts spanCounts) {
	u := &rec.update
	if u.SetHardState {
		g.setHardState(u.HardState)
	}
	if u.ResetTo != 0 {
		g.reset(u.ResetTo, u.ResetTerm, counts)
	}
	if len(u.Entries) != 0 {
		g.append(u.Entries, span{gen: gen, seq: seq, off: rec.off}, counts)
	}
	if u.SetMembership {
		g.membership = u.Membership
	}
	if u.CompactTo >= g.first {
		g.compact(u.CompactTo, counts)
	}
}

// setHardState takes h, but never a lower commit index: a later update may have been made from an earlier one.
func (g *group) setHardState(h wire.HardState) {
	h.Commit = max(h.Commit, g.hard.Commit)
	g.hard = h
}

// append adds entries, which supersede what was held from their first index on.
func (g *group) append(entries []wire.Entry, at span, counts spanCounts) {
	at.first, at.count, at.bytes = entries[0].Index, uint32(len(entries)), sizeOf(entries)
	assert.That(at.first >= g.first && at.first <= g.last+1, "F9: group %d holds [%d,%d], append at %d",
		g.id, g.first, g.last, at.first)
	g.truncate(at.first, counts)
	for i := range entries {
		if len(g.runs) == 0 || g.runs[len(g.runs)-1].term != entries[i].Term {
			g.runs = append(g.runs, termRun{entries[i].Index, entries[i].Term})
		}
	}
	g.spans = append(g.spans, at)
	counts[at.gen]++
	g.last = at.end() - 1
}

func sizeOf(entries []wire.Entry) uint32 {
	n := 0
	for i := range entries {
		n += entries[i].Size()
	}
	return uint32(n)
}

// truncate lets go of everything from i on; i must be at least first.
func (g *group) truncate(i wire.Index, counts spanCounts) {
	if i > g.last {
		return
	}
	g.cutSpans(i, g.last+1, counts)
	k := sort.Search(len(g.runs), func(k int) bool { return g.runs[k].first >= i })
	g.runs = g.runs[:k]
	if g.last = i - 1; g.last < g.first {
		g.runs = nil
	}
	g.tail.truncate(i)
}

// compact lets go of everything up to and including i; first <= i <= last.
func (g *group) compact(i wire.Index, counts spanCounts) {
	assert.That(i <= g.last, "group %d compacted to %d beyond its last index %d", g.id, i, g.last)
	g.prevTerm = g.term(i)
	g.cutSpans(g.first, i+1, counts)
	g.first = i + 1
	g.clipRuns()
	g.tail.compact(g.first)
}

// reset empties the log, which begins after i from now on; the entry there was of term t.
func (g *group) reset(i wire.Index, t wire.Term, counts spanCounts) {
	assert.That(i >= g.first, "group %d reset to %d, before its first index %d", g.id, i, g.first)
	g.drop(counts)
	g.first, g.last, g.prevTerm = i+1, i, t
}

// clipRuns drops the runs that end before first.
func (g *group) clipRuns() {
	k := sort.Search(len(g.runs), func(k int) bool { return g.runs[k].first > g.first })
	if g.last < g.first {
		k = len(g.runs) + 1
	}
	if k > 1 {
		g.runs = slices.Delete(g.runs, 0, k-1)
	}
}

// place makes at the span of [at.first, at.end()), clipped to what the log holds (entries copied forward).
func (g *group) place(at span, counts spanCounts) {
	lo, hi := max(at.first, g.first), min(at.end(), g.last+1)
	if lo >= hi {
		return
	}
	at.trim(lo, hi)
	k := g.cutSpans(lo, hi, counts)
	g.spans = slices.Insert(g.spans, k, at)
	counts[at.gen]++
}

// cutSpans takes [lo, hi) out of the spans and returns where a span of it would go.
func (g *group) cutSpans(lo, hi wire.Index, counts spanCounts) int {
	from := sort.Search(len(g.spans), func(k int) bool { return g.spans[k].end() > lo })
	to := from + sort.Search(len(g.spans)-from, func(k int) bool { return g.spans[from+k].first >= hi })
	if from == to {
		return from
	}
	var keep [2]span
	kept := keep[:0]
	at := from
	if s := g.spans[from]; s.first < lo {
		s.trim(s.first, lo)
		kept, at = append(kept, s), from+1
		counts[s.gen]++
	}
	if s := g.spans[to-1]; s.end() > hi {
		s.trim(hi, s.end())
		kept = append(kept, s)
		counts[s.gen]++
	}
	for _, s := range g.spans[from:to] {
		release(counts, s.gen)
	}
	switch {
	case len(kept) == 0 && from == 0:
		g.spans = g.spans[to:] // compaction: no copying, whatever is left
	case len(kept) == 0 && to == len(g.spans):
		g.spans = g.spans[:from]
	default:
		g.spans = slices.Replace(g.spans, from, to, kept...)
	}
	return at
}

func release(counts spanCounts, gen uint32) {
	counts[gen]--
	assert.That(counts[gen] >= 0, "generation %d has fewer than no spans", gen)
	if counts[gen] == 0 {
		delete(counts, gen)
	}
}

// drop lets go of all spans.
func (g *group) drop(counts spanCounts) {
	for i := range g.spans {
		release(counts, g.spans[i].gen)
	}
	g.spans, g.runs, g.tail = nil, nil, tail{}
}

// hole returns the first index of [first, last] that no span covers, and whether there is one.
func (g *group) hole() (wire.Index, bool) {
	next := g.first
	for i := range g.spans {
		if g.spans[i].first != next {
			return next, true
		}
		next = g.spans[i].end()
	}
	return next, next != g.last+1
}

// spansIn appends to dst the spans that intersect [lo, hi), as long as the sum of their bytes before the
// last one is below maxBytes.
func (g *group) spansIn(dst []span, lo, hi wire.Index, maxBytes int) []span {
	k := sort.Search(len(g.spans), func(k int) bool { return g.spans[k].end() > lo })
	for n := 0; k < len(g.spans) && g.spans[k].first < hi && (len(dst) == 0 || n < maxBytes); k++ {
		s := g.spans[k]
		if s.first >= lo { // of the first one, an unknown part lies before lo
			n += entryOverhead * int(s.count)
		}
		dst = append(dst, s)
	}
	return dst
}

// entryOverhead is the least an entry counts in Entry.Size.
var entryOverhead = (&wire.Entry{}).Size()
