package multiraft

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"flotilla/internal/assert"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// applyJob is something for a group's machine: committed entries, or a read.
type applyJob struct {
	g       *group
	entries []wire.Entry // contiguous
	waiters []waiter     // by rising index
	read    *read
	freeze  *wire.Snapshot // the state that the machine has now is this one: freeze it
	install *taking
	last    func() // the group was ended: nothing of it is run after this
}

// waiter are the proposals that went into the entry at index.
type waiter struct {
	index wire.Index
	props []*proposal
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
	w.call(g, func(*raft.Core) {
		entries := job.entries
		for i := range entries {
			e := &entries[i]
			assert.That(e.Index == g.handed+1, "group %d: entry %d follows %d", g.id, e.Index, g.handed)
			g.handed = e.Index
			if props := g.pending.commit(g, e.Index, e.Term); props != nil {
				job.waiters = append(job.waiters, waiter{index: e.Index, props: props})
			}
			if e.Kind == wire.EntryChange {
				w.applyChange(g, e)
			}
			if w.due(g, e) { // exactly here: the machine gets no further before
				rest := entries[i+1:]
				job.entries = job.entries[:len(job.entries)-len(rest)]
				w.submit(job)
				*job = applyJob{g: g, entries: rest}
				w.takeSnapshot(g)
			}
		}
	})
	if g.core == nil {
		job.refuse(g.fault.Load())
		return
	}
	if len(job.entries) > 0 {
		w.submit(job)
	}
}

// submit hands a job's entries to the machine.
func (w *worker) submit(job *applyJob) {
	job.g.commit.Store(uint64(job.entries[len(job.entries)-1].Index))
	w.e.appliers.submit(*job)
}

// applier runs machines, one group at a time. Its buffers are reused.
type applier struct {
	e    *Engine
	jobs []applyJob
	applyBatch
}

// applyBatch is what goes to the machine in one call.
type applyBatch struct {
	commands []Command
	spans    []span
	bytes    int // of the entries they came from
}

// span says which commands of the batch came from one entry.
type span struct {
	index   wire.Index
	term    wire.Term
	count   int
	waiting []*proposal
}

// run serves everything queued for g: committed entries in as few Apply calls as the limit allows, then
// the reads they make possible. A machine without space keeps entries waiting, never reads of what there is.
func (a *applier) run(g *group) {
	stuck := a.fails(g, a.resume(g))
	for i := range a.jobs {
		job := &a.jobs[i]
		fault := g.fault.Load()
		switch {
		case job.last != nil:
			defer job.last()
		case fault != nil:
			job.refuse(fault)
		case job.read != nil:
			g.run.park(job.read)
		case stuck:
			g.run.held.jobs = append(g.run.held.jobs, *job)
		default:
			if stuck = a.fails(g, a.gather(g, job)); stuck {
				g.run.held.jobs = append(g.run.held.jobs, *job)
			} else if fault := g.fault.Load(); fault != nil {
				job.refuse(fault)
			}
		}
	}
	if !stuck {
		a.fails(g, a.flush(g))
	}
	a.serveReads(g)
}

// fails deals with the outcome of a call of the machine and reports whether g waits for space now.
func (a *applier) fails(g *group, err error) (stuck bool) {
	switch {
	case err == nil:
		return false
	case errors.Is(err, wire.ErrNoSpace):
		a.hold(g, err)
		return true
	}
	g.quarantine(err)
	a.abandon(g)
	return false
}

// gather adds a job's commands to the batch, and applies the batch when it is full. On error what was not
// added to the batch is left in the job.
func (a *applier) gather(g *group, job *applyJob) error {
	for i := range job.entries {
		e := &job.entries[i]
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
		if a.bytes >= maxApplyBytes {
			if err := a.flush(g); err != nil {
				job.entries = job.entries[i+1:]
				return err
			}
		}
	}
	job.entries = nil
	switch {
	case job.freeze != nil:
		if err := a.flush(g); err != nil {
			return err
		}
		return a.freeze(g, *job.freeze)
	case job.install != nil:
		if err := a.flush(g); err != nil {
			return err
		}
		return a.install(g, job.install)
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
		g.run.given = a.commands[len(a.commands)-1].Index
	}
	g.freed()
	g.applied.Store(uint64(last.index))
	a.settle(results)
	a.e.stats.commandsApplied.Add(uint64(len(a.commands)))
	g.w.inbox.applied(appliedMark{g: g, index: last.index, term: last.term})
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
	a.refuse(g, g.fault.Load())
	a.clear()
}

// refuse answers those whose commands are in a batch that is not going to be applied.
func (b *applyBatch) refuse(g *group, why *wire.Error) {
	for _, s := range b.spans {
		job := applyJob{g: g, waiters: []waiter{{props: s.waiting}}}
		job.refuse(why)
	}
}

func (a *applier) clear() {
	clear(a.commands)
	clear(a.spans)
	a.commands, a.spans, a.bytes = a.commands[:0], a.spans[:0], 0
}

// serveReads answers the parked reads that the applied index has reached.
func (a *applier) serveReads(g *group) {
	n := g.run.reached(wire.Index(g.applied.Load()))
	for _, r := range g.run.parked[:n] {
		a.serve(g, r)
	}
	g.run.parked = slices.Delete(g.run.parked, 0, n)
	if fault := g.fault.Load(); fault != nil {
		g.run.drop(fault)
	}
}

func (a *applier) serve(g *group, r *read) {
	fault := g.fault.Load()
	switch {
	case fault != nil:
		r.finish(nil, fault)
	case r.kind == readWait || r.gone():
		r.finish(nil, nil)
	default:
		value, err := queryOf(g.machine, r.request)
		if _, panicked := errors.AsType[*machinePanic](err); panicked {
			g.quarantine(fmt.Errorf("query of group %d: %w", g.id, err))
			err = g.fault.Load()
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

// caught, when deferred, turns a panic of a machine into an error (P4).
func caught(err *error) {
	if r := recover(); r != nil {
		*err = &machinePanic{value: r, stack: debug.Stack()}
	}
}

// applyTo calls Apply and turns a panic into an error (P4).
func applyTo(m StateMachine, batch []Command) (results [][]byte, err error) {
	defer caught(&err)
	return m.Apply(batch)
}

// queryOf calls Query and turns a panic into an error (P4).
func queryOf(m StateMachine, request []byte) (value []byte, err error) {
	defer caught(&err)
	return m.Query(request)
}
