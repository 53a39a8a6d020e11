package placement

import (
	"slices"

	"flotilla/catalog"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Plan returns what the metadata leader is to propose now, in this order and up to the first that is refused; nothing when it
// is content. The k-th change is meant for the topology that the k-1 before it make, so if anything else comes between, it is
// refused and Plan is to be asked again. It is deterministic and bounded, and proposing and carrying out what it returns comes to an end.
//
// v holds every node of the cluster; it is not written to, and what is returned shares no list with it that changes.
func Plan(v *catalog.Snapshot) []catalog.Change {
	p := newPlanner(v)
	if p.eligible == 0 {
		return nil // whoever there is stays where it is: there is nobody better
	}
	p.occupy()
	p.planMeta()
	p.repair()
	p.balance()
	p.lead()
	p.retire()
	return p.changes()
}

// planner is one call of Plan.
type planner struct {
	v      *catalog.Snapshot
	roster roster
	// eligible counts the eligible nodes; want is the number of voters that each data group is to have.
	eligible, want int
	// meta is group 0, data the live data groups by rising ids; they hold what is wanted once this Plan is carried out.
	meta placed
	data []placed
	// moving counts the data groups in motion.
	moving int
	// chosen are the groups that this Plan changes, in that order.
	chosen []*placed
	// gone are the nodes that have left.
	gone []wire.NodeID
}

// placed is a group and what this Plan wants of it.
type placed struct {
	*catalog.Group
	voters, learners []wire.NodeID
	leader           wire.NodeID
	// moving: its members are not the wanted ones, or one of them was lost. changed: this Plan wants another thing.
	moving, changed bool
}

func place(g *catalog.Group) placed {
	return placed{Group: g, voters: g.Voters, learners: g.Learners, leader: g.Leader, moving: !g.Settled()}
}

func newPlanner(v *catalog.Snapshot) *planner {
	p := &planner{v: v, roster: newRoster(v), data: make([]placed, 0, len(v.Groups))}
	p.eligible = p.roster.countEligible()
	p.want = min(max(int(min(v.Settings.Replication, wire.MaxMembers)), 1), p.eligible)
	for i := range v.Groups {
		g := &v.Groups[i]
		switch {
		case g.ID == wire.MetadataGroup:
			p.meta = place(g)
		case !g.Deleted:
			p.data = append(p.data, place(g))
			p.count(&p.data[len(p.data)-1])
		}
	}
	return p
}

// count adds what g wants to the roster.
func (p *planner) count(g *placed) {
	p.roster.count(g.voters, 1)
	if s := p.roster.find(g.leader); s != nil {
		s.leads++
	}
	if g.moving {
		p.moving++
	}
}

// room reports whether this Plan may change another group.
func (p *planner) room() bool { return len(p.chosen)+len(p.gone) < maxChanges }

// change notes that this Plan changes g.
func (p *planner) change(g *placed) {
	if !g.changed {
		g.changed = true
		p.chosen = append(p.chosen, g)
	}
}

// changes returns what is to be proposed.
func (p *planner) changes() []catalog.Change {
	var out []catalog.Change
	version := p.v.Topology.Version
	for _, g := range p.chosen {
		out = append(out, catalog.PlaceGroup{ID: g.ID, Voters: g.voters, Learners: g.learners, Leader: g.leader, IfVersion: version})
		version++
	}
	for _, n := range p.gone {
		out = append(out, catalog.SetNodeState{ID: n, State: catalog.NodeRemoved, IfVersion: version})
		version++
	}
	return out
}

// occupy notes which leaving nodes hold something yet.
func (p *planner) occupy() {
	if !slices.ContainsFunc(p.roster, func(s seat) bool { return s.state == catalog.NodeLeaving }) {
		return
	}
	for i := range p.data {
		g := &p.data[i]
		p.roster.occupy(g.Members.Voters)
		p.roster.occupy(g.Members.Learners)
		p.roster.occupy(g.voters)
		p.roster.occupy(g.learners)
	}
	p.roster.occupy(p.meta.Members.Voters)
	p.roster.occupy(p.meta.voters)
}

// retire finds the leaving nodes that nothing holds any more. They have left group 0 last, and that was reported: a learner may
// have become a voter since the last report, and would stop when it is told that it was removed, perhaps with the quorum.
func (p *planner) retire() {
	for _, s := range p.roster {
		member := p.meta.Group != nil && (p.meta.Members.Contains(s.id) || p.meta.Wants(s.id))
		if s.state == catalog.NodeLeaving && !s.busy && (!member || mutant.Is(mutant.RetireMember)) && p.room() {
			p.gone = append(p.gone, s.id)
		}
	}
}

// with returns a new sorted list that has n, too.
func with(list []wire.NodeID, n wire.NodeID) []wire.NodeID {
	at, found := slices.BinarySearch(list, n)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), at, n)
}

// without returns a new list that has not got n; nil instead of an empty one.
func without(list []wire.NodeID, n wire.NodeID) []wire.NodeID {
	var out []wire.NodeID
	for _, x := range list {
		if x != n {
			out = append(out, x)
		}
	}
	return out
}
