package multiraft

import (
	"fmt"
	"runtime/debug"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// applyJob is something for a group's machine: committed entries, or a read.
type applyJob struct {
	g *group
	// entries are contiguous up to last. Without them, those from first are read from the log again.
	entries     []wire.Entry
	first, last wire.Index
	bytes       int
	waiters     []waiter
	read        *read
}

// waiter are the proposals that went into the entry at index.
type waiter struct {
	index wire.Index
	props []*proposal
}

// newApplyJob copies entries, whose slice belongs to a Ready.
func newApplyJob(g *group, entries []wire.Entry) applyJob {
	job := applyJob{g: g, entries: append([]wire.Entry(nil), entries...), first: entries[0].Index,
		last: entries[len(entries)-1].Index}
	for i := range entries {
		job.bytes += entries[i].Size()
	}
	return job
}

// refuse answers those who wait for a job that is not going to be run. Commands in the log may still be
// applied elsewhere.
func (j *applyJob) refuse(why *wire.Error) {
	for _, w := range j.waiters {
		for _, p := range w.props {
			p.settle(Result{}, &wire.Error{Code: wire.CodeUnknownOutcome, Group: j.g.id, Cause: why})
		}
	}
	if j.read != nil {
		j.read.finish(nil, why)
	}
}

// applyGroup is the worker's part of applying: changes of membership take effect here, before the machine
// sees what follows them (P9), and the proposals that are in the entries are found.
func (w *worker) applyGroup(job *applyJob) {
	g := job.g
	if g.core == nil {
		job.refuse(g.fault.Load())
		return
	}
	defer func() {
		if r := recover(); r != nil {
			g.quarantine(fmt.Errorf("panic in the core of group %d: %v\n%s", g.id, r, debug.Stack()))
			w.evict(g)
			job.refuse(g.fault.Load())
		}
	}()
	assert.That(job.first == g.handed+1, "group %d: entries from %d follow %d", g.id, job.first, g.handed)
	for i := range job.entries {
		e := &job.entries[i]
		if props := g.pending.commit(g, e.Index, e.Term); props != nil {
			job.waiters = append(job.waiters, waiter{index: e.Index, props: props})
		}
		if e.Kind == wire.EntryChange {
			w.applyChange(g, e)
		}
	}
	g.handed = job.last
	g.commit.Store(uint64(job.last))
	if g.unapplied > 0 && g.unapplied+job.bytes > maxApplyQueueBytes {
		job.entries, job.bytes = nil, 0 // the machine is slow: they are in the log
	}
	g.unapplied += job.bytes
	w.e.appliers.submit(*job)
}

// applier runs machines, one group at a time. Its buffers are reused.
type applier struct {
	e        *Engine
	jobs     []applyJob
	commands []Command
	spans    []span
	fetched  []wire.Entry
	bytes    int // of commands
	held     int // bytes of entries that were held in memory
}

// span says which commands of the batch came from one entry.
type span struct {
	index   wire.Index
	term    wire.Term
	count   int
	waiting []*proposal
}

// run serves everything queued for g: committed entries in as few Apply calls as the limit allows, then
// the reads they make possible.
func (a *applier) run(g *group) {
	for i := range a.jobs {
		job := &a.jobs[i]
		if fault := g.fault.Load(); fault != nil {
			job.refuse(fault)
			continue
		}
		if job.read != nil {
			g.run.park(job.read)
			continue
		}
		if err := a.gather(g, job); err != nil {
			g.quarantine(err)
			a.abandon(g)
			job.refuse(g.fault.Load())
		}
	}
	if err := a.flush(g); err != nil {
		g.quarantine(err)
		a.abandon(g)
	}
	if fault := g.fault.Load(); fault != nil {
		g.run.drop(fault)
	}
	a.serveReads(g)
}

// gather adds a job's commands to the batch, and applies the batch when it is full. On error the job's waiters
// that were not added to the batch are left in the job.
func (a *applier) gather(g *group, job *applyJob) error {
	if job.entries != nil {
		return a.gatherEntries(g, job, job.entries)
	}
	for next := job.first; next <= job.last; {
		var err error
		a.fetched, err = a.e.cfg.Log.Entries(g.id, a.fetched[:0], next, job.last+1, maxApplyBytes)
		if err == nil && len(a.fetched) == 0 {
			err = wire.ErrUnavailable
		}
		if err != nil {
			return fmt.Errorf("read entries %d to %d of group %d again: %w", next, job.last, g.id, err)
		}
		if err := a.gatherEntries(g, job, a.fetched); err != nil {
			return err
		}
		next = a.fetched[len(a.fetched)-1].Index + 1
		if err := a.flush(g); err != nil { // before the buffer is reused
			return err
		}
	}
	clear(a.fetched)
	return nil
}

func (a *applier) gatherEntries(g *group, job *applyJob, entries []wire.Entry) error {
	for i := range entries {
		e := &entries[i]
		before := len(a.commands)
		if e.Kind == wire.EntryData {
			var err error
			if a.commands, err = unpack(a.commands, e); err != nil {
				a.commands = a.commands[:before]
				return err
			}
		}
		s := span{index: e.Index, term: e.Term, count: len(a.commands) - before}
		if len(job.waiters) > 0 && job.waiters[0].index == e.Index {
			s.waiting = job.waiters[0].props
			job.waiters = job.waiters[1:]
		}
		a.spans = append(a.spans, s)
		a.bytes += e.Size()
		if job.bytes > 0 {
			a.held += e.Size()
		}
		if a.bytes >= maxApplyBytes {
			if err := a.flush(g); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush applies the batch. Only after the machine has returned does the applied index move (P11), are proposals
// answered, and does the worker learn of it; a batch without commands moves it as well (F32).
func (a *applier) flush(g *group) error {
	if len(a.spans) == 0 {
		return nil
	}
	last := a.spans[len(a.spans)-1]
	assert.That(uint64(a.spans[0].index) == g.applied.Load()+1, "group %d: applying %d after %d", g.id, a.spans[0].index, g.applied.Load())
	var results [][]byte
	if len(a.commands) > 0 {
		var err error
		if results, err = applyTo(g.machine, a.commands); err != nil {
			return fmt.Errorf("apply entries %d to %d of group %d: %w", a.spans[0].index, last.index, g.id, err)
		}
		if results != nil && len(results) != len(a.commands) {
			return fmt.Errorf("apply entries %d to %d of group %d: %d results for %d commands",
				a.spans[0].index, last.index, g.id, len(results), len(a.commands))
		}
	}
	g.applied.Store(uint64(last.index))
	a.settle(results)
	a.e.stats.commandsApplied.Add(uint64(len(a.commands)))
	g.w.inbox.applied(appliedMark{g: g, index: last.index, term: last.term, bytes: a.held})
	a.clear()
	return nil
}

// settle gives each waiting proposal its command's result: position n of an entry's proposals is command n.
func (a *applier) settle(results [][]byte) {
	at := 0
	for _, s := range a.spans {
		for n, p := range s.waiting {
			var value []byte
			if results != nil && n < s.count {
				value = results[at+n]
			}
			p.settle(Result{Index: s.index, Term: s.term, Value: value}, nil)
		}
		at += s.count
	}
}

// abandon answers those whose commands were in a batch that the machine did not survive.
func (a *applier) abandon(g *group) {
	for _, s := range a.spans {
		job := applyJob{g: g, waiters: []waiter{{props: s.waiting}}}
		job.refuse(g.fault.Load())
	}
	a.clear()
}

func (a *applier) clear() {
	clear(a.commands)
	clear(a.spans)
	a.commands, a.spans, a.bytes, a.held = a.commands[:0], a.spans[:0], 0, 0
}

// serveReads answers the parked reads that the applied index has reached.
func (a *applier) serveReads(g *group) {
	for {
		r := g.run.next(wire.Index(g.applied.Load()))
		if r == nil {
			return
		}
		if r.kind == readWait || r.gone() {
			r.finish(nil, nil)
			continue
		}
		value, err := queryOf(g.machine, r.request)
		if _, panicked := err.(*machinePanic); panicked {
			g.quarantine(fmt.Errorf("query of group %d: %w", g.id, err))
			r.finish(nil, g.fault.Load())
			g.run.drop(g.fault.Load())
			return
		}
		r.finish(value, err)
	}
}

// machinePanic is what a state machine panicked with.
type machinePanic struct {
	value any
	stack []byte
}

// Error returns the value and where it came from.
func (p *machinePanic) Error() string {
	return fmt.Sprintf("state machine panicked: %v\n%s", p.value, p.stack)
}

// applyTo calls Apply and turns a panic into an error (P4).
func applyTo(m StateMachine, batch []Command) (results [][]byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &machinePanic{value: r, stack: debug.Stack()}
		}
	}()
	return m.Apply(batch)
}

// queryOf calls Query and turns a panic into an error (P4).
func queryOf(m StateMachine, request []byte) (value []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &machinePanic{value: r, stack: debug.Stack()}
		}
	}()
	return m.Query(request)
}
