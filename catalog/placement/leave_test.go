package placement_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// D62: whether a node may leave is asked of those that really decide.
func TestCanRemove(t *testing.T) {
	three := group(1, 1, ids{1, 2, 3})
	for _, test := range []struct {
		name   string
		v      *catalog.Snapshot
		node   wire.NodeID
		down   ids
		groups []wire.GroupID
		err    error
	}{
		{name: "all well", v: city(3, "1a 2a 3a", three), node: 3},
		{name: "itself down", v: city(3, "1a 2a 3a", three), node: 3, down: ids{3}},
		{name: "another down", v: city(3, "1a 2a 3a", three), node: 3, down: ids{2}, groups: []wire.GroupID{1}},
		{name: "one of four others down", v: city(3, "1a 2a 3a 4a 5a", group(1, 1, ids{1, 2, 3, 4, 5})), node: 3, down: ids{2}},
		{name: "two of four others down", v: city(3, "1a 2a 3a 4a 5a", group(1, 1, ids{1, 2, 3, 4, 5})), node: 3, down: ids{2, 4}, groups: []wire.GroupID{1}},
		{name: "another lost", v: city(3, "1a 2a 3a", lost(three, 2)), node: 3, groups: []wire.GroupID{1}},
		{name: "another removed", v: city(3, "1a 2r 3a", three), node: 3, groups: []wire.GroupID{1}},
		{name: "of two, the other down", v: city(3, "1a 2a", group(0, 0, ids{1, 2}), group(1, 1, ids{1, 2})), node: 1, down: ids{2}, groups: []wire.GroupID{0, 1}},
		{name: "votes alone and hands over", v: city(1, "1a 2a", group(1, 1, ids{1})), node: 1},
		{name: "votes alone and is down", v: city(1, "1a 2a", group(1, 1, ids{1})), node: 1, down: ids{1}, groups: []wire.GroupID{1}},
		{name: "a learner", v: city(1, "1a 2a", group(1, 1, ids{1}, 2)), node: 2, down: ids{1}},
		{name: "deleted", v: city(1, "1a 2a", catalog.Group{ID: 1, Deleted: true}), node: 1, down: ids{1, 2}},
		{name: "what is wanted does not count", v: city(3, "1a 2a 3a 4a", moving(1, 1, ids{1, 2, 4}, wire.Membership{Index: 4, Voters: ids{1, 2, 3}})), node: 3, down: ids{2}, groups: []wire.GroupID{1}},
		{name: "the last", v: city(1, "1a", group(1, 1, ids{1})), node: 1, err: placement.ErrLastNode},
		{name: "the last that is eligible", v: city(1, "1a 2d 3v 4r 5l", group(1, 1, ids{1})), node: 1, err: placement.ErrLastNode},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := placement.CanRemove(test.v, test.node, func(n wire.NodeID) bool { return !slices.Contains(test.down, n) })
			var quorum *placement.QuorumError
			switch {
			case test.groups == nil:
				if !errors.Is(err, test.err) {
					t.Errorf("error %v, want %v", err, test.err)
				}
			case !errors.As(err, &quorum) || quorum.Node != test.node || !slices.Equal(quorum.Groups, test.groups):
				t.Errorf("error %v, want it of groups %v", err, test.groups)
			}
		})
	}
}

func TestQuorumErrorIsShort(t *testing.T) {
	e := &placement.QuorumError{Node: 3}
	for g := range wire.GroupID(1000) {
		e.Groups = append(e.Groups, g)
	}
	if s := e.Error(); len(s) > 300 || !strings.Contains(s, "node 3") || !strings.Contains(s, "992 more") {
		t.Error(s)
	}
}
