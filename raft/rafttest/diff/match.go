package main

import (
	"slices"

	"flotilla/raft/wire"
)

// compareMessages pairs what the two sides say. What only one side says must be a departure, or wait for the disk on
// the other one.
func (w *world) compareMessages(p *pair, c *cause) {
	if c.kind == doDeliver && c.m.typ == wire.MsgAppend {
		p.verifyAppend(c.m)
	}
	if c.kind == doDeliver && c.m.typ == wire.MsgSnapshot && c.m.term == p.now.term && p.now.lead == c.m.from {
		p.verified = max(p.verified, c.m.index)
	}
	for side := range p.out {
		for i := range p.out[side].messages {
			w.offer(p, side, &p.out[side].messages[i])
		}
	}
	w.explainAll(p, c)
	for side := range p.owed {
		if len(p.owed[side]) > 0 && !p.pending() && w.failure == nil {
			w.failf(p, "said by one side only: %s: %s", sideNames[side], &p.owed[side][0].message)
		}
	}
}

// offer looks for what the other side has said alike.
func (w *world) offer(p *pair, side int, m *message) {
	if side == sideOurs && m.typ == wire.MsgAppendReply && !m.reject {
		p.acked = ackMark{to: m.to, term: m.term, index: max(m.index, p.ackedBefore(m))}
	}
	other := &p.owed[1-side]
	for i := range *other {
		o := &(*other)[i]
		if !o.same(m) || !w.sameRound(side, m, &o.message) {
			continue
		}
		if o.stamp != w.steps {
			w.note(depHeldLonger)
		}
		*other = slices.Delete(*other, i, i+1)
		return
	}
	p.owed[side] = append(p.owed[side], promise{message: *m, stamp: w.steps})
}

func (p *pair) ackedBefore(m *message) wire.Index {
	if p.acked.to == m.to && p.acked.term == m.term {
		return p.acked.index
	}
	return 0
}

// sameRound compares the read rounds of two heartbeats or replies. side is that of m.
func (w *world) sameRound(side int, m, o *message) bool {
	ours, theirs := m, o
	if side == sideTheirs {
		ours, theirs = o, m
	}
	switch {
	case m.typ != wire.MsgHeartbeat && m.typ != wire.MsgHeartbeatReply, ours.position == theirs.position:
		return true
	case theirs.position == 0:
		w.note(depRoundRepeated)
		return true
	case m.typ == wire.MsgHeartbeat && ours.round == theirs.round && theirs.position > ours.position:
		w.note(depReadRefused) // it goes on with a read that ours has refused
		return true
	case m.typ == wire.MsgHeartbeatReply && ours.round == theirs.round:
		w.note(depRoundsBatched)
		return true
	}
	return false
}

// explainAll takes out of what is owed whatever a departure explains.
func (w *world) explainAll(p *pair, c *cause) {
	for side := range p.owed {
		kept := p.owed[side][:0]
		for i := range p.owed[side] {
			m := p.owed[side][i]
			d, ok := w.explain(p, c, side, &m)
			if !ok {
				kept = append(kept, m)
				continue
			}
			if w.trace != nil {
				w.tracef("        %s alone: %s\n", sideNames[side], &m.message)
			}
			w.note(d)
			if m.typ == wire.MsgSnapshot && side != w.plan.carrier {
				w.failed(p, side, &m.message)
			}
		}
		p.owed[side] = kept
	}
}

// explain names the departure by which only one side says m, if there is one.
func (w *world) explain(p *pair, c *cause, side int, m *promise) (departure, bool) {
	switch m.typ {
	case wire.MsgAppend:
		return w.explainAppend(p, c, side, &m.message)
	case wire.MsgSnapshot:
		return depSnapshotAlone, w.rightSnapshot(p, &m.message)
	case wire.MsgHeartbeat:
		return explainHeartbeat(p, c, side, &m.message)
	case wire.MsgHeartbeatReply:
		return explainHeartbeatReply(p, side, m)
	case wire.MsgPreVoteReply:
		return depEqualTermPreVote, w.takeOther(p, side, func(o *promise) bool {
			return o.typ == m.typ && o.to == m.to && o.stamp == m.stamp && o.reject != m.reject && o.term == m.term && m.term == p.now.term
		})
	case wire.MsgAppendReply:
		return explainAppendReply(p, side, m)
	case wire.MsgVoteReply, wire.MsgVote:
		return depLatePromise, side == sideTheirs && m.term < p.now.term
	case wire.MsgTimeoutNow:
		return depOrderRepeated, side == sideTheirs && p.before.transferee == m.to
	case wire.MsgReadIndexReply:
		return w.explainReadReply(p, side, &m.message)
	}
	return 0, false
}

