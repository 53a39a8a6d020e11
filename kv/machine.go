package kv

import (
	"fmt"

	"github.com/tidwall/btree"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// item is what the tree holds under a key. The value is a string because strings cannot be changed: copies of
// the tree share them.
type item struct {
	value    string
	revision Revision
}

// Machine is one group's replicated map. See the package comment; New makes one.
type Machine struct {
	tree     *btree.Map[string, item]
	bytes    uint64
	revision Revision
	sessions *sessions
}

// New returns an empty machine, the state before the first command.
func New() *Machine {
	return &Machine{tree: btree.NewMap[string, item](0), sessions: newSessions()}
}

// Apply implements multiraft.StateMachine. A command that cannot be understood is an error, never skipped: it
// may mean something to a replica of a newer version, and skipping it would make the two differ (F17).
func (m *Machine) Apply(batch []multiraft.Command) ([][]byte, error) {
	results := make([][]byte, len(batch))
	buf := make([]byte, 0, len(batch)*resultBytes) // one allocation for all; it never grows, so slices of it stay
	for i := range batch {
		c, err := DecodeCommand(batch[i].Data)
		if err != nil {
			return nil, fmt.Errorf("apply command at index %d: %w", batch[i].Index, err)
		}
		before := m.revision
		result := m.execute(&c)
		assert.That(m.revision-before <= 1, "one command raised the revision by %d", m.revision-before)
		from := len(buf)
		buf = appendResult(buf, result)
		assert.That(cap(buf) == len(batch)*resultBytes, "a result is larger than its bound")
		results[i] = buf[from:len(buf):len(buf)]
	}
	return results, nil
}

func (m *Machine) execute(c *Command) Result {
	switch c.Op {
	case OpOpen:
		return Result{Status: StatusOK, Session: m.sessions.open().id}
	case OpClose:
		s := m.sessions.use(c.Session)
		if s == nil {
			return Result{Status: StatusSessionExpired}
		}
		m.sessions.drop(s)
		return Result{Status: StatusOK}
	default:
		if c.Session == NoSession {
			return m.write(c)
		}
		return m.writeOnce(c)
	}
}

// writeOnce executes a session's command unless it has been executed before (D39, N7).
func (m *Machine) writeOnce(c *Command) Result {
	s := m.sessions.use(c.Session)
	switch {
	case s == nil:
		return Result{Status: StatusSessionExpired}
	case c.Sequence == 0 || c.Acked > c.Sequence:
		return Result{Status: StatusInvalid}
	}
	m.sessions.acknowledge(s, c.Acked)
	switch {
	case c.Sequence < s.acked:
		return Result{Status: StatusAcknowledged}
	case c.Sequence-s.acked >= MaxWindow:
		return Result{Status: StatusWindow}
	}
	m.sessions.fit(s, c.Sequence)
	kept := *s.at(c.Sequence)
	if kept.status == 0 || mutant.Is(mutant.RepeatCommands) {
		r := m.write(c)
		kept = outcome{status: r.Status, revision: r.Revision}
		m.sessions.own(s)
		*s.at(c.Sequence) = kept
	}
	return Result{Status: kept.status, Revision: kept.revision}
}

func (m *Machine) write(c *Command) Result {
	if len(c.Key) == 0 || len(c.Key) > MaxKeyBytes || len(c.Value) > MaxValueBytes {
		return Result{Status: StatusInvalid}
	}
	if c.Op == OpPut {
		return m.put(c)
	}
	return m.remove(c)
}

func (m *Machine) put(c *Command) Result {
	if required, ok := c.Require.Revision(); ok {
		if old, _ := m.tree.Get(string(c.Key)); old.revision != required {
			return Result{Status: StatusConflict, Revision: old.revision}
		}
	}
	key, value := join(c.Key, c.Value)
	m.revision++
	old, replaced := m.tree.Set(key, item{value: value, revision: m.revision})
	if replaced {
		m.bytes -= uint64(len(old.value))
	} else {
		m.bytes += uint64(len(key))
	}
	m.bytes += uint64(len(value))
	return Result{Status: StatusOK, Revision: m.revision}
}

func (m *Machine) remove(c *Command) Result {
	key := string(c.Key)
	old, exists := m.tree.Get(key)
	if required, ok := c.Require.Revision(); ok && old.revision != required {
		return Result{Status: StatusConflict, Revision: old.revision}
	}
	if !exists {
		return Result{Status: StatusNotFound}
	}
	m.tree.Delete(key)
	m.revision++
	m.bytes -= uint64(len(key) + len(old.value))
	return Result{Status: StatusOK, Revision: m.revision}
}

// badRequest refuses a query that cannot be understood; the group is fine.
func badRequest(cause error) error {
	return &wire.Error{Code: wire.CodeBadRequest, Detail: "query not understood", Cause: cause}
}
