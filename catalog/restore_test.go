package catalog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/multiraft"
	"flotilla/raft/multiraft/machinetest"
	"flotilla/raft/wire"
)

func stateOf(t testing.TB, s *Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.WriteState(&b)
	must(t, err)
	if n != int64(b.Len()) {
		t.Fatalf("%d bytes, said %d", b.Len(), n)
	}
	return b.Bytes()
}

// bornAs returns a catalog of the same cluster as born's, of another node that has started twice.
func bornAs(t testing.TB, id wire.NodeID) (*Catalog, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := open(t, path, Options{})
	b := someBirth()
	b.Identity.NodeID, b.Identity.Generation = id, wire.Generation(id)
	must(t, c.Bootstrap(b))
	for range 2 {
		_, err := c.NextIncarnation()
		must(t, err)
	}
	return c, path
}

// history applies something of everything.
func history(t testing.TB, c *Catalog) {
	t.Helper()
	apply(t, c, 1, EpochBump{1}, RegisterNode{ID: 2, Generation: 2, Addr: "a:1", Version: "v1"}, ListNode{4, "n:4"})
	apply(t, c, 4, EpochBump{4}, PutGroup{Group: Group{ID: 7, Voters: nodes(1, 2, 3)}}, AssignShards{Claims: []Claim{{0, 99, 7}}})
	apply(t, c, 4, AdmitNode{ID: 9, Generation: 5, Addr: "n:9"}, PutToken{[32]byte{1}, 100, 10}, SetNodeState{ID: 3, State: NodeRemoved},
		ReportMembers{ID: 7, Members: wire.Membership{Index: 4, Voters: nodes(1, 2), Learners: nodes(9)}}, DeleteGroup{ID: 2})
}

// P22, D2, P30: a restored catalog is group 0's as of there and this node's own in the rest, now and after a restart, and goes on as the
// one that the state was taken of.
func TestRestoreReplacesTheState(t *testing.T) {
	source, _ := born(t)
	history(t, source)
	c, path := bornAs(t, 2)
	apply(t, c, 1, EpochBump{1})
	was := c.View()
	told := 0
	c.opts.Changed = func(*Snapshot) { told++ }
	must(t, c.Restore(50, bytes.NewReader(stateOf(t, source.View()))))
	want := *source.View()
	want.Identity, want.Incarnation, want.Applied = was.Identity, was.Incarnation, 50
	if diff := cmp.Diff(&want, c.View()); diff != "" || told != 1 {
		t.Errorf("told %d times of %s", told, diff)
	}
	must(t, c.Close())
	c = open(t, path, Options{})
	if diff := cmp.Diff(&want, c.View()); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	further := []Change{EpochBump{5}, SpendToken{Hash: [32]byte{1}, Now: 11, Node: 9}, CreateGroup{Voters: nodes(1, 2)}, RegisterNode{ID: 3, Generation: 9, Addr: "x:1"}}
	if diff := cmp.Diff(apply(t, source, 5, further...), apply(t, c, 5, further...)); diff != "" || source.View().Digest() != c.View().Digest() {
		t.Errorf("goes on otherwise: %s", diff)
	}
	pure, err := was.Restored(50, bytes.NewReader(stateOf(t, &want)))
	must(t, err)
	if diff := cmp.Diff(want, pure); diff != "" {
		t.Errorf("without the file: %s", diff)
	}
}

// N5: nodes that applied the same write the same, whoever they are and however each counts entries without a command.
func TestEqualStatesAreEqualBytes(t *testing.T) {
	a, _ := born(t)
	b, _ := bornAs(t, 3)
	c, _ := bornAs(t, 2)
	history(t, a)
	history(t, b)
	must(t, c.Restore(999, bytes.NewReader(stateOf(t, a.View()))))
	if !bytes.Equal(stateOf(t, a.View()), stateOf(t, b.View())) || !bytes.Equal(stateOf(t, a.View()), stateOf(t, c.View())) {
		t.Error("equal states, different bytes")
	}
}

