package logstoretest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flotilla/raft/wire"
)

// Model is the slow twin: every group's log as a map from index to entry, changed by the sentences of
// wire.LogUpdate's comment one after another. It also draws the batches: the same seed, the same batches.
type Model struct {
	rng    *rand.Rand
	groups map[wire.GroupID]*twin
	// term only rises, over all groups: so an index and a term name one entry, as Raft guarantees.
	term wire.Term
}

type twin struct {
	hard        wire.HardState
	membership  wire.Membership
	first, last wire.Index
	prevTerm    wire.Term
	entries     map[wire.Index]wire.Entry
}

// NewModel returns the model of an empty store.
func NewModel(seed uint64) *Model {
	return &Model{rng: rand.New(rand.NewPCG(seed, 1)), groups: map[wire.GroupID]*twin{}, term: 1}
}

// Apply makes u part of the model.
func (m *Model) Apply(u wire.LogUpdate) {
	if u.Drop {
		delete(m.groups, u.Group)
		return
	}
	if u.Create {
		m.groups[u.Group] = &twin{membership: u.Membership, first: 1, entries: map[wire.Index]wire.Entry{}}
	}
	g := m.groups[u.Group]
	if u.SetHardState {
		commit := g.hard.Commit
		g.hard = u.HardState
		g.hard.Commit = max(g.hard.Commit, commit)
	}
	if u.ResetTo != 0 {
		g.entries = map[wire.Index]wire.Entry{}
		g.first, g.last, g.prevTerm = u.ResetTo+1, u.ResetTo, u.ResetTerm
	}
	for n, e := range u.Entries {
		if n == 0 {
			for i := e.Index; i <= g.last; i++ {
				delete(g.entries, i)
			}
		}
		g.entries[e.Index] = e
		g.last = e.Index
	}
	if u.SetMembership {
		g.membership = u.Membership
	}
	for g.first <= u.CompactTo {
		g.prevTerm = g.entries[g.first].Term
		delete(g.entries, g.first)
		g.first++
	}
}

// Batch draws a legal batch over at most `groups` groups and applies it to the model.
func (m *Model) Batch(groups int) []wire.LogUpdate {
	var batch []wire.LogUpdate
	for range 1 + m.rng.IntN(groups) {
		u := m.update(wire.GroupID(m.rng.IntN(groups)))
		m.Apply(u)
		batch = append(batch, u)
	}
	return batch
}

func (m *Model) update(id wire.GroupID) wire.LogUpdate {
	u := wire.LogUpdate{Group: id}
	g := m.groups[id]
	switch {
	case g == nil:
		u.Create, u.Membership = true, m.membership(0)
		return u
	case m.rng.IntN(60) == 0:
		u.Drop = true
		return u
	}
	g = &twin{hard: g.hard, first: g.first, last: g.last}
	if m.rng.IntN(60) == 0 {
		m.reset(&u, g)
	}
	if m.rng.IntN(2) == 0 || m.rng.IntN(20) == 0 {
		m.entries(&u, g)
	}
	if !u.SetHardState && m.rng.IntN(3) == 0 {
		u.SetHardState, u.HardState = true, g.hard
		u.HardState.Commit = min(g.last, g.hard.Commit+1)
	}
	if u.SetHardState && u.HardState.Vote == 0 && u.HardState.Term > 0 && m.rng.IntN(3) == 0 {
		u.HardState.Vote = wire.NodeID(1 + m.rng.IntN(5))
	}
	if !u.SetMembership && m.rng.IntN(10) == 0 {
		u.SetMembership, u.Membership = true, m.membership(wire.Index(m.rng.IntN(1000)))
	}
	if g.last >= g.first && m.rng.IntN(8) == 0 {
		u.CompactTo = g.first + wire.Index(m.rng.IntN(int(g.last-g.first)+1))
	}
	return u
}

// reset moves the log to a snapshot: beyond all it holds, or in place of some of it.
func (m *Model) reset(u *wire.LogUpdate, g *twin) {
	m.term++
	u.ResetTo = max(g.first, g.hard.Commit+1) + wire.Index(m.rng.IntN(20))
	u.ResetTerm = m.term
	u.SetHardState, u.HardState = true, wire.HardState{Term: m.term, Commit: u.ResetTo}
	u.SetMembership, u.Membership = true, m.membership(wire.Index(m.rng.IntN(int(u.ResetTo))))
	g.hard, g.first, g.last = u.HardState, u.ResetTo+1, u.ResetTo
}

// entries puts entries into u: mostly after the last one, sometimes in place of some that are not committed.
func (m *Model) entries(u *wire.LogUpdate, g *twin) {
	from := g.last + 1
	if lo := max(g.first, g.hard.Commit+1); lo <= g.last && m.rng.IntN(4) == 0 {
		from = lo + wire.Index(m.rng.IntN(int(g.last-lo)+1))
		m.term++
	}
	if m.rng.IntN(10) == 0 {
		m.term++
	}
	u.SetHardState, u.HardState = true, wire.HardState{Term: m.term, Commit: min(g.hard.Commit, from-1)}
	if g.hard.Term == m.term {
		u.HardState.Vote = g.hard.Vote
	}
	for i := range 1 + m.rng.IntN(6) {
		e := wire.Entry{Term: m.term, Index: from + wire.Index(i), Kind: wire.EntryData}
		switch m.rng.IntN(10) {
		case 0:
			e.Kind = wire.EntryEmpty
		case 1:
			e.Data = make([]byte, m.rng.IntN(20_000))
		default:
			e.Data = make([]byte, m.rng.IntN(200))
		}
		for k := range e.Data {
			e.Data[k] = byte(m.rng.Uint32())
		}
		u.Entries = append(u.Entries, e)
	}
	g.last = u.Entries[len(u.Entries)-1].Index
}

