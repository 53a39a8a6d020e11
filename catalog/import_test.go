package catalog

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

// D54: an import holds an id that nobody else gets, and is no group; ended, it becomes one with its node as the only voter, or a tombstone.
func TestImports(t *testing.T) {
	c, path := born(t)
	begin := BeginImport{Kind: "queue", Node: 1, Token: 7}
	wantResults(t, apply(t, c, 1, begin), Result{RefusedInvalid, 1}) // it has never started
	apply(t, c, 1, RegisterNode{ID: 1, Generation: 5, Addr: "a:1"}, RegisterNode{ID: 2, Generation: 6, Addr: "a:2"})
	wantResults(t, apply(t, c, 1, begin, begin, BeginImport{Node: 2, Token: 7}, BeginImport{Node: 9, Token: 1}, BeginImport{Node: 1}),
		Result{Done, 3}, Result{Unchanged, 3}, Result{Done, 4}, Result{RefusedUnknown, 9}, Result{RefusedInvalid, 1})
	v := c.View()
	if _, found := v.FindGroup(3); found || len(v.Imports) != 2 {
		t.Fatalf("%+v", v.Imports)
	}
	wantResults(t, apply(t, c, 1, CreateGroup{Voters: nodes(1)}, CreateGroup{ID: 4, Voters: nodes(1)}, AssignShards{Claims: []Claim{{0, 9, 3}}}, PlaceGroup{ID: 3, Voters: nodes(1)}),
		Result{Done, 5}, Result{RefusedInvalid, 4}, Result{RefusedUnknown, 3}, Result{RefusedUnknown, 3})
	for _, bytesOf := range []func(*Snapshot) (Snapshot, error){
		func(s *Snapshot) (Snapshot, error) { return ReadShared(s.AppendShared(nil)) },
		func(s *Snapshot) (Snapshot, error) {
			b := someBirth()
			was := b.snapshot()
			return was.Restored(s.Applied, bytes.NewReader(stateOf(t, s)))
		},
	} {
		got, err := bytesOf(c.View())
		must(t, err)
		if diff := cmp.Diff(c.View().Imports, got.Imports); diff != "" || got.Digest() != c.View().Digest() {
			t.Error(diff)
		}
	}
	must(t, c.Close())
	c = open(t, path, Options{})
	wantResults(t, apply(t, c, 1, EndImport{ID: 3, Token: 8, Made: true}, EndImport{ID: 3, Token: 7, Made: true}, EndImport{ID: 3, Token: 7}, EndImport{ID: 4, Token: 7}, EndImport{ID: 4, Token: 7, Made: true}),
		Result{RefusedUnknown, 3}, Result{Done, 7}, Result{RefusedUnknown, 3}, Result{Done, 8}, Result{RefusedUnknown, 4})
	made, _ := c.View().FindGroup(3)
	gone, _ := c.View().FindGroup(4)
	if diff := cmp.Diff(Group{ID: 3, Kind: "queue", Voters: nodes(1)}.Founded(), made); diff != "" || !gone.Deleted || c.View().Imports != nil {
		t.Errorf("%s %+v", diff, gone)
	}
	wantResults(t, apply(t, c, 1, CreateGroup{Voters: nodes(1)}), Result{Done, 6}) // 4 never comes back
}

// N8, D54: an import ends with the disk that it is made on, and with its node; and when an operator deletes it.
func TestImportsEndWithTheirNode(t *testing.T) {
	for name, end := range map[string]Change{
		"removed":  SetNodeState{ID: 1, State: NodeRemoved},
		"replaced": AdmitNode{ID: 1, Generation: 50, Old: 5, Addr: "a:1"},
		"deleted":  DeleteGroup{ID: 3},
	} {
		c, _ := born(t)
		apply(t, c, 1, RegisterNode{ID: 1, Generation: 5, Addr: "a:1"}, RegisterNode{ID: 2, Generation: 6, Addr: "a:2"}, BeginImport{Node: 1, Token: 7}, BeginImport{Node: 2, Token: 7})
		apply(t, c, 1, end)
		wantResults(t, apply(t, c, 1, EndImport{ID: 3, Token: 7, Made: true}, EndImport{ID: 4, Token: 7, Made: true}), Result{RefusedUnknown, 3}, Result{Done, c.View().Topology.Version})
		if g, _ := c.View().FindGroup(3); !g.Deleted {
			t.Errorf("%s: %+v", name, g)
		}
	}
	c, _ := born(t)
	apply(t, c, 1, RegisterNode{ID: 1, Generation: 5, Addr: "a:1"}, SetNodeState{ID: 1, State: NodeDraining})
	wantResults(t, apply(t, c, 1, BeginImport{Node: 1, Token: 7}), Result{RefusedInvalid, 1})
}

// Ids and calls are bounded.
func TestImportsAreBounded(t *testing.T) {
	c, _ := born(t)
	apply(t, c, 1, RegisterNode{ID: 1, Generation: 5, Addr: "a:1"})
	var some []Change
	for token := range uint64(maxImports) {
		some = append(some, BeginImport{Node: 1, Token: token + 1})
	}
	apply(t, c, 1, some...)
	wantResults(t, apply(t, c, 1, BeginImport{Node: 1, Token: 1 << 60}, BeginImport{Node: 1, Token: 3}), Result{RefusedInvalid, maxImports}, Result{Unchanged, 5})
	s := *c.View()
	for id := wire.GroupID(maxImports + 3); len(s.Groups)+len(s.Imports) < maxGroups; id++ {
		s.Groups = append(s.Groups, Group{ID: id, Deleted: true})
	}
	s.Imports = s.Imports[:200]
	if r := (CreateGroup{Voters: nodes(1)}).apply(&s, 1); r != (Result{Done, 203}) {
		t.Errorf("%+v", r)
	}
	for len(s.Groups)+len(s.Imports) < maxGroups {
		s.Groups = append(s.Groups, Group{ID: s.Groups[len(s.Groups)-1].ID + 1, Deleted: true})
	}
	if r := (CreateGroup{Voters: nodes(1)}).apply(&s, 1); r != (Result{RefusedInvalid, maxGroups}) {
		t.Errorf("%+v", r)
	}
	if r := (BeginImport{Node: 1, Token: 1 << 60}).apply(&s, 1); !r.Outcome.Refused() {
		t.Errorf("%+v", r)
	}
}

// P30, D81: records of format 2 get along.
func TestFormat2Migrated(t *testing.T) {
	s := someBirth().snapshotForTest()
	old := stateRecords(&s)
	delete(old, keyImports)
	old[keyFormat] = []byte("\x02")
	now, err := migrate(old, ledger)
	must(t, err)
	got, err := parseState(now)
	must(t, err)
	if diff := cmp.Diff(&s, got); diff != "" {
		t.Error(diff)
	}
	if empty, err := migrate(records{keyFormat: []byte("\x02")}, ledger); err != nil || len(empty) != 1 {
		t.Errorf("an empty catalog: %v", err)
	}
}
