package multiraft

import (
	"slices"
	"sort"
	"sync"

	"flotilla/raft/wire"
)

// applyPool is the queue between the workers and the appliers. A group with something to do is in it once, and
// is run by one applier at a time; any applier may be next. So a machine that takes its time
// keeps one applier busy and delays no other group while there is another applier.
type applyPool struct {
	e    *Engine
	cond *sync.Cond // of mu: somebody is runnable, or closed

	mu struct {
		sync.Mutex
		runnable []*group
		head     int
		closed   bool
	}
}

// applyState is the appliers' part of a group.
type applyState struct {
	queue     []applyJob // guarded by the pool
	scheduled bool       // guarded by the pool: in runnable, or being run
	running   bool       // guarded by the pool

	// Owned by the applier that runs the group: reads by rising index; given is that of the machine's last command, or of a state taken over.
	given   wire.Index
	parked  []*read
	sweepAt int
	held    held
}

func newApplyPool(e *Engine) *applyPool {
	p := &applyPool{e: e}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// submit queues job; its waiters are refused after close.
func (p *applyPool) submit(job applyJob) {
	if !p.put(job.g, &job) {
		job.refuse(job.g.stopped())
	}
}

// last has do called when nothing of g is run any more, by the applier that ran it last; false after close.
func (p *applyPool) last(g *group, do func()) bool { return p.put(g, &applyJob{g: g, last: do}) }

// read queues r; false after close.
func (p *applyPool) read(r *read) bool { return p.put(r.g, &applyJob{g: r.g, read: r}) }

// put queues job, or without one has g run once more to look at its fault or at what it holds; false after close.
func (p *applyPool) put(g *group, job *applyJob) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return false
	}
	if job != nil {
		g.run.queue = append(g.run.queue, *job)
	}
	if !g.run.scheduled {
		g.run.scheduled = true
		p.push(g)
	}
	return true
}

// push appends to runnable; the caller holds the lock.
func (p *applyPool) push(g *group) {
	if p.mu.head > 0 && len(p.mu.runnable) == cap(p.mu.runnable) {
		n := copy(p.mu.runnable, p.mu.runnable[p.mu.head:])
		clear(p.mu.runnable[n:])
		p.mu.runnable, p.mu.head = p.mu.runnable[:n], 0
	}
	p.mu.runnable = append(p.mu.runnable, g)
	p.cond.Signal()
}

// loop runs groups until close.
func (p *applyPool) loop() {
	a := &applier{e: p.e}
	for p.runNext(a, waitForWork) {
	}
}

// patience says what runNext does when nothing is runnable.
type patience uint8

const (
	waitForWork patience = iota
	returnWhenIdle
)

// runNext runs the next group; false when there is none, or after close.
func (p *applyPool) runNext(a *applier, idle patience) bool {
	p.mu.Lock()
	for p.mu.head == len(p.mu.runnable) && !p.mu.closed && idle == waitForWork {
		p.cond.Wait()
	}
	if p.mu.closed || p.mu.head == len(p.mu.runnable) {
		p.mu.Unlock()
		return false
	}
	g := p.mu.runnable[p.mu.head]
	p.mu.runnable[p.mu.head] = nil
	if p.mu.head++; p.mu.head == len(p.mu.runnable) {
		p.mu.runnable, p.mu.head = p.mu.runnable[:0], 0
	}
	a.jobs, g.run.queue = g.run.queue, a.jobs[:0]
	g.run.running = true
	p.mu.Unlock()

	a.run(g)
	clear(a.jobs)

	p.mu.Lock()
	g.run.running = false
	if len(g.run.queue) > 0 {
		p.push(g) // behind the others: fair
	} else {
		g.run.scheduled = false
	}
	p.mu.Unlock()
	return true
}

// runnable reports whether runNext would find something.
func (p *applyPool) runnable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.head < len(p.mu.runnable) && !p.mu.closed
}

// close refuses everything from now on and lets the appliers return.
func (p *applyPool) close() {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	p.cond.Broadcast()
}

// abandon answers all who still wait in g, after close. Those in a machine that does not return are left to it.
func (p *applyPool) abandon(g *group) {
	p.mu.Lock()
	queue, running := g.run.queue, g.run.running
	g.run.queue = nil
	p.mu.Unlock()
	for i := range queue {
		queue[i].refuse(g.stopped())
	}
	if !running {
		g.run.held.drop(g, g.stopped())
		g.run.drop(g.stopped())
	}
}

// park keeps r until the applied index reaches its index. Those who gave up are looked for whenever the
// number has doubled, so that they cannot pile up.
func (s *applyState) park(r *read) {
	if len(s.parked) >= max(s.sweepAt, minSweep) {
		s.parked = withoutGone(s.parked)
		s.sweepAt = 2 * len(s.parked)
	}
	at := len(s.parked)
	if at > 0 && s.parked[at-1].index > r.index { // rare: indexes rise
		at = s.reached(r.index)
	}
	s.parked = slices.Insert(s.parked, at, r)
}

// reached returns how many of the parked reads wait for no more than applied.
func (s *applyState) reached(applied wire.Index) int {
	return sort.Search(len(s.parked), func(i int) bool { return s.parked[i].index > applied })
}

// drop answers all parked reads with why.
func (s *applyState) drop(why *wire.Error) {
	for _, r := range s.parked {
		r.finish(nil, why)
	}
	s.parked = nil
}
