package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// world is one schedule being played to a cluster of pairs.
type world struct {
	seed   uint64
	plan   plan
	rng    *rand.Rand
	clocks clockOffsets

	nodes   [maxNodes + 1]*pair // 1..plan.nodes
	network []flight
	blocked [maxNodes + 1]nodeSet // blocked[a] has b: nothing gets from a to b
	safety  [2]*safety

	steps    int // compared so far
	joints   int // joint configurations that a leader has entered
	installs int // snapshots that took a log's place
	reads    uint64
	data     uint64
	top      wire.Index // highest commit index anywhere
	counts   tally
	trace    io.Writer // nil for none
	failure  *difference
	scripted string // the present action, for traces
}

// flight is one message on the network.
type flight struct {
	message
	commit wire.Index // the sender's commit index, which our heartbeat replies tell
}

// difference is what ends a run.
type difference struct {
	seed  uint64
	step  int
	what  string
	node  wire.NodeID
	ours  string
	their string
}

// Error says everything that is needed to look into it.
func (d *difference) Error() string {
	return fmt.Sprintf("seed %d, step %d, node %d: %s\n  ours      %s\n  reference %s\n  replay: go run . -seed %d -v",
		d.seed, d.step, d.node, d.what, d.ours, d.their, d.seed)
}

// action is one kind of step of a schedule.
type action uint8

const (
	doDeliver action = iota
	doTick
	doPropose
	doCampaign
	doSync
	doRestart
	doChange
	doTransfer
	doRead
	doUnreachable
	doCompact
)

// cause is the stimulus of one step: what both halves of a node were given.
type cause struct {
	kind action
	m    *message // doDeliver
	read uint64   // doRead
}

func newWorld(seed uint64, trace io.Writer) (*world, error) {
	rng := rand.New(rand.NewPCG(seed, 0x6469666665726e63))
	w := &world{seed: seed, rng: rng, plan: draw(rng), clocks: findClocks(), trace: trace}
	w.safety = [2]*safety{newSafety(), newSafety()}
	birth := wire.Membership{}
	for n := range w.plan.voters {
		birth.Voters = append(birth.Voters, wire.NodeID(n+1))
	}
	for n := range w.plan.nodes {
		id := wire.NodeID(n + 1)
		p, err := newPair(id, birth, seed*1000+uint64(id)*100, &w.safety)
		if err != nil {
			return nil, err
		}
		w.nodes[id] = p
		w.settle(p, &cause{kind: doRestart})
	}
	return w, nil
}

// pairs are the nodes of the schedule.
func (w *world) pairs() []*pair { return w.nodes[1 : w.plan.nodes+1] }

func (w *world) note(d departure) {
	w.counts[d]++
	if w.trace != nil {
		fmt.Fprintf(w.trace, "        (%s)\n", table[d].id)
	}
}

func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, format, args...)
	}
}

// failf ends the run.
func (w *world) failf(p *pair, format string, args ...any) {
	if w.failure != nil {
		return
	}
	w.failure = &difference{seed: w.seed, step: w.steps, what: w.scripted + ": " + fmt.Sprintf(format, args...), node: p.id}
	func() {
		defer func() { _ = recover() }() // a core that broke an invariant may not even answer Status
		o, t := p.ours.state(), p.theirs.state()
		w.failure.ours = o.String() + "\n            log " + tail(p.ours.log) + owedString(p.owed[sideOurs])
		w.failure.their = t.String() + "\n            log " + tail(p.theirs.log) + owedString(p.owed[sideTheirs])
	}()
}

func owedString(list []promise) string {
	var s strings.Builder
	for i := range list {
		s.WriteString("\n            only here: " + list[i].String())
	}
	return s.String()
}

// tail is the end of a log.
func tail(log []wire.Entry) string {
	const shown = 8
	return fmt.Sprintf("%d entries, the last %s", len(log), entriesString(log[max(0, len(log)-shown):]))
}

// settle lets both halves of p hand out what the stimulus has made ready, compares, and takes the carrier's messages.
func (w *world) settle(p *pair, c *cause) {
	w.steps++
	p.stepped = w.steps
	p.before = p.now
	p.ours.drain(w.steps, &p.out[sideOurs])
	p.theirs.drain(w.steps, &p.out[sideTheirs])
	p.now = p.ours.state()
	w.alignState(p, c)
	w.alignLeave(p)
	if leads(&p.now) && p.now.outgoing != 0 && p.before.outgoing == 0 {
		w.joints++
	}
	for ; p.theirs.simple > 0; p.theirs.simple-- {
		w.note(depSimpleSet)
	}
	if p.ours.err != nil || p.theirs.err != nil {
		w.failf(p, "ours: %v, reference: %v", p.ours.err, p.theirs.err)
		return
	}
	for ; p.theirs.votes > 0; p.theirs.votes-- {
		w.note(depVoteRequestHeld)
	}
	w.number(p, c)
	p.markRounds()
	w.fillRounds(p)
	w.compareState(p)
	w.compareMessages(p, c)
	w.compareReads(p, c)
	w.checkSafety(p)
	w.alignClock(p, c)
	w.top = max(w.top, p.now.commit)
	w.post(p)
	if w.trace != nil {
		w.tracef("      %d: %s, log to %d, writes %d/%d\n", p.id, p.now.String(), len(p.ours.log), len(p.ours.pending), len(p.theirs.pending))
	}
	p.out[sideOurs].reset()
	p.out[sideTheirs].reset()
}

