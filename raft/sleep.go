package raft

import (
	"flotilla/internal/mutant"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// A group in which nothing happens can go to sleep: its replicas neither tick nor speak (architecture section 7; N4). What
// timeouts are for meanwhile, that a leader is alive, the host tells for all groups of a node at once (PeerLost).
//
// It takes exact agreement. The leader may sleep when every member, learners as well, has the whole log on disk and has
// said that it regards all of it as committed, in this term; then it says so (MsgSleep) and is asleep. A follower that has the
// same term and commit index falls asleep, another one answers, and an answer wakes the leader, as any message wakes
// whom it reaches, and any proposal, read, or change whoever is asked for it. A follower that is woken by anybody but the
// leader tells the leader, so that nobody needs an election to find out that all is well.
//
// Nothing rests on everybody's being asleep. If the message is lost, its follower asks for a pre-vote one day, which wakes
// the others; if it comes late, the next heartbeat wakes who believed it. A lease does not outlast sleep: time does not
// count there.

// CanSleep reports whether the group may go to sleep now, as far as its leader knows. How long that must have been so is the
// host's to decide. Only a leader's answer is ever true.
func (c *Core) CanSleep() bool {
	p := &c.persist
	if c.err != nil || c.role != Leader || c.asleep || c.commit < c.lead.start || c.commit != c.log.last() ||
		p.done != p.issued || p.dirty || p.compact != 0 || c.apply.handed != c.commit || len(c.out) > 0 || c.lead.dirty ||
		len(c.apply.changes) > 0 || c.reads.waitingCount() > 0 || c.lead.transfer.to != wire.NoNode || c.membership.Joint() {
		return false
	}
	for i := range c.lead.followers {
		f := &c.lead.followers[i]
		if f.State() != progress.Replicate || f.Match() != c.commit || f.Commit() != c.commit && !mutant.Is(mutant.SleepUnconfirmed) || f.Quiet() >= c.cfg.ElectionTicks {
			return false
		}
	}
	return true
}

// Sleep puts the group to sleep if it may, and reports whether it does. From then on the core need not be ticked, and it
// does nothing when it is.
func (c *Core) Sleep() bool {
	if !c.CanSleep() {
		return false
	}
	for i := range c.lead.followers {
		m := to(c.lead.followers[i].Node(), wire.MsgSleep)
		m.Commit = c.commit
		c.send(m)
	}
	c.asleep = true
	c.lead.lease.from = c.reads.round + 1
	return true
}

// Asleep reports whether the core sleeps. Every call that wakes says so.
func (c *Core) Asleep() bool { return c.asleep }

// Wake ends the core's sleep. Its clock goes on from here: a leader's followers, and a follower's leader, are regarded as
// heard just now.
func (c *Core) Wake() {
	if !c.asleep {
		return
	}
	c.asleep, c.elapsed = false, 0
	for i := range c.lead.followers {
		c.lead.followers[i].Heard()
	}
	c.lead.sinceHeartbeat = c.cfg.HeartbeatTicks // the next tick wakes those who still sleep
}

// wakeFor ends the core's sleep because of a message.
func (c *Core) wakeFor(m *wire.Message) {
	if !c.asleep || m.Type == wire.MsgSleep && m.Term == c.term {
		return
	}
	c.Wake()
	if c.role == Follower && c.leader != wire.NoNode && m.From != c.leader {
		c.send(c.present())
	}
}

// present tells the leader that this node lives, and what it regards as committed.
func (c *Core) present() wire.Message {
	m := to(c.leader, wire.MsgHeartbeatReply)
	m.Index = c.commit
	return m
}

// PeerLost says that a node has not been heard for an election timeout by any of its groups' replicas here, or was
// started anew. Whoever sleeps under it wakes up and stands, at a moment drawn from half an election timeout, so that the
// groups of a dead node do not all stand at once. Nobody else is woken by it. With lease reads on it has to keep its promise
// first, for which the time asleep does not count.
func (c *Core) PeerLost(n wire.NodeID) {
	if c.err != nil || !c.asleep || c.role != Follower || c.leader != n {
		return
	}
	c.Wake()
	c.elapsed = c.cfg.ElectionTicks
	c.electionTimeout = c.elapsed + 1 + int(c.rng.Uint64()%uint64(max(c.cfg.ElectionTicks/2, 1)))
}

// followSleep falls asleep if there is nothing that the leader does not know of.
func (c *Core) followSleep(m wire.Message) error {
	if err := c.heed(&m); err != nil {
		return err
	}
	p := &c.persist
	if m.Commit == c.commit && c.verified >= c.commit && p.done == p.issued && !p.dirty && len(c.reads.asked) == 0 && !c.install.active {
		c.asleep = true
		return nil
	}
	c.Wake()
	c.send(c.present())
	return nil
}

func (c *Core) yieldSleep(m wire.Message) error {
	c.become(c.term, m.From)
	return c.followSleep(m)
}
