package logstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"flotilla/raft/wire"
)

// prepared is an empty generation, durable under its name, that waits to be begun.
type prepared struct {
	gen *generation
	db  *bolt.DB
}

// outcome is what became of a preparation.
type outcome struct {
	next *prepared
	err  error
}

// housekeeper does in the background what a commit must not wait for: it prepares the next file, seals the last
// one, and removes what nobody needs. Its fields belong to the committing goroutine; ready is the way back.
type housekeeper struct {
	work    sync.WaitGroup
	ready   chan outcome
	pending bool
	spare   *prepared
	// renew has the next file begun early.
	renew bool
}

func (h *housekeeper) init() { h.ready = make(chan outcome, 1) }

// prepare starts preparing the next file unless one is ready or on its way.
func (h *housekeeper) prepare(s *Store) {
	if h.spare != nil || h.pending {
		return
	}
	h.pending = true
	s.writer.last++
	num := s.writer.last
	h.work.Go(func() {
		next, err := prepareGeneration(&s.opts, num)
		h.ready <- outcome{next, err}
	})
}

// prepareGeneration makes a file. One that fails is removed: it is tried again with each commit that needs it, and under another name.
func prepareGeneration(o *Options, num uint32) (*prepared, error) {
	path := filepath.Join(o.Dir, genName(num))
	db, err := createGeneration(o.files, o.Dir, path, boltOptions(o.files, o.RotateBytes, o.LockTimeout))
	if err == nil {
		// Room for the whole generation (a hole, no blocks): bbolt would grow it step by step, each with a sync of its
		// own in the middle of a commit.
		if err = resize(o.files, path, o.RotateBytes+o.RotateBytes/2); err != nil {
			err = errors.Join(fmt.Errorf("size %s: %w", path, err), db.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, absent(o.files, path), absent(o.files, path+tmpSuffix))
	}
	return &prepared{gen: &generation{num: num, path: path, source: newSource(db, nil)}, db: db}, nil
}

// resize sets the length of the file and makes it durable.
func resize(fs fileSystem, path string, size int64) error {
	f, err := fs.open(path, os.O_RDWR)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// collect takes the outcome of a preparation, waiting for it if wait is waitForIt.
func (h *housekeeper) collect(s *Store, wait waiting) error {
	if !h.pending {
		return nil
	}
	var o outcome
	if wait == waitForIt {
		o = <-h.ready
	} else {
		select {
		case o = <-h.ready:
		default:
			return nil
		}
	}
	h.pending = false
	h.spare = o.next
	if o.err != nil {
		s.opts.Events(HousekeepingFailed{What: "prepare the next generation", Err: o.err})
	}
	return o.err
}

type waiting int

const (
	justLook waiting = iota
	waitForIt
)

// takeOver returns the file that the coming commit begins, nil to go on with the active one.
func (h *housekeeper) takeOver(s *Store) (*prepared, error) {
	w := &s.writer
	if w.db == nil {
		return h.first(s)
	}
	rotate := s.opts.RotateBytes
	due := w.size >= rotate || h.renew
	if !due && w.size < rotate/2 {
		return nil, nil
	}
	wait := justLook
	if w.size >= 2*rotate { // the disk is slow to prepare a file: do not outgrow the map
		wait = waitForIt
	}
	if due {
		_ = h.collect(s, wait) // the active file takes more; the event tells
	}
	h.prepare(s)
	if !due || h.spare == nil {
		return nil, nil
	}
	h.renew = false
	next := h.spare
	h.spare = nil
	return next, nil
}

// first returns the file for the first commit of this process life. Without one nothing can be committed, but
// nothing has been attempted either.
func (h *housekeeper) first(s *Store) (*prepared, error) {
	err := h.collect(s, waitForIt)
	if err != nil || h.spare == nil {
		h.prepare(s)
		err = h.collect(s, waitForIt)
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return nil, fmt.Errorf("%w: %w", wire.ErrNoSpace, err)
	case err != nil:
		return nil, s.fenceOff(err)
	}
	next := h.spare
	h.spare = nil
	return next, nil
}

// giveBack takes back a file that was not begun after all.
func (h *housekeeper) giveBack(next *prepared) {
	if next != nil {
		h.spare = next
	}
}

// stop waits for what runs and closes and removes a file that was not begun.
func (h *housekeeper) stop(s *Store) error {
	_ = h.collect(s, waitForIt)
	h.work.Wait()
	if h.spare == nil {
		return nil
	}
	err := errors.Join(h.spare.db.Close(), s.opts.files.remove(h.spare.gen.path))
	h.spare = nil
	return err
}

// switchTo makes next the active generation, after its first commit, and has the last one sealed.
func (s *Store) switchTo(next *prepared) {
	w := &s.writer
	last := w.gen
	s.mu.Lock()
	if last != nil {
		last.bytes = w.size
	}
	s.mu.gens[next.gen.num] = next.gen
	s.mu.Unlock()
	w.order = append(w.order, next.gen)
	w.gen, w.db, w.size = next.gen, next.db, 0
	s.opts.Events(Rotated{Generation: next.gen.num})
	if last != nil {
		s.house.work.Go(func() { s.seal(last) })
	}
}

// seal hands a generation that is no longer written from bbolt to preads.
func (s *Store) seal(gen *generation) {
	p, err := openSealed(s.opts.files, gen.path)
	if err == nil {
		if err = p.locate(gen.base, gen.tx); err != nil {
			err = errors.Join(err, p.Close())
		}
	}
	if err != nil { // readers stay with bbolt
		s.opts.Events(HousekeepingFailed{What: "seal " + gen.path, Err: err})
		return
	}
	next := newSource(nil, p)
	s.mu.Lock()
	old := gen.source
	if s.mu.gens[gen.num] == gen {
		gen.source = next
	} else { // unlinked meanwhile
		old = next
	}
	s.mu.Unlock()
	old.retire()
	if err := cutToLength(gen.path, p); err != nil {
		s.opts.Events(HousekeepingFailed{What: "cut " + gen.path, Err: err})
	}
}

// cutToLength gives back the room made at the end of a file that is not written any more.
func cutToLength(path string, p *sealed) error {
	if err := os.Truncate(path, p.Bytes()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unlinkUnneeded removes, from the oldest on, the generations that no entry is in. Always a prefix: what
// remains can be replayed from its first state records on. It returns how many went.
func (s *Store) unlinkUnneeded() int {
	w := &s.writer
	n := 0
	for n < len(w.order)-1 && w.counts[w.order[n].num] == 0 {
		n++
	}
	if n == 0 {
		return 0
	}
	gone := append([]*generation(nil), w.order[:n]...)
	w.order = append([]*generation(nil), w.order[n:]...)
	sources := make([]*source, n)
	s.mu.Lock()
	for i, g := range gone {
		delete(s.mu.gens, g.num)
		sources[i] = g.source
	}
	s.mu.Unlock()
	s.house.work.Go(func() { s.unlink(gone, sources) })
	return n
}

func (s *Store) unlink(gone []*generation, sources []*source) {
	var errs []error
	for i, g := range gone {
		sources[i].retire()
		errs = append(errs, s.opts.files.remove(g.path))
		s.opts.Events(Unlinked{Generation: g.num, Bytes: g.bytes})
	}
	errs = append(errs, s.opts.files.syncDir(s.opts.Dir))
	if err := errors.Join(errs...); err != nil { // the next start removes them
		s.opts.Events(HousekeepingFailed{What: "remove old generations", Err: err})
	}
}
