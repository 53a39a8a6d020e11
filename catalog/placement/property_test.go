package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

const (
	topologies = 10_000
	// patience bounds the rounds that a cluster in which nothing fails any more needs to come to rest.
	patience = 120
)

// P14, P31, P32, F42, N8, D44, D60, D61, D62: in random clusters whose nodes join, drain, leave, die, come back with other disks, lose
// replicas to rot and are removed by force, and whose groups come and go, every step is a safe one, and when nothing happens any more the
// cluster comes to rest where it should be, and stays there.
func TestRandomTopologies(t *testing.T) {
	n := topologies
	if testing.Short() {
		n /= 10
	}
	const parts = 4
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			tally := map[string]int{}
			for seed := part; seed < n; seed += parts {
				if err := live(uint64(seed), tally, func(string, ...any) {}); err != nil {
					_ = live(uint64(seed), tally, t.Logf)
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			for _, what := range []string{
				"reported", "changed, kind 1", "changed, kind 3", "changed, kind 4", "taken out as lost", "promoted", "handed over", "ended",
				"wiped", "damaged", "broken: done", "removed by force", "left", "planned too late",
			} {
				if tally[what] < n/parts/20 {
					t.Errorf("%s only %d times in %d worlds: they do not live as they should", what, tally[what], n/parts)
				}
			}
		})
	}
}

// live lets a world live, and says what was wrong.
func live(seed uint64, tally map[string]int, trace func(string, ...any)) error {
	w := birth(seed, tally, trace)
	for range w.r.IntN(40) {
		if w.err != nil {
			return w.err
		}
		if w.chance(50) {
			w.event()
		}
		w.round()
	}
	trace("calm")
	w.calm = true
	for _, n := range w.now().Topology.Nodes {
		w.up[n.ID] = n.State != catalog.NodeRemoved && w.generation[n.ID] != 0
	}
	rounds := 0
	for w.busy = true; w.busy && w.err == nil; rounds++ {
		if rounds > patience {
			return fmt.Errorf("no rest after %d rounds", rounds)
		}
		w.round()
	}
	w.rest()
	return w.err
}

// plan has the metadata leader plan, by an old view sometimes, and checks what it wants.
func (w *world) plan() {
	v := w.now()
	if !w.calm && w.chance(10) {
		v = w.log[max(0, len(w.log)-1-w.r.IntN(3))]
	}
	plan := placement.Plan(v)
	for i, c := range plan {
		if !w.calm && w.chance(5) {
			return // the leader died
		}
		outcome := w.apply(c)
		switch stale := v.Topology.Version+uint64(i) != w.now().Topology.Version-1; {
		case outcome == catalog.RefusedVersion && i == 0 && v != w.now():
			w.tally["planned too late"]++
			return
		case outcome != catalog.Done || stale:
			w.fail("%T%+v: %v", c, c, outcome)
		}
		if _, left := c.(catalog.SetNodeState); left {
			w.tally["left"]++
		}
	}
	if len(plan) > 0 && w.err == nil {
		w.vet(v, plan)
	}
}

// eligible are the nodes of v that may be wanted for more, by the rule as it is told.
func eligible(v *catalog.Snapshot) (out ids) {
	meta, _ := v.FindGroup(wire.MetadataGroup)
	for _, n := range v.Topology.Nodes {
		if n.State == catalog.NodeActive || n.State == catalog.NodeListed && meta.Members.Contains(n.ID) {
			out = append(out, n.ID)
		}
	}
	return out
}

func subset(list, of ids) bool {
	return len(only(list, func(n wire.NodeID) bool { return slices.Contains(of, n) })) == len(list)
}

