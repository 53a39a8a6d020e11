package catalog

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

// apply applies each change as an entry of its own, in term, and returns the results.
func apply(t testing.TB, c *Catalog, term wire.Term, changes ...Change) []Result {
	t.Helper()
	var cmds []Command
	index := c.View().Applied
	for _, ch := range changes {
		index++
		data, err := Encode(ch)
		must(t, err)
		cmds = append(cmds, Command{Index: index, Term: term, Data: data})
	}
	raw, err := c.Apply(index, cmds)
	must(t, err)
	var results []Result
	for _, b := range raw {
		r, err := ParseResult(b)
		must(t, err)
		results = append(results, r)
	}
	return results
}

func wantResults(t *testing.T, got []Result, want ...Result) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// P20, P21: a term counts once, terms that win again count again, and a bump that reaches the log in
// another term than it was meant for counts nothing.
func TestEpochCountsTerms(t *testing.T) {
	c, _ := born(t)
	wantResults(t, apply(t, c, 3, EpochBump{3}, EpochBump{3}), Result{Done, 1}, Result{Unchanged, 1})
	wantResults(t, apply(t, c, 5, EpochBump{3}, EpochBump{5}, EpochBump{4}, EpochBump{5}),
		Result{RefusedTerm, 5}, Result{Done, 2}, Result{RefusedTerm, 5}, Result{Unchanged, 2})
	wantResults(t, apply(t, c, 4, EpochBump{4}), Result{Unchanged, 2}) // cannot happen in a log: terms never fall
	if s := c.View(); s.Epoch != 2 || s.EpochTerm != 5 {
		t.Errorf("epoch %d of term %d", s.Epoch, s.EpochTerm)
	}
}

// P20: as many epochs as acquisitions, over restarts.
func TestEpochEqualsAcquisitions(t *testing.T) {
	c, path := born(t)
	for term := wire.Term(1); term <= 100; term++ {
		apply(t, c, term*3, EpochBump{term * 3})
		if term%25 == 0 {
			must(t, c.Close())
			c = open(t, path, Options{})
		}
	}
	if got := c.View().Epoch; got != 100 {
		t.Errorf("epoch %d after 100 acquisitions", got)
	}
}

// P11, F31, D16: what has been applied is not applied again, whole or in part.
func TestReplayIsIdempotent(t *testing.T) {
	c, path := born(t)
	var cmds []Command
	for i := wire.Index(1); i <= 6; i++ {
		cmds = append(cmds, Command{Index: i, Term: wire.Term(i), Data: EpochBump{wire.Term(i)}.Append(nil)})
	}
	cmds = append(cmds, Command{Index: 6, Term: 6, Data: ListNode{ID: 9, Addr: "n:9"}.Append(nil)}) // same entry as the last
	_, err := c.Apply(4, cmds[:4])
	must(t, err)
	must(t, c.Close())

	c = open(t, path, Options{})
	results, err := c.Apply(6, cmds)
	must(t, err)
	for i, r := range results {
		if (r == nil) != (i < 4) {
			t.Errorf("command %d answered % x", i, r)
		}
	}
	want := c.View()
	if want.Epoch != 6 || want.Applied != 6 {
		t.Errorf("epoch %d, applied %d", want.Epoch, want.Applied)
	}
	if _, ok := want.Topology.Find(9); !ok {
		t.Error("the second command of an entry was lost")
	}
	_, err = c.Apply(6, cmds)
	must(t, err)
	if c.View() != want {
		t.Error("a replay of everything changed the view")
	}
}

// F32: entries without commands for this machine move the applied index too.
func TestAppliedMovesWithoutCommands(t *testing.T) {
	c, path := born(t)
	_, err := c.Apply(12, nil)
	must(t, err)
	must(t, c.Close())
	if got := open(t, path, Options{}).View().Applied; got != 12 {
		t.Errorf("applied %d", got)
	}
}

// N8, D17, F46: the first generation of a node wins, whatever is tried later; the same one may come back with
// another address.
func TestFirstGenerationWins(t *testing.T) {
	c, _ := born(t)
	first := RegisterNode{ID: 2, Generation: 77, Addr: "a:1", HTTP: "a:2"}
	wiped := RegisterNode{ID: 2, Generation: 78, Addr: "b:1"}
	moved := RegisterNode{ID: 2, Generation: 77, Addr: "c:1"}
	wantResults(t, apply(t, c, 1, first, wiped, first, moved, wiped),
		Result{Done, 77}, Result{RefusedGeneration, 77}, Result{Unchanged, 77}, Result{Done, 77}, Result{RefusedGeneration, 77})
	n, _ := c.View().Topology.Find(2)
	if want := (Node{ID: 2, Addr: "c:1", Generation: 77, State: NodeActive}); n != want {
		t.Errorf("got %+v", n)
	}
	if v := c.View().Topology.Version; v != 3 { // two of the five changed something
		t.Errorf("topology version %d, want 3", v)
	}
}

