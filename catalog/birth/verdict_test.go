package birth

import (
	"testing"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// P33: a node stops when most of the others say that it was removed, never for the word of one of several, of a stranger,
// or of one that was removed itself.
func TestVerdict(t *testing.T) {
	five := &catalog.Snapshot{}
	for id := wire.NodeID(1); id <= 6; id++ {
		n := catalog.Node{ID: id, State: catalog.NodeListed}
		if id == 6 {
			n.State = catalog.NodeRemoved
		}
		five.Topology.Nodes = append(five.Topology.Nodes, n)
	}
	two := &catalog.Snapshot{}
	two.Topology.Nodes = five.Topology.Nodes[:2]
	for _, c := range []struct {
		name string
		view *catalog.Snapshot
		by   []wire.NodeID
		want bool
	}{
		{"one of four", five, []wire.NodeID{2}, false},
		{"one of four, often", five, []wire.NodeID{2, 2, 2, 2}, false},
		{"half of four", five, []wire.NodeID{2, 3}, false},
		{"three of four", five, []wire.NodeID{2, 3, 4}, true},
		{"strangers", five, []wire.NodeID{7, 8, 9, 10}, false},
		{"two and one that was removed", five, []wire.NodeID{2, 3, 6}, false},
		{"the only other one", two, []wire.NodeID{2}, true},
	} {
		var d Verdict
		got := false
		for _, by := range c.by {
			got = d.Removed(1, by, c.view)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
