package logstoretest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

// Fate is what became on disk of a commit that failed: its outcome is unknown to the caller, not to the disk.
type Fate int

// The fates.
const (
	// Lost: nothing of the batch is there after a restart.
	Lost Fate = iota
	// Kept: all of it is.
	Kept
)

// Memory is a log store without a disk. What Commit returned nil for is durable, unless HoldSyncs says that
// the disk lies. Crash gives what a restart would find. It follows the contract of multiraft.LogStore and is
// deterministic: it starts no goroutine and reads no clock.
type Memory struct {
	mu struct {
		sync.RWMutex
		seen    logs // what readers see
		disk    logs // what survives a crash
		pending [][]wire.LogUpdate
		lying   bool
		fenced  error
		closed  bool
		failure *failure
		gate    *Gate
		commits int
	}
}

type failure struct {
	err  error
	fate Fate
}

// logs are the groups of a store. A memLog is never changed in place, so copies of the map share them.
type logs map[wire.GroupID]*memLog

type memLog struct {
	state   wire.GroupState
	entries []wire.Entry // those of [First, Last]
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{}
	m.mu.seen, m.mu.disk = logs{}, logs{}
	return m
}

// Commit makes batch durable and visible. See multiraft.LogStore.
func (m *Memory) Commit(batch []wire.LogUpdate) error {
	m.mu.Lock()
	gate := m.mu.gate
	m.mu.gate = nil
	m.mu.Unlock()
	if gate != nil {
		close(gate.entered)
		<-gate.released
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.mu.fenced != nil:
		return m.mu.fenced
	case m.mu.closed:
		return logstore.ErrClosed
	}
	if err := m.mu.seen.check(batch); err != nil {
		return err
	}
	if f := m.mu.failure; f != nil {
		m.mu.failure = nil
		return m.fail(f, batch)
	}
	m.mu.seen.apply(batch)
	m.mu.commits++
	if m.mu.lying {
		m.mu.pending = append(m.mu.pending, slices.Clone(batch))
		return nil
	}
	m.mu.disk.copyGroups(m.mu.seen, batch)
	return nil
}

// fail fences the store and lets batch have its fate. The caller holds mu.
func (m *Memory) fail(f *failure, batch []wire.LogUpdate) error {
	m.mu.fenced = fmt.Errorf("%w: %w", wire.ErrFenced, f.err)
	if f.fate == Kept {
		m.mu.disk = maps.Clone(m.mu.seen)
		m.mu.disk.apply(batch)
	}
	return m.mu.fenced
}

// check holds batch against the contract.
func (l logs) check(batch []wire.LogUpdate) error {
	shapes := map[wire.GroupID]logstore.Shape{}
	for i := range batch {
		u := &batch[i]
		shape, known := shapes[u.Group]
		if old := l[u.Group]; !known && old != nil {
			shape = logstore.ShapeOf(old.state)
		}
		if err := shape.Apply(u); err != nil {
			return err
		}
		shapes[u.Group] = shape
	}
	return nil
}

// apply changes l by a checked batch.
func (l logs) apply(batch []wire.LogUpdate) {
	for i := range batch {
		u := &batch[i]
		if u.Drop {
			delete(l, u.Group)
			continue
		}
		l[u.Group] = l[u.Group].with(u)
	}
}

// copyGroups takes over from src the groups that batch is about.
func (l logs) copyGroups(src logs, batch []wire.LogUpdate) {
	for i := range batch {
		id := batch[i].Group
		if log := src[id]; log != nil {
			l[id] = log
		} else {
			delete(l, id)
		}
	}
}

// with returns what l is after u; l may be nil for a group to be made.
func (l *memLog) with(u *wire.LogUpdate) *memLog {
	n := &memLog{state: wire.GroupState{Group: u.Group, First: 1}}
	if l != nil {
		*n = *l
	}
	s := &n.state
	if u.Create || u.SetMembership {
		s.Membership = u.Membership
	}
	if u.SetHardState {
		commit := max(s.HardState.Commit, u.HardState.Commit)
		s.HardState = u.HardState
		s.HardState.Commit = commit
	}
	if u.ResetTo != 0 {
		n.entries = nil
		s.First, s.Last, s.PrevTerm = u.ResetTo+1, u.ResetTo, u.ResetTerm
	}
	if len(u.Entries) > 0 {
		keep := n.entries[:u.Entries[0].Index-s.First]
		if len(keep) < len(n.entries) { // older copies share the memory: superseding must not write there
			keep = keep[:len(keep):len(keep)]
		}
		n.entries = append(keep, u.Entries...)
		s.Last = u.Entries[len(u.Entries)-1].Index
	}
	if u.CompactTo >= s.First {
		k := u.CompactTo - s.First + 1
		s.PrevTerm = n.entries[k-1].Term
		n.entries = n.entries[k:]
		s.First = u.CompactTo + 1
	}
	return n
}

