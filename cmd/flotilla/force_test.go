package main

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/client"
	"flotilla/raft/wire"
)

// TestLosses: who removes a node by force is told which groups lose a replica, and which their majority.
func TestLosses(t *testing.T) {
	st := client.Status{
		Nodes: []client.NodeStatus{{ID: 1, State: "up"}, {ID: 2, State: "draining"}, {ID: 3, State: "down"}, {ID: 4, State: "down"}, {ID: 5, State: "up"}},
		Groups: []client.GroupStatus{
			{ID: 0, Voters: []wire.NodeID{1, 2, 3}},
			{ID: 1, Voters: []wire.NodeID{3, 4, 5}},
			{ID: 2, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{3}},
			{ID: 3, Voters: []wire.NodeID{1}},
		},
	}
	replica := func(group, node int) string {
		return fmt.Sprintf("group %d loses its replica on node %d at once, without another in its place", group, node)
	}
	majority := func(group, node int) string {
		return fmt.Sprintf("group %d loses its majority and stays without, and what only node %d had is lost", group, node)
	}
	for node, want := range map[wire.NodeID][]string{
		3: {replica(0, 3), majority(1, 3), replica(2, 3)}, // group 1 has lost it already
		1: {majority(0, 1), majority(2, 1), majority(3, 1)},
		2: {majority(0, 2), majority(2, 2)},
		9: nil,
	} {
		if diff := cmp.Diff(want, losses(st, node)); diff != "" {
			t.Errorf("node %d: %s", node, diff)
		}
	}
}
