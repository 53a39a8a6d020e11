package hostsim

import (
	"fmt"
	"slices"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// administerManaged draws what an operator wants of the nodes; after a loss, that everybody helps.
func (s *Sim) administerManaged() []byte {
	v := s.newest()
	var on, off []wire.NodeID
	for _, n := range v.Topology.Nodes {
		switch n.State {
		case catalog.NodeActive:
			on = append(on, n.ID)
		case catalog.NodeDraining, catalog.NodeLeaving:
			off = append(off, n.ID)
		}
	}
	c := catalog.SetNodeState{ID: 1, State: catalog.NodeActive, IfVersion: v.Topology.Version}
	switch {
	case len(on) > 1 && !s.care.active && !s.heal.begun && chance(s.rng, 300):
		c.ID, c.State = on[s.rng.IntN(len(on))], catalog.NodeDraining
		s.care.intent = s.now
	case len(off) > 0:
		c.ID = off[s.rng.IntN(len(off))]
	}
	return c.Append(nil)
}

// sendAway has a node leave, if others are left.
func (s *Sim) sendAway() {
	m := s.member()
	if m == nil || s.care.active {
		return
	}
	v := m.catalog
	var active []wire.NodeID
	for _, n := range v.Topology.Nodes {
		if n.State == catalog.NodeActive {
			active = append(active, n.ID)
		}
	}
	if len(active) < 3 || len(active) == 3 && chance(s.rng, 700) {
		return
	}
	n := active[s.rng.IntN(len(active))]
	alive := func(n wire.NodeID) bool { return n == m.id || s.link(m.id, n).up }
	if placement.CanRemove(&v, n, alive) != nil {
		return
	}
	s.care.intent = s.now
	s.tell("node %d is asked to have node %d leave", m.id, n)
	s.propose(m, catalog.SetNodeState{ID: n, State: catalog.NodeLeaving, IfVersion: v.Topology.Version}, func(catalog.Result, error) {})
}

// makeOrDelete makes or deletes one of the spare groups, or deletes one that was imported, or is.
func (s *Sim) makeOrDelete() {
	m := s.member()
	if m == nil {
		return
	}
	g := wire.GroupID(s.plan.Groups + 1 + s.rng.IntN(s.plan.Spare+s.plan.Imported))
	if under := m.catalog.Imports; len(under) > 0 && chance(s.rng, 300) {
		g = under[s.rng.IntN(len(under))].ID
	}
	known, found := m.catalog.FindGroup(g)
	_, importing := m.catalog.FindImport(g)
	var c catalog.Change
	switch voters := placement.Choose(&m.catalog); {
	case found && !known.Deleted || importing && chance(s.rng, 500):
		c = catalog.DeleteGroup{ID: g}
	case int(g) > s.plan.Groups+s.plan.Spare && !importing: // only imports get these ids
		return
	case len(voters) > 0: // of a tombstone and of an import, too: it must be refused
		c = catalog.CreateGroup{ID: g, Voters: voters}
	default:
		return
	}
	s.propose(m, c, func(r catalog.Result, err error) {
		if known.Deleted && err == nil && !r.Outcome.Refused() {
			s.broken("tombstones", fmt.Errorf("group %d was deleted and is created again", g))
		}
	})
}

// wish has an operator want a group somewhere else, with fewer voters now and then; the planner makes it whole again.
func (s *Sim) wish() {
	m := s.member()
	if m == nil || s.care.active {
		return
	}
	v := m.catalog
	g := 1 + wire.GroupID(s.rng.IntN(int(s.plan.groups())-1))
	if known, found := v.FindGroup(g); !found || known.Deleted {
		return
	}
	var nodes []wire.NodeID
	for _, n := range v.Topology.Nodes {
		if n.State != catalog.NodeRemoved {
			nodes = append(nodes, n.ID)
		}
	}
	s.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	c := catalog.PlaceGroup{ID: g, Voters: nodes[:min(len(nodes), pick(s.rng, 1, 2, 3, 3, 3, 4, 5))], IfVersion: v.Topology.Version}
	if k := len(c.Voters); k < len(nodes) && chance(s.rng, 200) {
		c.Learners = nodes[k : k+1]
	}
	slices.Sort(c.Voters)
	s.care.intent = s.now
	s.tell("node %d is asked for group %d on %v and %v", m.id, g, c.Voters, c.Learners)
	s.propose(m, c, func(catalog.Result, error) {})
}