// State returns what the store holds of group g, and whether it holds it.
func (m *Memory) State(g wire.GroupID) (wire.GroupState, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	l := m.mu.seen[g]
	if l == nil {
		return wire.GroupState{}, false
	}
	return l.state, true
}

// Groups returns the state of every group, by id.
func (m *Memory) Groups() []wire.GroupState {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var states []wire.GroupState
	for _, g := range slices.Sorted(maps.Keys(m.mu.seen)) {
		states = append(states, m.mu.seen[g].state)
	}
	return states
}

// Bounds returns the first and last index held, 0 and 0 for a group that is not.
func (m *Memory) Bounds(g wire.GroupID) (first, last wire.Index) {
	s, _ := m.State(g)
	return s.First, s.Last
}

// Term returns the term of the entry at i. See multiraft.LogStore.
func (m *Memory) Term(g wire.GroupID, i wire.Index) (wire.Term, error) {
	l, err := m.readable(g)
	switch {
	case err != nil:
		return 0, err
	case i+1 < l.state.First:
		return 0, wire.ErrCompacted
	case i+1 == l.state.First:
		return l.state.PrevTerm, nil
	case i > l.state.Last:
		return 0, wire.ErrUnavailable
	}
	return l.entries[i-l.state.First].Term, nil
}

func (m *Memory) readable(g wire.GroupID) (*memLog, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mu.closed {
		return nil, logstore.ErrClosed
	}
	if l := m.mu.seen[g]; l != nil {
		return l, nil
	}
	return nil, wire.ErrUnavailable
}

// Entries appends to dst the entries of [lo, hi). See multiraft.LogStore.
func (m *Memory) Entries(g wire.GroupID, dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	l, err := m.readable(g)
	switch {
	case err != nil:
		return dst, err
	case lo < l.state.First:
		return dst, wire.ErrCompacted
	case hi > l.state.Last+1:
		return dst, wire.ErrUnavailable
	}
	used := 0
	for i := lo; i < hi; i++ {
		e := l.entries[i-l.state.First]
		if used += e.Size(); used > maxBytes && i > lo {
			break
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// Close makes the store refuse everything. It may be called again.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.closed = true
	return nil
}

// Commits returns how many commits succeeded.
func (m *Memory) Commits() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.commits
}

// FailNext makes the next commit fail with err and fences the store; fate says what a restart will find of it.
func (m *Memory) FailNext(err error, fate Fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.failure = &failure{err, fate}
}

// Gate holds one commit back: nothing of it is durable or visible before Release.
type Gate struct {
	entered, released chan struct{}
}

// Entered is closed once the commit waits at the gate.
func (g *Gate) Entered() <-chan struct{} { return g.entered }

// Release lets the commit go on. Call it once.
func (g *Gate) Release() { close(g.released) }

// BlockNext makes the next commit wait, as on a hung disk, until the gate is released (D9, D21).
func (m *Memory) BlockNext() *Gate {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.gate = &Gate{make(chan struct{}), make(chan struct{})}
	return m.mu.gate
}

// HoldSyncs makes the disk lie: commits succeed and are visible, but a crash loses them until Sync. It is
// there to see that tests of durability bite.
func (m *Memory) HoldSyncs() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.lying = true
}

// Sync makes what HoldSyncs held back durable and ends the lie.
func (m *Memory) Sync() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.lying, m.mu.pending = false, nil
	m.mu.disk = maps.Clone(m.mu.seen)
}

// Unsynced returns how many acknowledged commits a crash would lose now.
func (m *Memory) Unsynced() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.mu.pending)
}

// Crash returns what a restart after a crash at this moment finds, and takes the old store out of service. A
// commit in progress is lost.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.closed = true
	n := NewMemory()
	n.mu.seen, n.mu.disk = maps.Clone(m.mu.disk), maps.Clone(m.mu.disk)
	return n
}
