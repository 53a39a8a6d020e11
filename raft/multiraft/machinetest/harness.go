package machinetest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// Harness makes machines of one kind and what they are given.
type Harness struct {
	// New makes an empty machine, always the same; t's cleanup ends it.
	New func(t testing.TB) multiraft.Snapshotter
	// Command makes up what a client may have proposed. The suite finds what the commands reach: they should add, replace and take
	// away, repeat themselves, and be refused now and then.
	Command func(rng *rand.Rand) []byte
	// Query makes up a request. Nil when there is nothing to be asked.
	Query func(rng *rand.Rand) []byte

	// Reopen is for machines that keep their state on disk, nil for others: it has m, which is not used any more, let go of its
	// files and opens them again. It returns the index that the state has reached, too.
	Reopen func(t testing.TB, m multiraft.Snapshotter) (multiraft.Snapshotter, wire.Index)
	// Crash opens what a start would find on disk if the machine came to its end right now, as Reopen; but m goes on. Nil for
	// machines in memory.
	Crash func(t testing.TB, m multiraft.Snapshotter) (multiraft.Snapshotter, wire.Index)
}

// Run holds the machines of h against the contract.
func Run(t *testing.T, h Harness) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if c.onDisk && (h.Reopen == nil || h.Crash == nil) {
				t.Skip("its state is not on disk")
			}
			if err := c.run(t, &h); err != nil {
				t.Error(err)
			}
		})
	}
}

// check is one demand of the contract. Its error says what the machine did; t is for the machines' cleanup.
type check struct {
	name   string
	run    func(t testing.TB, h *Harness) error
	onDisk bool
}

func checks() []check {
	return []check{
		{name: "same log, same state", run: sameLog},
		{name: "queries change nothing", run: queries},
		{name: "frozen state stays", run: frozenStays},
		{name: "restored goes on alike", run: restoredGoesOn},
		{name: "restore is all or nothing", run: allOrNothing},
		{name: "damage does not panic", run: damage},
		{name: "any reader", run: anyReader},
		{name: "errors of the writer", run: writeErrors},
		{name: "reopened where it was", run: reopened, onDisk: true},
		{name: "crash leaves a state that was", run: crashes, onDisk: true},
	}
}

// source makes up commands at rising indexes.
type source struct {
	rng  *rand.Rand
	make func(*rand.Rand) []byte
	last wire.Index
}

func (h *Harness) source(seed uint64) *source {
	return &source{rng: rand.New(rand.NewPCG(seed, 1)), make: h.Command}
}

// next returns n commands. Indexes have gaps, as entries without a command are in the log too, and terms rise.
func (s *source) next(n int) []multiraft.Command {
	batch := make([]multiraft.Command, n)
	for i := range batch {
		s.last += 1 + wire.Index(s.rng.IntN(3)/2)
		batch[i] = multiraft.Command{Index: s.last, Term: 1 + wire.Term(s.last/100), Data: s.make(s.rng)}
	}
	return batch
}

// apply applies cmds in batches of up to most and returns all results.
func apply(m multiraft.StateMachine, cmds []multiraft.Command, most int) ([][]byte, error) {
	var all [][]byte
	for len(cmds) > 0 {
		n := min(most, len(cmds))
		results, err := m.Apply(cmds[:n:n])
		if err != nil {
			return nil, fmt.Errorf("apply %d commands from %d on: %w", n, cmds[0].Index, err)
		}
		if len(results) != n {
			return nil, fmt.Errorf("%d results of %d commands", len(results), n)
		}
		for _, r := range results {
			all = append(all, bytes.Clone(r))
		}
		cmds = cmds[n:]
	}
	return all, nil
}

// stateOf returns the bytes of m's present state.
func stateOf(m multiraft.Snapshotter) ([]byte, error) {
	f, err := m.Freeze()
	if err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	var b bytes.Buffer
	if err := write(f, &b); err != nil {
		return nil, err
	}
	return b.Bytes(), f.Close()
}

// write writes f to w and has it keep count.
func write(f multiraft.Frozen, w io.Writer) error {
	c := &counted{Writer: w}
	n, err := f.WriteTo(c)
	if err == nil && n != c.n {
		err = fmt.Errorf("it says that it has written %d bytes of %d", n, c.n)
	}
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

type counted struct {
	io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

// sameResults returns how a machine's results differ from those of another that did the same.
func sameResults(want, got [][]byte) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d results instead of %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(want[i], got[i]) {
			return fmt.Errorf("result %d is %x instead of %x", i, got[i], want[i])
		}
	}
	return nil
}

// isState returns how m's state differs from want.
func isState(m multiraft.Snapshotter, want []byte) error {
	got, err := stateOf(m)
	if err != nil || bytes.Equal(want, got) {
		return err
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	return fmt.Errorf("the state has %d bytes instead of %d, and differs from byte %d on", len(got), len(want), at)
}

// about wraps err, if there is one.
func about(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
