package raft

import (
	"errors"

	"flotilla/internal/mutant"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// replicate sends every follower what it lacks, as far as its window allows. It runs once per Ready: all
// proposals of a turn travel in one append, and nothing is sent twice (F22).
func (c *Core) replicate() {
	if !c.lead.dirty {
		return
	}
	c.lead.dirty = false
	for i := range c.lead.followers {
		c.replicateTo(&c.lead.followers[i])
		if c.err != nil {
			return
		}
	}
}

func (c *Core) replicateTo(f *progress.Follower) {
	switch {
	case f.Probing() && f.Again():
		c.sendEmpty(f) // the entries of the last probe may be on their way to a slow disk
		return
	case f.Probing():
		c.sendAppend(f, f.Room())
		return
	}
	for f.State() == progress.Replicate && f.Next() <= c.log.last() {
		if room := f.Room(); room == 0 || !c.sendAppend(f, room) {
			return
		}
	}
	// Everything is sent; does the follower know what of it is committed?
	if f.State() == progress.Replicate && f.Told() < min(c.commit, f.Next()-1) {
		c.sendEmpty(f)
	}
}

// sendAppend sends f the entries after Next, at most room bytes of them but one in any case (F23). It reports
// whether it did; if not, the follower needs a snapshot or has no room for the next entry.
func (c *Core) sendAppend(f *progress.Follower, room int) bool {
	prev := f.Next() - 1
	term, err := c.log.term(prev)
	if err != nil {
		c.cannotSend(f, err)
		return false
	}
	var entries []wire.Entry
	if prev < c.log.last() {
		entries, err = c.log.slice(nil, prev+1, c.log.last()+1, min(c.cfg.MaxAppendBytes, room))
		if err != nil {
			c.cannotSend(f, err)
			return false
		}
	}
	bytes := 0
	for i := range entries {
		bytes += entries[i].Size()
	}
	if bytes > room && f.Window().Messages() > 0 {
		return false // one large entry: it waits until it flies alone
	}
	last := prev + wire.Index(len(entries))
	m := to(f.Node(), wire.MsgAppend)
	m.Index, m.LogTerm, m.Commit, m.Entries, m.Context = prev, term, c.commit, entries, f.Life()
	c.send(m)
	f.Sent(last, bytes, min(c.commit, last))
	return true
}

// sendEmpty sends f an append without entries: at the probed place, or after the last entry sent. Its answer
// tells whether that place is known there, and waits for no more of the disk than that; it carries the commit
// index.
func (c *Core) sendEmpty(f *progress.Follower) {
	prev := f.Next() - 1
	term, err := c.log.term(prev)
	if err != nil {
		c.cannotSend(f, err)
		return
	}
	m := to(f.Node(), wire.MsgAppend)
	m.Index, m.LogTerm, m.Commit, m.Context = prev, term, c.commit, f.Life()
	c.send(m)
	f.Sent(prev, 0, min(c.commit, prev))
}

// cannotSend: what f needs next is compacted away, or the log is broken.
func (c *Core) cannotSend(f *progress.Follower, err error) {
	if !errors.Is(err, wire.ErrCompacted) {
		c.fail(err)
		return
	}
	f.NeedsSnapshot()
	c.needSnapshot(f.Node())
}

// leadAppendReply: a follower acknowledges or refuses an append of this term.
func (c *Core) leadAppendReply(m wire.Message) error {
	f := c.lead.follower(m.From)
	if f == nil || m.Context != f.Life() && !mutant.Is(mutant.TakeLateAck) {
		return nil // what a replica said that was taken out is no word about the one that was made anew in its place (N8)
	}
	if !m.Reject && m.Index > c.log.last() {
		return refuse(&m, ErrMalformed, "acknowledges what was never sent")
	}
	f.Heard()
	c.lead.dirty = true
	if m.Reject {
		return c.lookBack(f, &m)
	}
	if f.State() == progress.Snapshot {
		c.leaveSnapshot(f, m.Index)
	}
	if f.Acked(m.Index) {
		if f.Kind() == voter {
			c.advanceCommit()
		}
		c.continueTransfer(f)
	}
	return nil
}

// lookBack finds where to probe next, from the follower's hint: our last entry not after the hint in index and
// term. What the follower is known to hold bounds it from below.
func (c *Core) lookBack(f *progress.Follower, m *wire.Message) error {
	if m.Index == 0 {
		return refuse(m, ErrMalformed, "refuses the beginning of the log")
	}
	lo := max(f.Match(), c.log.first()-1)
	hi := min(m.Hint, m.Index-1, c.log.last())
	candidate := lo
	if hi > lo {
		at, _, err := c.log.lastNotAfter(lo, hi, m.HintTerm)
		switch {
		case err == nil:
			candidate = at
		case !readable(err):
			c.fail(err)
			return nil
		}
	} else if hi < lo {
		candidate = hi // below our log: the next probe finds that a snapshot is needed
	}
	f.Refused(m.Index, candidate)
	return nil
}

// caughtUp reports whether learner f holds nearly everything, something of this term among it, and is alive
// (P14, F15, D44).
func (c *Core) caughtUp(f *progress.Follower) bool {
	return f.Kind() == learner && f.State() == progress.Replicate && f.Match() >= c.lead.start &&
		(f.Match()+promotableDistance >= c.log.last() || mutant.Is(mutant.PromoteFarBehind) && f.Match()+10_000 >= c.log.last()) && f.Quiet() < c.cfg.ElectionTicks
}

// Unreachable says that messages to peer could not be sent. A leader then sends it no more than heartbeats
// until it is heard again, and starts over with a probe.
func (c *Core) Unreachable(peer wire.NodeID) {
	if f := c.lead.follower(peer); f != nil && !c.asleep { // who sleeps has nothing on its way
		f.Lost()
		c.abortTransferTo(peer)
	}
}
