package logstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"

	"flotilla/internal/assert"
	"flotilla/internal/diskspace"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Commit makes batch durable, all of it or none, in one transaction of two fdatasyncs (N3), and then visible.
//
// Errors: wire.ErrNoSpace and *UpdateError say that nothing was attempted and the store goes on. Any other
// error comes with wire.ErrFenced: the outcome is unknown and the store takes nothing more, ever. Reads go on.
// The batch's slices are kept: entries' data and members must not change afterwards.
func (s *Store) Commit(batch []wire.LogUpdate) error {
	assert.That(s.committing.CompareAndSwap(false, true), "two commits at once: one goroutine owns Commit")
	defer s.committing.Store(false)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.Fenced(); err != nil {
		return err
	}
	if s.isClosed() {
		return ErrClosed
	}
	if len(batch) == 0 {
		return nil
	}
	if err := s.check(batch); err != nil {
		return err
	}
	if err := s.checkSpace(batch); err != nil {
		return err
	}
	return s.commit(batch)
}

// Fenced returns nil, or an error with wire.ErrFenced and the reason.
func (s *Store) Fenced() error {
	if p := s.fence.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Store) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.closed
}

// check holds batch against the contract. Only this goroutine changes the index, so it reads without the lock.
func (s *Store) check(batch []wire.LogUpdate) error {
	w := &s.writer
	clear(w.shapes)
	for i := range batch {
		u := &batch[i]
		shape, known := w.shapes[u.Group]
		if g := s.mu.groups[u.Group]; !known && g != nil {
			if g.err != nil && !u.Drop {
				return &UpdateError{Group: u.Group, What: "group is quarantined; only a drop is taken"}
			}
			shape = ShapeOf(g.state())
		}
		if err := shape.Apply(u); err != nil {
			return err
		}
		w.shapes[u.Group] = shape
	}
	return nil
}

// checkSpace refuses what the disk may have no room for, before anything is attempted: an ENOSPC met
// half way would fence the store for good.
func (s *Store) checkSpace(batch []wire.LogUpdate) error {
	if s.opts.ReserveBytes < 0 {
		return nil
	}
	var size int64
	for i := range batch {
		size += int64(sizeOf(batch[i].Entries))
	}
	need := s.opts.ReserveBytes + copiesPerBlob*size
	if size == 0 { // a compaction or a drop is what makes room
		need = s.opts.ReserveBytes / 4
	}
	free, err := diskspace.Check(s.opts.FreeBytes, s.opts.Dir, need)
	var low *diskspace.LowError
	if errors.As(err, &low) && !s.writer.low {
		s.writer.low = true
		s.opts.Events(SpaceLow{FreeBytes: free, NeedBytes: need})
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", wire.ErrNoSpace, err)
	case s.writer.low && size > 0:
		s.writer.low = false
		s.opts.Events(SpaceBack{FreeBytes: free})
	}
	return nil
}

// commit writes and applies a checked batch.
func (s *Store) commit(batch []wire.LogUpdate) error {
	w := &s.writer
	next, err := s.house.takeOver(s)
	if err != nil {
		return err
	}
	clear(w.recs)
	w.recs = s.leftovers(w.recs[:0])
	for i := range batch {
		w.recs = append(w.recs, record{update: batch[i]})
	}
	gen := w.gen
	if next != nil {
		gen = next.gen
	}
	w.buf = appendBlob(w.buf[:0], gen.num, w.next, w.recs)
	if len(w.buf) > maxBlobBytes {
		s.house.giveBack(next)
		w.buf = nil
		return &UpdateError{What: fmt.Sprintf("batch of more than %d bytes", maxBlobBytes)}
	}
	if err := s.write(next, gen); err != nil {
		s.mu.Lock()
		s.mu.gens[gen.num] = gen // one that was to begin here: Close lets go of it, too
		s.mu.Unlock()
		return s.fenceOff(fmt.Errorf("commit blob %d to %s: %w", w.next, gen.path, err))
	}
	if next != nil {
		s.switchTo(next)
	}
	s.apply(gen)
	if slices.ContainsFunc(batch, func(u wire.LogUpdate) bool { return u.Drop }) {
		s.clearAside()
	}
	if gone := s.unlinkUnneeded(); gone > 0 || next != nil {
		s.chooseDrain()
	}
	return nil
}

// fenceOff takes the store out of service for good.
func (s *Store) fenceOff(cause error) error {
	err := fmt.Errorf("%w: %w; restart the node once the disk is sound", wire.ErrFenced, cause)
	if mutant.Is(mutant.StoreGoesOn) {
		return err
	}
	s.fence.Store(&err)
	s.opts.Events(Fenced{Err: err})
	return err
}

