package placement

import "slices"

// lead gives every data group at rest a preferred leader among its eligible voters and spreads them. A leader stays while it
// may lead and has not two groups more than the voter with the fewest: moving one then would only swap the two.
func (p *planner) lead() {
	moved := 0
	for i := range p.data {
		g := &p.data[i]
		if !g.changed && (g.moving || !p.room() || p.urgencyOf(g) == bereft) { // who is gone cannot be wanted once more
			continue
		}
		to := p.leastLeading(g)
		if to == nil || g.leader == to.id {
			continue
		}
		if now := p.roster.find(g.leader); now != nil && now.eligible && slices.Contains(g.voters, g.leader) {
			if now.leads-to.leads < 2 || moved == maxLeaderMoves {
				continue
			}
			moved++
		}
		p.appoint(g, to)
		p.change(g)
	}
}

// leastLeading returns the eligible one of g's voters that leads the fewest groups, the one with the lowest id of
// several; nil if there is none.
func (p *planner) leastLeading(g *placed) *seat {
	var best *seat
	for _, n := range g.voters {
		if s := p.roster.find(n); s != nil && s.eligible && (best == nil || s.leads < best.leads) {
			best = s
		}
	}
	return best
}

// appoint makes to the preferred leader of g.
func (p *planner) appoint(g *placed, to *seat) {
	if was := p.roster.find(g.leader); was != nil {
		was.leads--
	}
	g.leader = to.id
	to.leads++
}
