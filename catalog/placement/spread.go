package placement

import (
	"slices"

	"flotilla/catalog"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// urgency orders the groups that are not placed as they should be.
type urgency uint8

const (
	content urgency = iota
	// misplaced: a draining node, too few voters or too many.
	misplaced
	// leaving: a node that is about to go.
	leaving
	// bereft: a node that is gone for good.
	bereft
	// rerouted: on its way to a node that may not be wanted any more. It moves anyway, so it needs no place.
	rerouted
)

// repair gives every data group the voters that it should have, the most urgent first, as long as there is a place.
func (p *planner) repair() {
	var queues [rerouted + 1][]*placed
	for i := range p.data {
		g := &p.data[i]
		if u := p.urgencyOf(g); u != content {
			queues[u] = append(queues[u], g)
		}
	}
	for u := rerouted; u > content; u-- {
		for _, g := range queues[u] {
			if !p.room() || !g.moving && !p.mayMove() {
				break
			}
			p.replace(g, p.refill(g))
		}
	}
}

// mayMove reports whether another data group may be set in motion.
func (p *planner) mayMove() bool { return p.moving < maxMovingData || mutant.Is(mutant.MoveAllAtOnce) }

// urgencyOf says how much g needs other voters. One that moves is left alone as long as all that it moves to are eligible.
func (p *planner) urgencyOf(g *placed) urgency {
	worst := content
	if !g.moving && (len(g.voters) != p.want || len(g.learners) > 0) {
		worst = misplaced
	}
	for _, list := range [...][]wire.NodeID{g.voters, g.learners} {
		for _, n := range list {
			s := p.roster.find(n)
			switch {
			case s != nil && s.eligible:
			case g.moving:
				return rerouted
			case s == nil || s.state == catalog.NodeRemoved:
				return bereft
			case s.state == catalog.NodeLeaving:
				worst = leaving
			default:
				worst = max(worst, misplaced)
			}
		}
	}
	return worst
}

// refill returns the voters that g should have: those that may stay, and the nodes with the fewest replicas in
// place of those that may not.
func (p *planner) refill(g *placed) []wire.NodeID {
	voters := p.roster.keepEligible(g.voters)
	for len(voters) > p.want {
		worst := voters[0]
		for _, n := range voters[1:] {
			if p.burden(g, n) >= p.burden(g, worst) {
				worst = n
			}
		}
		voters = without(voters, worst)
	}
	for len(voters) < p.want {
		voters = with(voters, p.roster.least(voters).id)
	}
	return voters
}

// burden is by how much n should rather lose g than others: by its replicas, and better not if it leads.
func (p *planner) burden(g *placed, n wire.NodeID) int {
	b := 2 * p.roster.find(n).replicas
	if n == g.leader {
		b--
	}
	return b
}

// replace makes voters all that g wants, and sees to its leader.
func (p *planner) replace(g *placed, voters []wire.NodeID) {
	p.roster.count(g.voters, -1)
	p.roster.count(voters, 1)
	g.voters, g.learners = voters, nil
	if !g.moving {
		g.moving = true
		p.moving++
	}
	if !slices.Contains(voters, g.leader) {
		p.appoint(g, p.leastLeading(g))
	}
	p.change(g)
}

// balance moves replicas from the node with the most to the one with the fewest. Each move makes the sum of squares
// smaller, so it ends; none is made that would only swap the two.
func (p *planner) balance() {
	for p.room() && p.mayMove() {
		from, to := p.roster.most(), p.roster.least(nil)
		if from == nil || from.replicas-to.replicas < 2 {
			return
		}
		g := p.movable(from.id, to.id)
		if g == nil {
			return // all that could move do so already
		}
		p.replace(g, with(without(g.voters, from.id), to.id))
	}
}

// movable returns a group at rest that from may give to to, rather one that from is not to lead; nil if there is none.
func (p *planner) movable(from, to wire.NodeID) *placed {
	var second *placed
	for i := range p.data {
		g := &p.data[i]
		if g.moving || !slices.Contains(g.voters, from) || slices.Contains(g.voters, to) {
			continue
		}
		if g.leader != from {
			return g
		}
		if second == nil {
			second = g
		}
	}
	return second
}