// explainReadReply: ours refuses reads, and may know earlier that one is confirmed. Index and read must be right all the same.
func (w *world) explainReadReply(p *pair, side int, m *message) (departure, bool) {
	if side == sideTheirs {
		if d, ok := p.early[m.read]; ok {
			return d, true
		}
		r := w.nodes[m.to].asked[m.read]
		return depReadRefused, r == nil || r.refused || r.done
	}
	switch {
	case m.reject:
		p.early[m.read] = depReadRefused
		return depReadRefusal, true
	case !p.now.sameVoters(&p.before):
		p.early[m.read] = depReadAtChange
	case w.batched(p):
		p.early[m.read] = depRoundsBatched
	default:
		return 0, false
	}
	return p.early[m.read], true
}

// takeOther takes one message out of what the other side is owed for.
func (w *world) takeOther(p *pair, side int, match func(*promise) bool) bool {
	other := &p.owed[1-side]
	for i := range *other {
		if match(&(*other)[i]) {
			*other = slices.Delete(*other, i, i+1)
			return true
		}
	}
	return false
}

// explainAppend allows appends to be sent at other times, if what they say is right: it is the leader's log and
// commit index.
func (w *world) explainAppend(p *pair, c *cause, side int, m *message) (departure, bool) {
	log := p.ours.log
	right := m.term == p.now.term && m.commit <= p.now.commit && (m.index == 0 || termAt(log, m.index) == m.logTerm) &&
		int(m.index)+len(m.entries) <= len(log)
	for i := range m.entries {
		right = right && sameEntry(&m.entries[i], &log[int(m.index)+i])
	}
	switch {
	case !right:
		return 0, false
	case w.takeOther(p, side, func(o *promise) bool {
		alike := o.message
		alike.commit = m.commit
		return alike.same(m)
	}):
		return depAppendCommit, true
	case len(m.entries) == 0:
		return depEmptyAppend, true
	case p.inStep[m.to] && (c.kind != doDeliver || c.m.typ == wire.MsgAppendReply && !c.m.reject):
		return 0, false
	case m.index < p.before.match[m.to]+1 || side == sideTheirs:
		return depAppendAgain, true
	}
	return depProbeLater, true
}

func explainHeartbeat(p *pair, c *cause, side int, m *message) (departure, bool) {
	switch {
	case side == sideOurs && leads(&p.before) && !leads(&p.now) && !p.now.voting().has(p.id):
		return depFarewell, true
	case side == sideTheirs && c.kind == doTick && leads(&p.before) && !leads(&p.now):
		return depQuorumClock, true // said before it was told to check
	case side == sideTheirs && m.position != 0 && c.kind != doTick:
		return depRoundsBatched, true
	}
	return 0, false
}

func explainHeartbeatReply(p *pair, side int, m *promise) (departure, bool) {
	switch {
	case side == sideTheirs:
		return depLatePromise, m.term < p.now.term
	case m.reject:
		return depTransferDeclined, true
	case m.round == 0:
		other := &p.owed[sideTheirs]
		for i := range *other {
			if o := &(*other)[i]; o.typ == wire.MsgAppendReply && o.to == m.to && o.index == 0 && !o.reject && o.term == m.term {
				*other = slices.Delete(*other, i, i+1)
				return depNoticeShape, true
			}
		}
		return depNoticeToCandidate, p.takeNotice(m.to, m.term)
	}
	return 0, false
}

func explainAppendReply(p *pair, side int, m *promise) (departure, bool) {
	switch {
	case side == sideOurs:
		return 0, false
	case m.term < p.now.term:
		return depLatePromise, true
	case !m.reject && m.index > 0 && m.term == p.acked.term && m.to == p.acked.to && m.index <= p.acked.index:
		return depAckMerged, true
	}
	return 0, false
}

// takeNotice reports whether a stale request for a vote, or a stale snapshot, has not been answered with term yet, and counts the answer.
func (p *pair) takeNotice(to wire.NodeID, term wire.Term) bool {
	n := &p.noticed[to]
	if n.term != term || n.count == 0 {
		return false
	}
	n.count--
	return true
}

// dueNotice says that a stale request for a vote, or a stale snapshot, came from a node.
func (p *pair) dueNotice(from wire.NodeID) {
	n := &p.noticed[from]
	if n.term != p.now.term {
		*n = notices{term: p.now.term}
	}
	n.count++
}
