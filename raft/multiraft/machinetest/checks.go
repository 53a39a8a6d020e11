package machinetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"flotilla/raft/multiraft"
)

// sameLog: however a log is cut into batches, its state and results are the same; and equal states are equal bytes.
func sameLog(t testing.TB, h *Harness) error {
	cmds := h.source(1).next(history)
	one, other := h.New(t), h.New(t)
	want, err := apply(one, cmds, batch)
	if err != nil {
		return err
	}
	got, err := apply(other, cmds, 7)
	if err != nil {
		return err
	}
	if err := sameResults(want, got); err != nil {
		return about(err, "the same log in other batches")
	}
	state, err := stateOf(one)
	if err != nil {
		return err
	}
	return errors.Join(
		about(isState(one, state), "written twice"),
		about(isState(other, state), "the same log in other batches"),
	)
}

// queries: they change nothing, and equal states answer alike.
func queries(t testing.TB, h *Harness) error {
	if h.Query == nil {
		return nil
	}
	s := h.source(2)
	m := h.New(t)
	if _, err := apply(m, s.next(history), batch); err != nil {
		return err
	}
	state, err := stateOf(m)
	if err != nil {
		return err
	}
	twin, err := restored(t, h, s, state)
	if err != nil {
		return err
	}
	for range onward {
		request := h.Query(s.rng)
		want, wantErr := m.Query(bytes.Clone(request))
		got, gotErr := twin.Query(request)
		if !bytes.Equal(want, got) || (wantErr == nil) != (gotErr == nil) {
			return fmt.Errorf("query %x: %x, %v; the restored machine: %x, %v", request, want, wantErr, got, gotErr)
		}
	}
	return about(isState(m, state), "after queries")
}

// restored returns a machine that was made of state.
func restored(t testing.TB, h *Harness, s *source, state []byte) (multiraft.Snapshotter, error) {
	m := h.New(t)
	return m, about(m.Restore(s.last, bytes.NewReader(state)), "restore %d bytes", len(state))
}

// frozenStays: what was frozen stays what it was while the machine goes on, also while it is being written, by another goroutine;
// and the machine does not wait for that. Under -race it finds memory that both use.
func frozenStays(t testing.TB, h *Harness) error {
	s := h.source(3)
	m := h.New(t)
	for round := range 5 {
		if _, err := apply(m, s.next(history/5), batch); err != nil {
			return err
		}
		want, err := stateOf(m)
		if err != nil {
			return err
		}
		unused, err := m.Freeze() // another one at the same time, which nobody writes
		if err != nil {
			return about(err, "freeze")
		}
		frozen, err := m.Freeze()
		if err != nil {
			return about(err, "freeze twice")
		}
		if _, err := apply(m, s.next(onward), batch); err != nil { // before its first byte is written
			return err
		}
		var got bytes.Buffer
		gate := &gate{Writer: &got, begun: make(chan struct{}), on: make(chan struct{})}
		written := make(chan error, 1)
		go func() { written <- write(frozen, gate) }()
		select {
		case <-gate.begun: // after its first bytes
		case err := <-written:
			return fmt.Errorf("nothing was written: %w", err)
		}
		err = errors.Join(applyMeanwhile(m, s, patience), unused.Close())
		close(gate.on)
		if err = errors.Join(err, <-written, frozen.Close()); err != nil {
			return about(err, "round %d", round)
		}
		if !bytes.Equal(got.Bytes(), want) {
			return fmt.Errorf("round %d: a frozen state has changed", round)
		}
	}
	return nil
}

// applyMeanwhile applies something and gives up when that waits for the frozen state.
func applyMeanwhile(m multiraft.Snapshotter, s *source, patience time.Duration) error {
	applied := make(chan error, 1)
	cmds := s.next(onward)
	go func() {
		_, err := apply(m, cmds, batch)
		applied <- err
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-applied:
		return err
	case <-limit.C:
		return errors.New("apply waits for a frozen state to be written: that lasts for minutes, in which the group stands still")
	}
}

// gate is a writer whose first Write waits.
type gate struct {
	io.Writer
	begun, on chan struct{}
	open      bool
}

// Write implements io.Writer.
func (g *gate) Write(b []byte) (int, error) {
	if !g.open {
		close(g.begun)
		<-g.on
		g.open = true
	}
	return g.Writer.Write(b)
}

// restoredGoesOn: a machine that was behind, or empty, has the same state as the one that wrote it, to the last byte, and does the
// same from there on.
func restoredGoesOn(t testing.TB, h *Harness) error {
	s := h.source(4)
	m, behind := h.New(t), h.New(t)
	first := s.next(history)
	for _, m := range []multiraft.StateMachine{m, behind} {
		if _, err := apply(m, first, batch); err != nil {
			return err
		}
	}
	if _, err := apply(m, s.next(history), batch); err != nil {
		return err
	}
	state, err := stateOf(m)
	if err != nil {
		return err
	}
	empty, err := restored(t, h, s, state)
	if err != nil {
		return err
	}
	if err := behind.Restore(s.last, bytes.NewReader(state)); err != nil {
		return about(err, "restore a machine that is behind")
	}
	rest := s.next(onward)
	want, err := apply(m, rest, batch)
	if err != nil {
		return err
	}
	end, err := stateOf(m)
	if err != nil {
		return err
	}
	for what, twin := range map[string]multiraft.Snapshotter{"one that was empty": empty, "one that was behind": behind} {
		err := isState(twin, state)
		if err == nil {
			var got [][]byte
			if got, err = apply(twin, rest, batch); err == nil {
				err = errors.Join(sameResults(want, got), isState(twin, end))
			}
		}
		if err != nil {
			return about(err, "restored, %s", what)
		}
	}
	return nil
}

