package placement_test

import (
	"slices"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// lost is g after the disks of nodes are gone.
func lost(g catalog.Group, nodes ...wire.NodeID) catalog.Group {
	g.Lost = nodes
	return g
}

// P31, F42: what is wanted, rule by rule.
func TestPlan(t *testing.T) {
	for _, test := range []struct {
		name string
		v    *catalog.Snapshot
		want string
	}{
		{"content", city(3, "1a 2a 3a", group(0, 0, ids{1, 2, 3}), group(1, 1, ids{1, 2, 3})), ""},
		{"just born", city(2, "1l 2l 3l", group(0, 0, ids{1, 2, 3}), group(1, 1, ids{1, 2})), ""},
		{"born with six", city(1, "1l 2l 3l 4l 5l 6l", group(0, 0, ids{1, 2, 3, 4, 5}, 6), group(1, 6, ids{6})), ""},
		{"unborn", &catalog.Snapshot{}, ""},
		{"nobody is eligible", city(1, "1d 2v 3r", group(0, 0, ids{1, 2}), group(1, 3, ids{3})), ""},

		{"a node joins", city(1, "1a 2a", group(0, 0, ids{1}), group(1, 1, ids{1})), "0: 1 2 @10"},
		{"the sixth follows", city(1, "1a 2a 3a 4a 5a 6a", group(0, 0, ids{1, 2, 3, 4, 5})), "0: 1 2 3 4 5 + 6 @10"},
		{"voters stay, whatever their ids", city(1, "1a 2a 3a 4a 5a 6a", group(0, 0, ids{2, 3, 4, 5, 6})), "0: 2 3 4 5 6 + 1 @10"},
		{"an announced node is nobody", city(3, "1a 2l", group(0, 0, ids{1}), group(1, 1, ids{1})), ""},
		{"draining and leaving follow group 0", city(1, "1a 2d 3v 4r", group(0, 2, ids{1, 2, 3, 4}), group(1, 1, ids{1})), "0: 1 + 2 3 @10"},
		{"leaving ones stay in group 0 to the last", city(1, "1a 2v", group(0, 1, ids{1}, 2), moving(1, 1, ids{1}, wire.Membership{Index: 5, Voters: ids{1, 2}})), ""},
		{"group 0 keeps its leader", city(1, "1a 2a 3d", group(0, 2, ids{1, 2, 3})), "0: 1 2 + 3 by 2 @10"},
		{
			"a node joins while group 0 moves: a learner for the time being",
			city(1, "1a 2a 3a", moving(0, 0, ids{1, 2}, wire.Membership{Index: 4, Voters: ids{1}, Learners: ids{2}})), "0: 1 2 + 3 @10",
		},
		{
			"a voter of group 0 goes while it moves",
			city(1, "1a 2d 3a", moving(0, 0, ids{1, 2}, wire.Membership{Index: 4, Voters: ids{1}, Learners: ids{2}})), "0: 1 3 + 2 @10",
		},

		{"grow", city(3, "1a 2a 3a", group(0, 0, ids{1, 2, 3}), group(1, 1, ids{1})), "1: 1 2 3 by 1 @10"},
		{"shrink to the replication factor", city(2, "1a 2a 3a", group(0, 0, ids{1, 2, 3}), group(1, 1, ids{1, 2, 3})), "1: 1 2 by 1 @10"},
		{"learners of data groups go", city(1, "1a 2a", group(0, 0, ids{1, 2}), group(1, 1, ids{1}, 2)), "1: 1 by 1 @10"},
		{"drain", city(2, "1a 2d 3a", group(0, 0, ids{1, 3}, 2), group(1, 2, ids{1, 2})), "1: 1 3 by 1 @10"},
		{"drain without replacement", city(3, "1a 2a 3d", group(0, 0, ids{1, 2}, 3), group(1, 3, ids{1, 2, 3})), "1: 1 2 by 1 @10"},
		{"leave", city(1, "1a 2v", group(0, 0, ids{1}, 2), group(1, 2, ids{2})), "1: 1 by 1 @10"},
		{"removed by force", city(2, "1a 2r 3a", group(0, 0, ids{1, 3}), group(1, 1, ids{1, 2})), "1: 1 3 by 1 @10"},
		{"deleted groups need nothing", city(2, "1a 2a", group(0, 0, ids{1, 2}), catalog.Group{ID: 1, Deleted: true}), ""},
		{
			"fill by the least loaded",
			city(2, "1a 2a 3a 4d", group(0, 0, ids{1, 2, 3}, 4), group(1, 1, ids{1, 2}), group(2, 2, ids{2, 3}), group(3, 3, ids{3, 4}), group(4, 1, ids{1, 4})),
			"3: 1 3 by 3 @10; 4: 1 2 by 1 @11",
		},

		{"spread", city(1, "1a 2a", group(0, 0, ids{1, 2}), group(1, 1, ids{1}), group(2, 1, ids{1})), "1: 2 by 2 @10"},
		{"rather a follower", city(2, "1a 2a 3a", group(0, 0, ids{1, 2, 3}), group(1, 1, ids{1, 2}), group(2, 2, ids{1, 2}), group(3, 1, ids{1, 2})), "2: 2 3 by 2 @10; 1: 1 3 by 3 @11"},
		{"no swap", city(1, "1a 2a 3a", group(0, 0, ids{1, 2, 3}), group(1, 1, ids{1}), group(2, 2, ids{2})), ""},
		{
			"a group in motion is left alone",
			city(1, "1a 2a 3a", group(0, 0, ids{1, 2, 3}), moving(1, 1, ids{1}, wire.Membership{Index: 5, Voters: ids{1, 2}}), lost(group(2, 1, ids{1}), 1)), "",
		},
		{
			"but for one on its way to who has gone",
			city(1, "1a 2a 3d", group(0, 0, ids{1, 2}, 3), moving(1, 3, ids{3}, wire.Membership{Index: 5, Voters: ids{1}, Learners: ids{3}})), "1: 1 by 1 @10",
		},

		{"leaders", city(2, "1a 2a", group(0, 0, ids{1, 2}), group(1, 0, ids{1, 2}), group(2, 0, ids{1, 2})), "1: 1 2 by 1 @10; 2: 1 2 by 2 @11"},
		{"leaders stay", city(2, "1a 2a", group(0, 0, ids{1, 2}), group(1, 2, ids{1, 2})), ""},
		{"leaders spread", city(2, "1a 2a", group(0, 0, ids{1, 2}), group(1, 2, ids{1, 2}), group(2, 2, ids{1, 2})), "1: 1 2 by 1 @10"},

		{"left but for group 0", city(1, "1a 2v", group(0, 0, ids{1}, 2), group(1, 1, ids{1})), "0: 1 @10"},
		{"on the way out of group 0", city(1, "1a 2v", moving(0, 0, ids{1}, wire.Membership{Index: 3, Voters: ids{1}, Learners: ids{2}}), group(1, 1, ids{1})), ""},
		{"left", city(1, "1a 2v", group(0, 0, ids{1}), group(1, 1, ids{1})), "node 2 removed @10"},
		{"out of group 0, and added to another once more", city(1, "1a 2v", group(0, 0, ids{1}), moving(1, 1, ids{1}, wire.Membership{Index: 5, Voters: ids{1}, Learners: ids{2}})), ""},
		{"came back before it had left", city(1, "1a 2a", group(0, 0, ids{1}), group(1, 1, ids{1})), "0: 1 2 @10"},
		{"left and forgotten", city(1, "1a 2r", group(0, 0, ids{1}, 2), group(1, 1, ids{1})), "0: 1 @10"},
		{"still a member", city(1, "1a 2v", group(0, 0, ids{1}, 2), moving(1, 1, ids{1}, wire.Membership{Index: 5, Voters: ids{1}, Learners: ids{2}})), ""},
		{"still voting in group 0", city(1, "1a 2v", func() catalog.Group {
			g := group(0, 0, ids{1}, 2)
			g.Members = wire.Membership{Index: 3, Voters: ids{1, 2}}
			return g
		}()), ""},
		{"draining is no leaving", city(1, "1a 2d", group(0, 0, ids{1}, 2), group(1, 1, ids{1})), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := placement.Plan(test.v)
			if got := changes(plan); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
			for _, c := range plan {
				if _, err := catalog.Encode(c); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// pair is a cluster of two, a draining node, and n groups that it has to give up.
func pair(n int) *catalog.Snapshot {
	v := city(1, "1a 2a 3d", group(0, 0, ids{1, 2}, 3))
	for i := range n {
		v.Groups = append(v.Groups, group(wire.GroupID(i+1), 3, ids{3}))
	}
	return v
}

func placed(plan []catalog.Change) (out []catalog.PlaceGroup) {
	for _, c := range plan {
		if p, ok := c.(catalog.PlaceGroup); ok {
			out = append(out, p)
		}
	}
	return out
}

// What planning sets in motion is bounded, with a place left for group 0, and what moves already counts.
func TestMotionIsBounded(t *testing.T) {
	v := pair(100)
	if got := len(placed(placement.Plan(v))); got != 7 {
		t.Errorf("%d groups set in motion at rest", got)
	}
	for i := range 5 {
		v.Groups[10+i].Members = wire.Membership{Index: 9, Voters: ids{3}, Learners: ids{1}}
		v.Groups[10+i].Voters = ids{1}
		v.Groups[10+i].Leader = 1
	}
	if got := len(placed(placement.Plan(v))); got != 2 {
		t.Errorf("%d groups set in motion while five move", got)
	}
	for i := range 70 { // moving to where nobody is any more
		v.Groups[10+i].Members = wire.Membership{Index: 9, Voters: ids{1}}
		v.Groups[10+i].Voters = ids{3}
		v.Groups[10+i].Leader = 3
	}
	v.Topology.Nodes = append(v.Topology.Nodes, catalog.Node{ID: 4, Addr: "n:4", Generation: 4, State: catalog.NodeActive})
	plan := placement.Plan(v)
	if got := placed(plan); len(plan) != 64 || got[0].ID != 0 {
		t.Errorf("%d changes, the first of group %d", len(plan), got[0].ID)
	}
	for _, p := range placed(plan)[1:] {
		if g, _ := v.FindGroup(p.ID); g.Settled() {
			t.Errorf("group %d set in motion beside 70 others", p.ID)
		}
	}
}

// The worst first: members that are gone for good, then those of nodes that leave, then those that drain.
func TestUrgency(t *testing.T) {
	v := pair(20)
	v.Topology.Nodes = append(v.Topology.Nodes,
		catalog.Node{ID: 4, Addr: "n:4", Generation: 4, State: catalog.NodeLeaving}, catalog.Node{ID: 5, Addr: "n:5", Generation: 5, State: catalog.NodeRemoved})
	for i, node := range map[int]wire.NodeID{15: 4, 16: 4, 17: 5, 18: 5, 19: 4} {
		v.Groups[i] = group(wire.GroupID(i), node, ids{node})
	}
	var order []wire.GroupID
	for _, p := range placed(placement.Plan(v)) {
		order = append(order, p.ID)
	}
	if want := []wire.GroupID{17, 18, 15, 16, 19, 1, 2}; !slices.Equal(order[:7], want) {
		t.Errorf("order %v, want %v first", order, want)
	}
}

// Leaderships leave a draining node at once, replicas when it is their turn.
func TestDrainMovesLeadersFirst(t *testing.T) {
	v := city(2, "1a 2a 3d", group(0, 0, ids{1, 2}, 3))
	for i := range 30 {
		v.Groups = append(v.Groups, group(wire.GroupID(i+1), 3, ids{wire.NodeID(1 + i%2), 3}))
	}
	plan := placed(placement.Plan(v))
	for _, p := range plan {
		if p.Leader == 3 {
			t.Errorf("group %d is to be led by the draining node", p.ID)
		}
	}
	if len(plan) != 30 {
		t.Errorf("%d groups planned", len(plan))
	}
}

// A group that wants a node which is gone gets no leader before it is its turn to be placed anew: the catalog would refuse
// it, and all that comes after it.
func TestLeadersOfBereftGroupsWait(t *testing.T) {
	v := city(2, "1a 2a 3r", group(0, 0, ids{1, 2}))
	for i := range 30 {
		v.Groups = append(v.Groups, group(wire.GroupID(i+1), 3, ids{1, 3}))
	}
	if got := placed(placement.Plan(v)); len(got) != 7 || slices.ContainsFunc(got, func(p catalog.PlaceGroup) bool { return slices.Contains(p.Voters, 3) }) {
		t.Errorf("planned %+v", got)
	}
}

// Hand-overs for the sake of spread are few at a time.
func TestFewLeadersMoveAtATime(t *testing.T) {
	v := city(2, "1a 2a", group(0, 0, ids{1, 2}))
	for i := range 100 {
		v.Groups = append(v.Groups, group(wire.GroupID(i+1), 1, ids{1, 2}))
	}
	if got := len(placement.Plan(v)); got != 8 {
		t.Errorf("%d leaders moved", got)
	}
}

// What is planned is not written into the catalog that it was planned on.
func TestPlanWritesNothing(t *testing.T) {
	v := pair(50)
	before := v.Digest()
	first := changes(placement.Plan(v))
	if v.Digest() != before {
		t.Error("the snapshot changed")
	}
	if again := changes(placement.Plan(v)); again != first {
		t.Errorf("planned %s, then %s", first, again)
	}
}
