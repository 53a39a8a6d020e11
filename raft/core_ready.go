package raft

import "flotilla/raft/wire"

// HasReady reports whether Ready would hand out anything. It is cheap.
func (c *Core) HasReady() bool {
	switch {
	case len(c.reads.done) > 0, c.told != c.soft():
		return true
	case c.err != nil:
		return false
	}
	return len(c.out) > 0 || c.persist.dirty || c.log.moved || c.persist.compact > 0 || c.log.given < c.log.last() || c.canHand() ||
		c.lead.dirty || len(c.lead.snapshots) > 0 || c.readsDue() || c.leaveDue()
}

// Ready fills rd with everything the core wants done; rd's slices are reused. Update.Entries and the entries of
// messages are never written again, whatever happens to the core; Committed is the caller's own copy.
func (c *Core) Ready(rd *Ready) {
	clear(rd.Messages)
	*rd = Ready{
		Messages: rd.Messages[:0], Committed: rd.Committed[:0], Reads: rd.Reads[:0],
		NeedSnapshot: rd.NeedSnapshot[:0], Promotable: rd.Promotable[:0],
	}
	if c.err == nil && c.role == Leader {
		c.leaveJoint()
		c.startReadRound()
		c.replicate()
		c.takeLearners(rd)
	}
	if c.err == nil {
		c.takeUpdate(rd)
		c.takeCommitted(rd)
	}
	rd.Messages = append(rd.Messages, c.out...)
	clear(c.out)
	c.out = c.out[:0]
	rd.Reads = append(rd.Reads, c.reads.done...)
	clear(c.reads.done)
	c.reads.done = c.reads.done[:0]
	rd.Role, rd.Term, rd.Leader = c.role, c.term, c.leader
	c.told = c.soft()
}

func (c *Core) soft() soft { return soft{role: c.role, term: c.term, leader: c.leader} }

// takeLearners hands out who needs a snapshot and who may be promoted.
func (c *Core) takeLearners(rd *Ready) {
	rd.NeedSnapshot = append(rd.NeedSnapshot, c.lead.snapshots...)
	c.lead.snapshots = c.lead.snapshots[:0]
	if len(c.membership.Learners) == 0 || c.membership.Joint() || c.changeGuard() != "" {
		return
	}
	for i := range c.lead.followers {
		if f := &c.lead.followers[i]; c.caughtUp(f) {
			rd.Promotable = append(rd.Promotable, f.Node())
		}
	}
}

// Status returns a copy of what the core knows. A leader's allocates.
func (c *Core) Status() Status {
	s := Status{
		Group: c.group, Self: c.self, Role: c.role, Term: c.term, Vote: c.vote, Leader: c.leader,
		Commit: c.commit, Handed: c.apply.handed, Applied: c.apply.applied,
		Last: c.log.last(), Durable: c.log.durable, Membership: c.membership,
		Transferee: c.lead.transfer.to, Asleep: c.asleep, WaitingReads: c.reads.waitingCount(), Err: c.err,
	}
	for i := range c.lead.followers {
		f := &c.lead.followers[i]
		s.Followers = append(s.Followers, FollowerStatus{
			Node: f.Node(), Learner: f.Kind() != voter, State: f.State(), Match: f.Match(), Next: f.Next(),
			Snapshot: f.Sending(), InflightMessages: f.Window().Messages(), InflightBytes: f.Window().Bytes(), QuietTicks: f.Quiet(), Life: f.Life(),
		})
	}
	return s
}

// to is a message of a type for a node; what else it says is filled in by the caller.
func to(n wire.NodeID, t wire.MessageType) wire.Message { return wire.Message{To: n, Type: t} }