// errStream is how a stream ends that cannot be trusted.
var errStream = errors.New("the stream cannot be trusted")

// allOrNothing: a state that is cut off, goes on, or whose stream does not end by io.EOF is refused, and the machine is as it was.
func allOrNothing(t testing.TB, h *Harness) error {
	s := h.source(5)
	m, ahead := h.New(t), h.New(t)
	first := s.next(onward)
	for _, m := range []multiraft.StateMachine{m, ahead} {
		if _, err := apply(m, first, batch); err != nil {
			return err
		}
	}
	before, err := stateOf(m)
	if err != nil {
		return err
	}
	if _, err := apply(ahead, s.next(history), batch); err != nil {
		return err
	}
	state, err := stateOf(ahead)
	if err != nil {
		return err
	}
	refused := func(what string, r io.Reader) error {
		if err := m.Restore(s.last, r); err == nil {
			return fmt.Errorf("a state that %s was taken", what)
		}
		return about(isState(m, before), "after a state that %s was refused", what)
	}
	for _, n := range spread(len(state)) {
		if err := refused(fmt.Sprintf("is cut off at %d", n), bytes.NewReader(state[:n])); err != nil {
			return err
		}
	}
	if err := errors.Join(
		refused("goes on", bytes.NewReader(append(bytes.Clone(state), 0))),
		refused("goes on later", io.MultiReader(bytes.NewReader(state), bytes.NewReader([]byte{0xff}))),
		refused("ends in an error half way", io.MultiReader(bytes.NewReader(state[:len(state)/2]), iotest.ErrReader(errStream))),
		refused("ends in an error", io.MultiReader(bytes.NewReader(state), iotest.ErrReader(errStream))),
	); err != nil {
		return err
	}
	return errors.Join(about(m.Restore(s.last, bytes.NewReader(state)), "the whole state, after all"), isState(m, state))
}

// spread returns places of something that has n, all if they are few.
func spread(n int) []int {
	var at []int
	for i := 0; i < n; i += 1 + (n-1)/places {
		at = append(at, i)
	}
	return at
}

// damage: a flipped bit, which whoever keeps and carries states finds first, makes no machine panic; what is refused changes nothing.
func damage(t testing.TB, h *Harness) error {
	s := h.source(6)
	m := h.New(t)
	if _, err := apply(m, s.next(history), batch); err != nil {
		return err
	}
	state, err := stateOf(m)
	if err != nil {
		return err
	}
	victim := h.New(t)
	before, err := stateOf(victim)
	if err != nil {
		return err
	}
	for i, at := range spread(len(state)) {
		damaged := bytes.Clone(state)
		damaged[at] ^= 1 << (i % 8)
		err := victim.Restore(s.last, bytes.NewReader(damaged))
		if err == nil { // it cannot know, and is something else now
			victim = h.New(t)
			continue
		}
		if err := isState(victim, before); err != nil {
			return about(err, "after a state with a flipped bit in byte %d was refused", at)
		}
	}
	return nil
}

// anyReader: how a state's bytes come in does not matter.
func anyReader(t testing.TB, h *Harness) error {
	s := h.source(7)
	m := h.New(t)
	if _, err := apply(m, s.next(history), batch); err != nil {
		return err
	}
	state, err := stateOf(m)
	if err != nil {
		return err
	}
	for name, r := range map[string]io.Reader{
		"byte by byte":                  iotest.OneByteReader(bytes.NewReader(state)),
		"in halves":                     iotest.HalfReader(bytes.NewReader(state)),
		"with the end at the last byte": iotest.DataErrReader(bytes.NewReader(state)),
	} {
		twin := h.New(t)
		if err := errors.Join(twin.Restore(s.last, r), isState(twin, state)); err != nil {
			return about(err, "read %s", name)
		}
	}
	return nil
}

// writeErrors: a writer's error ends the writing and is what WriteTo returns; the machine does not mind.
func writeErrors(t testing.TB, h *Harness) error {
	s := h.source(8)
	m := h.New(t)
	if _, err := apply(m, s.next(history), batch); err != nil {
		return err
	}
	state, err := stateOf(m)
	if err != nil {
		return err
	}
	for _, room := range []int{0, 1, len(state) / 2, len(state) - 1} {
		f, err := m.Freeze()
		if err != nil {
			return about(err, "freeze")
		}
		if err := write(f, &cramped{room: room}); !errors.Is(err, errFull) {
			return fmt.Errorf("there is room for %d bytes of %d, and WriteTo returns: %v", room, len(state), err)
		}
		if err := f.Close(); err != nil {
			return about(err, "close a frozen state that was not written")
		}
	}
	return isState(m, state)
}

var errFull = errors.New("no room")

// cramped is a writer with so much room.
type cramped struct{ room int }

// Write implements io.Writer.
func (c *cramped) Write(b []byte) (int, error) {
	n := min(len(b), c.room)
	if c.room -= n; n < len(b) {
		return n, errFull
	}
	return n, nil
}
