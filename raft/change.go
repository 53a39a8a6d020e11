package raft

import (
	"errors"
	"fmt"

	"flotilla/internal/assert"
	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

// Changes of the membership: one node at a time (thesis section 4.1), effective when applied. That this is safe
// rests on three rules, of which no two would do:
//
//   - a leader proposes none before the one before it has taken effect here, and none before an entry of its own term
//     is committed (the flaw found in thesis section 4.1 after its publication; F13);
//   - entries reach the disk together with the commit index of that moment (takeUpdate), so whoever holds a
//     change knows that the one before it is committed;
//   - who knows of a committed change that has not taken effect here does not campaign (electable).
//
// So a candidate's membership is at most one step behind any that decides anything, and majorities one step
// apart meet.

// ProposeChange appends ch to the leader's log and returns where. It takes effect on each node when that calls
// ApplyChange. Refusals are those of Propose; CodeBadRequest for a change that is not legal, with the reason as
// cause; CodeOverloaded for one that may be tried again later.
func (c *Core) ProposeChange(ch wire.Change) (wire.Index, wire.Term, error) {
	if err := c.refusal(); err != nil {
		return 0, 0, err
	}
	if _, err := membership.Next(c.membership, c.log.last()+1, ch); err != nil {
		return 0, 0, &wire.Error{Code: wire.CodeBadRequest, Group: c.group, Cause: err, Detail: "change of membership"}
	}
	if why := c.changeGuard(); why != "" {
		return 0, 0, c.deny(wire.CodeOverloaded, why)
	}
	if err := c.unwise(ch); err != nil {
		return 0, 0, err
	}
	i := c.appendOwn(wire.EntryChange, wire.AppendChange(nil, ch))
	c.apply.note(i)
	return i, c.term, nil
}

// changeGuard says why no change may be proposed now, nothing if one may.
func (c *Core) changeGuard() string {
	switch {
	case c.commit < c.lead.start:
		return "no entry of this term is committed yet: try again"
	case len(c.apply.changes) > 0 || c.apply.handed < c.apply.restored:
		return "an earlier change of the membership has not taken effect yet: try again"
	}
	return ""
}

// unwise refuses legal changes that would stop the group or could.
func (c *Core) unwise(ch wire.Change) error {
	f := c.lead.follower(ch.Node)
	voters := len(c.membership.Voters)
	switch {
	case ch.Kind == wire.ChangePromote && f == nil && voters == 1:
		// Two voters decide only together, and the second has nothing yet (D60).
		return c.deny(wire.CodeBadRequest, "add the second voter as a learner first, and promote it when it has caught up")
	case ch.Kind == wire.ChangePromote && f != nil && !c.caughtUp(f):
		return c.deny(wire.CodeOverloaded, "the learner has not caught up: try again") // D44
	case ch.Kind == wire.ChangeRemove && ch.Node == c.self && voters == 2:
		// The other one may not know that this is committed when we are gone, and would wait for us for ever (D61).
		return c.deny(wire.CodeBadRequest, "hand leadership to the other voter first")
	}
	return nil
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

// changed returns what the change in e makes of m. A change that is not legal when it is applied, which no
// leader proposes, changes nothing, on every replica alike.
func changed(m wire.Membership, e *wire.Entry) (wire.Membership, error) {
	r := wire.NewReader(e.Data)
	ch := wire.ReadChange(r)
	if err := r.Err(); err != nil || r.Len() > 0 {
		return m, fmt.Errorf("change of membership at index %d, %d bytes left: %w", e.Index, r.Len(), errors.Join(err, ErrMalformed))
	}
	next, err := membership.Next(m, e.Index, ch)
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
	case c.role == Leader && !c.membership.IsVoter(c.self):
		// We are removed. The others should know that it is committed before we fall silent (thesis section 4.2.2).
		c.enlist()
		c.sendHeartbeats()
		c.replicate()
		c.become(c.term, wire.NoNode)
	case c.role == Leader:
		c.enlist()
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
