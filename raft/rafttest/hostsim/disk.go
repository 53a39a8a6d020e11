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
	if err := d.Memory.Commit(batch); err != nil {
		return err
	}
	d.h.s.stored(d.h, batch)
	return nil
}

// termBefore returns the term of the entry that an update's entries follow.
func (d *disk) termBefore(u *wire.LogUpdate) wire.Term {
	if len(u.Entries) == 0 || u.Entries[0].Index == 1 {
		return 0
	}
	term, _ := d.Term(u.Group, u.Entries[0].Index-1)
	return term
}

// stored tells the checkers what a commit has put on a disk.
func (s *Sim) stored(h *host, batch []wire.LogUpdate) {
	s.stats.Commits++
	for i := range batch {
		u := &batch[i]
		s.trace.words(uint64(h.id)<<32|uint64(u.Group), uint64(u.HardState.Term), uint64(u.HardState.Vote), uint64(u.HardState.Commit), uint64(len(u.Entries)))
		if len(u.Entries) > 0 {
			s.broken("logs", s.checks.logs.Stored(h.id, u.Group, h.disk.termBefore(u), u.Entries))
		}
		if h.lying() {
			continue
		}
		state, _ := h.disk.State(u.Group)
		s.checks.durability.Synced(h.id, u.Group, state.HardState, state.Last)
	}
}
