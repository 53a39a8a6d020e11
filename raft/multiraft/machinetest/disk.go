package machinetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// reopened: after its files were closed and opened a machine is where it was, by its own index, and goes on from there; also
// right after it was restored.
func reopened(t testing.TB, h *Harness) error {
	s := h.source(9)
	m, twin := h.New(t), h.New(t)
	m, at := h.Reopen(t, m)
	if at != 0 {
		return fmt.Errorf("an empty machine has applied %d", at)
	}
	for range 4 {
		cmds := s.next(history / 4)
		want, err := apply(twin, cmds, batch)
		if err != nil {
			return err
		}
		got, err := apply(m, cmds, batch)
		if err != nil {
			return err
		}
		state, err := stateOf(twin)
		if err != nil {
			return err
		}
		if m, at = h.Reopen(t, m); at != s.last {
			return fmt.Errorf("reopened at %d after everything up to %d was applied", at, s.last)
		}
		if err := errors.Join(sameResults(want, got), isState(m, state)); err != nil {
			return about(err, "reopened at %d", at)
		}
		other := h.New(t)
		if err := other.Restore(s.last, bytes.NewReader(state)); err != nil {
			return about(err, "restore")
		}
		if other, at = h.Reopen(t, other); at != s.last {
			return fmt.Errorf("reopened at %d after a state as of %d was restored", at, s.last)
		}
		if err := isState(other, state); err != nil {
			return about(err, "restored and reopened")
		}
		m = other
	}
	return nil
}

// crashes: a crash may lose what was applied last, but leaves a state that once was, with the index that belongs to it, and from
// there the log leads on; after Freeze and Restore it loses nothing.
func crashes(t testing.TB, h *Harness) error {
	s := h.source(10)
	m, reference := h.New(t), h.New(t)
	was := map[wire.Index][]byte{} // what the state is after each batch
	note := func(m multiraft.Snapshotter) error {
		state, err := stateOf(m)
		was[s.last] = state
		return err
	}
	if err := note(reference); err != nil {
		return err
	}
	var log []multiraft.Command
	for round := range 12 {
		cmds := s.next(25)
		log = append(log, cmds...)
		for _, m := range []multiraft.Snapshotter{m, reference} {
			if _, err := apply(m, cmds, batch); err != nil {
				return err
			}
		}
		if err := note(reference); err != nil {
			return err
		}
		least := wire.Index(0)
		switch round % 4 {
		case 1: // durable from here on
			if _, err := stateOf(m); err != nil {
				return err
			}
			least = s.last
		case 3: // by a state instead of the log
			m = h.New(t)
			if err := m.Restore(s.last, bytes.NewReader(was[s.last])); err != nil {
				return about(err, "restore")
			}
			least = s.last
		}
		found, at := h.Crash(t, m)
		state, ever := was[at]
		if !ever || at < least {
			return fmt.Errorf("crashed at %d, durable up to %d: it says that it has applied %d", s.last, least, at)
		}
		if err := isState(found, state); err != nil {
			return about(err, "crashed at %d, found at %d", s.last, at)
		}
		for i, c := range log { // the log gives it what it has lost
			if c.Index > at {
				if _, err := apply(found, log[i:], batch); err != nil {
					return err
				}
				break
			}
		}
		if err := isState(found, was[s.last]); err != nil {
			return about(err, "crashed at %d, found at %d and brought up to date", s.last, at)
		}
	}
	return nil
}
