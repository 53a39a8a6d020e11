package catalog

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

// P30, F46, F47: a catalog that begins with the state of another cluster holds all of it, now and after a restart; one that has an identity,
// and a state that is still the other cluster's, are refused.
func TestRefound(t *testing.T) {
	source, _ := born(t)
	history(t, source)
	state, err := ReadState(source.View().Applied, bytes.NewReader(stateOf(t, source.View())))
	must(t, err)
	if state.Born || state.Identity != (Identity{}) || state.Digest() != source.View().Digest() || state.Applied != source.View().Applied {
		t.Fatalf("read: %+v", state)
	}
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := open(t, path, Options{})
	id := Identity{ClusterID: wire.ClusterID{9}, ClusterName: "again", NodeID: 1, Generation: 77}
	if err := c.Refound(id, state); err == nil {
		t.Error("a cluster begins with nodes that have registered with another one")
	}
	state.Topology.Nodes = nil
	for n := wire.NodeID(1); n <= 3; n++ {
		state.Topology.Nodes = append(state.Topology.Nodes, Node{ID: n, Addr: "n:1", State: NodeListed})
	}
	without := *state
	without.Epoch = 0
	if err := c.Refound(id, &without); err == nil {
		t.Error("a cluster begins without an epoch")
	}
	if err := c.Refound(Identity{ClusterID: id.ClusterID, ClusterName: "again", NodeID: 4, Generation: 77}, state); err == nil {
		t.Error("a node begins that is not listed")
	}
	if c.View().Born {
		t.Fatal("a refusal left something behind")
	}
	must(t, c.Refound(id, state))
	if err := c.Refound(id, state); !errors.Is(err, ErrBorn) {
		t.Errorf("twice: %v", err)
	}
	want := c.View()
	must(t, c.Close())
	got := open(t, path, Options{}).View()
	if diff := cmp.Diff(want, got); diff != "" || got.Identity != id || got.Incarnation != 0 || got.Digest() != state.Digest() || got.Applied != state.Applied {
		t.Errorf("after a restart: %+v\n%s", got.Identity, diff)
	}
}

// FuzzReadState: no bytes make ReadState panic, and what it takes survives a round.
func FuzzReadState(f *testing.F) {
	source, _ := born(f)
	history(f, source)
	f.Add(stateOf(f, source.View()))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ReadState(5, bytes.NewReader(in))
		if err != nil {
			return
		}
		again, err := ReadState(5, bytes.NewReader(stateOf(t, s)))
		must(t, err)
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
