package raft

import (
	"errors"
	"fmt"
	"slices"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/membership"
	"flotilla/raft/quorum"
	"flotilla/raft/wire"
)

// Changes of the membership: one step at a time, effective when applied. A step moves one voter at most (thesis
// section 4.1), or enters a joint configuration, or leaves it (thesis section 4.3); so the memberships of a group
// are a chain in log order, in which every majority that decides by one meets every majority that decides by the
// next: simple steps by arithmetic, joint ones because both halves have to agree. Three rules, of which no two
// would do, keep whoever decides within one step of whoever decided before:
//
//   - a leader proposes none before the one before it has taken effect here, and none before an entry of its own
//     term is committed (the flaw found in thesis section 4.1 after its publication; F13). It leaves a joint
//     configuration by such a step, too;
//   - entries reach the disk together with the commit index of that moment (takeUpdate), so whoever holds a
//     change knows that the one before it is committed, after a restart as well;
//   - who knows of a committed change that has not taken effect here does not campaign (electable).
//
// So a candidate's membership is at most one step behind any that decides anything, and majorities one step
// apart meet. Nothing in this asks what kind of steps they are; docs/adr/0004 has the argument in full.

// ProposeChange appends set to the leader's log and returns where. It takes effect on each node when that calls
// ApplyChange: all of it at once, or by a joint configuration if it moves more than one voter. That is left by
// another change, which the leader proposes by itself. Refusals are those of Propose; CodeBadRequest for a set
// that is not legal, with the reason as cause; CodeConflict if the membership is not the one that the set was meant
// for; CodeOverloaded for one that may be tried again later.
func (c *Core) ProposeChange(set wire.ChangeSet) (wire.Index, wire.Term, error) {
	if err := c.refusal(); err != nil {
		return 0, 0, err
	}
	next, err := c.legal(&set)
	if err != nil {
		return 0, 0, err
	}
	if why := c.changeGuard(); why != "" && (c.commit < c.lead.start || !mutant.Is(mutant.TwoChanges)) {
		return 0, 0, c.deny(wire.CodeOverloaded, why)
	}
	if err := c.unwise(&next); err != nil {
		return 0, 0, err
	}
	return c.appendChange(&set), c.term, nil
}

func (c *Core) appendChange(set *wire.ChangeSet) wire.Index {
	i := c.appendOwn(wire.EntryChange, wire.AppendChangeSet(nil, set))
	c.apply.note(i)
	return i
}

// legal returns what set makes of the membership, or why it must not.
func (c *Core) legal(set *wire.ChangeSet) (wire.Membership, error) {
	if len(set.Changes) == 0 {
		return c.membership, c.deny(wire.CodeBadRequest, "nothing to change: a joint configuration is left without being asked")
	}
	next, err := membership.Next(c.membership, c.log.last()+1, set)
	switch {
	case err == nil:
		return next, nil
	case errors.Is(err, membership.ErrJoint):
		return next, c.deny(wire.CodeOverloaded, "a joint configuration is being left: try again")
	case errors.Is(err, membership.ErrBase):
		return next, &wire.Error{Code: wire.CodeConflict, Group: c.group, Cause: err, Detail: "look at the membership again"}
	}
	return next, &wire.Error{Code: wire.CodeBadRequest, Group: c.group, Cause: err, Detail: "change of membership"}
}

// changeGuard says why no change may be proposed now, nothing if one may.
func (c *Core) changeGuard() string {
	switch {
	case c.commit < c.lead.start && !mutant.Is(mutant.ChangeBeforeOwnCommit):
		return "no entry of this term is committed yet: try again"
	case len(c.apply.changes) > 0 || c.apply.handed < c.apply.restored:
		return "an earlier change of the membership has not taken effect yet: try again"
	}
	return ""
}

// unwise refuses legal changes that would stop the group or could.
func (c *Core) unwise(next *wire.Membership) error {
	able, stays := 0, false // voters to come that hold the log; are we one of them?
	for _, n := range next.Voters {
		f := c.lead.follower(n)
		switch {
		case n == c.self:
			stays, able = true, able+1
		case f == nil:
			continue
		case f.Kind() == learner && !c.caughtUp(f):
			return c.deny(wire.CodeOverloaded, "the learner has not caught up: try again") // D44
		default:
			able++
		}
	}
	switch {
	case able < quorum.Size(len(next.Voters)):
		// Nothing is decided without them, and they have nothing yet (D60).
		return c.deny(wire.CodeBadRequest, "add new voters as learners first, and promote them when they have caught up")
	case !stays && len(c.membership.Voters) <= 2:
		// The other one may not know that this is committed when we are gone, and would wait for us for ever (D61).
		return c.deny(wire.CodeBadRequest, "hand leadership to the other voter first")
	}
	return nil
}