// number gives our messages of reads the numbers of the schedule.
func (w *world) number(p *pair, c *cause) {
	for i := range p.out[sideOurs].messages {
		switch m := &p.out[sideOurs].messages[i]; m.typ {
		case wire.MsgReadIndex:
			if c.kind != doRead {
				w.failf(p, "a question for a read index without a read: %s", m)
			}
			p.reads[m.read], p.numbers[c.read] = c.read, m.read
			m.read = c.read
		case wire.MsgReadIndexReply:
			m.read = w.nodes[m.to].reads[m.read]
		}
	}
}

// fillRounds gives heartbeats and replies the other side's number of their read round.
func (w *world) fillRounds(p *pair) {
	for side := range p.out {
		for i := range p.out[side].messages {
			m := &p.out[side].messages[i]
			leader := p
			switch m.typ {
			case wire.MsgHeartbeat:
			case wire.MsgHeartbeatReply:
				leader = w.nodes[m.to]
			default:
				continue
			}
			if side == sideOurs {
				m.position = leader.position(m.term, m.round)
			} else {
				m.round = leader.round(m.term, m.position)
			}
		}
	}
}

// post puts the carrier's messages on the network.
func (w *world) post(p *pair) {
	for _, m := range p.out[w.plan.carrier].messages {
		w.tracef("        says %s\n", &m)
		w.network = append(w.network, flight{message: m, commit: p.now.commit})
	}
	if over := len(w.network) - maxFlights; over > 0 {
		for i := range w.network[:over] {
			w.missed(&w.network[i].message)
		}
		w.network = slices.Delete(w.network, 0, over)
	}
}

// checkSafety looks at both halves by themselves.
func (w *world) checkSafety(p *pair) {
	theirs := p.theirs.state()
	for side, s := range [2]*state{&p.now, &theirs} {
		l := &p.ours.ledger
		if side == sideTheirs {
			l = &p.theirs.ledger
		}
		err := w.safety[side].observe(p.id, p.life, s, l)
		for i := range p.out[side].messages {
			if err == nil {
				err = w.safety[side].said(&p.out[side].messages[i], l)
			}
		}
		if err != nil {
			w.failf(p, "%s: %v", sideNames[side], err)
		}
	}
}

// sync makes writes of p durable, in the order in which they were handed out: at most so many, or all and those that
// follow from them.
func (w *world) sync(p *pair, most int) {
	for ; most != 0 && p.alive && p.pending() && w.failure == nil; most-- {
		// One write is one step: the reference moves its commit index with each, ours once for all that are vouched for together.
		stamp := p.oldest()
		w.tracef("%5d sync %d to the write of step %d\n", w.steps, p.id, stamp)
		w.guard(p, func() {
			p.ours.sync(stamp)
			p.theirs.sync(stamp, &p.out[sideTheirs])
			p.theirs.first = max(p.theirs.first, p.ours.first) // the reference leaves compaction to its storage
			w.settle(p, &cause{kind: doSync})
		})
		w.compareDisks(p)
	}
	if !p.pending() {
		p.waiting = 0
	}
}

// all is how many writes sync makes durable that leaves none.
const all = -1

// compareDisks compares what a crash would leave.
func (w *world) compareDisks(p *pair) {
	a, b := &p.ours.ledger, &p.theirs.ledger
	if a.hard.Term != b.hard.Term || a.hard.Vote != b.hard.Vote || len(a.durable) != len(b.durable) {
		w.failf(p, "on disk: term %d vote %d last %d, reference term %d vote %d last %d",
			a.hard.Term, a.hard.Vote, len(a.durable), b.hard.Term, b.hard.Vote, len(b.durable))
	}
}

// guard turns a panic of either side into a difference.
func (w *world) guard(p *pair, f func()) {
	defer func() {
		if r := recover(); r != nil {
			w.failf(p, "panic: %v%s", r, where())
		}
	}()
	f()
}

// act gives both halves of p one stimulus.
func (w *world) act(p *pair, c *cause, f func()) {
	if w.failure != nil || !p.alive {
		return
	}
	w.guard(p, func() {
		f()
		w.settle(p, c)
	})
	if w.plan.syncAlways() || w.rng.Float64() < w.plan.sync {
		w.sync(p, all)
	}
}

// crash ends a life of p; what is not durable is lost.
func (w *world) crash(p *pair) {
	w.tracef("%5d crash %d\n", w.steps, p.id)
	for side := range p.owed {
		for range p.owed[side] {
			w.note(depLostWithCrash)
		}
	}
	p.alive = false
	p.ours.crash()
	p.theirs.crash()
}

// restart begins a new life of p. Both halves know the same commit index then: that which ours has on disk.
func (w *world) restart(p *pair) {
	p.alive = true
	p.life++
	p.forget()
	p.scrap()
	w.scripted = fmt.Sprintf("restart %d", p.id)
	w.tracef("%5d %s\n", w.steps, w.scripted)
	w.guard(p, func() {
		err := p.ours.start()
		if err == nil {
			p.now = p.ours.state()
			err = p.theirs.start(p.now.commit)
		}
		if err != nil {
			w.failf(p, "restart: %v", err)
			return
		}
		for side, hard := range [2]wire.HardState{p.ours.hard, p.theirs.hard} {
			if err := w.safety[side].restarted(p.id, hard, [2]wire.Index{p.ours.applied, p.theirs.applied}[side]); err != nil {
				w.failf(p, "%s: %v", sideNames[side], err)
			}
		}
		w.settle(p, &cause{kind: doRestart})
	})
}

// scrap throws away what the last life had handed out.
func (p *pair) scrap() {
	p.out[sideOurs].reset()
	p.out[sideTheirs].reset()
}

// leader returns the living leader of the highest term, nil if there is none.
func (w *world) leader() *pair {
	var best *pair
	for _, p := range w.pairs() {
		if p.alive && p.now.role == raft.Leader && (best == nil || p.now.term > best.now.term) {
			best = p
		}
	}
	return best
}
