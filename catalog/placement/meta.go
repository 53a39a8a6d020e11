package placement

import (
	"slices"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// planMeta places group 0, which every node belongs to. Its voters stay as long as they are eligible. It has no preferred
// leader of ours: one group's leadership weighs nothing, and each change of it raises the epoch.
func (p *planner) planMeta() {
	g := &p.meta
	if g.Group == nil {
		return // unborn
	}
	voters := g.voters
	if !g.moving || !p.roster.allEligible(voters) {
		voters = p.roster.keepEligible(voters)
		for i := 0; i < len(p.roster) && len(voters) < min(p.eligible, metaVoters); i++ {
			if s := &p.roster[i]; s.eligible {
				voters = with(voters, s.id)
			}
		}
	}
	// A node that joins becomes a learner at once, whatever else is in motion: it has no catalog before. One that leaves stays one
	// until it has lost everything else, and does not come back: its replica here was not ended.
	var learners []wire.NodeID
	for i := range p.roster {
		s := &p.roster[i]
		here := s.state != catalog.NodeRemoved && (s.registered || s.eligible)
		if s.state == catalog.NodeLeaving {
			here = s.busy && g.Wants(s.id)
		}
		if here && !slices.Contains(voters, s.id) && len(voters)+len(learners) < wire.MaxMembers {
			learners = append(learners, s.id)
		}
	}
	if slices.Equal(voters, g.voters) && slices.Equal(learners, g.learners) {
		return
	}
	g.voters, g.learners = voters, learners
	if !slices.Contains(voters, g.leader) {
		g.leader = wire.NoNode
	}
	p.change(g)
}
