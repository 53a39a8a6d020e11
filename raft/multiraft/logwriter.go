package multiraft

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flotilla/internal/crashpoint"
	"flotilla/internal/mutant"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// logBatch is what goes to disk together: updates of any groups of any workers in the order they were handed over,
// whom to tell of each, and the turns they came from.
type logBatch struct {
	updates []wire.LogUpdate
	marks   []durableMark // one for each update
	turns   []logTurn
}

// logTurn is what came from one worker's turn.
type logTurn struct {
	w                       *worker
	updates, entries, bytes int
}

// add appends the update of rd.
func (b *logBatch) add(g *group, rd *raft.Ready) {
	b.updates = append(b.updates, rd.Update)
	b.marks = append(b.marks, durableMark{w: g.w, g: g, token: rd.Token})
}

// move appends the first n turns of from to b and removes them there.
func (b *logBatch) move(from *logBatch, n int) {
	updates := 0
	for _, t := range from.turns[:n] {
		updates += t.updates
	}
	b.updates = append(b.updates, from.updates[:updates]...)
	b.marks = append(b.marks, from.marks[:updates]...)
	b.turns = append(b.turns, from.turns[:n]...)
	from.updates = slices.Delete(from.updates, 0, updates)
	from.marks = slices.Delete(from.marks, 0, updates)
	from.turns = slices.Delete(from.turns, 0, n)
}

func (b *logBatch) reset() {
	clear(b.updates)
	clear(b.marks)
	clear(b.turns)
	b.updates, b.marks, b.turns = b.updates[:0], b.marks[:0], b.turns[:0]
}

// logWriter is the one goroutine that waits for the disk. While a batch is being written all workers queue
// the next one: idle means commit at once, busy means everything together (N3). No delay is ever added.
type logWriter struct {
	e    *Engine
	wake chan struct{} // capacity 1
	// bytes counts the entries that were handed over and are not durable.
	bytes atomic.Int64
	// since is when the commit under way began, in nanoseconds of Config.Now; 0 for none.
	since atomic.Int64

	mu struct {
		sync.Mutex
		queue logBatch
	}

	// Owned by the goroutine.
	writing logBatch
	began   time.Time  // the commit under way
	more    bool       // turns were left in the queue by it
	told    []delivery // by worker
}

// delivery is what one worker is told after a commit.
type delivery struct {
	marks []durableMark
	turns int
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
	turn := logTurn{w: w, updates: len(b.updates)}
	for i := range b.updates {
		turn.entries += len(b.updates[i].Entries)
		for n := range b.updates[i].Entries {
			turn.bytes += b.updates[i].Entries[n].Size()
		}
	}
	b.turns = append(b.turns, turn)
	l.bytes.Add(int64(turn.bytes))
	l.mu.Lock()
	l.mu.queue.move(b, 1)
	l.mu.Unlock()
	l.ring()
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

// commit makes durable what is queued in one disk commit and tells the workers. Without space it keeps the batch
// and tries again when it is rung next, at the latest with the next tick.
func (l *logWriter) commit() {
	if l.begin() {
		l.finish()
	}
}

// begin takes the next batch; false when there is nothing to write.
func (l *logWriter) begin() bool {
	l.more = l.take()
	l.began = l.e.cfg.Now()
	return len(l.writing.turns) > 0 && !l.e.fenced.Load()
}

// finish writes the batch and tells what came of it.
func (l *logWriter) finish() {
	if mutant.Is(mutant.TellBeforeSync) {
		l.deliver(l.writing.marks)
	}
	l.since.Store(l.began.UnixNano())
	err := l.write(l.writing.updates)
	l.since.Store(0)
	if slices.ContainsFunc(l.writing.updates, func(u wire.LogUpdate) bool { return u.ResetTo != 0 }) {
		crashpoint.Here(crashpoint.InstallMoved)
	}
	if errors.Is(err, wire.ErrNoSpace) {
		l.e.outOfSpace(err)
		err = l.commitSmall()
	} else if err == nil {
		l.e.spaceAgain()
		l.e.stats.commit(l.writing.turns, l.e.cfg.Now().Sub(l.began))
		for _, t := range l.writing.turns {
			l.told[t.w.number].turns++
			l.bytes.Add(int64(-t.bytes))
		}
		l.deliver(l.writing.marks)
		l.writing.reset()
		if l.more {
			l.ring()
		}
	}
	if err != nil {
		l.e.fence(fmt.Errorf("commit %d log updates: %w", len(l.writing.updates), err))
	}
}

// full reports whether so much waits for the disk that appends of leaders must be dropped. Each group's is bounded
// by what its leader has in flight; over all groups of a node whose disk hangs or is full that is no bound.
func (l *logWriter) full() bool { return l.bytes.Load() > int64(l.e.cfg.NodeBytes) }

// take moves turns from the queue to the batch, up to maxCommitBytes but at least one, and reports whether some are
// left.
func (l *logWriter) take() (more bool) {
	size := 0
	for _, t := range l.writing.turns {
		size += t.bytes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, t := range l.mu.queue.turns {
		if size += t.bytes; size > maxCommitBytes && len(l.writing.turns)+n > 0 {
			more = true
			break
		}
		n++
	}
	l.writing.move(&l.mu.queue, n)
	return more
}

// commitSmall makes durable, on a disk without space for entries, what groups without entries in the batch have
// in it: terms and votes, so that this node still helps to elect leaders elsewhere. Then it is out of the batch:
// written again behind what comes later, it would take a term back, which the store refuses for good.
func (l *logWriter) commitSmall() error {
	blocked := map[wire.GroupID]bool{}
	for i := range l.writing.updates {
		if len(l.writing.updates[i].Entries) > 0 {
			blocked[l.writing.updates[i].Group] = true
		}
	}
	var small, rest logBatch
	for i, m := range l.writing.marks {
		to := &small
		if blocked[l.writing.updates[i].Group] {
			to = &rest
		}
		to.updates = append(to.updates, l.writing.updates[i])
		to.marks = append(to.marks, m)
	}
	if len(small.updates) == 0 {
		return nil
	}
	if err := l.write(small.updates); err != nil {
		if errors.Is(err, wire.ErrNoSpace) {
			return nil // not even that
		}
		return err
	}
	l.deliver(small.marks)
	l.writing.updates, l.writing.marks = rest.updates, rest.marks
	return nil
}

// write calls the store; a store that panics has an unknown outcome like one that fails.
func (l *logWriter) write(updates []wire.LogUpdate) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in the log store: %v", r)
		}
	}()
	if len(updates) == 0 { // all of it was small
		return nil
	}
	return l.e.cfg.Log.Commit(updates)
}

// deliver tells each worker, in one go, which tokens and how many of its turns became durable.
func (l *logWriter) deliver(marks []durableMark) {
	for _, m := range marks {
		d := &l.told[m.w.number]
		d.marks = append(d.marks, m)
	}
	for n := range l.told {
		d := &l.told[n]
		if len(d.marks) == 0 && d.turns == 0 {
			continue
		}
		l.e.workers[n].inbox.persisted(d.marks, d.turns)
		clear(d.marks)
		d.marks, d.turns = d.marks[:0], 0
	}
}
