package placement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

// world is a small cluster in which plans are made and carried out: catalogs that lag, leaders that die, disks that are lost.
// Consensus is given: a change takes effect at once where a majority of the voters is up and has its replica. It checks
// what is done at each step; the first thing that is wrong stays in err.
type world struct {
	r *rand.Rand
	// log holds the catalog after each command; each node has applied it up to applied.
	log     []*catalog.Snapshot
	applied map[wire.NodeID]int
	up      map[wire.NodeID]bool
	// generation is that of each node's disk, 0 for one that has not come yet.
	generation map[wire.NodeID]wire.Generation
	groups     map[wire.GroupID]*truth
	// calm: nothing fails, nobody lags, leaders are settled.
	calm  bool
	busy  bool // something happened in this round
	trace func(string, ...any)
	// tally counts what happened.
	tally map[string]int
	err   error
}

// truth is a group as its own log has it.
type truth struct {
	id      wire.GroupID
	index   wire.Index
	members wire.Membership
	leader  wire.NodeID
	// replicas are the nodes that have one. counted are the members whose replica has gone while they were members: what it
	// acknowledged counts, so none may be made under the same membership.
	replicas, counted map[wire.NodeID]bool
	// broken are those of replicas that are damaged, and out of service.
	broken map[wire.NodeID]bool
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
	w.trace("FAILED: "+format, args...)
}

// view is the catalog as node n has it.
func (w *world) view(n wire.NodeID) *catalog.Snapshot {
	if w.calm {
		return w.now()
	}
	return w.log[w.applied[n]]
}

func (w *world) chance(percent int) bool { return w.r.IntN(100) < percent }

// now is the catalog as of the last command.
func (w *world) now() *catalog.Snapshot { return w.log[len(w.log)-1] }

func (w *world) node(n wire.NodeID) catalog.Node { node, _ := w.now().Topology.Find(n); return node }

func (w *world) functional(t *truth, n wire.NodeID) bool {
	return w.up[n] && t.replicas[n] && !t.broken[n]
}

func (w *world) intact(t *truth, n wire.NodeID) bool {
	return t.replicas[n] && !t.broken[n] && w.node(n).State != catalog.NodeRemoved
}

func majority(list ids, has func(n wire.NodeID) bool) bool { return 2*len(only(list, has)) > len(list) }

func only(list ids, has func(n wire.NodeID) bool) (out ids) {
	for _, n := range list {
		if has(n) {
			out = append(out, n)
		}
	}
	return out
}

// apply has group 0 apply c.
func (w *world) apply(c catalog.Change) catalog.Outcome {
	data, err := catalog.Encode(c)
	if err != nil {
		w.fail("%+v: %v", c, err)
		return catalog.RefusedInvalid
	}
	v := w.now()
	index := v.Applied + 1
	next, results, err := v.After(index, []catalog.Command{{Index: index, Term: 1, Data: data}})
	if err != nil {
		w.fail("%+v: %v", c, err)
		return catalog.RefusedInvalid
	}
	result, err := catalog.ParseResult(results[0])
	if err != nil || next.Topology.Version < v.Topology.Version || next.Topology.Version > v.Topology.Version+1 {
		w.fail("%+v: version %d after %d, %v", c, next.Topology.Version, v.Topology.Version, err)
	}
	if result.Outcome == catalog.Done {
		w.busy = true
		w.log = append(w.log, &next)
		w.trace("%T%+v", c, c)
	}
	return result.Outcome
}

// lead returns who leads t, NoNode if a majority is missing.
func (w *world) lead(t *truth) wire.NodeID {
	can := only(t.members.Voters, func(n wire.NodeID) bool { return w.functional(t, n) })
	switch {
	case 2*len(can) <= len(t.members.Voters):
		return wire.NoNode
	case !slices.Contains(can, t.leader) || !w.calm && w.chance(3):
		t.leader = can[w.r.IntN(len(can))]
	}
	return t.leader
}

// adopt makes next the membership of t.
func (w *world) adopt(t *truth, next wire.Membership) {
	w.trace("group %d: %v + %v @%d", t.id, next.Voters, next.Learners, next.Index)
	w.busy = true
	t.members, t.index = next, next.Index
	for n := range t.counted {
		if !next.Contains(n) {
			delete(t.counted, n)
		}
	}
}

// step has the leader of t do what it is to do next.
func (w *world) step(t *truth) {
	leader := w.lead(t)
	if leader == wire.NoNode {
		return
	}
	v := w.view(leader)
	s := placement.Next(v, t.id, placement.View{
		Self: leader, Members: t.members, Settled: w.calm || w.chance(50),
		Alive: func(n wire.NodeID) bool { return w.serves(t, v, n) },
	})
	switch s.Kind {
	case placement.Report:
		if w.calm || w.chance(70) {
			w.apply(catalog.ReportMembers{ID: t.id, Members: t.members})
			w.tally["reported"]++
		}
	case placement.Change:
		w.change(t, v, &s.Changes)
	case placement.Transfer:
		if !slices.Contains(t.members.Voters, s.To) || s.To == leader {
			w.fail("group %d: transfer to node %d, no other voter of %v", t.id, s.To, t.members.Voters)
		}
		if w.functional(t, s.To) && (w.calm || w.chance(70)) {
			w.trace("group %d: led by %d", t.id, s.To)
			t.leader, w.busy = s.To, true
			w.tally["handed over"]++
		}
	}
}

// heard reports whether a node with catalog v hears n: not if n's disk is another than v says, nor if it was removed.
func (w *world) heard(v *catalog.Snapshot, n wire.NodeID) bool {
	node, _ := v.Topology.Find(n)
	return w.up[n] && node.Generation == w.generation[n] && node.State != catalog.NodeRemoved
}

