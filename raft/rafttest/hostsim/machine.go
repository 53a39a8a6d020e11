package hostsim

import (
	"errors"

	"flotilla/catalog"
	"flotilla/kv"
	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/wire"
)

// machine is a kv machine that tells what it is given.
type machine struct {
	h     *host
	group wire.GroupID
	kv    *kv.Machine
	count int        // commands that led to the state
	at    wire.Index // how far it is
	// fails says that the next call is to.
	fails bool
}

// errMachine is what a state machine fails with that was told to.
var errMachine = errors.New("state machine out of order")

// Apply implements multiraft.StateMachine.
func (m *machine) Apply(batch []multiraft.Command) ([][]byte, error) {
	s := m.h.s
	s.watch(m.h, m.group, batch[0].Index)
	if !m.h.haunted {
		s.broken("tombstones", s.checks.tombstones.Served(m.h.id, m.group))
	}
	if m.fails {
		return nil, errMachine
	}
	given := batch
	if s.plan.sabotage == noSessions {
		given = withoutSessions(batch)
	}
	results, err := m.kv.Apply(given)
	if err != nil {
		return nil, err
	}
	s.broken("snapshots", s.checks.snapshots.Applies(m.h.id, m.group, m.at, batch[0].Index))
	s.broken("imports", s.checks.imports.Applies(m.h.id, m.group, m.at))
	m.at = batch[len(batch)-1].Index
	defer m.keep(300)
	for i := range batch {
		if s.applied(m.h, m.group, m.count, &batch[i], results[i]) {
			s.learn(m.group, &batch[i], results[i])
		}
		m.count++
	}
	return results, nil
}

// Query implements multiraft.StateMachine.
func (m *machine) Query(request []byte) ([]byte, error) { return m.kv.Query(request) }

// withoutSessions is a sabotage: what dedupes is taken out of the commands.
func withoutSessions(batch []multiraft.Command) []multiraft.Command {
	out := make([]multiraft.Command, 0, len(batch))
	for _, c := range batch {
		if cmd, err := kv.DecodeCommand(c.Data); err == nil && (cmd.Op == kv.OpPut || cmd.Op == kv.OpDelete) {
			cmd.Session = kv.NoSession
			c.Data = kv.AppendCommand(nil, &cmd)
		}
		out = append(out, c)
	}
	return out
}

// applied tells the checkers of one command and whether it is the first time that it is applied anywhere.
func (s *Sim) applied(h *host, g wire.GroupID, n int, c *multiraft.Command, result []byte) (fresh bool) {
	a := check.Applied{Index: c.Index, Term: c.Term, Command: check.Sum(c.Data), Result: check.Sum(result)}
	s.trace.words(uint64(h.id)<<32|uint64(g), uint64(n), uint64(a.Index), a.Command, a.Result)
	st, _ := h.engine().GroupStatus(g)
	fresh, err := s.checks.machines.Apply(h.id, g, n, a, max(st.Term, c.Term))
	s.broken("machines", err)
	if fresh {
		s.stats.Applied++
	}
	return fresh
}

// learn takes in a command of a data group that is new to the world.
func (s *Sim) learn(g wire.GroupID, c *multiraft.Command, result []byte) {
	cmd, err := kv.DecodeCommand(c.Data)
	if err != nil {
		s.broken("machines", err)
		return
	}
	r, err := kv.DecodeResult(result)
	if err != nil {
		s.broken("machines", err)
		return
	}
	effect, err := s.checks.sessions[g].Applied(&cmd, r)
	if s.broken("sessions", err) {
		return
	}
	switch cmd.Op {
	case kv.OpPut:
		if effect {
			s.checks.registers[g].Put(cmd.Key, cmd.Value, r.Revision)
		}
		a, err := attemptOf(cmd.Value)
		if err == nil {
			err = s.checks.outcomes.Applied(a)
		}
		s.broken("outcomes", err)
	case kv.OpDelete:
		if effect {
			s.checks.registers[g].Removed(cmd.Key, r.Revision)
		}
	}
}

// watch holds the watcher of a group against its machine.
func (s *Sim) watch(h *host, g wire.GroupID, next wire.Index) {
	if w := h.watchers[g]; w != nil {
		s.broken("watchers", s.checks.watchers.Saw(h.id, h.life, g, w.Applied(), next))
	}
}

// metadata is group 0's machine: the catalog's, durable with each call as the catalog's one transaction is (P22).
type metadata struct{ h *host }

// Apply implements multiraft.StateMachine.
func (m *metadata) Apply(batch []multiraft.Command) ([][]byte, error) {
	h, s := m.h, m.h.s
	s.watch(h, wire.MetadataGroup, batch[0].Index)
	switch {
	case h.disk.full && h.disk.tight: // one file system for both
		return nil, wire.ErrNoSpace
	case h.catalogFate == fateLost:
		return nil, errMachine
	}
	s.broken("snapshots", s.checks.snapshots.Applies(h.id, wire.MetadataGroup, h.catalog.Applied, batch[0].Index))
	cmds := make([]catalog.Command, len(batch))
	for i, c := range batch {
		cmds[i] = catalog.Command{Index: c.Index, Term: c.Term, Data: c.Data}
	}
	var all [][]byte
	for i := 0; i < len(cmds); { // entry by entry, as a checker wants to see every epoch
		n := i
		for n < len(cmds) && cmds[n].Index == cmds[i].Index {
			n++
		}
		next, results, err := h.catalog.After(cmds[i].Index, cmds[i:n])
		if err != nil {
			return nil, err
		}
		for j, r := range results {
			if s.applied(h, wire.MetadataGroup, h.metaCount, &batch[i+j], r) {
				s.decided(batch[i+j].Data, r)
			}
			h.metaCount++
		}
		moved := h.catalog.Topology.Version != next.Topology.Version
		if h.catalog = next; moved {
			s.learnTopology(h)
		}
		all = append(all, results...)
		s.broken("epochs", s.checks.epochs.Applied(h.id, next.Epoch, next.EpochTerm))
		i = n
	}
	if h.catalogFate == fateKept {
		return nil, errMachine
	}
	h.known = h.catalog.Epoch
	h.fence.Apply(h.catalog.Epoch)
	return all, nil
}

// Query implements multiraft.StateMachine.
func (m *metadata) Query([]byte) ([]byte, error) { return nil, nil }
