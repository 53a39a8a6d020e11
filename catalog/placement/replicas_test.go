package placement_test

import (
	"slices"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// N8: replicas follow what groups reported, not what is wanted.
func TestReplicas(t *testing.T) {
	gone := wire.Membership{Index: 5, Voters: ids{2}}
	v := city(3, "1a 2a",
		group(0, 0, ids{1, 2}),
		group(1, 1, ids{1, 2}),          // here: stays
		group(2, 1, ids{2}, 1),          // a learner: create
		moving(3, 1, ids{1, 2}, gone),   // wanted, not reported: not yet
		moving(4, 1, ids{1, 2}, gone),   // the same, and an old replica is here: destroy
		lost(group(5, 1, ids{1, 2}), 1), // lost: not before it is taken out
		lost(group(6, 1, ids{1, 2}), 2), // somebody else's loss: create
		catalog.Group{ID: 7, Deleted: true},
		moving(8, 2, ids{2}, wire.Membership{Index: 5, Voters: ids{1, 2}}), // wanted no more, still a member: stays
		catalog.Group{ID: 9, Deleted: true},
	)
	create, destroy := placement.Replicas(v, 1, []wire.GroupID{8, 0, 1, 4, 7, 99})
	if want := []wire.GroupID{2, 6}; !slices.Equal(create, want) {
		t.Errorf("create %v, want %v", create, want)
	}
	if want := []wire.GroupID{4, 7}; !slices.Equal(destroy, want) {
		t.Errorf("destroy %v, want %v", destroy, want)
	}
}
