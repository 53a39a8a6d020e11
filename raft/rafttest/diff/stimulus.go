package main

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"flotilla/raft"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// deliver gives message m to both halves of its receiver.
func (w *world) deliver(f flight) {
	p := w.nodes[f.to]
	stranger := f.typ == wire.MsgSnapshot && !f.snap.Membership.Contains(f.to)
	if stranger {
		w.note(depSnapshotOfOthers)
	}
	if !p.alive || stranger {
		w.missed(&f.message)
		return
	}
	w.scripted = "deliver " + typeNames[f.typ]
	if w.trace != nil {
		w.scripted = "deliver " + f.String()
		w.tracef("%5d %s\n", w.steps, w.scripted)
	}
	m := &f.message
	if m.typ == wire.MsgTimeoutNow {
		w.levelApplied(p)
	}
	w.act(p, &cause{kind: doDeliver, m: m}, func() {
		if (m.typ == wire.MsgVote || m.typ == wire.MsgSnapshot) && m.term < p.now.term {
			p.dueNotice(m.from)
		}
		if p.now.role == raft.Leader && m.term == p.now.term && (m.typ == wire.MsgAppendReply || m.typ == wire.MsgHeartbeatReply) {
			p.heard[m.from] = 0
		}
		p.ours.step(m.toOurs(w.context(m), f.commit))
		if m.typ == wire.MsgSnapshot && p.ours.install(m.snap) {
			w.installs++
		}
		if !w.advise(p, m) {
			w.deliverTheirs(p, m)
		}
	})
	if m.typ == wire.MsgSnapshot {
		w.arrived(m)
	}
}

// context is our number of a forwarded read, or the life that an answer is for.
func (w *world) context(m *message) uint64 {
	switch m.typ {
	case wire.MsgReadIndex:
		return w.nodes[m.from].numbers[m.read]
	case wire.MsgReadIndexReply:
		return w.nodes[m.to].numbers[m.read]
	case wire.MsgAppendReply:
		// Replicas are never made anew here, so an answer counts whatever life its node has as a follower, as in the reference.
		for _, f := range w.nodes[m.to].ours.core.Status().Followers {
			if f.Node == m.from {
				return f.Life
			}
		}
	}
	return 0
}

// deliverTheirs gives the reference m as it has to read it, so that the departures have no consequences.
func (w *world) deliverTheirs(p *pair, m *message) {
	s := &p.now
	switch {
	case m.typ == wire.MsgTimeoutNow && m.term >= s.term && (s.lead != m.from || m.term > s.term):
		w.note(depOrderOfNobody)
		return
	case m.typ == wire.MsgPreVoteReply && !m.reject && m.term != s.term+1:
		w.note(depStalePreVote)
		return
	case m.typ == wire.MsgReadIndex && (s.role != raft.Leader || m.term != s.term):
		w.note(depReadNotLeader)
		return
	case m.typ == wire.MsgAppend && m.term >= s.term && m.index < s.commit && m.index+wire.Index(len(m.entries)) > s.commit:
		w.note(depAppendBeyondCommit)
		cut := *m
		cut.index, cut.logTerm = s.commit, termAt(p.theirs.log, s.commit)
		cut.entries = m.entries[s.commit-m.index:]
		p.theirs.step(cut.toTheirs())
		return
	case m.typ == wire.MsgHeartbeat && m.term >= s.term:
		cut := *m
		cut.commit = w.heartbeatCommit(p, m)
		p.theirs.step(cut.toTheirs())
		return
	}
	p.theirs.step(m.toTheirs())
}

// heartbeatCommit is what a heartbeat may move the commit index to: what is known to equal the leader's log.
func (w *world) heartbeatCommit(p *pair, m *message) wire.Index {
	s, verified := &p.now, p.verified
	if m.term > s.term || s.lead != m.from {
		verified = s.commit
	}
	want := max(s.commit, min(m.commit, verified))
	if got := p.ours.core.Status().Commit; got != want {
		w.failf(p, "commit index %d after a heartbeat, %d is right: the log was compared up to %d", got, want, verified)
	}
	if want < m.commit {
		w.note(depHeartbeatCommit)
	}
	return min(want, m.commit)
}

// tick lets one tick pass for p.
func (w *world) tick(p *pair) {
	if !p.alive {
		return
	}
	if p.waiting++; p.pending() && p.waiting > electionTicks/2 {
		w.sync(p, all)
	}
	if !p.pending() {
		p.waiting = 0
	}
	w.scripted = "tick"
	if w.trace != nil {
		w.scripted = fmt.Sprintf("tick %d", p.id)
		w.tracef("%5d %s\n", w.steps, w.scripted)
	}
	w.levelApplied(p)
	for n := range p.heard {
		p.heard[n]++
	}
	w.act(p, &cause{kind: doTick}, func() {
		p.ours.core.Tick()
		p.theirs.node.Tick()
	})
}

