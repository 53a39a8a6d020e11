package hostsim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"flotilla/kv"
	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/wire"
)

// A machine's state in a snapshot is the number of commands that led to it, for the checkers, what makes it larger (Plan.Ballast), and
// the product's own form.
const stateLead = 16

// openState reads the lead of a state and returns the product's form.
func openState(b []byte) (commands int, body []byte, err error) {
	if len(b) < stateLead {
		return 0, nil, fmt.Errorf("a state of %d bytes", len(b))
	}
	commands, ballast := int(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])
	if ballast > uint64(len(b)-stateLead) {
		return 0, nil, fmt.Errorf("a state of %d bytes with ballast %d", len(b), ballast)
	}
	return commands, b[stateLead+ballast:], nil
}

// frozen is a state that was frozen.
type frozen struct {
	lead []byte
	body io.WriterTo
	end  func() error
}

func (s *Sim) freeze(commands int, body io.WriterTo, end func() error) *frozen {
	lead := binary.BigEndian.AppendUint64(nil, uint64(commands))
	lead = binary.BigEndian.AppendUint64(lead, uint64(s.plan.Ballast))
	for i := range s.plan.Ballast {
		lead = append(lead, byte(commands*31+i*i>>3))
	}
	return &frozen{lead: lead, body: body, end: end}
}

// WriteTo implements multiraft.Frozen.
func (f *frozen) WriteTo(w io.Writer) (int64, error) {
	lead, err := w.Write(f.lead)
	if err != nil {
		return int64(lead), err
	}
	n, err := f.body.WriteTo(w)
	return n + int64(lead), err
}

// Close implements multiraft.Frozen.
func (f *frozen) Close() error { return f.end() }

// keeper is a machine whose state leaves it and comes back; a machine of a run without snapshots is none.
type keeper struct{ *machine }

// Freeze implements multiraft.Snapshotter.
func (m keeper) Freeze() (multiraft.Frozen, error) {
	f, err := m.kv.Freeze()
	if err != nil {
		return nil, err
	}
	m.keep(1000)
	return m.h.s.freeze(m.count, f, f.Close), nil
}

// keptState is what a data directory has of the machine of a data group, where machines keep their state themselves.
type keptState struct {
	at    wire.Index
	count int
	state []byte
}

// keep makes the state of a machine durable, in perMille of a thousand cases: what follows the last time is lost with the process.
func (m *machine) keep(perMille int) {
	s := m.h.s
	if !s.plan.Durable || !chance(s.rng, perMille) {
		return
	}
	var b bytes.Buffer
	f, err := m.kv.Freeze()
	if err == nil {
		_, err = f.WriteTo(&b)
	}
	s.broken("machines", err)
	m.h.kept[m.group] = keptState{at: m.at, count: m.count, state: b.Bytes()}
}

// newMachine returns the machine of a data group, which may have kept its state.
func (h *host) newMachine(g wire.GroupID) *machine {
	m := &machine{h: h, group: g, kv: kv.New()}
	if k := h.kept[g]; k.at > 0 {
		h.s.broken("machines", m.kv.Restore(k.at, bytes.NewReader(k.state)))
		m.at, m.count = k.at, k.count
	}
	return m
}

// Restore implements multiraft.Snapshotter.
func (m keeper) Restore(at wire.Index, state io.Reader) error {
	s, h := m.h.s, m.h
	raw, err := io.ReadAll(state)
	switch {
	case err != nil:
		return err
	case !h.starting && s.noSpace(h.disk.full): // in memory: with a log that begins behind it, a start had no other way
		return wire.ErrNoSpace
	case m.fails:
		return errMachine
	}
	s.watch(h, m.group, at)
	n, body, err := openState(raw)
	if err == nil && s.plan.sabotage != idleRestore {
		err = m.kv.Restore(at, bytes.NewReader(body))
	}
	if err != nil {
		return err
	}
	s.restored(h, m.group, m.at, at, raw)
	m.count, m.at = n, at
	m.keep(1000)
	return nil
}

// Close implements io.Closer: the replica was ended.
func (m keeper) Close() error {
	m.h.kept[m.group] = keptState{}
	return nil
}

// noSpace reports whether a machine has no space for a state.
func (s *Sim) noSpace(full bool) bool { return full || chance(s.rng, s.rate(s.plan.NoSpace)) }

// restored tells the checkers of a machine that has taken a state over.
func (s *Sim) restored(h *host, g wire.GroupID, was, at wire.Index, raw []byte) {
	sum := check.Sum(raw)
	s.trace.words(uint64(h.id)<<32|uint64(g), uint64(was), uint64(at), sum)
	s.tell("node %d: the machine of group %d goes from %d to the state at %d", h.id, g, was, at)
	s.broken("snapshots", s.checks.snapshots.Restored(h.id, g, was, at, sum))
	s.checks.imports.Restored(h.id, g, at)
	if s.stats.Restored++; chance(s.rng, s.rate(s.plan.DieHolding)) { // before the log has moved, or after
		s.after(between(s.rng, 0, s.plan.SyncMax*2), &task{kind: taskDo, host: h, life: h.life, do: func() { s.die(h) }})
	}
}

// metadataKeeper is group 0's machine with a state that leaves it and comes back.
type metadataKeeper struct{ *metadata }

// Freeze implements multiraft.Snapshotter.
func (m metadataKeeper) Freeze() (multiraft.Frozen, error) {
	view := m.h.catalog
	return m.h.s.freeze(m.h.metaCount, writerTo(view.WriteState), func() error { return nil }), nil
}

type writerTo func(io.Writer) (int64, error)

// WriteTo implements io.WriterTo.
func (w writerTo) WriteTo(to io.Writer) (int64, error) { return w(to) }

// Restore implements multiraft.Snapshotter: the state and how far it is are durable at once, or neither.
func (m metadataKeeper) Restore(at wire.Index, state io.Reader) error {
	h, s := m.h, m.h.s
	raw, err := io.ReadAll(state)
	switch {
	case err != nil:
		return err
	case s.noSpace(h.disk.full && h.disk.tight):
		return wire.ErrNoSpace
	case h.catalogFate == fateLost:
		return errMachine
	}
	s.watch(h, wire.MetadataGroup, at)
	n, body, err := openState(raw)
	if err != nil {
		return err
	}
	was := h.catalog
	next, err := was.Restored(at, bytes.NewReader(body))
	if err != nil {
		return err
	}
	s.restored(h, wire.MetadataGroup, h.catalog.Applied, at, raw)
	h.catalog, h.metaCount = next, n
	s.broken("epochs", s.checks.epochs.Applied(h.id, next.Epoch, next.EpochTerm))
	if was.Topology.Version != next.Topology.Version {
		s.learnTopology(h)
	}
	if h.catalogFate == fateKept {
		return errMachine
	}
	h.known = next.Epoch
	h.fence.Apply(next.Epoch)
	return nil
}
