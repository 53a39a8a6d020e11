package hostsim

import (
	"errors"

	"flotilla/raft/logstore/logstoretest"
	"flotilla/raft/wire"
)

// errIO is what a failing disk says.
var errIO = errors.New("input/output error")

// disk is a host's log store: the crashable memory store, which takes a commit as a whole or not at all, told by the
// simulator how to fail. What Commit returned nil for is durable.
type disk struct {
	*logstoretest.Memory
	h *host
	// full refuses commits with entries, and when it is tight all others and the catalog's.
	full, tight bool
	// failing says that a commit of this life is to fail.
	failing bool
}

func newDisk(h *host, m *logstoretest.Memory) *disk { return &disk{Memory: m, h: h} }

// Commit implements multiraft.LogStore.
func (d *disk) Commit(batch []wire.LogUpdate) error {
	if d.full {
		for i := range batch {
			if d.tight || len(batch[i].Entries) > 0 {
				return wire.ErrNoSpace
			}
		}
	}
	for i := range batch { // before: a later update of the same batch may supersede what an earlier one follows
		if u := &batch[i]; len(u.Entries) > 0 {
			d.h.s.broken("logs", d.h.s.checks.logs.Stored(d.h.id, u.Group, d.termBefore(batch[:i], u), u.Entries))
		}
	}
	if err := d.Memory.Commit(batch); err != nil {
		return err
	}
	d.h.s.stored(d.h, batch)
	return nil
}

// termBefore returns the term of the entry that u's entries follow, after the earlier updates of its batch.
func (d *disk) termBefore(earlier []wire.LogUpdate, u *wire.LogUpdate) wire.Term {
	at := u.Entries[0].Index - 1
	if u.ResetTo != 0 && u.ResetTo == at {
		return u.ResetTerm
	}
	for i := len(earlier) - 1; i >= 0; i-- {
		e := earlier[i].Entries
		switch {
		case earlier[i].Group != u.Group:
		case len(e) > 0 && e[0].Index <= at && at <= e[len(e)-1].Index:
			return e[at-e[0].Index].Term
		case earlier[i].ResetTo != 0 && earlier[i].ResetTo == at:
			return earlier[i].ResetTerm
		}
	}
	term, _ := d.Term(u.Group, at) // 0 before the first
	return term
}

// stored tells the checkers what a commit has put on a disk.
func (s *Sim) stored(h *host, batch []wire.LogUpdate) {
	s.stats.Commits++
	for i := range batch {
		u := &batch[i]
		s.trace.words(uint64(h.id)<<32|uint64(u.Group), uint64(u.HardState.Term), uint64(u.HardState.Vote), uint64(u.HardState.Commit), uint64(len(u.Entries)))
		if h.lying() {
			continue
		}
		state, held := h.disk.State(u.Group)
		if held {
			s.broken("snapshots", s.checks.snapshots.Held(h.id, u.Group, state.Membership.Index, state.First))
		}
		s.checks.durability.Synced(h.id, u.Group, state.HardState, state.Last)
	}
}
