package main

import (
	"bytes"
	"regexp"
	"testing"

	"flotilla/client"
	"flotilla/raft/wire"
)

// TestGroupsElsewhere: of a group without a replica on the node that answers the table shows what is not known as not known, of one with a replica
// what there is, zeros and no leader included.
func TestGroupsElsewhere(t *testing.T) {
	var out bytes.Buffer
	err := printGroups(&shell{out: &out}, 4, []client.GroupStatus{
		{ID: 1, Voters: []wire.NodeID{1, 2, 3}},
		{ID: 2, Voters: []wire.NodeID{1, 2, 3}, Leader: 2},
		{ID: 3, Voters: []wire.NodeID{1, 2, 4}},
		{ID: 5, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{4}, Term: 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		`1 +- +- +- +- +1 2 3`, `2 +2 +- +- +- +1 2 3`, `3 +none +0 +0 +0 +1 2 4`, `5 +none +7 +0 +0 +1 2 +4`,
	} {
		if !regexp.MustCompile(`(?m)^` + row).Match(out.Bytes()) {
			t.Errorf("no row like %q in\n%s", row, out.String())
		}
	}
}
