package logstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"

	"flotilla/raft/wire"
)

// Scrubbed is what one Scrub came to.
type Scrubbed struct {
	// Blobs and Bytes were read.
	Blobs uint64
	Bytes int64
	// Damaged are the groups that lost something and were not known to have, with a *CorruptionError each.
	Damaged map[wire.GroupID]error
	// Renewed says that the file that commits go to has damage which may concern nothing but what is in memory: one of the next
	// commits begins another file, which needs nothing of it.
	Renewed bool
}

// Scrub reads all files again, as a start would, and checks every record in them. It tells which groups a start would find
// incomplete now, and quarantines them here: they are not read any more, and are in quarantine after the next start, until
// dropped. Commits for them are taken, as some may be under way; the caller takes the replicas out of service.
//
// pace is told of the bytes of each blob that is read, and may take its time; nothing is held up meanwhile. Its error, most
// likely ctx's end, ends the pass. Other errors: ErrClosed, wire.ErrFenced, and those of the disk. One Scrub at a time.
//
// What was read a moment ago comes from the system's page cache, so a pass says of it only what the memory holds.
func (s *Store) Scrub(ctx context.Context, pace func(ctx context.Context, n int) error) (Scrubbed, error) {
	var out Scrubbed
	if err := s.Fenced(); err != nil {
		return out, err
	}
	// Events and the writer come after the files are let go of: Close holds the writer, and waits for them.
	lost, renew, found, err := s.inspect(func(n int) error {
		out.Blobs++
		out.Bytes += int64(n)
		return pace(ctx, n)
	})
	if err != nil {
		return out, err
	}
	for _, c := range found {
		s.opts.Events(c)
	}
	out.Damaged = s.condemn(lost)
	if renew {
		out.Renewed = true
		s.renew()
	}
	return out, nil
}

// inspect replays everything as it is at one moment, and says what it has come upon, what is lost, and whether a new file would be of use.
func (s *Store) inspect(pace func(n int) error) (lost []loss, renew bool, found []Corrupted, err error) {
	f, err := s.freeze()
	if err != nil {
		return nil, false, nil, err
	}
	defer f.release()
	r := newReplay(s.opts.files, func(c Corrupted) { found = append(found, c) })
	defer r.close()
	r.pace = pace
	for i := range f.gens {
		if err := f.replay(r, i); err != nil {
			return nil, false, nil, fmt.Errorf("scrub log: %w", err)
		}
	}
	lost, renew = f.verdict(r)
	return lost, renew, found, nil
}

// renew has another file begun by the first commit that finds it prepared.
func (s *Store) renew() {
	s.writing.Lock() // the housekeeper is the committing goroutine's
	defer s.writing.Unlock()
	if !s.isClosed() {
		s.house.renew = true
		s.house.prepare(s)
	}
}

// frozen is what a start would find if the node died now: the files, up to where in the newest one, and what they come to.
type frozen struct {
	gens    []generation // by number, their sources acquired
	next    uint64       // sequence after the last blob
	groups  map[wire.GroupID]*group
	records map[wire.GroupID]groupRecord
}

// freeze takes hold of everything at one moment.
func (s *Store) freeze() (*frozen, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.closed {
		return nil, ErrClosed
	}
	f := &frozen{next: s.writer.next, groups: map[wire.GroupID]*group{}, records: map[wire.GroupID]groupRecord{}}
	for _, g := range s.mu.gens {
		if g.source.db != nil && g.base >= f.next {
			continue // its first commit is failing right now
		}
		g.source.acquire()
		f.gens = append(f.gens, *g)
	}
	slices.SortFunc(f.gens, func(a, b generation) int { return int(int64(a.num) - int64(b.num)) })
	for id, g := range s.mu.groups {
		f.groups[id], f.records[id] = g, g.record()
	}
	return f, nil
}

func (f *frozen) release() {
	for i := range f.gens {
		f.gens[i].source.release()
	}
}

