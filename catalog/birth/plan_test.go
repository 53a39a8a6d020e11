package birth

import (
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"flotilla/catalog"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"

	"github.com/google/go-cmp/cmp"
)

func newAuthority(t *testing.T) (*pki.Authority, *x509.Certificate) {
	t.Helper()
	ca, err := pki.CreateCA("test")
	if err != nil {
		t.Fatal(err)
	}
	return ca, ca.Certificate
}

func planOf(t *testing.T) Plan {
	_, authority := newAuthority(t)
	return Plan{
		Name: "test", Authority: authority, Groups: 4, Replication: 3,
		Nodes: map[wire.NodeID]string{1: "a:7400", 2: "b:7400", 3: "c:7400", 10: "d:7400"},
	}
}

// TestEveryNodeIsBornAlike: all nodes of a list write the same but for who they are, and each data directory gets its
// own generation (P30, N8).
func TestEveryNodeIsBornAlike(t *testing.T) {
	p := planOf(t)
	a, b := p.Of(1), p.Of(10)
	if a.Identity.Generation == b.Identity.Generation || a.Identity.Generation == 0 {
		t.Fatalf("generations %d and %d", a.Identity.Generation, b.Identity.Generation)
	}
	if again := p.Of(1); again.Identity.Generation == a.Identity.Generation {
		t.Fatal("the same node born twice has the same generation")
	}
	if err := errors.Join(a.Validate(), b.Validate()); err != nil {
		t.Fatal(err)
	}
	a.Identity.Generation, a.Identity.NodeID = b.Identity.Generation, b.Identity.NodeID
	if diff := cmp.Diff(a, b); diff != "" {
		t.Fatalf("nodes 1 and 10 differ:\n%s", diff)
	}
}

// TestClusterID: every part of a birth changes the id, so that nothing that differs becomes one cluster (D49).
func TestClusterID(t *testing.T) {
	p := planOf(t)
	_, other := newAuthority(t)
	variants := map[string]Plan{}
	vary := func(name string, change func(*Plan)) {
		v := p
		v.Nodes = map[wire.NodeID]string{}
		maps.Copy(v.Nodes, p.Nodes)
		change(&v)
		variants[name] = v
	}
	vary("as it is", func(*Plan) {})
	vary("name", func(v *Plan) { v.Name = "tes" })
	vary("authority", func(v *Plan) { v.Authority = other })
	vary("address", func(v *Plan) { v.Nodes[2] = "b:7401" })
	vary("id", func(v *Plan) { delete(v.Nodes, 10); v.Nodes[11] = "d:7400" })
	vary("one less", func(v *Plan) { delete(v.Nodes, 10) })
	seen := map[wire.ClusterID]string{}
	for name, v := range variants {
		if twin, taken := seen[v.ClusterID()]; taken {
			t.Errorf("%q and %q have the same cluster id", name, twin)
		}
		seen[v.ClusterID()] = name
	}
	if v := variants["as it is"]; v.ClusterID() != p.ClusterID() {
		t.Error("the same plan has two ids")
	}
}

// TestPlacement: group 0 is everywhere with at most five voters, data groups have Replication voters and are spread
// evenly (F42).
func TestPlacement(t *testing.T) {
	for _, tc := range []struct{ nodes, groups, replication int }{{1, 4, 3}, {3, 4, 3}, {5, 10, 3}, {7, 64, 3}, {64, 1000, 5}} {
		p := planOf(t)
		p.Nodes, p.Groups, p.Replication = map[wire.NodeID]string{}, tc.groups, tc.replication
		for id := range tc.nodes {
			p.Nodes[wire.NodeID(id+1)] = "a"
		}
		groups := p.Of(1).Groups
		if meta := groups[0]; len(meta.Voters) != min(5, tc.nodes) || len(meta.Voters)+len(meta.Learners) != tc.nodes {
			t.Errorf("%+v: group 0 is %+v", tc, meta)
		}
		load := make([]int, tc.nodes)
		for _, g := range groups[1:] {
			if len(g.Voters) != min(tc.replication, tc.nodes) || !slices.IsSorted(g.Voters) {
				t.Errorf("%+v: group %d has voters %v", tc, g.ID, g.Voters)
			}
			for _, v := range g.Voters {
				load[v-1]++
			}
		}
		if slices.Max(load)-slices.Min(load) > tc.replication {
			t.Errorf("%+v: replicas per node %v", tc, load)
		}
	}
}

