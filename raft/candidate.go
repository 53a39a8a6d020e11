package raft

import (
	"slices"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/quorum"
	"flotilla/raft/wire"
)

// reason is why an election is held.
type reason uint8

const (
	byTimeout  reason = iota // nobody was heard; ask first (pre-vote)
	byTransfer               // the leader ordered it; do not ask
)

// byOrder is MsgVote's Context when the leader ordered the election.
const byOrder = 1

// electable reports whether this node may campaign: it votes, its disk works, no snapshot is being installed, there is a term
// to stand for, and every change of the membership that is known to be committed has taken effect here. With an older
// membership than the committed one it could win a majority that does not meet the one that elected somebody else (I13;
// D43, D64). Nor may it before it has learned that it was made a member again.
func (c *Core) electable() bool {
	if c.membership.Index < c.cfg.Since && !mutant.Is(mutant.StandBeforeSince) {
		return false
	}
	return c.membership.IsVoter(c.self) && !c.diskHangs() && (!c.unappliedChange() || mutant.Is(mutant.CampaignBehindChange)) && !c.install.active && c.term < wire.MaxNumber
}

// Campaign starts a (pre-)election now. It does nothing on a leader, on a node that is no voter, and on one
// that may not campaign yet.
func (c *Core) Campaign() {
	c.Wake()
	if c.err == nil && c.role != Leader && c.electable() && !c.bound() {
		c.campaign(byTimeout)
	}
}

// LeaderGone says that peer has stopped on purpose. If it was the leader, its lease ends at once, votes are
// given again, and the time to the next election is short; it is still drawn, so that few stand at the same
// time.
func (c *Core) LeaderGone(peer wire.NodeID) {
	if c.err != nil || c.role != Follower || c.leader != peer || peer == wire.NoNode {
		return
	}
	c.promised = 0
	c.become(c.term, wire.NoNode)
	c.electionTimeout = 1 + c.electionTimeout - c.cfg.ElectionTicks
}

// campaign holds an election.
func (c *Core) campaign(why reason) {
	assert.That(c.role != Leader && c.electable(), "I13: campaign of a leader or of who may not")
	if why == byTransfer {
		c.stand(why)
		return
	}
	c.rest(PreCandidate, wire.NoNode)
	c.votes.tally.Grant(c.self)
	m := c.voteRequest(wire.MsgPreVote)
	m.Term = c.term + 1
	for _, n := range c.membership.AllVoters() {
		if n != c.self && !(mutant.Is(mutant.AskIncomingOnly) && !slices.Contains(c.membership.Voters, n)) {
			m.To = n
			c.post(m, 0)
		}
	}
	c.decide()
}

// stand asks for votes in the next term. The requests and the own vote wait until term and vote are on disk
// (F1, D1).
func (c *Core) stand(why reason) {
	c.setHard(c.term+1, c.self)
	c.rest(Candidate, wire.NoNode)
	c.votes.own = c.persist.issued + 1
	m := c.voteRequest(wire.MsgVote)
	if why == byTransfer {
		m.Context = byOrder
	}
	for _, n := range c.membership.AllVoters() {
		if n != c.self {
			m.To = n
			c.send(m)
		}
	}
}

func (c *Core) voteRequest(t wire.MessageType) wire.Message {
	m := wire.Message{Type: t, Index: c.log.last(), LogTerm: c.log.lastTerm()}
	c.tellCommit(&m)
	return m
}

// countVote takes in the answer to a request of the election that is being held. Answers of an earlier term
// never get here, those of nodes that do not vote never count (F5).
func (c *Core) countVote(m wire.Message) error {
	c.learnCommit(&m)
	if m.Reject {
		c.votes.tally.Refuse(m.From)
	} else {
		c.votes.tally.Grant(m.From)
	}
	c.decide()
	return nil
}

// decide ends the election if it is decided.
func (c *Core) decide() {
	if c.votes.own != 0 {
		return // our own vote is not on disk; nobody honest can have answered
	}
	incoming, outgoing := c.membership.Voters, c.membership.Outgoing
	switch {
	case mutant.Is(mutant.ElectByIncoming):
		outgoing = nil
	case mutant.Is(mutant.ElectByOutgoing) && c.membership.Joint():
		incoming, outgoing = outgoing, nil
	}
	switch c.votes.tally.Verdict(incoming, outgoing) {
	case quorum.Won:
		switch {
		case !c.electable(): // it was learned meanwhile that we should not stand
			c.rest(Follower, wire.NoNode)
		case c.role == PreCandidate:
			c.stand(byTimeout)
		case c.role == Candidate:
			c.takeOffice()
		}
	case quorum.Lost:
		c.rest(Follower, wire.NoNode)
	}
}

// yieldAppend and the two after it: somebody else was elected in our term.
func (c *Core) yieldAppend(m wire.Message) error {
	c.become(c.term, m.From)
	return c.followAppend(m)
}

func (c *Core) yieldHeartbeat(m wire.Message) error {
	c.become(c.term, m.From)
	return c.followHeartbeat(m)
}

func (c *Core) yieldSnapshot(m wire.Message) error {
	c.become(c.term, m.From)
	return c.followSnapshot(m)
}