// D47, P33: a removed node stays removed: its id cannot register, be listed, drained or be given a group.
func TestRemovedStaysRemoved(t *testing.T) {
	c, path := born(t)
	apply(t, c, 1, RegisterNode{ID: 3, Generation: 5, Addr: "a:1"}, SetNodeState{ID: 3, State: NodeRemoved})
	must(t, c.Close())
	c = open(t, path, Options{})
	wantResults(t, apply(t, c, 1,
		RegisterNode{ID: 3, Generation: 5, Addr: "a:1"}, ListNode{ID: 3, Addr: "a:1"}, SetNodeState{ID: 3, State: NodeActive},
		SetNodeState{ID: 3, State: NodeRemoved}, PutGroup{Group: Group{ID: 7, Voters: []wire.NodeID{1, 3}}}),
		Result{RefusedRemoved, 3}, Result{RefusedRemoved, 3}, Result{RefusedRemoved, 3}, Result{Unchanged, 3}, Result{RefusedUnknown, 3})
}

// F44: a restart of a draining node does not end the drain.
func TestRegisteringKeepsDrain(t *testing.T) {
	c, _ := born(t)
	reg := RegisterNode{ID: 3, Generation: 5, Addr: "a:1"}
	wantResults(t, apply(t, c, 1, SetNodeState{ID: 3, State: NodeDraining}, reg, SetNodeState{ID: 3, State: NodeDraining}, reg),
		Result{RefusedInvalid, uint64(NodeListed)}, Result{Done, 5}, Result{Done, 3}, Result{Unchanged, 5})
	if n, _ := c.View().Topology.Find(3); n.State != NodeDraining {
		t.Errorf("state %v", n.State)
	}
}

// P32: of two changes decided on one version the second is refused; versions rise by one.
func TestConcurrentChanges(t *testing.T) {
	c, _ := born(t)
	all := []Claim{{0, wire.Shards, 1}}
	half := []Claim{{0, 512, 2}, {512, wire.Shards, 1}}
	wantResults(t, apply(t, c, 1,
		AssignShards{all, 1}, AssignShards{half, 1}, AssignShards{half, 2}, AssignShards{half, 0},
		SetNodeState{ID: 2, State: NodeRemoved, IfVersion: 1}, SetNodeState{ID: 3, State: NodeRemoved, IfVersion: 1},
		PutGroup{Group{ID: 9, Voters: []wire.NodeID{1}}, 1}, PutGroup{Group{ID: 9, Voters: []wire.NodeID{1}}, 2}),
		Result{Done, 2}, Result{RefusedVersion, 2}, Result{Done, 3}, Result{Unchanged, 3},
		Result{Done, 2}, Result{RefusedVersion, 2}, Result{RefusedVersion, 2}, Result{Done, 3})
	s := c.View()
	if s.Routing.Shards[511] != 2 || s.Routing.Shards[512] != 1 || s.Routing.Version != 3 {
		t.Errorf("routing version %d", s.Routing.Version)
	}
	if g, ok := s.FindGroup(9); !ok || !slices.Equal(g.Voters, []wire.NodeID{1}) {
		t.Errorf("group 9: %+v, %v", g, ok)
	}
}

// What is well understood and not wanted is a result, never an error: every replica refuses it alike.
func TestRefusals(t *testing.T) {
	c, _ := born(t)
	long := strings.Repeat("x", maxText+1)
	before := c.View().Digest()
	for name, ch := range map[string]Change{
		"register nobody":         RegisterNode{ID: 0, Generation: 1, Addr: "a:1"},
		"register a stranger":     RegisterNode{ID: 8, Generation: 1, Addr: "a:1"},
		"register no generation":  RegisterNode{ID: 2, Addr: "a:1"},
		"register no address":     RegisterNode{ID: 2, Generation: 1},
		"register a long address": RegisterNode{ID: 2, Generation: 1, Addr: long},
		"register a long version": RegisterNode{ID: 2, Generation: 1, Addr: "a:1", Version: strings.Repeat("v", 65)},
		"register an escape code": RegisterNode{ID: 2, Generation: 1, Addr: "a:1", Version: "v1\x1b[2J"},
		"register a long http":    RegisterNode{ID: 2, Generation: 1, Addr: "a:1", HTTP: long},
		"list nobody":             ListNode{ID: 0, Addr: "a:1"},
		"list no address":         ListNode{ID: 8},
		"state of a stranger":     SetNodeState{ID: 8, State: NodeDraining},
		"state 0":                 SetNodeState{ID: 2},
		"state 9":                 SetNodeState{ID: 2, State: 9},
		"back to listed":          SetNodeState{ID: 2, State: NodeActive},
		"group without voters":    PutGroup{Group: Group{ID: 9, Learners: []wire.NodeID{1}}},
		"group of strangers":      PutGroup{Group: Group{ID: 9, Voters: []wire.NodeID{8}}},
		"voter and learner":       PutGroup{Group: Group{ID: 9, Voters: []wire.NodeID{1}, Learners: []wire.NodeID{1}}},
		"shards to metadata":      AssignShards{Claims: []Claim{{0, 1, 0}}},
		"shards to no group":      AssignShards{Claims: []Claim{{0, 1, 9}}},
		"no shards":               AssignShards{Claims: []Claim{{5, 5, 1}}},
		"second claim is bad":     AssignShards{Claims: []Claim{{0, 9, 2}, {7, 2, 1}}},
	} {
		if r := apply(t, c, 1, ch)[0]; !r.Outcome.Refused() {
			t.Errorf("%s: %v", name, r.Outcome)
		}
	}
	if c.View().Digest() != before {
		t.Error("a refused command changed something")
	}
}