// leaveDue reports whether the joint configuration in effect is to be left now. That waits for a transfer of
// leadership to end: the next leader leaves it as well.
func (c *Core) leaveDue() bool {
	free := c.lead.transfer.to == wire.NoNode || mutant.Is(mutant.LeaveDuringTransfer)
	return c.role == Leader && c.membership.Joint() && free && c.changeGuard() == "" && !mutant.Is(mutant.NeverLeave)
}

// leaveJoint proposes to leave the joint configuration, whoever proposed to enter it.
func (c *Core) leaveJoint() {
	if c.leaveDue() {
		c.appendChange(&wire.ChangeSet{})
	}
}

// unappliedChange reports whether a change is known to be committed that has not taken effect here. In what was
// restored at the start changes are found as entries are handed out; before that there might be one.
func (c *Core) unappliedChange() bool {
	a := &c.apply
	return a.handed < min(c.commit, a.restored) || (len(a.changes) > 0 && a.changes[0] <= c.commit)
}

// noteChanges remembers the changes among entries that were appended.
func (c *Core) noteChanges(entries []wire.Entry) {
	for i := range entries {
		if entries[i].Kind == wire.EntryChange {
			c.apply.note(entries[i].Index)
		}
	}
}

// ApplyChange makes the change in e take effect and returns the membership from now on. It is called for each
// EntryChange of Ready.Committed, in order, before anything after it is applied (P9). Changes that the
// membership includes already, those of a replay after a restart, change nothing. An error says that e cannot
// be understood: replicas would differ if it were skipped (F17), so the core stops and the group is to be
// quarantined.
func (c *Core) ApplyChange(e wire.Entry) (wire.Membership, error) {
	if c.err != nil {
		return c.membership, c.err
	}
	assert.That(e.Kind == wire.EntryChange && e.Index <= c.apply.handed, "I7: change applied that was never handed out")
	if e.Index > c.membership.Index {
		assert.That(len(c.apply.changes) == 0 || c.apply.changes[0] == e.Index, "I12: changes applied out of order")
		next, err := changed(c.membership, &e)
		if err != nil {
			c.fail(err)
			return c.membership, c.err
		}
		c.adopt(next)
	}
	c.apply.settled(e.Index)
	c.reviseRole()
	return c.membership, nil
}

// changed returns what the change in e makes of m. A change that is not legal when it is applied, or was meant for
// another membership, is none that a leader proposes; it changes nothing but the index, on every replica alike.
func changed(m wire.Membership, e *wire.Entry) (wire.Membership, error) {
	r := wire.NewReader(e.Data)
	set := wire.ReadChangeSet(r)
	if err := r.Err(); err != nil || r.Len() > 0 {
		return m, fmt.Errorf("change of membership at index %d, %d bytes left: %w", e.Index, r.Len(), errors.Join(err, ErrMalformed))
	}
	next, err := membership.Next(m, e.Index, &set)
	if err != nil {
		next = m
		next.Index = e.Index
	}
	return next, nil
}

// adopt makes m the membership in effect; it reaches the disk with the next update.
func (c *Core) adopt(m wire.Membership) {
	assert.That(m.Index > c.membership.Index, "I12: membership goes back")
	if assert.Costly {
		assert.That(membership.Validate(&m) == nil, "I12: membership malformed")
	}
	c.membership = m
	c.persist.membership = true
}

// reviseRole draws the consequences of a membership that has taken effect: quorums are other ones now (F13).
func (c *Core) reviseRole() {
	switch {
	case c.role == Leader && (!c.membership.IsVoter(c.self) || mutant.Is(mutant.StepDownEarly) && !slices.Contains(c.membership.Voters, c.self)):
		// We are removed or demoted. The others should know that it is committed before we fall silent (thesis section 4.2.2).
		c.enlist()
		c.sendHeartbeats()
		c.replicate()
		c.become(c.term, wire.NoNode)
	case c.role == Leader:
		c.enlist()
		c.lead.lease.from = c.reads.round + 1
		c.advanceCommit()
		c.confirmReads()
		if to := c.lead.transfer.to; to != wire.NoNode && !c.membership.IsVoter(to) {
			c.lead.transfer = transfer{}
		}
	case c.role != Follower && !c.membership.IsVoter(c.self):
		c.rest(Follower, wire.NoNode)
	case c.role != Follower:
		c.decide()
	}
}

// replayChanges brings the membership up to what the state machine holds: it reaches the disk only with a later
// update, so a state machine on disk may be ahead of it. first is the log's first index.
func (c *Core) replayChanges(first wire.Index) error {
	var page []wire.Entry
	for i := max(c.membership.Index+1, first); i <= c.cfg.Applied; {
		var err error
		page, err = c.cfg.Log.Entries(page[:0], i, c.cfg.Applied+1, c.cfg.MaxAppendBytes)
		if err != nil {
			return fmt.Errorf("look for changes of membership from %d: %w", i, err)
		}
		for k := range page {
			if e := &page[k]; e.Kind == wire.EntryChange {
				next, err := changed(c.membership, e)
				if err != nil {
					return err
				}
				c.adopt(next)
			}
		}
		i += wire.Index(len(page))
	}
	return nil
}
