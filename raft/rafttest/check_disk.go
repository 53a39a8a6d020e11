package rafttest

import (
	"fmt"

	"flotilla/raft/wire"
)

// said returns the vote that a message tells of: a vote given, or a vote asked for, which is one for oneself.
func said(e *Event) (ballot, wire.NodeID, bool) {
	msg := &e.Message
	switch {
	case e.Kind != EventSend:
	case msg.Type == wire.MsgVoteReply && !msg.Reject:
		return ballot{e.Node, msg.Term}, msg.To, true
	case msg.Type == wire.MsgVote:
		return ballot{e.Node, msg.Term}, e.Node, true
	}
	return ballot{}, wire.NoNode, false
}

// VoteDurability: a vote is on disk before it is given, and a candidate's own before it asks (F1, F4).
type VoteDurability struct{ durable map[ballot]wire.NodeID }

// Name returns the invariant's number in package raft and its name.
func (*VoteDurability) Name() string { return "I2 vote durability" }

// Observe notes durable votes and checks those that are told.
func (c *VoteDurability) Observe(_ *Model, e *Event) error {
	if c.durable == nil {
		c.durable = map[ballot]wire.NodeID{}
	}
	if e.Kind == EventDurable && e.Update.SetHardState {
		c.durable[ballot{e.Node, e.Update.HardState.Term}] = e.Update.HardState.Vote
	}
	if b, candidate, ok := said(e); ok && c.durable[b] != candidate {
		return fmt.Errorf("%s tells %s of its vote for %s in term %d, its disk says %s",
			e.Node, e.Message.To, candidate, b.term, FormatNode(c.durable[b]))
	}
	return nil
}

// SingleVote: a replica votes for one candidate in a term, across crashes (thesis section 3.4).
type SingleVote struct{ votes map[ballot]wire.NodeID }

// Name returns the invariant's number in package raft and its name.
func (*SingleVote) Name() string { return "I16 single vote" }

// Observe compares a vote that is told with the one told before.
func (c *SingleVote) Observe(_ *Model, e *Event) error {
	if c.votes == nil {
		c.votes = map[ballot]wire.NodeID{}
	}
	b, candidate, ok := said(e)
	if !ok {
		return nil
	}
	if old, ok := c.votes[b]; ok && old != candidate {
		return fmt.Errorf("%s votes for %s in term %d after it had voted for %s", e.Node, candidate, b.term, old)
	}
	c.votes[b] = candidate
	return nil
}

// AckDurability: what a follower acknowledges is on its disk and is what the leader of that term holds: nothing
// that is still on its way (P2, D9), and nothing the leader has not verified (F7).
type AckDurability struct{}

// Name returns the invariant's number in package raft and its name.
func (*AckDurability) Name() string { return "I8 acknowledgement durability" }

// Observe checks an acknowledgement of appended entries.
func (*AckDurability) Observe(m *Model, e *Event) error {
	msg := &e.Message
	if e.Kind != EventSend || msg.Type != wire.MsgAppendReply || msg.Reject || msg.Index == 0 {
		return nil
	}
	r := m.Replica(e.Node)
	if msg.Index > r.Durable.Last() {
		return fmt.Errorf("%s acknowledges %d to %s and has %d on disk", e.Node, msg.Index, msg.To, r.Durable.Last())
	}
	leader := m.Replica(msg.To)
	if !leader.Alive || !isLeader(leader.Now) || leader.Now.Term != msg.Term {
		return nil
	}
	if got, want := r.Durable.At(msg.Index), leader.View.At(msg.Index); got != want {
		return fmt.Errorf("%s acknowledges entry %d of term %d to leader %s, who has term %d there", e.Node, msg.Index, got.Term, msg.To, want.Term)
	}
	return nil
}