// vet checks a plan that was made on v.
func (w *world) vet(v *catalog.Snapshot, plan []catalog.Change) {
	can := eligible(v)
	replication := min(int(v.Settings.Replication), len(can))
	low, high, good := spread(v)
	balanced := good && high-low < 2
	moving, started := 0, 0
	for g := range v.Live() {
		if g.ID != 0 && !g.Settled() {
			moving++
		}
	}
	seen := map[wire.GroupID]bool{}
	for _, c := range placed(plan) {
		g, _ := v.FindGroup(c.ID)
		if seen[c.ID] {
			w.fail("group %d planned twice", c.ID)
		}
		seen[c.ID] = true
		if c.ID == wire.MetadataGroup {
			continue
		}
		moved := !slices.Equal(c.Voters, g.Voters) || len(g.Learners) > 0
		switch {
		case moved && (len(c.Voters) != replication || len(c.Learners) > 0 || !subset(c.Voters, can)):
			w.fail("group %d: wanted on %v, with %d of %v", c.ID, c.Voters, replication, can)
		case !slices.Contains(can, c.Leader):
			w.fail("group %d: to be led by node %d", c.ID, c.Leader)
		case !g.Settled() && subset(g.Voters, can) && subset(g.Learners, can):
			w.fail("group %d planned while it moves", c.ID)
		case moved && balanced:
			w.fail("group %d moves and nothing gets better", c.ID)
		case moved && g.Settled():
			started++
		}
	}
	if len(plan) > 64 || started > 0 && moving+started > 7 {
		w.fail("%d changes, %d groups set in motion beside %d", len(plan), started, moving)
	}
}

// spread returns how many data groups want the eligible node that is wanted least and most, and whether each has as many
// voters as it should have, all eligible.
func spread(v *catalog.Snapshot) (low, high int, good bool) {
	can := eligible(v)
	load := map[wire.NodeID]int{}
	good = true
	for g := range v.Live() {
		if g.ID == wire.MetadataGroup {
			continue
		}
		good = good && len(g.Voters) == min(int(v.Settings.Replication), len(can)) && len(g.Learners) == 0 && subset(g.Voters, can)
		for _, n := range g.Voters {
			load[n]++
		}
	}
	for i, n := range can {
		if i == 0 {
			low, high = load[n], load[n]
		}
		low, high = min(low, load[n]), max(high, load[n])
	}
	return low, high, good
}

// rest checks that a cluster at rest is as it should be.
func (w *world) rest() {
	v := w.now()
	if plan := placement.Plan(v); len(plan) > 0 {
		w.fail("planned at rest: %s", changes(plan))
	}
	if low, high, good := spread(v); !good || high-low > 1 {
		w.fail("at rest nodes have %d to %d replicas, right ones: %v", low, high, good)
	}
	w.restOfMeta(v)
	leads := map[wire.NodeID]int{}
	for g := range v.Live() {
		t := w.groups[g.ID]
		if !g.Settled() || !g.Members.Equal(&t.members) {
			w.fail("group %d: wants %v + %v, has %+v, reported %+v, lost %v", g.ID, g.Voters, g.Learners, t.members, g.Members, g.Lost)
		}
		for _, n := range v.Topology.Nodes {
			if t.broken[n.ID] && n.State != catalog.NodeRemoved {
				w.fail("group %d: replica at node %d is damaged still", g.ID, n.ID)
			}
			if t.replicas[n.ID] != t.members.Contains(n.ID) && n.State != catalog.NodeRemoved {
				w.fail("group %d: replica at node %d: %v", g.ID, n.ID, t.replicas[n.ID])
			}
		}
		if g.ID != wire.MetadataGroup {
			leads[g.Leader]++
			if t.leader != g.Leader {
				w.fail("group %d: led by node %d, not %d", g.ID, t.leader, g.Leader)
			}
		}
	}
	for g := range v.Live() {
		for _, n := range g.Voters {
			if g.ID != wire.MetadataGroup && leads[g.Leader]-leads[n] > 1 {
				w.fail("group %d: led by node %d of %d groups, not by node %d of %d", g.ID, g.Leader, leads[g.Leader], n, leads[n])
			}
		}
	}
}

// restOfMeta checks group 0 and the states of nodes.
func (w *world) restOfMeta(v *catalog.Snapshot) {
	can := eligible(v)
	g, _ := v.FindGroup(wire.MetadataGroup)
	if len(g.Voters) != min(len(can), 5) || !subset(g.Voters, can) {
		w.fail("group 0 has voters %v of %v", g.Voters, can)
	}
	for _, n := range v.Topology.Nodes {
		member := n.State != catalog.NodeRemoved && n.Generation != 0
		if n.State == catalog.NodeLeaving || g.Wants(n.ID) != member {
			w.fail("node %d is %v, in group 0: %v", n.ID, n.State, g.Wants(n.ID))
		}
	}
}
