package main

import (
	"math/rand/v2"
	"slices"

	"flotilla/raft/wire"
)

// maxFlights bounds the network: more messages, and the oldest are lost.
const maxFlights = 128

// plan is what a seed draws before the first step: the cluster and how bad its world is.
type plan struct {
	nodes, voters int
	carrier       int // the side whose messages the network carries
	steps         int
	fifo          bool
	sync          float64 // chance that a node's writes are durable right after a step
	drop, repeat  float64
	weights       [kinds]int
}

// syncAlways is a world in which disks are immediate.
func (p *plan) syncAlways() bool { return p.sync >= 1 }

// kind is one kind of choice of a schedule.
type kind int

const (
	chooseDeliver kind = iota
	chooseTick
	chooseTickAll
	chooseSilence
	choosePropose
	chooseCampaign
	chooseCrash
	chooseRestart
	chooseCut
	chooseHeal
	chooseChange
	chooseTransfer
	chooseRead
	chooseUnreachable
	chooseSync
	chooseCompact
	chooseLag
	kinds
)

// base is the weight of each kind in a world where nothing is special.
var base = [kinds]int{
	chooseDeliver: 300, chooseTick: 20, chooseTickAll: 12, chooseSilence: 2, choosePropose: 50, chooseCampaign: 8, chooseCrash: 5,
	chooseRestart: 12, chooseCut: 5, chooseHeal: 8, chooseChange: 24, chooseTransfer: 8, chooseRead: 20, chooseUnreachable: 3, chooseSync: 30,
	chooseCompact: 6, chooseLag: 5,
}

// draw makes a plan. Rates differ widely between seeds, so that each fault has schedules in which it is rare, frequent, or
// the only one.
func draw(rng *rand.Rand) plan {
	p := plan{nodes: 1 + rng.IntN(maxNodes), carrier: rng.IntN(2), steps: 60 + rng.IntN(120), fifo: rng.IntN(3) > 0, sync: 1}
	p.voters = 1 + rng.IntN(p.nodes)
	if rng.IntN(3) > 0 {
		p.nodes = max(p.nodes, 3)
		p.voters = max(p.voters, 3)
	}
	if rng.IntN(2) == 0 {
		p.sync = rng.Float64()
	}
	if rng.IntN(2) == 0 {
		p.drop, p.repeat = rng.Float64()*0.3, rng.Float64()*0.2
	}
	p.weights = base
	for k := range p.weights {
		switch rng.IntN(6) {
		case 0:
			p.weights[k] *= 4
		case 1:
			if kind(k) != chooseDeliver && kind(k) != chooseSync && kind(k) != chooseRestart {
				p.weights[k] = 0
			}
		}
	}
	return p
}

// run plays the schedule to its end, or to the first difference.
func (w *world) run() {
	if w.rng.IntN(4) > 0 {
		w.campaign(w.nodes[1])
		w.quiesce(60, wire.NoNode)
	}
	for i := 0; i < w.plan.steps && w.failure == nil; i++ {
		w.choose()
	}
	if w.failure == nil {
		w.converge()
	}
}

func (w *world) choose() {
	total := 0
	for _, n := range w.plan.weights {
		total += n
	}
	at := w.rng.IntN(total)
	k := kind(0)
	for at >= w.plan.weights[k] {
		at -= w.plan.weights[k]
		k++
	}
	w.play(k)
}

// play plays one choice.
func (w *world) play(k kind) {
	p := w.anyPair()
	switch k {
	case chooseDeliver:
		w.transmit()
	case chooseTick:
		w.tick(p)
	case chooseTickAll:
		w.tickAll()
	case chooseSilence:
		for range electionTicks + w.rng.IntN(electionTicks) {
			w.tickAll()
		}
	case choosePropose:
		w.propose(w.likelyLeader())
	case chooseCampaign:
		if p.alive {
			w.campaign(p)
		}
	case chooseCrash:
		if p.alive {
			w.crash(p)
		}
	case chooseRestart:
		if !p.alive {
			w.restart(p)
		}
	case chooseCut:
		w.cut(p)
	case chooseHeal:
		w.blocked = [maxNodes + 1]nodeSet{}
	case chooseChange:
		leader := w.likelyLeader()
		w.change(leader, w.drawChanges(leader, p.id))
	case chooseTransfer:
		w.transfer(w.likelyLeader(), p.id)
	case chooseRead:
		if w.rng.IntN(2) == 0 {
			p = w.likelyLeader()
		}
		if p.alive {
			w.readIndex(p)
		}
	case chooseUnreachable:
		if leader := w.likelyLeader(); leader.id != p.id {
			w.unreachable(leader, p.id)
		}
	case chooseCompact:
		if p.alive {
			w.compact(p)
		}
	case chooseLag:
		w.lag(p)
	case chooseSync:
		if p.alive && p.pending() {
			w.scripted = "sync"
			w.sync(p, 1+w.rng.IntN(3))
		}
	}
}

