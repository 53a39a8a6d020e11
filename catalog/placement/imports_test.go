package placement_test

import (
	"slices"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// D54: a node takes back its own imports on which nobody works, removes nothing of one before its tombstone is here, and lets no command
// into what is no group yet.
func TestImports(t *testing.T) {
	v := city(3, "1a 2a", group(0, 0, ids{1, 2}), group(1, 1, ids{1, 2}), catalog.Group{ID: 2, Deleted: true})
	v.Imports = []catalog.Import{{ID: 3, Node: 1, Token: 7}, {ID: 4, Node: 2, Token: 8}, {ID: 5, Node: 1, Token: 9}}
	got := placement.CalledOff(v, 1, func(token uint64) bool { return token == 7 })
	if want := []catalog.EndImport{{ID: 5, Token: 9}}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := placement.Leftovers(v, []wire.GroupID{1, 2, 3, 5, 6}); !slices.Equal(got, []wire.GroupID{2}) {
		t.Errorf("leftovers %v", got)
	}
	for id, want := range map[wire.GroupID]bool{1: true, 2: false, 3: false, 6: false} {
		if placement.Open(v, id) != want {
			t.Errorf("group %d is open: %t", id, !want)
		}
	}
}