// P20, P32, F43: what only rises never falls by a snapshot, and neither the file nor the view has changed after a refusal.
func TestRestoreNeverGoesBack(t *testing.T) {
	c, path := born(t)
	history(t, c)
	before, file := c.View(), fileBytes(t, path)
	for name, change := range map[string]func(*Snapshot){
		"epoch":      func(s *Snapshot) { s.Epoch-- },
		"epoch term": func(s *Snapshot) { s.EpochTerm-- },
		"topology":   func(s *Snapshot) { s.Topology.Version-- },
		"routing":    func(s *Snapshot) { s.Routing.Version-- },
	} {
		s := *before
		change(&s)
		if err := c.Restore(before.Applied+1, bytes.NewReader(stateOf(t, &s))); !errors.Is(err, ErrOlder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, at := range []wire.Index{0, 1, before.Applied} {
		if err := c.Restore(at, bytes.NewReader(stateOf(t, before))); !errors.Is(err, ErrOlder) {
			t.Errorf("applied index %d: %v", at, err)
		}
	}
	s := *before
	s.Settings.Groups++
	if err := c.Restore(before.Applied+1, bytes.NewReader(stateOf(t, &s))); err == nil {
		t.Error("another cluster's state is taken")
	}
	if c.View() != before || !bytes.Equal(fileBytes(t, path), file) {
		t.Error("a refusal changed something")
	}
	empty := open(t, filepath.Join(t.TempDir(), "catalog.db"), Options{})
	if err := empty.Restore(99, bytes.NewReader(stateOf(t, before))); !errors.Is(err, ErrUnborn) {
		t.Errorf("an unborn catalog: %v", err)
	}
}

func fileBytes(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// machine is group 0's machine without the file, as simulators have it.
type machine struct{ s Snapshot }

func (m *machine) Apply(batch []multiraft.Command) ([][]byte, error) {
	cmds := make([]Command, len(batch))
	for i, c := range batch {
		cmds[i] = Command{Index: c.Index, Term: c.Term, Data: c.Data}
	}
	next, results, err := m.s.After(batch[len(batch)-1].Index, cmds)
	m.s = next
	return results, err
}

func (m *machine) Query([]byte) ([]byte, error) { return nil, nil }

func (m *machine) Applied() wire.Index { return m.s.Applied }

func (m *machine) Freeze() (multiraft.Frozen, error) { return frozen{m.s}, nil }

func (m *machine) Restore(at wire.Index, state io.Reader) error {
	next, err := m.s.Restored(at, state)
	m.s = next
	return err
}

type frozen struct{ s Snapshot }

func (f frozen) WriteTo(w io.Writer) (int64, error) { return f.s.WriteState(w) }

func (f frozen) Close() error { return nil }

// N5, D19: the machine is what the loop takes it for, each on another node here.
func TestContract(t *testing.T) {
	id := wire.NodeID(0)
	machinetest.Run(t, machinetest.Harness{
		New: func(testing.TB) multiraft.Snapshotter {
			id = id%3 + 1
			b := someBirth()
			b.Identity.NodeID, b.Identity.Generation = id, wire.Generation(id)
			return &machine{b.snapshot()}
		},
		Command: func(rng *rand.Rand) []byte {
			changes := someChanges()
			switch c := changes[rng.IntN(len(changes))].(type) {
			case EpochBump:
				return EpochBump{wire.Term(1 + rng.IntN(6))}.Append(nil)
			case ReportMembers:
				c.Members.Index += wire.Index(rng.IntN(1000))
				return c.Append(nil)
			case CreateGroup:
				c.ID = wire.GroupID(rng.IntN(9))
				return c.Append(nil)
			case DeleteGroup:
				c.ID = wire.GroupID(rng.IntN(12))
				return c.Append(nil)
			default:
				return c.Append(nil)
			}
		},
	})
}

// P22, P30, D2: killed at any write of a restore, the catalog is the old one or the new one with its applied index; the old one
// takes the state again.
func TestRestoreKilledAtEveryWrite(t *testing.T) {
	source, _ := born(t)
	history(t, source)
	state := stateOf(t, source.View())
	c, path := bornAs(t, 2)
	apply(t, c, 1, EpochBump{1})
	before, was := fileBytes(t, path), c.View()
	must(t, c.Restore(50, bytes.NewReader(state)))
	old, new := images(before, fileBytes(t, path))
	if len(old) < 4 || len(new) != 8 {
		t.Fatalf("%d and %d images: the commit is not what this test thinks", len(old), len(new))
	}
	for i, image := range append(old, new...) {
		path := filepath.Join(t.TempDir(), "catalog.db")
		must(t, os.WriteFile(path, image, 0o600))
		killed := open(t, path, Options{})
		if i < len(old) {
			if diff := cmp.Diff(was, killed.View()); diff != "" {
				t.Errorf("killed at write %d: %s", i, diff)
			}
			must(t, killed.Restore(50, bytes.NewReader(state)))
		}
		if diff := cmp.Diff(c.View(), killed.View()); diff != "" {
			t.Errorf("killed at write %d: %s", i, diff)
		}
	}
}

// P30, D12: whatever is not a whole and valid state is refused and changes nothing.
func TestRestoreRefuses(t *testing.T) {
	source, _ := born(t)
	history(t, source)
	good := source.View()
	state := stateOf(t, good)
	c, path := bornAs(t, 2)
	before, file := c.View(), fileBytes(t, path)
	refused := func(what string, r io.Reader) error {
		t.Helper()
		err := c.Restore(50, r)
		if err == nil {
			t.Fatalf("%s is taken", what)
		}
		return err
	}
	for n := range state {
		refused("half a state", bytes.NewReader(state[:n]))
	}
	refused("a state that goes on", io.MultiReader(bytes.NewReader(state), strings.NewReader("x")))
	lost := errors.New("the stream cannot be trusted")
	if err := refused("a stream that fails", io.MultiReader(bytes.NewReader(state), iotest.ErrReader(lost))); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	newer := bytes.Clone(state)
	newer[1] = byte(len(ledger) + 1)
	if err := refused("a newer format", bytes.NewReader(newer)); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), stateName) {
		t.Errorf("got %v", err)
	}
	for name, change := range map[string]func(*Snapshot){
		"without groups":       func(s *Snapshot) { s.Groups = nil },
		"without this node":    func(s *Snapshot) { s.Topology.Nodes = s.Topology.Nodes[:1] },
		"routed to nowhere":    func(s *Snapshot) { s.Routing.Shards[5] = 77 },
		"tokens out of order":  func(s *Snapshot) { s.Tokens = []Token{{Hash: [32]byte{2}}, {Hash: [32]byte{1}}} },
		"without replication":  func(s *Snapshot) { s.Settings.Replication = 0 },
		"node with no address": func(s *Snapshot) { s.Topology.Nodes = append([]Node{{ID: 1}}, s.Topology.Nodes[1:]...) },
	} {
		s := *good
		change(&s)
		refused(name, bytes.NewReader(stateOf(t, &s)))
	}
	own := wire.AppendUint(wire.AppendArray(nil, 3), uint64(len(ledger)))
	own = wire.AppendBytes(wire.AppendString(own, keyIdentity), appendIdentity(nil, good))
	refused("another node's identity", bytes.NewReader(own))
	bomb := append([]byte{0x9d, 2, 0xa6}, "groups\xc6\xff\xff\xff\xff"...) // D75
	refused("a declared length", bytes.NewReader(bomb))
	refused("an endless stream", io.MultiReader(bytes.NewReader(state), endless{}))
	if c.View() != before || !bytes.Equal(fileBytes(t, path), file) {
		t.Error("a refusal changed something")
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// D81, P30: states that earlier versions wrote come back; testdata is only ever added to.
func TestStatesOfOldFormats(t *testing.T) {
	b := someBirth()
	b.Identity.NodeID = 2
	now := b.snapshot()
	one := wire.AppendUint(wire.AppendArray(nil, 11), 1)
	for _, record := range []struct {
		key  string
		body []byte
	}{
		{keyGroups, []byte("\x93\x93\x00\x93\x01\x02\x03\x90\x93\x01\x93\x01\x02\x03\x90\x93\x02\x93\x01\x02\x03\x90")},
		{keyProgress, appendProgress(nil, &Snapshot{})},
		{keyRouting, appendRouting(nil, &now)},
		{keySettings, appendSettings(nil, &now)},
		{keyTopology, appendTopology(nil, &now)},
	} {
		one = wire.AppendBytes(wire.AppendString(one, record.key), record.body)
	}
	got, err := now.Restored(3, bytes.NewReader(one))
	must(t, err)
	want := now
	want.Applied = 3
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("format 1: %s", diff)
	}

	text, err := os.ReadFile("testdata/state2.hex")
	must(t, err)
	two, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	must(t, err)
	source, _ := born(t)
	history(t, source)
	if written := stateOf(t, source.View()); !bytes.Equal(two, written) {
		t.Errorf("a state without imports is written otherwise than in format 2; a new form needs a new format\n%x", written)
	}
	if got, err = now.Restored(99, bytes.NewReader(two)); err != nil || got.Digest() != source.View().Digest() {
		t.Errorf("format 2: %v", err)
	}
}

// No bytes make a restore panic; what is taken is a state that could be opened again.
func FuzzRestore(f *testing.F) {
	c, _ := born(f)
	history(f, c)
	state := stateOf(f, c.View())
	f.Add(state)
	for i := 0; i < len(state); i += 7 {
		f.Add(append(bytes.Clone(state[:i]), 0xdd, 0xff, 0xff, 0xff, 0xff)) // D75
	}
	b := someBirth()
	was := b.snapshot()
	f.Fuzz(func(t *testing.T, in []byte) {
		now, err := was.Restored(5, bytes.NewReader(in))
		if err != nil {
			return
		}
		must(t, now.validate())
		again, err := was.Restored(5, bytes.NewReader(stateOf(t, &now)))
		if diff := cmp.Diff(now, again); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}
