package multiraft

import (
	"errors"
	"fmt"

	"flotilla/raft"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// restored is a replica as its parts on disk are brought together at a start.
type restored struct {
	state   wire.GroupState
	applied wire.Index
	term    wire.Term // of the entry at applied
}

// restore brings machine, snapshot and log of a group together. A snapshot in the store is whole and was announced by a leader: where
// the log does not hold its end, a crash cut off its install, which is finished here (P37). A damaged one is set aside by the
// store, and the one before it serves if the log reaches back that far; if nothing serves, the replica cannot run: a
// machine that is older than the log's beginning would have a gap (D15).
func (e *Engine) restore(cfg *GroupConfig, state wire.GroupState) (restored, error) {
	r := restored{state: state, applied: cfg.Applied}
	machine, _ := cfg.Machine.(Snapshotter)
	var spoiled error
	for machine != nil && e.cfg.Snapshots != nil {
		s, _, ok := e.cfg.Snapshots.Newest(cfg.ID)
		if !ok || s.Index+1 < r.state.First {
			break // too old to be of use
		}
		lacks, err := e.lacks(cfg.ID, &r.state, &s)
		if err != nil {
			return r, err
		}
		// A machine of its own memory is rather given the log, where that is held, than a whole state.
		if r.applied == 0 || r.applied+1 < r.state.First || lacks && r.applied < s.Index {
			err := e.load(machine, nil, cfg.ID, s.Index)
			if errors.Is(err, snapshotstream.ErrCorrupt) {
				e.emit(SnapshotDamaged{Group: cfg.ID, Index: s.Index, Err: err})
				spoiled = fmt.Errorf("snapshot at %d: %w", s.Index, err)
				if at, _ := e.newest(cfg.ID); at == s.Index {
					return r, spoiled // the disk does not let it be set aside: it would be offered for ever
				}
				continue
			}
			if errors.Is(err, wire.ErrNoSpace) && r.applied+1 >= r.state.First {
				e.emit(SnapshotFailed{Group: cfg.ID, Err: err})
				break // as before its install: a leader offers it again
			}
			if err != nil {
				return r, fmt.Errorf("snapshot at %d: %w", s.Index, err)
			}
			r.applied, r.term = s.Index, s.Term
		}
		if lacks {
			if err := e.moveLog(&r, &s); err != nil {
				return r, err
			}
		} else if r.applied >= s.Index && s.Membership.Index > r.state.Membership.Index {
			r.state.Membership = s.Membership
		}
		break
	}
	if r.applied+1 < r.state.First {
		gap := fmt.Errorf("%w: the log begins after %d, the state machine has applied %d, and no snapshot is here that reaches from there to here",
			raft.ErrInconsistent, r.state.First-1, r.applied)
		if spoiled != nil {
			gap = fmt.Errorf("%w; %w", gap, spoiled)
		}
		return r, gap
	}
	return r, nil
}

// lacks reports whether a log does not hold the entry that a snapshot ends with.
func (e *Engine) lacks(id wire.GroupID, state *wire.GroupState, s *wire.Snapshot) (bool, error) {
	if s.Index > state.Last {
		return true, nil
	}
	term, err := e.cfg.Log.Term(id, s.Index)
	if err != nil {
		return false, fmt.Errorf("term of entry %d: %w", s.Index, err)
	}
	return term != s.Term, nil
}

// moveLog moves the log of a group to a snapshot that its machine has taken over.
func (e *Engine) moveLog(r *restored, s *wire.Snapshot) error {
	id := r.state.Group
	if e.started.Load() {
		return fmt.Errorf("a crash cut off the install of the snapshot at %d: start the node again to finish it", s.Index)
	}
	if err := e.cfg.Log.Commit([]wire.LogUpdate{raft.MoveTo(id, r.state.HardState, *s, s.Term)}); err != nil {
		return fmt.Errorf("move the log to the snapshot at %d: %w", s.Index, err)
	}
	r.state, _ = e.cfg.Log.State(id)
	e.emit(SnapshotInstalled{Group: id, Snapshot: *s})
	return r.state.Err
}