// write puts the blob, and for a new generation the state, into one transaction and commits it.
func (s *Store) write(next *prepared, gen *generation) (err error) {
	w := &s.writer
	db := w.db
	if next != nil {
		db = next.db
	}
	var tx *bolt.Tx
	defer onPanic(func(v any) {
		err = errors.Join(fmt.Errorf("bbolt panicked: %v", v), abandon(tx))
	})()
	if tx, err = db.Begin(true); err != nil {
		return err
	}
	if next != nil {
		err = s.writeState(tx, gen)
	}
	if next == nil {
		w.size = tx.Size()
		s.stats.activeBytes.Store(w.size)
	}
	if err == nil {
		err = putBlob(tx, w.next, w.buf)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	st := tx.Stats()
	s.stats.committed(len(w.buf), &st)
	return nil
}

// putBlob puts blob under seq: as a value, or in a bucket of its own if it is large.
func putBlob(tx *bolt.Tx, seq uint64, blob []byte) error {
	journal := tx.Bucket(bucketJournal)
	journal.FillPercent = 1 // keys only rise: half empty pages would stay so
	if len(blob) <= ownBucketBytes {
		return journal.Put(sequenceKey(seq), blob)
	}
	own, err := journal.CreateBucket(sequenceKey(seq))
	if err != nil {
		return err
	}
	return own.Put(blobKey, blob)
}

// getBlob returns what putBlob put under seq, nil for nothing, valid as long as tx.
func getBlob(tx *bolt.Tx, seq uint64) []byte {
	journal := tx.Bucket(bucketJournal)
	if journal == nil {
		return nil
	}
	if own := journal.Bucket(sequenceKey(seq)); own != nil {
		return own.Get(blobKey)
	}
	return journal.Get(sequenceKey(seq))
}

// abandon rolls tx back after a panic in it, so that the file can be closed.
func abandon(tx *bolt.Tx) (err error) {
	if tx == nil {
		return nil
	}
	defer onPanic(func(v any) { err = fmt.Errorf("rollback panicked: %v", v) })()
	return tx.Rollback()
}

// writeState writes the state of every group as it is before the blob.
func (s *Store) writeState(tx *bolt.Tx, gen *generation) error {
	b := tx.Bucket(bucketState)
	b.FillPercent = 1
	ids := slices.Sorted(maps.Keys(s.mu.groups))
	gen.base, gen.tx = s.writer.next, uint64(tx.ID())
	m := marker{version: stateVersion, gen: gen.num, base: gen.base, tx: gen.tx, groups: ids}
	for _, id := range ids {
		rec := s.mu.groups[id].record()
		if err := b.Put(groupKey(id), appendGroupRecord(gen.num, &rec)); err != nil {
			return err
		}
	}
	return b.Put(markerKey, appendMarker(&m))
}

// record returns the state record of g. Of a quarantined group nothing is kept but that it is one.
func (g *group) record() groupRecord {
	if fault := g.fault(); fault != nil {
		reason := fault.Error()
		var q *QuarantineError
		if errors.As(fault, &q) {
			reason = q.Reason
		}
		reason = reason[:min(len(reason), maxReasonBytes)]
		return groupRecord{state: wire.GroupState{Group: g.id, First: 1}, reason: reason}
	}
	runs := slices.Clone(g.runs)
	return groupRecord{state: g.state(), runs: runs}
}

// apply makes what was committed visible. Memory follows the disk, never the other way round (F10).
func (s *Store) apply(gen *generation) {
	w := &s.writer
	s.mu.Lock()
	defer s.mu.Unlock()
	share := s.opts.CacheBytes / max(1, len(s.mu.groups))
	share = max(minGroupCacheBytes, min(share, maxGroupCacheBytes))
	for i := range w.recs {
		s.applyRecord(&w.recs[i], gen, share)
	}
	gen.data += int64(len(w.buf))
	w.next++
}

// applyRecord makes one record part of the index. The caller holds mu.
func (s *Store) applyRecord(rec *record, gen *generation, share int) {
	w := &s.writer
	u := &rec.update
	g := s.mu.groups[u.Group]
	switch {
	case rec.moved:
		g.place(span{
			first: u.Entries[0].Index, seq: w.next, gen: gen.num, count: uint32(len(u.Entries)),
			off: rec.off, bytes: sizeOf(u.Entries),
		}, w.counts)
		return
	case u.Drop:
		g.drop(w.counts)
		delete(s.mu.groups, u.Group)
		return
	case u.Create:
		g = newGroup(u.Group, u.Membership)
		s.mu.groups[u.Group] = g
	}
	g.apply(rec, gen.num, w.next, w.counts)
	if len(u.Entries) != 0 && g.last >= g.first {
		g.cache(u.Entries, share)
	}
}

// cache puts entries just appended into the tail, but for those compacted in the same update.
func (g *group) cache(entries []wire.Entry, share int) {
	if skip := int(g.first) - int(entries[0].Index); skip > 0 {
		entries = entries[min(skip, len(entries)):]
	}
	if len(entries) > 0 {
		g.tail.append(entries, share)
	}
}