// campaign lets p stand. While its disk is busy one half may have applied what the other has not; then it has to wait.
func (w *world) campaign(p *pair) {
	w.levelApplied(p)
	w.say("campaign %d", p.id)
	w.act(p, &cause{kind: doCampaign}, func() {
		p.ours.core.Campaign()
		_ = p.theirs.node.Campaign()
	})
}

// levelApplied lets the writes of p come to an end if one half has applied what the other one has not: who may campaign
// hangs on it.
func (w *world) levelApplied(p *pair) {
	if p.ours.applied != p.theirs.applied || p.ours.moving > 0 || p.theirs.moving > 0 {
		w.sync(p, all)
	}
}

func (w *world) say(format string, args ...any) {
	w.scripted = fmt.Sprintf(format, args...)
	w.tracef("%5d %s\n", w.steps, w.scripted)
}

// propose asks p to append data that nobody proposed before.
func (w *world) propose(p *pair) {
	w.data++
	data := binary.BigEndian.AppendUint32(make([]byte, 0, 4), uint32(w.data))
	w.say("propose %x to %d", data, p.id)
	w.act(p, &cause{kind: doPropose}, func() {
		_, _, err := p.ours.core.Propose(data)
		theirErr := p.theirs.node.Propose(data)
		if (err == nil) != (theirErr == nil) {
			w.failf(p, "proposal: ours %v, reference %v", err, theirErr)
		}
	})
}

// change asks p to change the membership. The reference is asked only for what ours takes.
func (w *world) change(p *pair, set wire.ChangeSet) {
	w.sync(p, all)
	w.say("change %v (base %d, %v) asked of %d", set.Changes, set.Base, set.SetBase, p.id)
	w.act(p, &cause{kind: doChange}, func() {
		if _, _, err := p.ours.core.ProposeChange(set); err != nil {
			w.note(depChangeRefused)
			return
		}
		if err := p.theirs.node.ProposeConfChange(changeToTheirs(wire.AppendChangeSet(nil, &set))); err != nil {
			w.failf(p, "ours takes a change, the reference says %v", err)
		}
	})
}

// transfer asks p to hand leadership over.
func (w *world) transfer(p *pair, to wire.NodeID) {
	w.say("transfer from %d to %d", p.id, to)
	w.act(p, &cause{kind: doTransfer}, func() {
		if err := p.ours.core.TransferTo(to); err != nil || to == p.id {
			w.note(depTransferRefused)
			return
		}
		if p.now.role == raft.Leader {
			p.theirs.node.TransferLeader(uint64(to))
		}
	})
}

// readIndex asks p for a read index.
func (w *world) readIndex(p *pair) {
	w.sync(p, all)
	w.reads++
	id := w.reads
	w.say("read %d at %d", id, p.id)
	p.asked[id] = &read{floor: w.top}
	w.act(p, &cause{kind: doRead, read: id}, func() {
		p.ours.core.ReadIndex(id)
		p.theirs.node.ReadIndex(readContext(id))
	})
}

// unreachable tells p that messages to peer could not be sent.
func (w *world) unreachable(p *pair, peer wire.NodeID) {
	w.say("%d cannot reach %d", p.id, peer)
	w.act(p, &cause{kind: doUnreachable}, func() {
		p.ours.core.Unreachable(peer)
		if p.now.role == raft.Leader {
			p.theirs.node.ReportUnreachable(uint64(peer))
		}
	})
}

// advise tells the reference what ours has learned from the advice in an election message, if that was right. It reports
// whether the message itself is not to be delivered: the vote is won, but ours knows now that it must not stand.
func (w *world) advise(p *pair, m *message) bool {
	if m.advice == 0 {
		return false
	}
	s := p.ours.core.Status()
	theirs := w.clocks.commit(p.theirs.node)
	if wire.Index(*theirs) == s.Commit {
		return false
	}
	if s.Commit > m.advice || termAt(p.ours.log, m.advice) != m.adviceTerm {
		w.failf(p, "commit index %d after advice %d of term %d", s.Commit, m.advice, m.adviceTerm)
	}
	w.note(depCommitAdvice)
	*theirs = uint64(s.Commit)
	grant := (m.typ == wire.MsgVoteReply || m.typ == wire.MsgPreVoteReply) && !m.reject
	if !grant || s.Role != raft.Follower || p.now.role == raft.Follower || s.Term != p.now.term {
		return false
	}
	w.note(depAdvisedNotToStand)
	w.lose(p)
	return true
}

