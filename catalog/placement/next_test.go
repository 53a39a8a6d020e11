package placement_test

import (
	"slices"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// P14, N8, D44, D60, D61, D62: the next step of a leader, rule by rule. The leader is node 1, the last report was at index
// 5; nodes are alive unless down.
func TestNext(t *testing.T) {
	type m = wire.Membership
	for _, test := range []struct {
		name     string
		nodes    string
		wanted   catalog.Group
		members  m
		down     ids
		restless bool
		want     string
	}{
		{name: "content", wanted: group(1, 1, ids{1, 2, 3}), members: m{Voters: ids{1, 2, 3}}, want: "nothing"},
		{name: "report first", wanted: group(1, 1, ids{1, 2, 4}), members: m{Index: 6, Voters: ids{1, 2, 3}}, want: "report"},
		{name: "report before the lost", wanted: lost(group(1, 1, ids{1, 2, 3}), 3), members: m{Index: 6, Voters: ids{1, 2}}, want: "report"},
		{name: "behind the report", wanted: group(1, 2, ids{1, 2, 4}), members: m{Index: 4, Voters: ids{1, 2, 3}}, want: "nothing"},
		{name: "joint", wanted: group(1, 1, ids{1, 2}), members: m{Index: 6, Voters: ids{1, 2}, Outgoing: ids{1, 3}}, want: "nothing"},
		{name: "deleted", wanted: catalog.Group{ID: 1, Deleted: true}, members: m{Index: 6, Voters: ids{1, 2}}, want: "nothing"},
		{name: "another group", wanted: group(7, 1, ids{1, 2}), members: m{Index: 6, Voters: ids{1, 2}}, want: "nothing"},

		{name: "lost voter", wanted: lost(group(1, 1, ids{1, 2, 3, 4}), 3), members: m{Voters: ids{1, 2, 3}}, want: "remove 3 @5"},
		{name: "lost voter that is down and wanted nowhere", wanted: lost(group(1, 1, ids{1, 2}), 3), members: m{Voters: ids{1, 2, 3}}, down: ids{3}, want: "remove 3 @5"},
		{name: "two lost voters", wanted: lost(group(1, 1, ids{1, 2, 3}), 2, 3), members: m{Voters: ids{1, 2, 3}}, want: "remove 2 @5"},
		{name: "lost learners", wanted: lost(group(1, 1, ids{1, 2, 3}), 2, 3), members: m{Voters: ids{1}, Learners: ids{2, 3}}, want: "remove 2 remove 3 @5"},
		{name: "after the lost", wanted: group(1, 1, ids{1, 2, 3}), members: m{Voters: ids{1, 2}}, want: "learner 3 @5"},
		{name: "lost, not yet forgotten", wanted: lost(group(1, 1, ids{1, 2, 3}), 3), members: m{Voters: ids{1, 2}}, want: "nothing"},
		{name: "lost ourselves", wanted: lost(group(1, 1, ids{1, 2, 3}), 1, 3), members: m{Voters: ids{1, 2, 3}}, want: "transfer to 2"},
		{name: "lost ourselves, alone", wanted: lost(group(1, 1, ids{1, 2}), 1), members: m{Voters: ids{1}}, want: "nothing"},

		{name: "removed voter", nodes: "1a 2a 3r 4a", wanted: group(1, 1, ids{1, 2, 4}), members: m{Voters: ids{1, 2, 3}}, down: ids{3}, want: "remove 3 @5"},
		{name: "removed while wanted", nodes: "1a 2a 3r 4a", wanted: group(1, 1, ids{1, 2, 3}), members: m{Voters: ids{1, 2, 3}}, want: "remove 3 @5"},
		{name: "removed and wanted anew", nodes: "1a 2a 3r 4a", wanted: group(1, 1, ids{1, 2, 3}), members: m{Voters: ids{1, 2}}, want: "nothing"},
		{name: "removed learner of group 0", nodes: "1a 2r 3a 4a", wanted: group(0, 0, ids{1, 3}), members: m{Voters: ids{1, 3}, Learners: ids{2}}, want: "remove 2 @5"},
		{name: "removed ourselves", nodes: "1r 2a 3a 4a", wanted: group(1, 3, ids{2, 3, 4}), members: m{Voters: ids{1, 2, 3}}, want: "transfer to 3"},
		{name: "removed ourselves, to whoever is left", nodes: "1r 2a 3a 4a", wanted: group(1, 4, ids{4}), members: m{Voters: ids{1, 2, 3}}, down: ids{2}, want: "transfer to 3"},
		{name: "removed ourselves, and nobody else", nodes: "1r 2a 3a 4a", wanted: group(1, 2, ids{2}), members: m{Voters: ids{1}}, want: "learner 2 @5"},

		{name: "add at once", wanted: group(1, 1, ids{1, 2, 3}, 4), members: m{Voters: ids{1}}, want: "learner 2 learner 3 learner 4 @5"},
		{name: "add who is down", wanted: group(1, 1, ids{1, 2}), members: m{Voters: ids{1}}, down: ids{2}, want: "learner 2 @5"},
		{name: "add before dropping", wanted: group(1, 1, ids{1, 2, 4}), members: m{Voters: ids{1, 2}, Learners: ids{3}}, want: "learner 4 @5"},
		{name: "learner wanted no more", wanted: group(1, 1, ids{1, 2}), members: m{Voters: ids{1, 2}, Learners: ids{3, 4}}, want: "remove 3 remove 4 @5"},
		{name: "learner of group 0 before it is planned", wanted: group(0, 0, ids{1, 2}), members: m{Voters: ids{1, 2}, Learners: ids{3}}, want: "nothing"},
		{name: "learner of group 0 that leaves", nodes: "1a 2a 3v 4v", wanted: group(0, 0, ids{1, 2}, 4), members: m{Voters: ids{1, 2}, Learners: ids{3, 4}}, want: "remove 3 @5"},
		{name: "wait for the vote", wanted: group(1, 1, ids{1, 2, 4}), members: m{Voters: ids{1, 2, 3}, Learners: ids{4}}, want: "nothing"},

		{name: "drop", wanted: group(1, 1, ids{1, 2, 4}), members: m{Voters: ids{1, 2, 3, 4}}, want: "remove 3 @5"},
		{name: "drop one of two", wanted: group(1, 1, ids{1, 4}), members: m{Voters: ids{1, 2, 3, 4}}, want: "remove 2 @5"},
		{name: "demote first", wanted: group(0, 0, ids{1, 4}, 3), members: m{Voters: ids{1, 2, 3, 4}}, want: "demote 3 @5"},
		{name: "drop who is down", wanted: group(1, 1, ids{1, 2}), members: m{Voters: ids{1, 2, 3}}, down: ids{3}, want: "remove 3 @5"},
		{name: "keep who is needed", wanted: group(1, 1, ids{1, 2}), members: m{Voters: ids{1, 2, 3}}, down: ids{2}, want: "nothing"},
		{name: "keep who is needed, drop who is not", wanted: group(1, 1, ids{1, 2}), members: m{Voters: ids{1, 2, 3, 4}}, down: ids{2, 4}, want: "remove 4 @5"},
		{name: "enough without it", wanted: group(1, 1, ids{1, 2, 4}), members: m{Voters: ids{1, 2, 3, 4}}, down: ids{2}, want: "remove 3 @5"},
		{name: "the others before us", wanted: group(1, 4, ids{2, 4}), members: m{Voters: ids{1, 2, 3, 4}}, want: "remove 3 @5"},
		{name: "hand over before we go", wanted: group(1, 4, ids{2, 4}), members: m{Voters: ids{1, 2, 4}}, restless: true, want: "transfer to 4"},
		{name: "hand over to who is well", wanted: group(1, 4, ids{2, 3, 4}), members: m{Voters: ids{1, 2, 3, 4}}, down: ids{4}, want: "transfer to 2"},
		{name: "hand over before we are demoted", wanted: group(0, 0, ids{2}, 1), members: m{Voters: ids{1, 2}}, want: "transfer to 2"},
		{name: "nobody to hand over to", wanted: group(1, 2, ids{2}), members: m{Voters: ids{1, 2}}, down: ids{2}, want: "nothing"},
		{name: "the last voter stays", wanted: group(1, 2, ids{2}), members: m{Voters: ids{1}, Learners: ids{2}}, want: "nothing"},

		{name: "prefer", wanted: group(1, 2, ids{1, 2, 3}), members: m{Voters: ids{1, 2, 3}}, want: "transfer to 2"},
		{name: "prefer, not so soon", wanted: group(1, 2, ids{1, 2, 3}), members: m{Voters: ids{1, 2, 3}}, restless: true, want: "nothing"},
		{name: "prefer, but it is down", wanted: group(1, 2, ids{1, 2, 3}), members: m{Voters: ids{1, 2, 3}}, down: ids{2}, want: "nothing"},
		{name: "prefer, but it has no vote", wanted: group(1, 4, ids{1, 2, 4}), members: m{Voters: ids{1, 2}, Learners: ids{4}}, want: "nothing"},
		{name: "prefer anybody", wanted: group(1, 0, ids{1, 2, 3}), members: m{Voters: ids{1, 2, 3}}, want: "nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.nodes == "" {
				test.nodes = "1a 2a 3a 4a"
			}
			test.wanted.Members.Index = 5
			if test.members.Index == 0 {
				test.members.Index = 5
			}
			id := wire.GroupID(1)
			if test.wanted.ID == wire.MetadataGroup {
				id = wire.MetadataGroup
			}
			got := words(placement.Next(city(3, test.nodes, test.wanted), id, placement.View{
				Self: 1, Members: test.members, Settled: !test.restless,
				Alive: func(n wire.NodeID) bool { return n != 1 && !slices.Contains(test.down, n) },
			}))
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// A step stays within what a set of changes and a membership may hold.
func TestStepsAreBounded(t *testing.T) {
	var many ids
	for n := wire.NodeID(1); n <= wire.MaxMembers; n++ {
		many = append(many, n)
	}
	for _, test := range []struct {
		members wire.Membership
		want    int
	}{
		{wire.Membership{Voters: ids{1}}, wire.MaxChanges},
		{wire.Membership{Voters: ids{1}, Learners: many[1:250]}, 6},
		{wire.Membership{Voters: ids{1, 1001}, Learners: many[1:250]}, 5},
	} {
		g := group(1, 1, ids{1}, many[1:]...)
		step := placement.Next(city(1, "1a", g), 1, placement.View{Self: 1, Members: test.members, Alive: func(wire.NodeID) bool { return true }})
		if got := len(step.Changes.Changes); step.Kind != placement.Change || got != test.want {
			t.Errorf("%v with %d changes, want %d", step.Kind, got, test.want)
		}
	}
}

// P14: who is to vote once it has caught up.
func TestPromotable(t *testing.T) {
	gone := lost(group(2, 0, ids{1, 2}), 2)
	v := city(3, "1a 2a 3r 4d", group(1, 0, ids{1, 3, 4}, 2), gone, catalog.Group{ID: 3, Deleted: true})
	for _, test := range []struct {
		group wire.GroupID
		node  wire.NodeID
		want  bool
	}{
		{1, 1, true},
		{1, 2, false}, // wanted as a learner
		{1, 3, false}, // removed
		{1, 4, true},  // until it is planned anew
		{2, 1, true},
		{2, 2, false}, // lost
		{3, 1, false},
		{4, 1, false},
	} {
		if got := placement.Promotable(v, test.group, test.node); got != test.want {
			t.Errorf("group %d node %d: %v", test.group, test.node, got)
		}
	}
}