func (m *Model) membership(index wire.Index) wire.Membership {
	var ms wire.Membership
	ms.Index = index
	kinds := 3
	if ms.Voters = []wire.NodeID{1}; m.rng.IntN(2) == 0 {
		kinds = 6 // a joint configuration
	}
	for id := wire.NodeID(2); id < 9; id++ {
		switch m.rng.IntN(kinds) {
		case 0:
			ms.Voters = append(ms.Voters, id)
		case 1:
			ms.Learners = append(ms.Learners, id)
		case 3:
			ms.Voters, ms.Outgoing = append(ms.Voters, id), append(ms.Outgoing, id)
		case 4:
			ms.Outgoing = append(ms.Outgoing, id)
		case 5:
			ms.Outgoing, ms.Demoted = append(ms.Outgoing, id), append(ms.Demoted, id)
		}
	}
	return ms
}

func (g *twin) state(id wire.GroupID) wire.GroupState {
	return wire.GroupState{
		Group: id, HardState: g.hard, Membership: g.membership, First: g.first, Last: g.last, PrevTerm: g.prevTerm,
	}
}

// read is Entries, the slow way.
func (g *twin) read(lo, hi wire.Index, maxBytes int) []wire.Entry {
	var es []wire.Entry
	sum := 0
	for i := lo; i < hi; i++ {
		e := g.entries[i]
		sum += e.Size()
		if len(es) > 0 && sum > maxBytes {
			break
		}
		es = append(es, e)
	}
	return es
}

var alike = cmpopts.EquateEmpty()

// Diff holds everything the store says against the model. Groups that wave through are not compared.
func (m *Model) Diff(s Store, wave func(wire.GroupState) bool) error {
	got := map[wire.GroupID]wire.GroupState{}
	for _, st := range s.Groups() {
		got[st.Group] = st
		if m.groups[st.Group] == nil && !wave(st) {
			return fmt.Errorf("group %d should not be there", st.Group)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[id]
		st, ok := got[id]
		if !ok {
			return fmt.Errorf("group %d is missing", id)
		}
		if wave(st) {
			continue
		}
		if diff := cmp.Diff(g.state(id), st, alike, cmpopts.EquateErrors()); diff != "" {
			return fmt.Errorf("group %d differs (-model +store):\n%s", id, diff)
		}
		if err := m.compareLog(s, id, g); err != nil {
			return fmt.Errorf("group %d: %w", id, err)
		}
	}
	return nil
}

// Strict waves nothing through.
func Strict(wire.GroupState) bool { return false }

// compare is Diff that ends the test.
func (m *Model) compare(t testing.TB, s Store) {
	t.Helper()
	if err := m.Diff(s, Strict); err != nil {
		t.Fatal(err)
	}
}

func (m *Model) compareLog(s Store, id wire.GroupID, g *twin) error {
	got, err := s.Entries(id, nil, g.first, g.last+1, 1<<40)
	if err != nil {
		return err
	}
	if err := sameEntries(g.read(g.first, g.last+1, 1<<40), got); err != nil {
		return err
	}
	for i := g.first; i <= g.last; i++ {
		if term, err := s.Term(id, i); err != nil || term != g.entries[i].Term {
			return fmt.Errorf("term of %d is %d (%v), want %d", i, term, err, g.entries[i].Term)
		}
	}
	return nil
}

// compareSome reads a random range of a random group.
func (m *Model) compareSome(t testing.TB, s Store) {
	t.Helper()
	ids := slices.Sorted(maps.Keys(m.groups))
	if len(ids) == 0 {
		return
	}
	id := ids[m.rng.IntN(len(ids))]
	g := m.groups[id]
	if g.last < g.first {
		return
	}
	lo := g.first + wire.Index(m.rng.IntN(int(g.last-g.first)+1))
	hi := lo + wire.Index(m.rng.IntN(int(g.last+1-lo)+1))
	maxBytes := m.rng.IntN(30_000)
	got, err := s.Entries(id, nil, lo, hi, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameEntries(g.read(lo, hi, maxBytes), got); err != nil {
		t.Fatalf("group %d [%d,%d) within %d bytes: %v", id, lo, hi, maxBytes, err)
	}
}

// sameEntries tells the first difference; go-cmp takes minutes over two long slices of large entries.
func sameEntries(want, got []wire.Entry) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		w, g := &want[i], &got[i]
		if g.Index != w.Index || g.Term != w.Term || g.Kind != w.Kind || !bytes.Equal(g.Data, w.Data) {
			return fmt.Errorf("entry %d@%d of kind %d with %d bytes where %d@%d of kind %d with %d bytes should be (or other bytes)",
				g.Index, g.Term, g.Kind, len(g.Data), w.Index, w.Term, w.Kind, len(w.Data))
		}
	}
	return nil
}