// serves reports whether a leader with catalog v hears from n that serves t.
func (w *world) serves(t *truth, v *catalog.Snapshot, n wire.NodeID) bool {
	return w.heard(v, n) && t.replicas[n] && !t.broken[n]
}

// change carries out a set of changes that was decided on by v.
func (w *world) change(t *truth, v *catalog.Snapshot, set *wire.ChangeSet) {
	was := t.members
	next, err := membership.Next(was, t.index+1, set)
	switch {
	case err != nil || !set.SetBase:
		w.fail("group %d: %+v of %+v: %v", t.id, set, was, err)
		return
	case next.Joint() || membership.Moved(was.Voters, next.Voters) > 1:
		w.fail("group %d: %+v moves more than one voter", t.id, set)
	case len(next.Voters) > len(was.Voters):
		w.fail("group %d: %+v adds a voter outright", t.id, set)
	}
	g, _ := v.FindGroup(t.id)
	for _, n := range was.Voters {
		node, _ := v.Topology.Find(n)
		if slices.Contains(next.Voters, n) || slices.Contains(g.Lost, n) || node.State == catalog.NodeRemoved {
			continue
		}
		for _, wanted := range g.Voters {
			if !slices.Contains(next.Voters, wanted) {
				w.fail("group %d: node %d goes before node %d votes", t.id, n, wanted)
			}
		}
		if w.serves(t, v, n) && !majority(next.Voters, func(n wire.NodeID) bool { return w.serves(t, v, n) }) {
			w.fail("group %d: node %d goes and takes the quorum with it: %v", t.id, n, next.Voters)
		}
		if n == t.leader {
			w.fail("group %d: the leader %d goes", t.id, n)
		}
	}
	if w.calm || w.chance(80) {
		w.tally[fmt.Sprintf("changed, kind %d", set.Changes[0].Kind)]++
		if slices.Contains(g.Lost, set.Changes[0].Node) {
			w.tally["taken out as lost"]++
		}
		w.adopt(t, next)
	}
}

// promote makes a voter of a learner that has caught up, as the loop does.
func (w *world) promote(t *truth) {
	leader := w.lead(t)
	for _, n := range t.members.Learners {
		if leader == wire.NoNode || !w.functional(t, n) || !placement.Promotable(w.view(leader), t.id, n) || !w.calm && w.chance(50) {
			continue
		}
		set := wire.OneChange(wire.ChangePromote, n)
		next, err := membership.Next(t.members, t.index+1, &set)
		if err != nil || next.Joint() {
			w.fail("group %d: promote %d in %+v: %v", t.id, n, t.members, err)
		}
		w.adopt(t, next)
		w.tally["promoted"]++
		return
	}
}

// tend has node n make and end its replicas, as far as it has come in the log.
func (w *world) tend(n wire.NodeID) {
	if w.chance(70) {
		w.applied[n] = len(w.log) - 1
	}
	v := w.view(n)
	if node, _ := v.Topology.Find(n); node.State == catalog.NodeRemoved {
		return
	}
	var here, broken []wire.GroupID
	for id, t := range w.groups {
		if t.replicas[n] {
			here = append(here, id)
		}
		if t.broken[n] {
			broken = append(broken, id)
		}
	}
	create, destroy := placement.Replicas(v, n, here)
	for _, id := range create {
		w.create(w.groups[id], n)
	}
	for _, id := range destroy {
		t := w.groups[id]
		if g, _ := w.now().FindGroup(id); !g.Deleted && t.members.Contains(n) && !slices.Contains(g.Lost, n) {
			w.fail("group %d: node %d ends its replica, a member of %+v", id, n, t.members)
		}
		w.lose(t, n)
	}
	slices.Sort(broken)
	for _, b := range placement.Broken(v, n, broken) {
		b.Generation = w.generation[n]
		w.tally[fmt.Sprintf("broken: %v", w.apply(b))]++
	}
	for _, ended := range placement.Ended(v, n, here) {
		ended.Generation = w.generation[n]
		w.apply(ended)
		w.tally["ended"]++
	}
	// Its replica of group 0 comes with the answer to its request to join, when it is a member there.
	if meta, _ := w.now().FindGroup(wire.MetadataGroup); meta.Hosted(n) && !w.groups[0].replicas[n] {
		w.create(w.groups[0], n)
	}
}

func (w *world) create(t *truth, n wire.NodeID) {
	if t.counted[n] {
		w.fail("group %d: node %d makes a replica anew, a member of %+v since it had one", t.id, n, t.members)
	}
	w.trace("group %d: replica at %d", t.id, n)
	t.replicas[n], w.busy = true, true
}

// lose ends n's replica.
func (w *world) lose(t *truth, n wire.NodeID) {
	if t.replicas[n] && t.members.Contains(n) {
		t.counted[n] = true
	}
	delete(t.replicas, n)
	delete(t.broken, n)
	w.busy = true
}

// round does once what everybody does all the time.
func (w *world) round() {
	w.busy = false
	w.plan()
	for _, id := range w.ids() {
		t := w.groups[id]
		if g, _ := w.now().FindGroup(id); !g.Deleted {
			w.step(t)
			w.promote(t)
		}
	}
	for _, n := range w.now().Topology.Nodes {
		if w.up[n.ID] && w.generation[n.ID] == n.Generation && n.Generation != 0 {
			w.tend(n.ID)
		}
	}
}

// ids returns the groups in a random order that is the same for the same seed.
func (w *world) ids() []wire.GroupID {
	var out []wire.GroupID
	for i := range w.now().Groups {
		out = append(out, w.now().Groups[i].ID)
	}
	w.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
