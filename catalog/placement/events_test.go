package placement_test

import (
	"math/rand/v2"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// birth makes a world of one to six nodes and up to ten data groups, placed anyhow.
func birth(seed uint64, tally map[string]int, trace func(string, ...any)) *world {
	w := &world{
		r: rand.New(rand.NewPCG(seed, 4)), applied: map[wire.NodeID]int{}, up: map[wire.NodeID]bool{}, tally: tally, trace: trace,
		generation: map[wire.NodeID]wire.Generation{}, groups: map[wire.GroupID]*truth{},
	}
	v := &catalog.Snapshot{Born: true, Settings: catalog.Settings{Replication: 1 + w.r.Uint64N(4)}, Topology: catalog.Topology{Version: 1}}
	var all ids
	for n := range wire.NodeID(1 + w.r.IntN(6)) {
		all = append(all, n+1)
		v.Topology.Nodes = append(v.Topology.Nodes, catalog.Node{ID: n + 1, Addr: "n:1", State: catalog.NodeListed})
	}
	v.Groups = []catalog.Group{group(0, 0, all[:min(len(all), 5)], all[min(len(all), 5):]...)}
	w.log = []*catalog.Snapshot{v}
	for id := range wire.GroupID(w.r.IntN(11)) {
		v.Groups = append(v.Groups, group(id+1, 0, w.someOf(all)))
	}
	for i := range v.Groups {
		w.found(&v.Groups[i])
	}
	for _, n := range all {
		for _, t := range w.groups {
			if t.members.Contains(n) {
				t.replicas[n] = true
			}
		}
		w.generation[n], w.up[n] = wire.Generation(n), true
		w.register(n)
	}
	return w
}

// someOf draws one to four of list, sorted.
func (w *world) someOf(list ids) ids {
	want := min(len(list), 1+w.r.IntN(4))
	var out ids
	for i, n := range list {
		if w.r.IntN(len(list)-i) < want-len(out) {
			out = append(out, n)
		}
	}
	return out
}

func (w *world) found(g *catalog.Group) {
	w.groups[g.ID] = &truth{id: g.ID, members: g.Origin, replicas: map[wire.NodeID]bool{}, counted: map[wire.NodeID]bool{}, broken: map[wire.NodeID]bool{}}
}

func (w *world) register(n wire.NodeID) {
	w.apply(catalog.RegisterNode{ID: n, Generation: w.generation[n], Addr: "n:1"})
}

// admit has node n come with a new disk.
func (w *world) admit(n wire.NodeID) {
	old := w.node(n).Generation
	for _, id := range w.ids() {
		w.lose(w.groups[id], n)
	}
	fresh := wire.Generation(1000 + len(w.log))
	if w.apply(catalog.AdmitNode{ID: n, Generation: fresh, Old: old, Addr: "n:1"}) == catalog.Done {
		w.generation[n], w.up[n], w.applied[n] = fresh, true, len(w.log)-1
	}
}

// expendable reports whether every group has its quorum without the replicas of n, and the cluster somebody to turn to.
func (w *world) expendable(n wire.NodeID) bool {
	for id, t := range w.groups {
		if g, _ := w.now().FindGroup(id); g.Deleted {
			continue
		}
		if !w.intactWithout(t, n) {
			return false
		}
	}
	return w.othersEligible(n)
}

// intactWithout reports whether t has its quorum without the replica of n.
func (w *world) intactWithout(t *truth, n wire.NodeID) bool {
	return majority(t.members.Voters, func(x wire.NodeID) bool { return x != n && w.intact(t, x) })
}

func (w *world) othersEligible(n wire.NodeID) bool {
	for _, x := range w.now().Topology.Nodes {
		if x.ID != n && x.State == catalog.NodeActive && w.generation[x.ID] != 0 {
			return true
		}
	}
	return false
}

// event has something happen.
func (w *world) event() {
	nodes := w.now().Topology.Nodes
	n := nodes[w.r.IntN(len(nodes))]
	fresh := nodes[len(nodes)-1].ID + 1
	alive := func(x wire.NodeID) bool { return w.heard(w.now(), x) }
	switch w.r.IntN(14) {
	case 0, 1:
		if len(nodes) < 9 {
			w.admit(fresh)
		}
	case 2:
		if len(nodes) < 9 {
			w.apply(catalog.ListNode{ID: fresh, Addr: "n:1"})
		}
	case 3:
		if n.State == catalog.NodeListed {
			w.admit(n.ID)
		}
	case 4:
		if n.State == catalog.NodeActive && w.othersEligible(n.ID) {
			w.apply(catalog.SetNodeState{ID: n.ID, State: catalog.NodeDraining})
		}
	case 5:
		if n.State == catalog.NodeDraining {
			w.apply(catalog.SetNodeState{ID: n.ID, State: catalog.NodeActive})
		}
	case 6:
		if n.State != catalog.NodeListed && n.State != catalog.NodeRemoved && placement.CanRemove(w.now(), n.ID, alive) == nil {
			w.apply(catalog.SetNodeState{ID: n.ID, State: catalog.NodeLeaving})
		}
	case 7:
		if n.State != catalog.NodeRemoved && w.expendable(n.ID) {
			w.apply(catalog.SetNodeState{ID: n.ID, State: catalog.NodeRemoved}) // by force
			w.up[n.ID] = false
			w.tally["removed by force"]++
		}
	case 8:
		if n.State != catalog.NodeListed && n.State != catalog.NodeRemoved && w.expendable(n.ID) {
			w.trace("node %d: wiped", n.ID)
			w.admit(n.ID)
			w.tally["wiped"]++
		}
	case 9:
		w.up[n.ID] = w.generation[n.ID] != 0 && n.State != catalog.NodeRemoved && !w.up[n.ID]
	case 10:
		w.createGroup()
	case 11:
		g := w.now().Groups[w.r.IntN(len(w.now().Groups))]
		w.apply(catalog.DeleteGroup{ID: g.ID})
	case 12, 13:
		w.rot(n.ID)
	}
}

// rot damages a replica of node n on disk. It is out of service, and there until it is ended.
func (w *world) rot(n wire.NodeID) {
	for _, id := range w.ids() {
		t := w.groups[id]
		if g, _ := w.now().FindGroup(id); !g.Deleted && id != wire.MetadataGroup && t.replicas[n] && !t.broken[n] && w.intactWithout(t, n) {
			w.trace("group %d: damaged at %d", id, n)
			t.broken[n] = true
			w.tally["damaged"]++
			return
		}
	}
}

func (w *world) createGroup() {
	var can ids
	for _, n := range w.now().Topology.Nodes {
		if n.State == catalog.NodeActive {
			can = append(can, n.ID)
		}
	}
	if len(w.now().Groups) >= 16 || len(can) == 0 {
		return
	}
	voters := w.someOf(can)
	if w.chance(50) {
		voters = placement.Choose(w.now())
	}
	if w.apply(catalog.CreateGroup{Voters: voters}) == catalog.Done {
		w.found(&w.now().Groups[len(w.now().Groups)-1])
	}
}
