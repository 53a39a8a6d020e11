package steward

import (
	"errors"
	"strings"
	"testing"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// oneKind is a program that knows the default machine and one other.
type oneKind struct {
	Importer
	kind string
}

func (o oneKind) Knows(kind string) error {
	if kind != "" && kind != o.kind {
		return errors.New("no such machine")
	}
	return nil
}

// administered is a cluster of nodes 1 to 4: 2 is connected, 3 is not, 4 is removed.
func administered(t *testing.T) (*Steward, *onlyMeta) {
	t.Helper()
	s, m := member(t)
	s.cfg.Imports = oneKind{kind: "queue"}
	s.cfg.Peers = func() map[wire.NodeID]wire.Generation { return map[wire.NodeID]wire.Generation{2: 6, 4: 8} }
	m.view.Topology.Nodes = []catalog.Node{
		{ID: 1, Addr: "a:1", State: catalog.NodeActive},
		{ID: 2, Addr: "b:2", State: catalog.NodeActive},
		{ID: 3, Addr: "c:3", State: catalog.NodeActive},
		{ID: 4, Addr: "d:4", State: catalog.NodeRemoved},
	}
	return s, m
}

// What cannot be meant is refused before anything is agreed on, and the answer says what is the matter.
func TestRefusedAdministration(t *testing.T) {
	s, m := administered(t)
	a, ctx := s.Admin(), t.Context()
	m.view.Topology.Nodes[2].State = catalog.NodeLeaving
	created := func(kind string, voters ...wire.NodeID) error {
		_, err := a.CreateGroup(ctx, kind, voters)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		code wire.Code
		says string
	}{
		"add: known elsewhere":        {a.AddNode(ctx, 3, "e:5"), wire.CodeConflict, "node 3 is known at c:3"},
		"add: another one runs there": {a.AddNode(ctx, 5, "b:2"), wire.CodeConflict, "node 2 is running at b:2"},
		"add: we run there":           {a.AddNode(ctx, 5, "a:1"), wire.CodeConflict, "node 1 is running at a:1"},
		"move: another one is there":  {a.MoveNode(ctx, 3, "b:2"), wire.CodeConflict, "node 2 is running at b:2"},
		"drain: it is leaving":        {a.DrainNode(ctx, 3), wire.CodeConflict, "being removed"},
		"create: no such machine":     {created("nokind"), wire.CodeBadRequest, "no such machine"},
		"create: no such node":        {created("", 1, 9), wire.CodeConflict, "no node 9"},
		"delete: the cluster's own":   {a.DeleteGroup(ctx, 0), wire.CodeConflict, "the cluster's own"},
		"delete: no such group":       {a.DeleteGroup(ctx, 77), wire.CodeConflict, "no such group"},
		"delete: holds keys":          {a.DeleteGroup(ctx, 1), wire.CodeConflict, "keys are routed"},
	} {
		if wire.CodeOf(c.err) != c.code || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if m.count() != 0 {
		t.Errorf("%d proposals were made", m.count())
	}
}

// What looks alike and makes sense goes through: the same again, the address of a node that is down or was removed.
func TestAdministrationThatIsFine(t *testing.T) {
	s, m := administered(t)
	a, ctx := s.Admin(), t.Context()
	_, err := a.CreateGroup(ctx, "queue", []wire.NodeID{2, 1})
	for name, err := range map[string]error{
		"create":                   err,
		"add: known":               a.AddNode(ctx, 2, "b:2"),
		"add: of one that is down": a.AddNode(ctx, 5, "c:3"),
		"add: of a removed one":    a.AddNode(ctx, 6, "d:4"),
		"move: of a removed one":   a.MoveNode(ctx, 3, "d:4"),
		"move: where it is":        a.MoveNode(ctx, 2, "b:2"),
		"undrain":                  a.UndrainNode(ctx, 2),
		"drain":                    a.DrainNode(ctx, 3),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m.count() == 0 {
		t.Error("nothing was proposed")
	}
}