// F17: what a version does not know stops it, before anything of the batch is applied, so that it can go
// on from there when a version that knows it is started.
func TestUnknownCommandStops(t *testing.T) {
	bump := EpochBump{1}.Append(nil)
	for name, bad := range map[string][]byte{
		"kind of the future":    wire.AppendUint(wire.AppendUint(wire.AppendArray(nil, 2), commandVersion), kindAssignShards+1),
		"kind 0":                wire.AppendUint(wire.AppendUint(wire.AppendArray(nil, 2), commandVersion), 0),
		"version of the future": append([]byte{0x93, commandVersion + 1}, bump[2:]...),
		"one field more":        append(append([]byte{0x94}, bump[1:]...), 0),
		"one field less":        {0x92, commandVersion, kindEpochBump},
		"trailing byte":         append(slices.Clone(bump), 0),
		"cut off":               bump[:len(bump)-1],
		"empty":                 {},
		"nil":                   nil,
		"noise":                 []byte("noise"),
	} {
		c, path := born(t)
		before := c.View()
		_, err := c.Apply(2, []Command{{Index: 1, Term: 1, Data: bump}, {Index: 2, Term: 1, Data: bad}})
		var cmdErr *CommandError
		if !errors.As(err, &cmdErr) || cmdErr.Index != 2 {
			t.Errorf("%s: got %v", name, err)
		}
		if c.View() != before {
			t.Errorf("%s: half of the batch was applied", name)
		}
		must(t, c.Close())
		again := open(t, path, Options{})
		if got := again.View(); got.Applied != 0 || got.Epoch != 0 {
			t.Errorf("%s: applied %d, epoch %d on disk", name, got.Applied, got.Epoch)
		}
		_, err = again.Apply(1, []Command{{Index: 1, Term: 1, Data: bump}}) // nothing is fenced by it
		must(t, err)
	}
}

func TestEncodeRefusesWhatNobodyReads(t *testing.T) {
	for _, c := range []Change{
		PutGroup{Group: Group{ID: 1, Voters: []wire.NodeID{2, 1}}},
		RegisterNode{ID: 1 << 63},
		EpochBump{Term: 1 << 63},
		AssignShards{Claims: []Claim{{0, wire.Shards + 1, 1}}},
	} {
		if _, err := Encode(c); err == nil {
			t.Errorf("%+v: encoded", c)
		}
	}
}

// Nodes that applied the same commands, in whatever batches, hold the same state; their own identity differs.
func TestDigestIsOfTheCluster(t *testing.T) {
	a, _ := born(t)
	b := open(t, filepath.Join(t.TempDir(), "catalog.db"), Options{})
	birth := someBirth()
	birth.Identity.NodeID, birth.Identity.Generation = 2, 4711
	must(t, b.Bootstrap(birth))
	changes := []Change{EpochBump{1}, RegisterNode{ID: 2, Generation: 4711, Addr: "x:1"}, AssignShards{Claims: []Claim{{3, 9, 2}}}, ListNode{5, "n:5"}}
	apply(t, a, 1, changes...)
	for i, ch := range changes {
		if a.View().Digest() == b.View().Digest() {
			t.Errorf("same digest with %d changes missing", len(changes)-i)
		}
		apply(t, b, 1, ch)
	}
	if a.View().Digest() != b.View().Digest() {
		t.Error("same commands, other digest")
	}
}

// The view that was handed out is never written to.
func TestViewIsImmutable(t *testing.T) {
	c, _ := born(t)
	old := c.View()
	digest := old.Digest()
	apply(t, c, 1, EpochBump{1}, RegisterNode{ID: 1, Generation: 1, Addr: "z:1"}, ListNode{9, "n:9"}, SetNodeState{ID: 1, State: NodeDraining},
		PutGroup{Group: Group{ID: 1, Voters: []wire.NodeID{2}}}, AssignShards{Claims: []Claim{{0, 9, 2}}})
	if old.Digest() != digest || old.Epoch != epoch.Epoch(0) {
		t.Error("an old view changed")
	}
	birth := someBirth()
	other := open(t, filepath.Join(t.TempDir(), "catalog.db"), Options{})
	must(t, other.Bootstrap(birth))
	birth.Topology.Nodes[0].Addr, birth.Groups[0].Voters[0] = "changed", 99
	if other.View().Digest() != digest {
		t.Error("the caller's slices are part of the state")
	}
}
