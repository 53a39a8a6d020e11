package multiraft

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// logBatch is what goes to disk together: updates of any groups of any workers, in the order they were handed
// over, and whom to tell.
type logBatch struct {
	updates []wire.LogUpdate
	marks   []durableMark
	workers []*worker // one for each turn that is part of it
}

// add appends the update of rd.
func (b *logBatch) add(g *group, rd *raft.Ready) {
	b.updates = append(b.updates, rd.Update)
	b.marks = append(b.marks, durableMark{g: g, token: rd.Token})
}

func (b *logBatch) reset() {
	clear(b.updates)
	clear(b.marks)
	clear(b.workers)
	b.updates, b.marks, b.workers = b.updates[:0], b.marks[:0], b.workers[:0]
}

// logWriter is the one goroutine that waits for the disk. While a batch is being written all workers queue
// the next one: idle means commit at once, busy means everything together (N3). No delay is ever added.
type logWriter struct {
	e    *Engine
	wake chan struct{} // capacity 1

	mu struct {
		sync.Mutex
		queue logBatch
	}

	// Owned by the goroutine.
	writing logBatch
	told    []delivery // by worker
}

// delivery is what one worker is told after a commit.
type delivery struct {
	marks   []durableMark
	batches int
}

func newLogWriter(e *Engine) *logWriter {
	return &logWriter{e: e, wake: make(chan struct{}, 1), told: make([]delivery, e.cfg.Workers)}
}

func (l *logWriter) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// submit queues a worker's turn and empties b.
func (l *logWriter) submit(w *worker, b *logBatch) {
	l.mu.Lock()
	q := &l.mu.queue
	q.updates = append(q.updates, b.updates...)
	q.marks = append(q.marks, b.marks...)
	q.workers = append(q.workers, w)
	l.mu.Unlock()
	l.ring()
	b.reset()
}

// loop commits until done is closed. A commit that has begun is finished.
func (l *logWriter) loop(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-l.wake:
			l.commit()
		}
	}
}

// commit makes durable what is queued, all of it in one disk commit, and tells the workers. Without space
// it keeps the batch and tries again when it is rung next, at the latest with the next tick.
func (l *logWriter) commit() {
	if len(l.writing.marks) == 0 {
		l.mu.Lock()
		l.mu.queue, l.writing = l.writing, l.mu.queue
		l.mu.Unlock()
	}
	if len(l.writing.marks) == 0 || l.e.fenced.Load() {
		return
	}
	started := time.Now()
	err := l.write()
	switch {
	case isNoSpace(err):
		l.e.outOfSpace(err)
		return
	case err != nil:
		l.e.fence(fmt.Errorf("commit %d log updates: %w", len(l.writing.updates), err))
		return
	}
	l.e.spaceAgain()
	l.e.stats.commit(&l.writing, time.Since(started))
	l.deliver()
	l.writing.reset()
	l.mu.Lock()
	more := len(l.mu.queue.marks) > 0
	l.mu.Unlock()
	if more {
		l.ring()
	}
}

// write calls the store; a store that panics has an unknown outcome like one that fails.
func (l *logWriter) write() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in the log store: %v", r)
		}
	}()
	return l.e.cfg.Log.Commit(l.writing.updates)
}

// deliver tells each worker what became durable, in one go.
func (l *logWriter) deliver() {
	for _, w := range l.writing.workers {
		l.told[w.number].batches++
	}
	for _, m := range l.writing.marks {
		d := &l.told[m.g.w.number]
		d.marks = append(d.marks, m)
	}
	for n := range l.told {
		d := &l.told[n]
		if d.batches == 0 {
			continue
		}
		l.e.workers[n].inbox.persisted(d.marks, d.batches)
		clear(d.marks)
		d.marks, d.batches = d.marks[:0], 0
	}
}

// isNoSpace reports whether a commit failed because the disk is full: nothing of it was written.
func isNoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) }