// replay replays generation i.
func (f *frozen) replay(r *replay, i int) error {
	g := &f.gens[i]
	gen := &generation{num: g.num, path: g.path, bytes: g.bytes}
	if g.source.db == nil {
		err := r.file(g.num, g.path)        // opened anew: its meta pages are checked then
		if errors.Is(err, os.ErrNotExist) { // unlinked meanwhile
			_, err = r.content(gen, &sealed{File: g.source.file.File}) // places of its own: the source's are being read
		}
		return err
	}
	end := f.next
	if i+1 < len(f.gens) { // it could not be sealed
		end = f.gens[i+1].base
	}
	return f.active(r, gen, g.source.db, g.base, end)
}

// active replays a generation through bbolt, blob by blob: a transaction that lives long would keep bbolt from reusing pages.
func (f *frozen) active(r *replay, gen *generation, db *bolt.DB, base, end uint64) error {
	records := map[wire.GroupID][]byte{}
	var mark []byte
	_ = r.absorb(viewed(db, gen, "s", func(tx *bolt.Tx) error {
		return tx.Bucket(bucketState).ForEach(func(k, v []byte) error {
			if string(k) == string(markerKey) {
				mark = slices.Clone(v)
			} else if id, is := groupOf(k); is {
				records[id] = slices.Clone(v)
			}
			return nil
		})
	}))
	m, err := r.begin(gen, mark, records)
	if m == nil || err != nil {
		return err
	}
	for seq := base; seq < end; seq++ {
		var blob []byte
		err := viewed(db, gen, journalKey(seq), func(tx *bolt.Tx) error {
			blob = append(blob[:0], getBlob(tx, seq)...)
			return nil
		})
		if len(blob) == 0 || err != nil {
			continue // the next one, or the end, tells
		}
		if err := r.blob(gen, end, sequenceKey(seq), blob); err != nil {
			return err
		}
	}
	r.end(gen, end)
	return nil
}

// viewed has look look into db; whatever bbolt makes of damage is a *CorruptionError.
func viewed(db *bolt.DB, gen *generation, key string, look func(*bolt.Tx) error) (err error) {
	defer onPanic(func(v any) {
		err = &CorruptionError{File: gen.path, Key: key, Detail: fmt.Sprintf("bbolt cannot read it: %v", v)}
	})()
	if err = db.View(look); err != nil {
		err = &CorruptionError{File: gen.path, Key: key, Detail: err.Error()}
	}
	return err
}

// verdict says which groups miss something of what memory knows they have, and whether a new file would be of use: damage at the
// end of the log counts for nothing once a later file begins with what memory knows.
func (f *frozen) verdict(r *replay) (lost []loss, renew bool) {
	renew = len(r.suspects) > 0 || r.allSuspect != nil || r.broken != nil
	virtual := &generation{num: math.MaxUint32}
	m := marker{version: stateVersion, gen: virtual.num, base: f.next}
	records := map[wire.GroupID][]byte{}
	for id, rec := range f.records {
		m.groups = append(m.groups, id)
		records[id] = appendGroupRecord(virtual.num, &rec)
	}
	slices.Sort(m.groups)
	r.align(virtual, &m, records)
	for id, g := range r.groups {
		at, is := g.hole()
		if was := f.groups[id]; is && was != nil && f.records[id].reason == "" {
			lost = append(lost, loss{group: was, at: at, err: r.verdict(g)})
		}
	}
	return lost, renew
}

// loss is what a group has lost: at is the first entry.
type loss struct {
	group *group
	at    wire.Index
	err   error
}

// condemn quarantines those that still are what they were, and returns why.
func (s *Store) condemn(lost []loss) map[wire.GroupID]error {
	out := map[wire.GroupID]error{}
	if len(lost) == 0 {
		return out
	}
	s.writing.Lock() // the index is the committing goroutine's
	defer s.writing.Unlock()
	if !s.isClosed() {
		s.setAside(s.writer.order)
	}
	s.mu.Lock()
	for _, l := range lost {
		g := l.group
		if s.mu.groups[g.id] != g || g.err != nil || g.damage != nil || l.at < g.first {
			continue
		}
		g.damage, out[g.id] = l.err, l.err
		for i := range g.spans { // they would keep files that nobody can use
			release(s.writer.counts, g.spans[i].gen)
		}
		g.spans, g.tail = nil, tail{}
	}
	s.mu.Unlock()
	for id, err := range out {
		s.opts.Events(Quarantined{Group: id, Err: err})
	}
	return out
}
