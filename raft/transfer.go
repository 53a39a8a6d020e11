package raft

import (
	"flotilla/internal/assert"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// transfer is leadership on its way to another voter (thesis section 3.10). The zero value is none.
type transfer struct {
	to    wire.NodeID
	ticks int
	// ordered: it was told to campaign.
	ordered bool
}

// TransferTo hands leadership to a voter: once it holds the whole log it is told to campaign at once. Until it
// has, an election timeout has passed, it declines, or it turns out to be out of reach, proposals are refused with
// CodeNoLeader. Refusals are those of
// Propose; CodeBadRequest if to is no voter; CodeUnreachable if it was not heard within an election timeout. To
// the leader itself it is a success.
func (c *Core) TransferTo(to wire.NodeID) error {
	if c.err == nil && c.role == Leader && to == c.self {
		return nil
	}
	if err := c.refusal(); err != nil {
		return err
	}
	f := c.lead.follower(to)
	switch {
	case f == nil || f.Kind() != voter:
		return c.deny(wire.CodeBadRequest, "leadership goes to voters only")
	case f.Quiet() >= c.cfg.ElectionTicks || f.State() == progress.Snapshot:
		return c.deny(wire.CodeUnreachable, "the voter was not heard lately, or needs a snapshot")
	}
	c.lead.transfer = transfer{to: to}
	c.lead.dirty = true
	c.continueTransfer(f)
	return nil
}

// continueTransfer tells the transferee to campaign as soon as it holds the whole log.
func (c *Core) continueTransfer(f *progress.Follower) {
	t := &c.lead.transfer
	if t.to != f.Node() || t.ordered || f.Match() < c.log.last() {
		return
	}
	assert.That(f.Kind() == voter, "I13: leadership handed to who does not vote")
	t.ordered = true
	c.lead.lease.void = true // whoever obeys is elected in spite of promises
	c.send(to(t.to, wire.MsgTimeoutNow))
}

// AbortTransfer gives a transfer of leadership up: proposals are taken in again. Who was told to campaign already may still
// win; that is an election like any other.
func (c *Core) AbortTransfer() { c.lead.transfer = transfer{} }

// abortTransferTo gives it up if n can no longer take it.
func (c *Core) abortTransferTo(n wire.NodeID) {
	if n != wire.NoNode && c.lead.transfer.to == n {
		c.AbortTransfer()
	}
}

// tickTransfer gives up after an election timeout.
func (c *Core) tickTransfer() {
	t := &c.lead.transfer
	if t.to == wire.NoNode {
		return
	}
	if t.ticks++; t.ticks >= c.cfg.ElectionTicks {
		*t = transfer{}
	}
}

// followTimeoutNow is the leader's order to campaign. Who cannot says so, and the leader goes on.
func (c *Core) followTimeoutNow(m wire.Message) error {
	if m.From != c.leader {
		return nil
	}
	if !c.electable() {
		reply := to(m.From, wire.MsgHeartbeatReply)
		reply.Reject, reply.Index = true, c.commit
		c.send(reply)
		return nil
	}
	c.campaign(byTransfer)
	return nil
}
