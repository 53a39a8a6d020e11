package multiraft

import (
	"slices"

	"flotilla/internal/assert"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// turn is one pass over the groups that have something to do; it returns whether another one should follow
// at once. The order of the phases is a promise (P2): messages leave first, and among them those that
// assert durability belong to batches which became durable before this turn (the cores hold them back until
// Persisted), then this turn's batch goes to the log writer, then what is committed goes to the machines. No
// phase waits for the network, the disk or a machine (P1).
func (w *worker) turn() (again bool) {
	started := w.e.cfg.Now()
	w.takeIn()
	w.tick()
	w.step()
	w.propose()
	w.askReads()
	w.collect()
	w.handOut()
	w.persist()
	w.apply()
	w.keepSnapshots()
	w.answerReads()
	w.promoteLearners()
	again = w.finish()
	w.e.stats.turn(w.e.cfg.Now().Sub(started))
	return again
}

// takeIn empties the inbox. Proposals stay in it while the disk is behind: they will be packed together.
func (w *worker) takeIn() {
	h := takeAll
	if w.outstanding >= maxOutstandingBatches && !w.fenced {
		h = holdProposals
	}
	w.mail.reset()
	w.inbox.swap(&w.mail, h)
	for _, do := range w.mail.orders {
		do(w)
	}
}

// tick lets time pass for every group, which costs each little.
func (w *worker) tick() {
	if w.mail.ticks == 0 || w.fenced {
		return
	}
	w.watchDisk()
	for _, g := range w.groups {
		if g.core != nil {
			w.tickGroup(g)
		}
	}
}

func (w *worker) tickGroup(g *group) {
	defer w.contain(g)
	g.core.Tick()
	g.steady.Add(1)
	if g.pending.len() > 0 && g.view.Load().role != raft.Leader {
		g.waitOutLeader()
	}
	if g.stuck.Load() {
		w.e.appliers.put(g, nil)
	}
	g.watchProgress()
	g.snaps.tick(w, g)
	if len(g.transfer) > 0 {
		g.ageTransfers()
	}
	if g.reads.tick(g, 2*w.e.cfg.electionTicks()) {
		w.activate(g)
	}
	if g.core.HasReady() || g.core.Err() != nil {
		w.activate(g)
	}
}

// step tells the cores what became durable, what was applied, and what others said.
func (w *worker) step() {
	if w.fenced {
		return
	}
	if w.mail.batches > 0 {
		w.outstanding -= w.mail.batches
		w.stallTicks = 0
		assert.That(w.outstanding >= 0, "a worker got back more log batches than it gave")
	}
	for _, d := range w.mail.durable {
		if d.done != nil {
			d.done()
			continue
		}
		w.visit(d.g, func(core *raft.Core) { core.Persisted(d.token) })
	}
	for _, a := range w.mail.applied {
		w.visit(a.g, func(core *raft.Core) { core.Applied(a.index) })
		if a.index > a.g.snaps.told { // else a snapshot that was installed behind it was told of first
			a.g.appliedTerm, a.g.snaps.told = a.term, a.index
		}
		w.e.latch(a.g)
	}
	for i := range w.mail.messages {
		w.stepMessage(&w.mail.messages[i])
	}
}

// call calls do with the core of g, if it has one.
func (w *worker) call(g *group, do func(*raft.Core)) {
	if g.core != nil {
		defer w.contain(g)
		do(g.core)
	}
}

// visit is call, and puts g on this turn's list.
func (w *worker) visit(g *group, do func(*raft.Core)) {
	if g.core != nil {
		w.activate(g)
		w.call(g, do)
	}
}

func (w *worker) stepMessage(l *letter) {
	g := l.g
	if g.core == nil {
		return
	}
	defer w.contain(g)
	if l.m.Type == wire.MsgGroupRefused {
		w.refusedBy(g, &l.m)
		return
	}
	if _, refuses := g.refused[l.m.From]; refuses {
		delete(g.refused, l.m.From)
		g.tellRefusing()
	}
	if w.isStranger(g, &l.m) {
		w.out.add(refusal(&l.m, wire.RefuseRemoved))
		return
	}
	if len(l.m.Entries) > 0 && w.e.log.full() {
		w.e.stats.dropped.Add(1) // the leader probes until the disk has caught up
		return
	}
	w.activate(g)
	if err := g.core.Step(l.m); err != nil {
		w.e.stats.stepErrors.Add(1)
	}
}

// propose packs what came in for each group into as few entries as the limits allow.
func (w *worker) propose() {
	for _, p := range w.mail.proposals {
		switch g := p.g; {
		case !p.take():
			g.release(p.cost) // its caller left and was told that nothing happened
		case w.fenced:
			p.settle(Result{}, g.errorf(wire.CodeStorage, "the log is fenced"))
		case g.core == nil:
			p.settle(Result{}, g.fault.Load())
		default:
			g.incoming = append(g.incoming, p)
			w.activate(g)
		}
	}
	for _, g := range w.active {
		if len(g.incoming) > 0 {
			w.proposeGroup(g)
		}
	}
}

func (w *worker) proposeGroup(g *group) {
	defer w.contain(g)
	for len(g.incoming) > 0 {
		n := batchOf(g.incoming)
		w.proposeEntry(g, g.incoming[:n:n])
		g.incoming = g.incoming[n:] // after: what panics is answered by evict
	}
	g.incoming = nil
}

// proposeEntry appends one entry with props, which the pending book then owns.
func (w *worker) proposeEntry(g *group, props []*proposal) {
	var index wire.Index
	var term wire.Term
	var err error
	if set := props[0].change; set != nil {
		index, term, err = g.core.ProposeChange(*set)
	} else if props[0].empty {
		index, term, err = g.core.ProposeEmpty()
	} else {
		index, term, err = g.core.Propose(pack(props))
	}
	if err != nil {
		for _, p := range props {
			p.settle(Result{}, g.typed(err))
		}
		return
	}
	g.lostLead = 0
	g.pending.add(pendingEntry{index: index, term: term, props: props})
}

// askReads begins a read index round for each group in which reads wait.
func (w *worker) askReads() {
	for _, r := range w.mail.reads {
		switch g := r.g; {
		case w.fenced:
			r.finish(nil, g.errorf(wire.CodeStorage, "the log is fenced"))
		case g.core == nil:
			r.finish(nil, g.fault.Load())
		default:
			g.reads.waiting = append(g.reads.waiting, r)
			w.activate(g)
		}
	}
	for _, g := range w.active {
		if g.core != nil && len(g.reads.waiting) > 0 {
			w.visit(g, g.reads.ask)
		}
	}
}

// collect asks the core of every visited group what it wants done.
func (w *worker) collect() {
	for i := 0; i < len(w.active); i++ {
		if g := w.active[i]; g.core != nil && !w.fenced {
			w.collectGroup(g)
		}
	}
}

// readiesPerTurn: a second one carries what the loop itself proposed upon the first, so that a new leader's
// no-op and the epoch bump are one batch.
const readiesPerTurn = 2

func (w *worker) collectGroup(g *group) {
	defer w.contain(g)
	for range readiesPerTurn {
		if err := g.core.Err(); err != nil {
			g.quarantine(err)
			w.evict(g)
			return
		}
		if !g.core.HasReady() {
			return
		}
		rd := &w.rd
		g.core.Ready(rd)
		w.notice(g, rd)
		for i := range rd.Messages {
			w.out.add(rd.Messages[i])
		}
		if rd.Token != 0 {
			w.batch.add(g, rd)
		}
		if len(rd.Committed) > 0 {
			w.toApply = append(w.toApply, applyJob{g: g, entries: slices.Clone(rd.Committed)})
		}
		g.snaps.needs = append(g.snaps.needs, rd.NeedSnapshot...)
		for _, r := range rd.Reads {
			w.answers = append(w.answers, readAnswer{g: g, read: r})
		}
		for _, node := range rd.Promotable {
			if w.e.cfg.Promote == nil || w.e.cfg.Promote(g.id, node) {
				g.learner = node
				break
			}
		}
	}
}

// handOut sends what the groups have for each peer, together (P5).
func (w *worker) handOut() { w.out.flush(w) }

// persist hands this turn's log updates of all groups to the log writer.
func (w *worker) persist() {
	if len(w.batch.updates) == 0 {
		return
	}
	if w.outstanding == 0 {
		w.stallTicks = 0
	}
	w.outstanding++
	w.e.log.submit(w, &w.batch)
}

// apply lets changes of membership take effect and hands committed entries to the machines.
func (w *worker) apply() {
	for i := range w.toApply {
		w.applyGroup(&w.toApply[i])
	}
	clear(w.toApply)
	w.toApply = w.toApply[:0]
}

// answerReads deals with confirmed and refused read indexes.
func (w *worker) answerReads() {
	for _, a := range w.answers {
		a.g.reads.answer(a.g, a.read)
	}
	clear(w.answers)
	w.answers = w.answers[:0]
}

// finish ends the turn. A group whose core has more to say is visited again at once.
func (w *worker) finish() (again bool) {
	visited := w.active
	w.active = w.active[:0:0]
	for _, g := range visited {
		g.active = false
	}
	for _, g := range visited {
		if !w.fenced {
			more := false
			w.call(g, func(core *raft.Core) { more = core.HasReady() })
			if more {
				w.activate(g)
			}
		}
	}
	if w.draining {
		w.checkDrained()
	}
	return len(w.active) > 0
}
