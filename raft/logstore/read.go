package logstore

import (
	"errors"
	"fmt"

	"flotilla/raft/wire"
)

// State returns what the store holds of group id, and whether it holds it.
func (s *Store) State(id wire.GroupID) (wire.GroupState, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.mu.groups[id]
	if g == nil {
		return wire.GroupState{}, false
	}
	return g.state(), true
}

// Bounds returns the first and last index held of group id; last is first-1 when there are none, and both are
// 0 for a group that is not held.
func (s *Store) Bounds(id wire.GroupID) (first, last wire.Index) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if g := s.mu.groups[id]; g != nil {
		return g.first, g.last
	}
	return 0, 0
}

// Term returns the term of the entry at i. One before the first index is legal and answers the compacted
// entry's. Errors: wire.ErrCompacted, wire.ErrUnavailable, ErrClosed, and why the group is quarantined.
func (s *Store) Term(id wire.GroupID, i wire.Index) (wire.Term, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.readable(id)
	switch {
	case err != nil:
		return 0, err
	case i+1 < g.first:
		return 0, wire.ErrCompacted
	case i > g.last:
		return 0, wire.ErrUnavailable
	}
	return g.term(i), nil
}

// readable returns group id if it can be read. The caller holds mu.
func (s *Store) readable(id wire.GroupID) (*group, error) {
	if s.mu.closed {
		return nil, ErrClosed
	}
	g := s.mu.groups[id]
	if g == nil {
		return nil, wire.ErrUnavailable
	}
	return g, g.fault()
}

// Entries appends to dst the entries of [lo, hi): at least one if lo < hi, then as long as the sum of their
// Size stays within maxBytes. Recent ones come from memory. Errors: wire.ErrCompacted below the log's start,
// wire.ErrUnavailable above its end, ErrClosed, *CorruptionError, or why the group is quarantined; dst is
// returned as it was.
func (s *Store) Entries(id wire.GroupID, dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	s.mu.RLock()
	g, err := s.readable(id)
	switch {
	case err != nil:
	case lo < g.first:
		err = wire.ErrCompacted
	case hi > g.last+1:
		err = wire.ErrUnavailable
	case lo >= hi:
	case len(g.tail.entries) != 0 && g.tail.first() <= lo:
		dst = g.tail.read(dst, lo, hi, 0, maxBytes)
	default:
		return s.coldEntries(g, dst, lo, hi, maxBytes) // lets go of mu
	}
	s.mu.RUnlock()
	return dst, err
}

// coldEntries is Entries for a range whose beginning is not in memory. It lets go of mu, held by the
// caller, before it reads.
func (s *Store) coldEntries(g *group, dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	cached := hi
	var rest []wire.Entry
	if len(g.tail.entries) != 0 && g.tail.first() < hi {
		cached = g.tail.first()
		rest = g.tail.read(nil, cached, hi, 0, maxBytes)
	}
	plan := s.plan(g, lo, cached, maxBytes)
	id := g.id
	s.mu.RUnlock()

	start, used, full := len(dst), 0, false
	var err error
	for i := range plan {
		if err == nil && !full {
			dst, used, full, err = plan[i].read(id, dst, lo, cached, used, maxBytes)
		}
		plan[i].gen.source.release()
	}
	if err != nil {
		return dst[:start], s.readFault(id, lo, err)
	}
	for i := 0; i < len(rest) && !full; i++ {
		if used += rest[i].Size(); used > maxBytes {
			break
		}
		dst = append(dst, rest[i])
	}
	return dst, nil
}

// located is a span with the source to read it from, acquired.
type located struct {
	span
	gen generation
}

// plan locates the spans of [lo, hi) and acquires their sources. The caller holds mu.
func (s *Store) plan(g *group, lo, hi wire.Index, maxBytes int) []located {
	spans := g.spansIn(nil, lo, hi, maxBytes)
	plan := make([]located, len(spans))
	for i, sp := range spans {
		plan[i] = located{span: sp, gen: *s.mu.gens[sp.gen]}
		plan[i].gen.source.acquire()
	}
	return plan
}

// read appends the span's entries of [lo, hi) to dst; used counts the bytes dst was given, full says that
// maxBytes are reached.
func (l *located) read(id wire.GroupID, dst []wire.Entry, lo, hi wire.Index, used, maxBytes int) ([]wire.Entry, int, bool, error) {
	payload, err := l.gen.source.record(&l.gen, l.seq, l.off)
	if err != nil {
		return dst, used, false, err
	}
	rec, err := decodePayload(payload, nil)
	entries := rec.update.Entries
	if err != nil || rec.update.Group != id || len(entries) == 0 ||
		entries[0].Index > l.first || entries[len(entries)-1].Index+1 < l.end() {
		return dst, used, false, &CorruptionError{
			File: l.gen.path, Key: journalKey(l.seq), Groups: []wire.GroupID{id}, Detail: "record is of something else",
		}
	}
	base := entries[0].Index
	for i := max(lo, l.first); i < min(hi, l.end()); i++ {
		e := entries[i-base]
		if used += e.Size(); used > maxBytes && used != e.Size() {
			return dst, used, true, nil
		}
		dst = append(dst, e)
	}
	return dst, used, used >= maxBytes, nil
}

// readFault tells what a failed read means.
func (s *Store) readFault(id wire.GroupID, lo wire.Index, err error) error {
	var damage *CorruptionError
	if errors.As(err, &damage) {
		damage.Groups = []wire.GroupID{id}
		s.opts.Events(Corrupted{Err: damage})
	}
	return fmt.Errorf("read group %d at %d: %w", id, lo, err)
}