// lose lets the reference lose the election that it holds: all who have not answered refuse.
func (w *world) lose(p *pair) {
	for _, n := range p.now.voting().list() {
		s := p.theirs.state()
		typ := pb.MsgPreVoteResp
		switch {
		case n == p.id:
			continue
		case s.role == raft.Candidate:
			typ = pb.MsgVoteResp
		case s.role != raft.PreCandidate:
			return
		}
		p.theirs.step(&pb.Message{Type: typ.Enum(), From: new(uint64(n)), To: new(uint64(p.id)), Term: new(uint64(s.term)), Reject: new(true)})
	}
}

// recount makes the reference count the votes that it has again.
func (w *world) recount(p *pair) {
	s := p.theirs.state()
	m := &pb.Message{Type: pb.MsgVoteResp.Enum(), From: new(uint64(p.id)), To: new(uint64(p.id)), Term: new(uint64(s.term))}
	if s.role == raft.PreCandidate {
		m.Type, m.Term = pb.MsgPreVoteResp.Enum(), new(uint64(s.term)+1)
	}
	p.theirs.step(m)
}

// alignState brings the reference in line where ours departs from it on purpose and a state follows from that.
func (w *world) alignState(p *pair, c *cause) {
	was := &p.before
	theirs := p.theirs.state()
	switch {
	case c.kind == doTick && leads(was) && !leads(&p.now) && leads(&theirs):
		w.alignQuorumClock(p)
	case p.now.role == raft.Follower && theirs.role == raft.PreCandidate && c.kind == doDeliver && c.m.typ == wire.MsgVote &&
		p.now.vote == c.m.from && p.now.term == theirs.term:
		w.note(depPreCandidateYields)
		w.lose(p)
	case p.now.role == raft.Follower && theirs.role != raft.Follower && !p.now.voting().has(p.id) && was.voting().has(p.id):
		w.note(depRemovedYields)
		w.lose(p)
	case !was.sameVoters(&p.now) && was.role != raft.Follower && p.now.role != theirs.role && !leads(&theirs):
		w.note(depCountAtChange)
		w.recount(p)
	case leads(was) && was.transferee != 0 && p.now.transferee == 0 && theirs.transferee == was.transferee && hopeless(p, c, was.transferee):
		w.note(depTransferDeclined)
		p.theirs.node.TransferLeader(uint64(p.id))
	default:
		return
	}
	p.theirs.drain(w.steps, &p.out[sideTheirs])
}

// alignQuorumClock makes the reference step down as ours did, if ours was right.
func (w *world) alignQuorumClock(p *pair) {
	heard := nodeSet(1) << p.id
	for n := range wire.NodeID(maxNodes + 1) {
		if p.heard[n] < electionTicks {
			heard |= 1 << n
		}
	}
	most := func(half nodeSet) bool { return 2*len((half&heard).list()) > len(half.list()) }
	if s := &p.before; most(s.voters) && (s.outgoing == 0 || most(s.outgoing)) {
		w.failf(p, "steps down although %v of voters %v, outgoing %v, were heard within an election timeout", heard.list(), s.voters.list(), s.outgoing.list())
		return
	}
	w.note(depQuorumClock)
	local := ^uint64(0) // the name of the reference's own append thread, which may send local messages
	for range 2 {
		p.theirs.step(&pb.Message{Type: pb.MsgCheckQuorum.Enum(), From: new(local)})
	}
}

// alignLeave asks the reference to leave its joint configuration when ours has done so and it has not.
func (w *world) alignLeave(p *pair) {
	ours, theirs := p.ours.log, p.theirs.log
	if !leads(&p.now) || len(ours) <= len(theirs) || ours[len(theirs)].Kind != wire.EntryChange || p.theirs.conf.GetVotersOutgoing() == nil {
		return
	}
	if set := wire.ReadChangeSet(wire.NewReader(ours[len(theirs)].Data)); len(set.Changes) > 0 {
		return
	}
	if p.before.transferee == 0 {
		w.failf(p, "ours leaves a joint configuration before the reference does")
		return
	}
	w.note(depLeaveSooner)
	if err := p.theirs.node.ProposeConfChange(&pb.ConfChangeV2{}); err != nil {
		w.failf(p, "ours leaves a joint configuration, the reference says %v", err)
	}
	p.theirs.drain(w.steps, &p.out[sideTheirs])
}

// hopeless reports whether a transfer to n leads nowhere: n declines, cannot be reached, or needs a snapshot.
func hopeless(p *pair, c *cause, n wire.NodeID) bool {
	if c.kind == doUnreachable || c.kind == doDeliver && c.m.reject {
		return true
	}
	for _, f := range p.ours.core.Status().Followers {
		if f.Node == n {
			return f.State == progress.Snapshot
		}
	}
	return false
}