// TestResetKey: the same node derives the same key at each start, another node another one.
func TestResetKey(t *testing.T) {
	ca, _ := newAuthority(t)
	keys := map[[32]byte]bool{}
	for id := wire.NodeID(1); id <= 2; id++ {
		bundle, err := ca.IssueNode("test", id, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c, err := bundle.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		first, err := ResetKey(c)
		again, err2 := ResetKey(c)
		if first != again || errors.Join(err, err2) != nil || first == ([32]byte{}) {
			t.Fatalf("key %x, then %x (%v, %v)", first, again, err, err2)
		}
		keys[first] = true
	}
	if len(keys) != 2 {
		t.Fatal("two nodes share a reset key")
	}
}

// fakeLogs is a log store as a birth sees it.
type fakeLogs struct {
	groups  map[wire.GroupID]wire.GroupState
	commits int
}

func (f *fakeLogs) Groups() (all []wire.GroupState) {
	for _, g := range f.groups {
		all = append(all, g)
	}
	return all
}

func (f *fakeLogs) State(id wire.GroupID) (wire.GroupState, bool) {
	g, ok := f.groups[id]
	return g, ok
}

func (f *fakeLogs) Commit(batch []wire.LogUpdate) error {
	f.commits++
	for _, u := range batch {
		delete(f.groups, u.Group)
		if u.Create {
			f.groups[u.Group] = wire.GroupState{Group: u.Group, Membership: u.Membership, First: 1}
		}
	}
	return nil
}

// TestCreateLogs: a birth cut short leaves untouched logs, which are replaced; a touched one means a lost catalog.
func TestCreateLogs(t *testing.T) {
	p := planOf(t)
	store := &fakeLogs{groups: map[wire.GroupID]wire.GroupState{}}
	groups := p.Of(10).Groups
	if err := CreateLogs(store, 10, groups); err != nil || store.commits != 1 {
		t.Fatalf("first birth: %v after %d commits, want one", err, store.commits)
	}
	for _, g := range groups {
		_, here := store.groups[g.ID]
		if member := slices.Contains(slices.Concat(g.Voters, g.Learners), 10); here != member {
			t.Errorf("group %d: a log here %v, a member %v", g.ID, here, member)
		}
	}
	p.Groups = 2 // the operator has thought again
	if err := CreateLogs(store, 10, p.Of(10).Groups); err != nil {
		t.Fatalf("second birth: %v", err)
	}
	if _, stale := store.groups[4]; stale {
		t.Error("a log of the birth cut short is still there")
	}
	voted := store.groups[0]
	voted.HardState.Term = 3
	store.groups[0] = voted
	var unsafe *UnsafeError
	if err := CreateLogs(store, 10, groups); !errors.As(err, &unsafe) {
		t.Fatalf("birth over a log that has voted: %v, want *UnsafeError", err) // D17
	}
	delete(store.groups, 0)
	if err := CheckLogs(store, 10); !errors.As(err, &unsafe) {
		t.Fatalf("restart without a log: %v, want *UnsafeError", err) // D17
	}
}

// TestRemovedNodeStaysAway: a tombstone in the catalog ends every start (P33, D47).
func TestRemovedNodeStaysAway(t *testing.T) {
	p := planOf(t)
	b := p.Of(1)
	view := &catalog.Snapshot{Born: true, Identity: b.Identity, Settings: b.Settings, Topology: b.Topology, Groups: b.Groups}
	if err := (&Given{}).Check(view); err != nil {
		t.Fatalf("a silent restart: %v", err)
	}
	view.Topology.Nodes[0].State = catalog.NodeRemoved
	if err := (&Given{}).Check(view); !errors.Is(err, ErrRemoved) {
		t.Fatalf("a removed node: %v, want ErrRemoved", err)
	}
}
