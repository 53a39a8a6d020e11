package raft

import (
	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// persistence is what is on its way to the disk and what waits for it.
type persistence struct {
	// dirty: term or vote were changed since they were handed out last.
	dirty bool
	// hard is the token under which they were handed out last.
	hard Token
	// issued is the last token handed out, done the last that is durable.
	issued, done Token
	// membership: the membership in effect has not been handed out.
	membership bool
	// compact, when not 0, is up to where the log is to be let go of with the next update.
	compact wire.Index
	// held are messages that assert durability, in the order in which they were said.
	held []heldMessage
	// waiting counts ticks since anything became durable while something was on its way.
	waiting int
}

// heldMessage leaves when need is durable.
type heldMessage struct {
	need Token
	m    wire.Message
}

// needHard returns the token that makes the present term and vote durable; it may be durable already.
func (p *persistence) needHard() Token {
	if p.dirty {
		return p.issued + 1
	}
	return p.hard
}

// hold keeps m until need is durable; too many are lost.
func (p *persistence) hold(m wire.Message, need Token) {
	assert.That(need > p.done && need <= p.issued+1, "I2: message held for a token that will not come")
	if n := len(p.held); n > 0 && p.held[n-1].need == need && extendsAck(&p.held[n-1].m, &m) {
		p.held[n-1].m.Index = max(p.held[n-1].m.Index, m.Index)
		return
	}
	if len(p.held) < maxHeld {
		p.held = append(p.held, heldMessage{need: need, m: m})
	}
}

// drop forgets held messages that are no longer true or no longer of use.
func (p *persistence) drop(gone func(m *wire.Message) bool) {
	kept := p.held[:0]
	for i := range p.held {
		if !gone(&p.held[i].m) {
			kept = append(kept, p.held[i])
		}
	}
	clear(p.held[len(kept):])
	p.held = kept
}

func (p *persistence) tick() {
	if p.done == p.issued {
		p.waiting = 0
		return
	}
	p.waiting++
}

// setHard changes term and vote. Nothing that was held for an older term is of use in a newer one: its receiver
// would ignore it.
func (c *Core) setHard(term wire.Term, vote wire.NodeID) {
	assert.That(term > c.term || (term == c.term && c.vote == wire.NoNode), "I16: term falls or vote changes within a term")
	if term > c.term {
		c.persist.drop(func(m *wire.Message) bool { return m.Term < term })
	}
	c.term, c.vote = term, vote
	c.persist.dirty = true
}

func (c *Core) hardState() wire.HardState {
	return wire.HardState{Term: c.term, Vote: c.vote, Commit: c.commit}
}

// diskHangs reports whether nothing became durable for an election timeout although something is on its way.
// Such a node neither leads nor tries to (D20, D21).
func (c *Core) diskHangs() bool { return c.persist.waiting >= c.cfg.ElectionTicks }

// takeUpdate hands out what must reach the disk under a new token. Entries never travel without the commit
// index of the same moment: whoever restarts with a later change of the membership in its log knows that the
// earlier one is committed, and never votes itself into office with the older membership (change.go).
func (c *Core) takeUpdate(rd *Ready) {
	entries := c.log.unsaved()
	if !c.persist.dirty && len(entries) == 0 && !c.log.moved && c.persist.compact == 0 {
		return
	}
	c.persist.issued++
	t := c.persist.issued
	rd.Token = t
	rd.Update = wire.LogUpdate{Group: c.group, SetHardState: true, HardState: c.hardState(), Entries: entries}
	if c.log.moved {
		rd.Update.ResetTo, rd.Update.ResetTerm = c.log.base, c.log.anchorTerm
	}
	rd.Update.CompactTo, c.persist.compact = c.persist.compact, 0
	if c.persist.membership && !(mutant.Is(mutant.InstallInParts) && c.log.moved) {
		rd.Update.SetMembership, rd.Update.Membership = true, c.membership
		c.persist.membership = false
	}
	if c.persist.dirty {
		c.persist.dirty, c.persist.hard = false, t
	}
	c.log.issue(t)
}

// Persisted says that everything handed out under t and earlier tokens is durable and visible in the LogReader.
// Messages that waited for it leave with the next Ready (F4, D9); a candidate's own vote counts from now on,
// and so does a leader's own log (D1).
func (c *Core) Persisted(t Token) {
	assert.That(t <= c.persist.issued, "I15: a token is durable that was never handed out")
	if c.err != nil || t <= c.persist.done {
		return
	}
	c.persist.done, c.persist.waiting = t, 0
	c.log.persisted(t)
	c.releaseHeld()
	if c.votes.own != 0 && c.votes.own <= t {
		c.votes.own = 0
		c.votes.tally.Grant(c.self)
		c.decide()
	}
	if c.role == Leader {
		c.advanceCommit()
	}
	c.trimLog()
}

// releaseHeld lets go of the messages that waited for what is durable now.
func (c *Core) releaseHeld() {
	done := c.persist.done
	kept := c.persist.held[:0]
	for i := range c.persist.held {
		h := &c.persist.held[i]
		if h.need > done {
			kept = append(kept, *h)
			continue
		}
		if h.m.Type == wire.MsgAppendReply && !h.m.Reject {
			assert.That(h.m.Index <= c.log.durable, "I8: acknowledgement of what is not durable")
		}
		c.out = appendMessage(c.out, h.m)
	}
	clear(c.persist.held[len(kept):])
	c.persist.held = kept
}

// trimLog lets go of memory: what has been handed out will hardly be asked for again, and of what is durable
// only so much is kept. A leader keeps what is not committed, to know its size (settle).
func (c *Core) trimLog() {
	upTo := c.apply.handed
	if c.log.bytes > maxTailBytes {
		upTo = c.log.durable
		if c.role == Leader {
			upTo = min(upTo, c.commit)
		}
	}
	c.log.release(min(max(upTo, c.apply.handed), c.log.durable))
}
