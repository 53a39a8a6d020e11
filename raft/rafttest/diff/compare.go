package main

import (
	"runtime/debug"
	"strings"

	"flotilla/raft/wire"
)

// compareState compares everything that both halves of p know.
func (w *world) compareState(p *pair) {
	theirs := p.theirs.state()
	ours := p.now
	if p.pending() && ours.applied != theirs.applied {
		w.note(depAppliedLater)
		theirs.applied, theirs.voters, theirs.learners = ours.applied, ours.voters, ours.learners
		theirs.outgoing, theirs.demoted = ours.outgoing, ours.demoted
	}
	p.inStep = [maxNodes + 1]bool{}
	for n, next := range p.before.next {
		p.inStep[n] = next != 0 && next == p.theirNext[n]
	}
	p.theirNext = theirs.next
	theirs.next = ours.next
	if ours != theirs {
		w.failf(p, "states differ")
		return
	}
	w.compareLogs(p)
	w.verify(p)
}

// compareLogs compares what was written to either log since the last step.
func (w *world) compareLogs(p *pair) {
	a, b := p.ours.log, p.theirs.log
	if len(a) != len(b) {
		w.failf(p, "logs end at %d and %d", len(a), len(b))
		return
	}
	low := p.ours.low
	if low == 0 || p.theirs.low != 0 && p.theirs.low < low {
		low = p.theirs.low
	}
	if low == 0 {
		return
	}
	for i := low - 1; int(i) < len(a); i++ {
		if !sameEntry(&a[i], &b[i]) {
			w.failf(p, "logs differ at %d: %s, %s", i+1, entriesString(a[i:i+1]), entriesString(b[i:i+1]))
			return
		}
	}
}

// verify keeps the harness' own idea of how far p's log was compared with its leader's.
func (w *world) verify(p *pair) {
	if p.now.role != p.before.role || p.now.term != p.before.term || p.now.lead != p.before.lead || p.verified < p.before.commit {
		p.verified = p.before.commit
	}
}

// verifyAppend is called for an append that p was given.
func (p *pair) verifyAppend(m *message) {
	last := m.index + wire.Index(len(m.entries))
	if m.term != p.now.term || p.now.lead != m.from {
		return
	}
	accepted := m.index <= p.before.commit || termAt(p.ours.log, m.index) == m.logTerm
	if accepted && int(last) <= len(p.ours.log) {
		p.verified = max(p.verified, last)
	}
}

// compareReads compares the ends of reads at the step at which they come.
func (w *world) compareReads(p *pair, c *cause) {
	for _, a := range p.out[sideOurs].answers {
		r := p.asked[a.read]
		switch {
		case r == nil || r.done:
			w.failf(p, "read %d has an answer that nobody waits for", a.read)
			return
		case !a.refused && a.index < r.floor:
			w.failf(p, "read %d gets index %d, and %d was committed when it was asked for", a.read, a.index, r.floor)
		}
		r.done, r.refused, r.index = true, a.refused, a.index
		w.tracef("        read %d: %d refused %v\n", a.read, a.index, a.refused)
	}
	for _, a := range p.out[sideTheirs].answers {
		r := p.asked[a.read]
		switch {
		case r == nil: // asked in an earlier life
			w.note(depReadTwice)
			continue
		case r.theirsDone:
			w.note(depReadTwice)
			continue
		}
		r.theirsDone, r.theirsIndex = true, a.index
		w.tracef("        read %d: reference %d\n", a.read, a.index)
		switch {
		case r.refused:
			w.note(depReadRefused)
		case soleVoter(&p.now) && (!r.done || r.index != a.index):
			w.note(depReadSoleVoter)
		case r.done && r.index != a.index:
			w.failf(p, "read %d got index %d, from the reference %d", a.read, r.index, a.index)
		case !r.done:
			w.failf(p, "read %d is answered by the reference with %d, by ours not yet", a.read, a.index)
		}
	}
	for _, a := range p.out[sideOurs].answers {
		switch r := p.asked[a.read]; {
		case a.refused:
			w.note(depReadRefused)
		case !r.theirsDone && !p.now.sameVoters(&p.before):
			w.note(depReadAtChange)
		case !r.theirsDone && c.kind == doDeliver && !(p.now.voting() | p.now.learners).has(c.m.from):
			w.note(depReadOfRemoved)
		case !r.theirsDone && w.batched(p):
			w.note(depRoundsBatched)
		case !r.theirsDone:
			w.failf(p, "read %d is answered by ours with %d, by the reference not yet", a.read, a.index)
		case r.theirsIndex != a.index && !soleVoter(&p.now):
			w.failf(p, "read %d gets index %d, from the reference %d", a.read, a.index, r.theirsIndex)
		}
	}
}

// batched reports whether reads shared a round in the leadership that answers p. Then the first heartbeat of the
// reference confirms one of them, and of ours all.
func (w *world) batched(p *pair) bool {
	if p.now.lead == wire.NoNode {
		return false
	}
	list := w.nodes[p.now.lead].rounds[p.now.term]
	for i, m := range list {
		before := mark{}
		if i > 0 {
			before = list[i-1]
		}
		if m.position > before.position+1 {
			return true
		}
	}
	return false
}

// where is the place of a panic, shortened to its own frames.
func where() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	var out strings.Builder
	shown := 0
	for _, l := range lines {
		if strings.Contains(l, "raft") && strings.HasPrefix(l, "\t") && !strings.Contains(l, "rafttest/diff") && shown < 6 {
			out.WriteString("\n    at " + strings.TrimSpace(l))
			shown++
		}
	}
	return out.String()
}