// drawChanges draws a set of changes, n's among them: one, or several that go together; mostly such as make sense, and
// now and then for one membership only.
func (w *world) drawChanges(leader *pair, n wire.NodeID) wire.ChangeSet {
	var set wire.ChangeSet
	for {
		set.Changes = append(set.Changes, wire.Change{Kind: w.drawKind(&leader.now, n), Node: n})
		n = n%wire.NodeID(w.plan.nodes) + 1
		if n == set.Changes[0].Node || w.rng.IntN(3) == 0 {
			break
		}
	}
	if w.rng.IntN(4) == 0 {
		set.SetBase, set.Base = true, leader.ours.core.Status().Membership.Index+wire.Index(w.rng.IntN(4)/3)
	}
	return set
}

func (w *world) drawKind(s *state, n wire.NodeID) wire.ChangeKind {
	kinds := []wire.ChangeKind{wire.ChangeAddLearner, wire.ChangePromote, wire.ChangeRemove, wire.ChangeDemote}
	switch {
	case w.rng.IntN(8) == 0:
	case s.voting().has(n):
		kinds = kinds[2:]
	case s.learners.has(n):
		kinds = kinds[1:3]
	default:
		kinds = kinds[:2]
	}
	return kinds[w.rng.IntN(len(kinds))]
}

func (w *world) anyPair() *pair { return w.nodes[1+w.rng.IntN(w.plan.nodes)] }

// likelyLeader is the leader, and now and then anybody.
func (w *world) likelyLeader() *pair {
	if p := w.leader(); p != nil && w.rng.IntN(8) > 0 {
		return p
	}
	return w.anyPair()
}

func (w *world) tickAll() {
	for _, p := range w.pairs() {
		w.tick(p)
	}
}

// cut cuts p off in both directions, or one direction of one link.
func (w *world) cut(p *pair) {
	if w.rng.IntN(2) == 0 {
		w.blocked[p.id] |= 1 << w.anyPair().id
		return
	}
	for _, other := range w.pairs() {
		w.blocked[p.id] |= 1 << other.id
		w.blocked[other.id] |= 1 << p.id
	}
}

// transmit takes a message off the network and delivers, loses or repeats it.
func (w *world) transmit() {
	if len(w.network) == 0 {
		return
	}
	at := 0
	if !w.plan.fifo {
		at = w.rng.IntN(len(w.network))
	}
	f := w.network[at]
	if w.rng.Float64() >= w.plan.repeat {
		w.network = slices.Delete(w.network, at, at+1)
	}
	if w.rng.Float64() < w.plan.drop || w.blocked[f.from].has(f.to) {
		w.tracef("%5d lost %s\n", w.steps, &f.message)
		w.missed(&f.message)
		return
	}
	w.deliver(f)
}

// quiesce delivers everything in order, but to a node that is cut off, and syncs, until nothing is left.
func (w *world) quiesce(limit int, cutOff wire.NodeID) {
	for n := 0; n < limit && w.failure == nil; n++ {
		for _, p := range w.pairs() {
			if p.alive && p.pending() {
				w.scripted = "sync"
				w.sync(p, all)
			}
		}
		if len(w.network) == 0 {
			return
		}
		f := w.network[0]
		w.network = slices.Delete(w.network, 0, 1)
		if cutOff == f.to {
			w.missed(&f.message)
			continue
		}
		w.deliver(f)
	}
}

// Bounds of the end of a schedule.
const (
	maxHealTicks   = 30 * electionTicks
	maxQuiesce     = 2000
	proposeAtTicks = 3
)

// converge heals the world and demands that the cluster elects, commits and agrees by the carrier's messages alone.
func (w *world) converge() {
	w.blocked = [maxNodes + 1]nodeSet{}
	for _, p := range w.pairs() {
		if !p.alive {
			w.restart(p)
		}
	}
	if w.comeToRest() || w.failure != nil {
		return
	}
	if w.plan.carrier == sideTheirs && w.changeNotHeardOf() {
		w.note(depStuckWithoutAdvice)
		w.plan.carrier = sideOurs
		if w.comeToRest() || w.failure != nil {
			return
		}
	}
	w.failf(w.nodes[1], "no agreement %d ticks after the world was healed", maxHealTicks)
}

// comeToRest reports whether the cluster agrees in time.
func (w *world) comeToRest() bool {
	for n := 1; n <= maxHealTicks && w.failure == nil; n++ {
		w.quiesce(maxQuiesce, wire.NoNode)
		if p := w.leader(); p != nil && n%proposeAtTicks == 0 {
			w.snapshot(p)
			w.propose(p)
			w.quiesce(maxQuiesce, wire.NoNode)
			if w.agreed(p) {
				return true
			}
		}
		w.tickAll()
	}
	return false
}

// changeNotHeardOf reports whether somebody holds a change and does not know that it is committed, and somebody else
// knows it.
func (w *world) changeNotHeardOf() bool {
	for _, p := range w.pairs() {
		for _, e := range p.ours.log[p.now.commit:] {
			if e.Kind == wire.EntryChange && slices.ContainsFunc(w.pairs(), func(o *pair) bool {
				return o.now.commit >= e.Index && termAt(o.ours.log, e.Index) == e.Term
			}) {
				return true
			}
		}
	}
	return false
}

// agreed reports whether every member has applied the whole log of leader p.
func (w *world) agreed(p *pair) bool {
	last := wire.Index(len(p.ours.log))
	for _, n := range append(p.now.voting().list(), p.now.learners.list()...) {
		if w.nodes[n].now.applied != last {
			return false
		}
	}
	return leads(&p.now) && p.now.outgoing == 0
}
