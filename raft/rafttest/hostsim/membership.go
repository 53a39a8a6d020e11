package hostsim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"flotilla/raft/wire"
)

// Membership is the part of a plan about nodes and groups that come and go. Where it is managed, the nodes' stewards see to all
// placement, as in flotilla itself (docs/adr/0006), and Plan.ChangeEvery is how often an operator wants a group elsewhere; elsewhere
// members are changed at random, and the catalog knows nothing of it.
type Membership struct {
	Managed bool
	// Spare counts the data groups that may be made, and deleted, while the cluster runs.
	Spare int
	// JoinEvery, LeaveEvery, LossEvery and GroupEvery are the mean times between nodes that join, that are sent away, that lose their
	// disk or are removed by force, and between groups made or deleted.
	JoinEvery, LeaveEvery, LossEvery, GroupEvery time.Duration
	// Ghosts is the rate of lost data directories that run once more after their node was admitted with another one.
	Ghosts int
}

// drawMembership draws from a source of its own, so that the rest of a seed's plan is what it was before there was this part.
func (p *Plan) drawMembership() {
	r := rand.New(rand.NewPCG(p.Seed, 0xa0761d6478bd642f))
	if p.Peaceful || p.Replicas < 3 || chance(r, 350) {
		return
	}
	p.Managed = true
	p.JoinEvery = fault(r, 30*time.Second, 4*time.Minute)
	p.LeaveEvery = fault(r, 40*time.Second, 4*time.Minute)
	if chance(r, 700) {
		p.LossEvery = between(r, 30*time.Second, 4*time.Minute)
	}
	if p.GroupEvery = fault(r, 20*time.Second, 3*time.Minute); p.GroupEvery > 0 {
		p.Spare = 1 + r.IntN(4)
	}
	p.Ghosts = pick(r, 0, 300, 700)
}

// String tells it in a line.
func (m *Membership) String() string {
	if !m.Managed {
		return "unmanaged"
	}
	return fmt.Sprintf("managed; every: join %v leave %v loss %v (ghosts %d) group %v (%d spare)", m.JoinEvery, m.LeaveEvery, m.LossEvery, m.Ghosts, m.GroupEvery, m.Spare)
}

// groups is one more than the highest id of a group in this run.
func (p *Plan) groups() wire.GroupID { return wire.GroupID(p.Groups + p.Spare + p.Imported + 1) }
