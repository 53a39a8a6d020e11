package raft

import (
	"errors"
	"fmt"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// ErrNotThere says that SnapshotAt cannot tell of an index: it is not applied, or the membership has gone on since.
var ErrNotThere = errors.New("not the state that is applied")

// SnapshotAt says what a snapshot of the machine is that has applied everything up to i and nothing after it: i, its
// term, and the membership of that moment, not the one of today (D53, F14). If a change after i has taken
// effect, the answer is ErrNotThere, and the host takes a later state.
func (c *Core) SnapshotAt(i wire.Index) (wire.Snapshot, error) {
	if c.err != nil {
		return wire.Snapshot{}, c.err
	}
	known := len(c.apply.changes) == 0 || c.apply.changes[0] > i
	if i == 0 || i > c.apply.handed || i < c.membership.Index || !known {
		return wire.Snapshot{}, fmt.Errorf("snapshot of group %d at %d: %w", c.group, i, ErrNotThere)
	}
	term, err := c.log.term(i)
	if err != nil {
		return wire.Snapshot{}, fmt.Errorf("snapshot of group %d at %d: %w", c.group, i, err)
	}
	return wire.Snapshot{Index: i, Term: term, Membership: c.membership}, nil
}

// Compact lets go of the log's entries up to i, with the next update, and returns up to where it will: the host says what
// it holds a snapshot of, the core what its followers are still in need of. A leader keeps what is not yet
// acknowledged by a follower that answers and takes entries, but nothing up to least, which is for the host to choose as it
// knows sizes: a follower further behind than that is cheaper helped by a snapshot. The rule is the core's because only the core
// knows all match indexes at the moment of asking.
func (c *Core) Compact(i, least wire.Index) wire.Index {
	assert.That(i <= c.apply.applied, "I7: compaction of what is not applied")
	gone := c.log.first() - 1
	if c.err != nil || i <= gone {
		return gone
	}
	keep := i
	for k := range c.lead.followers {
		if f := &c.lead.followers[k]; f.State() != progress.Snapshot && f.Quiet() < c.cfg.ElectionTicks {
			keep = min(keep, f.Match())
		}
	}
	keep = max(keep, min(i, least))
	if keep <= gone {
		return gone
	}
	c.persist.compact = max(c.persist.compact, keep)
	if !mutant.Is(mutant.CompactMembership) {
		c.persist.membership = true // what led to it goes, and the host may have had it from a snapshot when this core began (D53)
	}
	return c.persist.compact
}
