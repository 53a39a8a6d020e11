package placement_test

import (
	"slices"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// N8: a replica that votes is not ended because its node hears late that it was taken out once. Node 3 is taken out and wanted again
// while it is behind in group 0's log, so that its first replica is added again and votes; then it hears of both.
func TestAddedAgainBeforeItWasEnded(t *testing.T) {
	report := func(at wire.Index, voters ids, learners ...wire.NodeID) catalog.Change {
		return catalog.ReportMembers{ID: 1, Members: wire.Membership{Index: at, Voters: voters, Learners: learners}}
	}
	at := []*catalog.Snapshot{city(3, "1a 2a 3a 4a", group(0, 1, ids{1, 2, 3, 4}), group(1, 1, ids{1, 2, 3}))}
	for i, c := range []catalog.Change{
		report(10, ids{1, 2, 4}),
		catalog.PlaceGroup{ID: 1, Voters: ids{1, 2, 3}, Leader: 1},
	} {
		index := wire.Index(i + 1)
		next, _, err := at[i].After(index, []catalog.Command{{Index: index, Term: 1, Data: c.Append(nil)}})
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, &next)
	}
	here := []wire.GroupID{0, 1} // node 3 has applied nothing of it, and has its replica
	now := at[len(at)-1]
	step := placement.Next(now, 1, placement.View{
		Self: 1, Members: wire.Membership{Index: 10, Voters: ids{1, 2, 4}}, Alive: func(wire.NodeID) bool { return true },
	})
	added := step.Kind == placement.Change && slices.Contains(step.Changes.Changes, wire.Change{Kind: wire.ChangeAddLearner, Node: 3})
	votes := added && placement.Promotable(now, 1, 3) // which the loop does as soon as the old replica has caught up
	if _, ends := placement.Replicas(at[1], 3, here); votes && slices.Contains(ends, 1) {
		t.Error("node 3 ends a replica that votes, and will make one that knows of no vote")
	}
	// It hears, ends its replica, tells so, and is added.
	if told := placement.Ended(now, 3, here); len(told) != 0 {
		t.Errorf("with its replica here node 3 tells %+v", told)
	}
	told := placement.Ended(now, 3, []wire.GroupID{0})
	if want := (catalog.ReplicaEnded{ID: 1, Node: 3, Generation: 3, Index: 10}); len(told) != 1 || told[0] != want {
		t.Fatalf("without it node 3 tells %+v, want %+v", told, want)
	}
	later, _, err := now.After(3, []catalog.Command{{Index: 3, Term: 1, Data: told[0].Append(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	step = placement.Next(&later, 1, placement.View{
		Self: 1, Members: wire.Membership{Index: 10, Voters: ids{1, 2, 4}}, Alive: func(wire.NodeID) bool { return true },
	})
	if step.Kind != placement.Change || !slices.Contains(step.Changes.Changes, wire.Change{Kind: wire.ChangeAddLearner, Node: 3}) {
		t.Errorf("then the leader goes on with %+v", step)
	}
}
