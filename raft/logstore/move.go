package logstore

import (
	"slices"

	"flotilla/raft/wire"
)

// Draining: what is alive in the oldest generation is copied into the blobs of coming commits, so that the file
// can go. Generations leave from the oldest end only, so one idle group would keep every later file alive.

// moving is a drain in progress.
type moving struct {
	gen    *generation
	groups []wire.GroupID // those that may have entries in gen, ascending
}

// chooseDrain decides whether to drain the oldest generation: it is nearly empty, or all files together are
// more than twice what is alive. So the space used is bounded by the space needed, and each byte is copied
// once for each byte freed.
func (s *Store) chooseDrain() {
	w := &s.writer
	w.moving = nil
	if len(w.order) == 0 || w.order[0] == w.gen {
		return
	}
	oldest := w.order[0]
	var live, inOldest, total int64
	var groups []wire.GroupID
	for id, g := range s.mu.groups {
		here := false
		for i := range g.spans {
			n := int64(g.spans[i].bytes)
			live += n
			if g.spans[i].gen == oldest.num {
				inOldest += n
				here = true
			}
		}
		if here {
			groups = append(groups, id)
		}
	}
	for _, g := range w.order {
		total += g.data
	}
	if inOldest > s.opts.RotateBytes/16 && inOldest > oldest.data/4 && total <= 2*live+3*s.opts.RotateBytes {
		return
	}
	slices.Sort(groups)
	w.moving = &moving{gen: oldest, groups: groups}
	s.opts.Events(Draining{Generation: oldest.num, LiveBytes: inOldest})
}

// leftovers appends records for the next moveBytesPerCommit of the generation being drained.
func (s *Store) leftovers(recs []record) []record {
	m := s.writer.moving
	if m == nil || s.writer.low {
		return recs
	}
	budget := moveBytesPerCommit
	for len(m.groups) > 0 && budget > 0 {
		id := m.groups[0]
		g := s.mu.groups[id]
		done := true
		if g != nil {
			var err error
			if recs, done, err = s.moveGroup(recs, g, m.gen, &budget); err != nil {
				// Keep the file: a scrub, or the next start, tells what is lost. It is tried again when the next file is begun.
				s.writer.moving = nil
				return recs
			}
		}
		if done {
			m.groups = m.groups[1:]
		}
	}
	return recs
}

// moveGroup appends records with g's entries in gen until the budget is used up; done says that none is left.
func (s *Store) moveGroup(recs []record, g *group, gen *generation, budget *int) (_ []record, done bool, err error) {
	for i := range g.spans {
		sp := g.spans[i]
		if sp.gen != gen.num {
			continue
		}
		if *budget <= 0 {
			return recs, false, nil
		}
		entries, err := s.spanEntries(g.id, sp)
		if err != nil {
			return recs, false, s.readFault(g.id, sp.first, err)
		}
		n := 0
		for n < len(entries) && (n == 0 || *budget > 0) {
			*budget -= entries[n].Size()
			n++
		}
		recs = appendMoved(recs, g.id, entries[:n])
		if n < len(entries) {
			return recs, false, nil
		}
	}
	return recs, true, nil
}

// appendMoved appends entries as moved, to the last record if they go on where it ends.
func appendMoved(recs []record, id wire.GroupID, entries []wire.Entry) []record {
	if n := len(recs); n > 0 && recs[n-1].update.Group == id {
		last := &recs[n-1].update
		if last.Entries[len(last.Entries)-1].Index+1 == entries[0].Index {
			last.Entries = append(last.Entries, entries...)
			return recs
		}
	}
	return append(recs, record{moved: true, update: wire.LogUpdate{Group: id, Entries: entries}})
}

// spanEntries reads the entries of one span.
func (s *Store) spanEntries(id wire.GroupID, sp span) ([]wire.Entry, error) {
	s.mu.RLock()
	l := located{span: sp, gen: *s.mu.gens[sp.gen]}
	l.gen.source.acquire()
	s.mu.RUnlock()
	defer l.gen.source.release()
	entries, _, _, err := l.read(id, nil, sp.first, sp.end(), 0, int(^uint(0)>>1))
	return entries, err
}
