package multiraft

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"flotilla/raft/wire"
)

// saver is a goroutine that does what waits for the disk and is in no hurry, one thing at a time. One writes snapshots, so that states
// do not compete for the disk with more than the log; one removes them, for whom a state that is being written would take too long.
type saver struct {
	wake chan struct{} // capacity 1

	mu struct {
		sync.Mutex
		queue  []errand
		closed bool
	}
}

// errand is one thing to be done; either do is called or refuse.
type errand struct{ do, refuse func() }

func newSaver() *saver { return &saver{wake: make(chan struct{}, 1)} }

// put queues x, or refuses it after close.
func (s *saver) put(x errand) {
	s.mu.Lock()
	open := !s.mu.closed
	if open {
		s.mu.queue = append(s.mu.queue, x)
	}
	s.mu.Unlock()
	if !open {
		x.refuse()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run does the next errand; false when there is none.
func (s *saver) run() bool {
	s.mu.Lock()
	if len(s.mu.queue) == 0 {
		s.mu.Unlock()
		return false
	}
	x := s.mu.queue[0]
	s.mu.queue[0] = errand{}
	s.mu.queue = s.mu.queue[1:]
	s.mu.Unlock()
	x.do()
	return true
}

// waiting reports whether run would find something.
func (s *saver) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.queue) > 0
}

// loop runs errands until done is closed. One that has begun is ended by the engine's life.
func (s *saver) loop(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-s.wake:
			for s.run() {
			}
		}
	}
}

// close refuses what is queued and everything from now on.
func (s *saver) close() {
	s.mu.Lock()
	left := s.mu.queue
	s.mu.queue, s.mu.closed = nil, true
	s.mu.Unlock()
	for _, x := range left {
		x.refuse()
	}
}

// freeze has the machine freeze its state, which is then written while the machine goes on.
func (a *applier) freeze(g *group, state wire.Snapshot) error {
	frozen, err := freezeOf(g.snaps.machine)
	var panicked *machinePanic
	switch {
	case errors.As(err, &panicked):
		return fmt.Errorf("freeze group %d: %w", g.id, err)
	case err != nil:
		g.w.inbox.order(func(w *worker) { w.saved(g, state, err) })
	default:
		g.kept.Store(uint64(g.run.given))
		a.e.saver.put(errand{
			do:     func() { a.e.save(g, state, frozen) },
			refuse: func() { _ = closeFrozen(frozen) }, // nobody reads it any more
		})
	}
	return nil
}

// save writes a frozen state.
func (e *Engine) save(g *group, state wire.Snapshot, frozen Frozen) {
	var panicked *machinePanic
	err := e.cfg.Snapshots.Save(g.id, state, func(w io.Writer) error {
		to := &interruptible{Writer: w, e: e, g: g}
		if err := writeState(frozen, to); err != nil {
			return err
		}
		return e.ended(g) // the snapshots of a group that was ended may have been removed before this one was begun
	})
	if err = errors.Join(err, closeFrozen(frozen)); errors.As(err, &panicked) {
		g.quarantine(fmt.Errorf("write the state of group %d: %w", g.id, err))
	}
	g.w.inbox.order(func(w *worker) { w.saved(g, state, err) })
}

// interruptible is a writer that fails when the engine stops or the group ends.
type interruptible struct {
	io.Writer
	e *Engine
	g *group
}

// Write implements io.Writer. A machine may have its whole state in one piece, and the disk a pace.
func (w *interruptible) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		if err := w.e.ended(w.g); err != nil {
			return n, err
		}
		var written int
		written, err = w.Writer.Write(p[:min(len(p), savePieceBytes)])
		n, p = n+written, p[written:]
	}
	return n, err
}

// ended says why nothing of g, if there is one already, is to be read or written any more.
func (e *Engine) ended(g *group) error {
	if e.life.Err() != nil {
		return errStopped
	}
	if g != nil && g.fault.Load() != nil {
		return g.fault.Load()
	}
	return nil
}

// forget removes the snapshots of a group and calls then, both outside of the loop.
func (e *Engine) forget(id wire.GroupID, then func(error)) {
	if e.cfg.Snapshots == nil {
		then(nil)
		return
	}
	e.remover.put(errand{
		do:     func() { then(e.cfg.Snapshots.Drop(id)) },
		refuse: func() { then(&wire.Error{Code: wire.CodeStopped, Group: id}) },
	})
}

// freezeOf calls Freeze and turns a panic into an error (P4).
func freezeOf(m Snapshotter) (f Frozen, err error) {
	defer caught(&err)
	return m.Freeze()
}

// closeFrozen calls Close and turns a panic into an error (P4).
func closeFrozen(f Frozen) (err error) {
	defer caught(&err)
	return f.Close()
}

// writeState calls WriteTo and turns a panic into an error (P4).
func writeState(f Frozen, w io.Writer) (err error) {
	defer caught(&err)
	_, err = f.WriteTo(w)
	return err
}
