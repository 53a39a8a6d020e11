package raft

import (
	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// heed takes in that m comes from the leader of the present term.
func (c *Core) heed(m *wire.Message) error {
	if c.leader == wire.NoNode {
		c.become(c.term, m.From)
	}
	if c.leader != m.From {
		return refuse(m, ErrTwoLeaders, "another node leads this term") // F8
	}
	c.elapsed = 0
	c.promise()
	return nil
}

// followAppend compares what the leader sends with our log, takes what is new, and acknowledges what has been
// compared, never our own tail beyond it (F7; thesis section 3.5).
func (c *Core) followAppend(m wire.Message) error {
	if err := c.heed(&m); err != nil {
		return err
	}
	if !c.mayFollow(&m) {
		return nil // it tries again with every answer to a heartbeat
	}
	c.life = m.Context
	if err := c.skipCommitted(&m); err != nil {
		return err
	}
	match, err := c.log.matches(m.Index, m.LogTerm)
	if err != nil {
		c.fail(err)
		return nil
	}
	if !match {
		c.rejectAppend(m)
		return nil
	}
	if err := c.takeEntries(m.Entries); err != nil {
		c.fail(err)
		return nil
	}
	verified := m.Index + wire.Index(len(m.Entries))
	c.verified = max(c.verified, verified)
	c.setCommit(max(c.commit, min(m.Commit, verified)))
	if mutant.Is(mutant.AckUncompared) {
		verified = c.log.last()
	}
	c.acknowledge(m.From, verified)
	return nil
}

// skipCommitted cuts off the part of m that is committed here, which needs no comparison: the leader of a later
// term holds it, too (thesis section 3.6.3).
func (c *Core) skipCommitted(m *wire.Message) error {
	if m.Index >= c.commit {
		return nil
	}
	term, err := c.log.term(c.commit)
	if err != nil {
		c.fail(err)
		return c.err
	}
	skip := int(min(c.commit-m.Index, wire.Index(len(m.Entries))))
	if at := m.Index + wire.Index(skip); at == c.commit && m.Entries[skip-1].Term != term {
		return refuse(m, ErrMalformed, "differs from what is committed here")
	}
	m.Index, m.LogTerm, m.Entries = c.commit, term, m.Entries[skip:]
	return nil
}

// takeEntries appends what our log does not hold yet. The first entry that differs takes everything after it away.
func (c *Core) takeEntries(entries []wire.Entry) error {
	known := 0
	for known < len(entries) && entries[known].Index <= c.log.last() {
		e := &entries[known]
		term, err := c.log.term(e.Index)
		if err != nil {
			return err
		}
		if term != e.Term {
			if err := c.truncate(e.Index); err != nil {
				return err
			}
			break
		}
		known++
	}
	if mutant.Is(mutant.TruncateAgreed) && known > 0 && known == len(entries) {
		if after := entries[known-1].Index + 1; after > c.commit && after <= c.log.last() {
			return c.truncate(after)
		}
	}
	if fresh := entries[known:]; len(fresh) > 0 {
		c.log.append(fresh)
		c.noteChanges(fresh)
	}
	return nil
}

// truncate takes everything from i on out of the log, and with it whatever was about to be said of it.
func (c *Core) truncate(i wire.Index) error {
	assert.That(c.role != Leader, "I3: leader truncates its log")
	assert.That(i > c.commit, "I6: committed entries truncated")
	c.persist.drop(func(m *wire.Message) bool {
		return m.Type == wire.MsgAppendReply && !m.Reject && m.Index >= i
	})
	c.apply.forgetFrom(i)
	c.verified = min(c.verified, i-1)
	return c.log.truncate(i)
}

// acknowledge tells the leader that our log equals its own up to i, as soon as that is durable (I8).
func (c *Core) acknowledge(leader wire.NodeID, i wire.Index) {
	need := max(c.persist.needHard(), c.log.vouches(i, c.persist.issued+1))
	if mutant.Is(mutant.AckBeforeDisk) {
		need = c.persist.needHard()
	}
	m := to(leader, wire.MsgAppendReply)
	m.Term, m.Index, m.Context = c.term, i, c.life
	c.post(m, need)
}

// rejectAppend tells the leader that our log does not hold m's previous entry, and where the logs may agree: at
// the last entry whose term is not after the one refused. The leader does the same with its own log, so that
// each round trip leaves out whole terms (thesis section 3.5, end).
func (c *Core) rejectAppend(m wire.Message) {
	hint, term, err := c.log.lastNotAfter(c.commit, min(m.Index, c.log.last()), m.LogTerm)
	if err != nil {
		c.fail(err)
		return
	}
	reply := to(m.From, wire.MsgAppendReply)
	reply.Reject, reply.Index, reply.Hint, reply.HintTerm, reply.Context = true, m.Index, hint, term, c.life
	c.send(reply)
}

// followHeartbeat takes in that the leader lives and how far it has committed. We believe the latter only of
// what has been compared with this leader's log.
func (c *Core) followHeartbeat(m wire.Message) error {
	if err := c.heed(&m); err != nil {
		return err
	}
	known := c.verified
	if mutant.Is(mutant.BelieveHeartbeat) {
		known = c.log.last()
	}
	c.setCommit(max(c.commit, min(m.Commit, known)))
	reply := to(m.From, wire.MsgHeartbeatReply)
	reply.Index = c.commit
	if c.mayFollow(&m) {
		reply.Context = m.Context // else of no round: it lives, no more
	}
	c.send(reply)
	return nil
}

// giveVote answers a request for our vote in the present term: one vote a term, for a log at least as long as
// ours (thesis section 3.6.1). Membership plays no part in it: who asks us may know of a change that made us a
// voter and that we have not heard of (D42). The reply is held until the vote is on disk (F1, F4).
func (c *Core) giveVote(m wire.Message) error {
	c.learnCommit(&m)
	if c.bound() && m.Context != byOrder {
		return nil
	}
	free := c.vote == m.From || (c.vote == wire.NoNode && c.leader == wire.NoNode)
	reply := to(m.From, wire.MsgVoteReply)
	if mutant.Is(mutant.TwoVotes) {
		free = true
	}
	reply.Reject = !free || !c.mayElect(&m) || !c.log.upToDate(m.Index, m.LogTerm) && !mutant.Is(mutant.VoteShorterLog)
	if reply.Reject {
		c.tellCommit(&reply)
		c.send(reply)
		return nil
	}
	if c.vote == wire.NoNode {
		c.setHard(c.term, m.From)
	}
	if c.role == PreCandidate {
		c.rest(Follower, wire.NoNode)
	}
	c.elapsed = 0
	if mutant.Is(mutant.VoteBeforeDisk) {
		reply.Term = c.term
		c.post(reply, 0)
		return nil
	}
	c.send(reply)
	return nil
}

// stepPreVote says whether we would vote for m's sender (thesis section 9.6). It changes nothing here and
// promises nothing, so it waits for no disk. Who hears a leader does not answer.
func (c *Core) stepPreVote(m wire.Message) error {
	reply := to(m.From, wire.MsgPreVoteReply)
	if m.Term > c.term {
		if c.inLease() {
			return nil
		}
		c.learnCommit(&m)
	}
	if m.Term > c.term && c.mayElect(&m) && c.log.upToDate(m.Index, m.LogTerm) {
		reply.Term = m.Term
		if mutant.Is(mutant.RaiseTermForPreVote) {
			c.become(m.Term, wire.NoNode)
		}
	} else {
		reply.Term, reply.Reject = c.term, true
		c.tellCommit(&reply)
	}
	c.post(reply, 0)
	return nil
}

// tellCommit adds to a message of an election what we know to be committed: an index, and the term of its
// entry. A change of the membership takes effect when it is applied, so a node may be kept from campaigning, or
// from asking the right ones, only because it does not know that what it holds is committed; elections are the
// one thing that still works then (D43).
func (c *Core) tellCommit(m *wire.Message) {
	term, err := c.log.term(c.commit)
	if err != nil {
		return // advice only
	}
	m.Commit, m.HintTerm = c.commit, term
}

// learnCommit takes in what tellCommit told. It is safe whoever tells it: if our log holds an entry of that
// term at that index, the logs are equal up to there.
func (c *Core) learnCommit(m *wire.Message) {
	if c.role == Leader || m.Commit <= c.commit || m.HintTerm == 0 {
		return
	}
	if ok, err := c.log.matches(m.Commit, m.HintTerm); err == nil && ok {
		c.setCommit(m.Commit)
	}
}
