package raft

import (
	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// handler deals with a message of the core's own term.
type handler func(*Core, wire.Message) error

// handlers is who deals with what. A nil entry means that the message says nothing to that role: it is late, or
// its sender is mistaken. Pre-votes are dealt with before terms are compared (stepPreVote).
var handlers = [...][wire.MsgSleep + 1]handler{
	Follower: {
		wire.MsgVote:           (*Core).giveVote,
		wire.MsgAppend:         (*Core).followAppend,
		wire.MsgHeartbeat:      (*Core).followHeartbeat,
		wire.MsgReadIndex:      (*Core).refuseReadIndex,
		wire.MsgReadIndexReply: (*Core).followReadIndex,
		wire.MsgTimeoutNow:     (*Core).followTimeoutNow,
		wire.MsgSnapshot:       (*Core).followSnapshot,
		wire.MsgSleep:          (*Core).followSleep,
	},
	PreCandidate: {
		wire.MsgPreVoteReply: (*Core).countVote,
		wire.MsgVote:         (*Core).giveVote,
		wire.MsgAppend:       (*Core).yieldAppend,
		wire.MsgHeartbeat:    (*Core).yieldHeartbeat,
		wire.MsgSnapshot:     (*Core).yieldSnapshot,
		wire.MsgSleep:        (*Core).yieldSleep,
		wire.MsgReadIndex:    (*Core).refuseReadIndex,
	},
	Candidate: {
		wire.MsgVote:      (*Core).giveVote,
		wire.MsgVoteReply: (*Core).countVote,
		wire.MsgAppend:    (*Core).yieldAppend,
		wire.MsgHeartbeat: (*Core).yieldHeartbeat,
		wire.MsgSnapshot:  (*Core).yieldSnapshot,
		wire.MsgSleep:     (*Core).yieldSleep,
		wire.MsgReadIndex: (*Core).refuseReadIndex,
	},
	Leader: {
		wire.MsgVote:           (*Core).giveVote,
		wire.MsgAppend:         (*Core).meetRival,
		wire.MsgAppendReply:    (*Core).leadAppendReply,
		wire.MsgHeartbeat:      (*Core).meetRival,
		wire.MsgHeartbeatReply: (*Core).leadHeartbeatReply,
		wire.MsgReadIndex:      (*Core).leadReadIndex,
		wire.MsgSnapshot:       (*Core).meetRival,
		wire.MsgSleep:          (*Core).meetRival,
	},
}

// Step takes in a message of a peer. Messages that are late or of no use are ignored. A *MessageError says that
// the message is not for this core, contradicts itself, or proves that a second leader exists; it has had no
// effect then. Any other error is the core's end (Err). No message makes it panic.
func (c *Core) Step(m wire.Message) error {
	if c.err != nil {
		return c.err
	}
	if err := c.admit(&m); err != nil {
		return err
	}
	c.wakeFor(&m)
	if err := c.dispatch(m); err != nil {
		return err
	}
	return c.err
}

func (c *Core) dispatch(m wire.Message) error {
	switch {
	case m.Type == wire.MsgPreVote:
		return c.stepPreVote(m)
	case m.Type == wire.MsgPreVoteReply && !m.Reject:
		// Granted for the term after ours; that it is higher means nothing.
		if c.role == PreCandidate && m.Term == c.term+1 {
			return c.countVote(m)
		}
		return nil
	case m.Term > c.term:
		return c.stepHigher(m)
	case m.Term < c.term:
		return c.stepLower(m)
	}
	if h := handlers[c.role][m.Type]; h != nil {
		return h(c, m)
	}
	return nil
}

// admit checks what can be checked of m by itself (D58, F9). What passes does not make the core compute with
// numbers that overflow or entries with gaps.
func (c *Core) admit(m *wire.Message) error {
	switch {
	case m.Group != c.group || m.To != c.self:
		return refuse(m, ErrMisdirected, "wrong group or node")
	case m.From == wire.NoNode || m.From > wire.MaxNodeID || m.From == c.self:
		return refuse(m, ErrMalformed, "impossible sender")
	case !m.Type.Valid() || m.Type == wire.MsgGroupRefused:
		return refuse(m, ErrMalformed, "not for a core")
	case m.Term > wire.MaxNumber || (m.Term > c.term && m.Term-c.term > maxTermJump):
		return refuse(m, ErrMalformed, "implausible term")
	case max(m.Index, m.Commit, m.Hint) > maxIndex || max(m.LogTerm, m.HintTerm) > wire.MaxNumber:
		return refuse(m, ErrMalformed, "number out of range")
	case len(m.Entries) > 0 && m.Type != wire.MsgAppend:
		return refuse(m, ErrMalformed, "entries outside an append")
	case m.Type == wire.MsgAppend && (m.LogTerm > m.Term || (m.Index == 0) != (m.LogTerm == 0)):
		return refuse(m, ErrMalformed, "previous entry impossible")
	case m.Type == wire.MsgSnapshot && (m.Index == 0 || m.LogTerm == 0 || m.LogTerm > m.Term):
		return refuse(m, ErrMalformed, "snapshot impossible")
	}
	prev, term := m.Index, m.LogTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != prev+1 || e.Index > maxIndex || e.Term < term || e.Term == 0 || e.Term > m.Term || !e.Kind.Valid() {
			return refuse(m, ErrMalformed, "entries not continuous")
		}
		prev, term = e.Index, e.Term
	}
	return nil
}

// stepHigher deals with a message of a higher term (P16).
func (c *Core) stepHigher(m wire.Message) error {
	switch m.Type {
	case wire.MsgAppend, wire.MsgHeartbeat, wire.MsgSnapshot, wire.MsgSleep:
		c.become(m.Term, m.From)
		return handlers[Follower][m.Type](c, m)
	case wire.MsgVote:
		if c.inLease() && m.Context != byOrder {
			return nil // thesis section 4.2.3: who hears a leader does not help to depose it
		}
		c.become(m.Term, wire.NoNode)
		return c.giveVote(m)
	case wire.MsgPreVoteReply, wire.MsgVoteReply, wire.MsgAppendReply, wire.MsgHeartbeatReply, wire.MsgReadIndexReply:
		// Nobody but a member was asked anything, and a removed one raises no terms (D48).
		if c.membership.Contains(m.From) || mutant.Is(mutant.RemovedRaisesTerm) {
			c.become(m.Term, wire.NoNode)
		}
	case wire.MsgReadIndex:
		return c.refuseReadIndex(m)
	}
	return nil
}

// stepLower deals with a message of a lower term. Replies are late and say nothing (F5, F6). Whoever asks is
// told our term: an old leader steps down by it, a stale candidate catches up. It may be leader or candidate of
// our term when the notice arrives, so the notice says nothing besides that would be wrong then: not to a
// leader that we refuse an append, not to a candidate that we refuse a vote.
func (c *Core) stepLower(m wire.Message) error {
	assert.That(m.Term < c.term, "I16: not a lower term")
	switch m.Type {
	case wire.MsgAppend, wire.MsgHeartbeat, wire.MsgSnapshot, wire.MsgSleep, wire.MsgVote:
		notice := to(m.From, wire.MsgHeartbeatReply)
		notice.Index = c.commit
		c.send(notice)
	case wire.MsgReadIndex:
		return c.refuseReadIndex(m)
	}
	return nil
}

// inLease reports whether this node knows a leader that is alive: itself, or one heard within the shortest
// election timeout; or is bound by what it promised one.
func (c *Core) inLease() bool {
	return c.role == Leader || c.bound() || (c.leader != wire.NoNode && c.elapsed < c.cfg.ElectionTicks)
}
