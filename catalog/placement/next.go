package placement

import (
	"slices"

	"flotilla/catalog"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// View is what the leader of a group sees of it.
type View struct {
	// Self is the leader.
	Self wire.NodeID
	// Members is the membership in effect at the leader.
	Members wire.Membership
	// Alive reports whether a node was heard lately and serves the group. It is not asked for Self. It must not be nil.
	Alive func(wire.NodeID) bool
	// Settled says that the leader has not changed for a while: leadership may be moved for the sake of spread.
	Settled bool
}

// StepKind says what a leader is to do.
type StepKind uint8

// The steps.
const (
	// Nothing: wait, or all is as wanted.
	Nothing StepKind = iota
	// Report: have group 0 take note of the membership in effect (catalog.ReportMembers), after an empty entry.
	Report
	// Change: propose Step.Changes.
	Change
	// Transfer: hand leadership to Step.To.
	Transfer
)

// String returns the step's name.
func (k StepKind) String() string {
	if k > Transfer {
		return "unknown"
	}
	return [...]string{Nothing: "nothing", Report: "report", Change: "change", Transfer: "transfer"}[k]
}

// Step is the next thing that the leader of a group does to bring about what is wanted.
type Step struct {
	Kind StepKind
	// Changes are those of a Change. They move one voter at most, and are meant for the membership of the View only.
	Changes wire.ChangeSet
	// To is the next leader, of a Transfer.
	To wire.NodeID
}

// Next returns the next step of the leader of group id. v may be late: whoever decides by it does nothing that the
// present one would make unsafe, as a change is meant for the membership that v, too, knows to be in effect.
func Next(v *catalog.Snapshot, id wire.GroupID, w View) Step {
	g, found := v.FindGroup(id)
	m := &w.Members
	switch {
	case !found || g.Deleted || m.Joint(): // a joint configuration is left without being asked
		return Step{}
	case m.Index > g.Members.Index && !mutant.Is(mutant.ChangeUnreported):
		return Step{Kind: Report}
	case m.Index < g.Members.Index: // what is in effect elsewhere is not yet here
		return Step{}
	}
	d := duty{v: v, g: &g, w: &w, m: m}
	if slices.Contains(g.Lost, w.Self) {
		return d.handOver(w.Self) // another data directory has our name
	}
	for _, rule := range [...]func(*duty) Step{
		(*duty).takeOutLost, (*duty).takeOutRemoved, (*duty).add, (*duty).dropLearners, (*duty).dropVoter, (*duty).prefer,
	} {
		if s := rule(&d); s.Kind != Nothing {
			return s
		}
	}
	return Step{}
}

// Promotable reports whether learner n of group id is to vote once it has caught up (P14).
func Promotable(v *catalog.Snapshot, id wire.GroupID, n wire.NodeID) bool {
	g, found := v.FindGroup(id)
	if !found || g.Deleted || !slices.Contains(g.Voters, n) || slices.Contains(g.Lost, n) {
		return false
	}
	node, _ := v.Topology.Find(n)
	return node.State != catalog.NodeRemoved
}

// duty is one call of Next.
type duty struct {
	v *catalog.Snapshot
	g *catalog.Group
	w *View
	m *wire.Membership
}

// takeOutLost removes a member whose disk is gone, be its node back or not: what is there has not got the votes and
// entries that the group counts on, so it has to be added anew (N8).
func (d *duty) takeOutLost() Step {
	if mutant.Is(mutant.KeepLost) {
		return Step{}
	}
	return d.takeOut(func(n wire.NodeID) bool { return slices.Contains(d.g.Lost, n) })
}

// takeOutRemoved removes a member whose node is gone for good.
func (d *duty) takeOutRemoved() Step { return d.takeOut(d.removed) }

// takeOut removes the first voter that is gone, or all learners that are.
func (d *duty) takeOut(gone func(wire.NodeID) bool) Step {
	for _, n := range d.m.Voters {
		switch {
		case !gone(n) || len(d.m.Voters) == 1:
		case n == d.w.Self:
			if s := d.handOver(n); s.Kind != Nothing {
				return s
			}
		default:
			return d.change(wire.ChangeRemove, n)
		}
	}
	return d.changeAll(wire.ChangeRemove, filter(d.m.Learners, gone))
}

// add makes learners of all nodes that are wanted and not here, voters to be among them (D60). One that was a member before is
// waited for until it has ended its replica of that time.
func (d *duty) add() Step {
	absent := func(n wire.NodeID) bool {
		return !d.m.Contains(n) && !d.removed(n) && !slices.Contains(d.g.Lost, n) && (d.g.LeftAt(n) == 0 || mutant.Is(mutant.AddBeforeEnded))
	}
	fresh := append(filter(d.g.Voters, absent), filter(d.g.Learners, absent)...)
	kind := wire.ChangeAddLearner
	if mutant.Is(mutant.AddVoters) {
		kind = wire.ChangePromote
	}
	return d.changeAll(kind, fresh[:min(len(fresh), wire.MaxMembers-len(d.m.Voters)-len(d.m.Learners))])
}

// dropLearners removes the learners that are not wanted; in group 0 those only that leave: a node that joins may be one
// before it is planned for.
func (d *duty) dropLearners() Step {
	return d.changeAll(wire.ChangeRemove, filter(d.m.Learners, func(n wire.NodeID) bool {
		node, _ := d.v.Topology.Find(n)
		return !d.g.Wants(n) && (d.g.ID != wire.MetadataGroup || node.State == catalog.NodeLeaving)
	}))
}

// dropVoter demotes or removes a voter that is not wanted, once all that are wanted vote: the group is never smaller than
// it was and than it is to be. It goes only if the others are alive enough without it (D62). The leader is
// the last to go, and hands over first (D61).
func (d *duty) dropVoter() Step {
	if !d.complete() {
		return Step{}
	}
	extra := filter(d.m.Voters, func(n wire.NodeID) bool { return !slices.Contains(d.g.Voters, n) && d.spares(n) })
	demote := filter(extra, func(n wire.NodeID) bool { return slices.Contains(d.g.Learners, n) })
	for _, n := range append(demote, extra...) {
		switch {
		case n == d.w.Self && !mutant.Is(mutant.RemoveLeader):
		case slices.Contains(d.g.Learners, n):
			return d.change(wire.ChangeDemote, n)
		default:
			return d.change(wire.ChangeRemove, n)
		}
	}
	if slices.Contains(extra, d.w.Self) {
		return d.handOver(d.w.Self)
	}
	return Step{}
}

// complete reports whether all wanted voters vote.
func (d *duty) complete() bool {
	if mutant.Is(mutant.DropBeforeAll) {
		return true
	}
	return len(d.g.Voters) > 0 && !slices.ContainsFunc(d.g.Voters, func(n wire.NodeID) bool { return !slices.Contains(d.m.Voters, n) })
}

// spares reports whether the voters other than n decide without it. They do if n is not alive, or nothing could be changed; but
// whether it is, the leader may not know for certain, and who was lost does not count, alive or not.
func (d *duty) spares(n wire.NodeID) bool {
	if mutant.Is(mutant.DropQuorum) {
		return true
	}
	others := without(d.m.Voters, n)
	able := filter(others, func(x wire.NodeID) bool { return d.alive(x) && !slices.Contains(d.g.Lost, x) })
	return 2*len(able) > len(others)
}

// prefer hands leadership to the preferred leader, if that votes and is well. Group 0 is led by a member of its origin, if one is well: the
// log of a node that joined begins where it joined, and members that were down since before that cannot be brought up from it.
func (d *duty) prefer() Step {
	to := d.g.Leader
	if d.g.ID == wire.MetadataGroup && d.g.SinceOf(d.w.Self) != 0 {
		whole := filter(d.m.Voters, func(n wire.NodeID) bool { return d.g.SinceOf(n) == 0 && d.fit(n) })
		if len(whole) > 0 {
			to = whole[0]
		}
	}
	if !d.w.Settled || to == d.w.Self || !d.fit(to) {
		return Step{}
	}
	return Step{Kind: Transfer, To: to}
}

// handOver hands leadership from self, which is to go, to the preferred leader, another wanted voter, or any other.
func (d *duty) handOver(self wire.NodeID) Step {
	for _, list := range [...][]wire.NodeID{{d.g.Leader}, d.g.Voters, d.m.Voters} {
		for _, n := range list {
			if n != self && d.fit(n) {
				return Step{Kind: Transfer, To: n}
			}
		}
	}
	return Step{}
}

// fit reports whether n can lead: it votes, is alive and is not to go.
func (d *duty) fit(n wire.NodeID) bool {
	return slices.Contains(d.m.Voters, n) && d.alive(n) && !d.removed(n) && !slices.Contains(d.g.Lost, n)
}

func (d *duty) alive(n wire.NodeID) bool { return n == d.w.Self || d.w.Alive(n) }

func (d *duty) removed(n wire.NodeID) bool {
	node, _ := d.v.Topology.Find(n)
	return node.State == catalog.NodeRemoved
}

func (d *duty) change(kind wire.ChangeKind, n wire.NodeID) Step {
	return d.changeAll(kind, []wire.NodeID{n})
}

// changeAll does the same to all nodes in list, or to as many as one step may change.
func (d *duty) changeAll(kind wire.ChangeKind, list []wire.NodeID) Step {
	if len(list) == 0 {
		return Step{}
	}
	set := wire.ChangeSet{SetBase: !mutant.Is(mutant.ChangeWithoutBase), Base: d.m.Index}
	for _, n := range list[:min(len(list), wire.MaxChanges)] {
		set.Changes = append(set.Changes, wire.Change{Kind: kind, Node: n})
	}
	return Step{Kind: Change, Changes: set}
}

// filter returns a new list of those in list that keep holds for.
func filter(list []wire.NodeID, keep func(wire.NodeID) bool) []wire.NodeID {
	var out []wire.NodeID
	for _, n := range list {
		if keep(n) {
			out = append(out, n)
		}
	}
	return out
}
