package hostsim

import (
	"time"

	"flotilla/raft/wire"
)

// link is what lies between two hosts: two directions of a network that can be cut, and at most one connection.
type link struct {
	a, b *host   // by id
	cut  [2]bool // from a to b, from b to a
	up   bool
	// life numbers connections; what was on its way in an earlier one is gone.
	life int
	// review numbers changes of the network and of the hosts: only the last one counts.
	review    uint32
	arrived   [2][lanes]time.Duration // when the last frame arrives, by direction and lane
	forwards  []*forward              // under way, in the order they were asked
	transfers []*transfer             // likewise
}

// side returns 0 for what h sends over l, 1 for what the other one does.
func (l *link) side(h *host) int {
	if h == l.a {
		return 0
	}
	return 1
}

func (l *link) other(h *host) *host {
	if h == l.a {
		return l.b
	}
	return l.a
}

// whole reports whether a connection can stand: both hosts run and know each other, and frames get through.
func (l *link) whole(halfOpen bool) bool {
	cut := l.cut[0] || l.cut[1]
	if halfOpen {
		cut = l.cut[0] && l.cut[1]
	}
	a, b := l.a, l.b
	known := a.knows(b.id, b.catalog.Identity.Generation) && b.knows(a.id, a.catalog.Identity.Generation)
	return a.up && b.up && !a.paused() && !b.paused() && !cut && (known || a.s.plan.sabotage == blindGeneration)
}

// link returns the link between two hosts.
func (s *Sim) link(a, b wire.NodeID) *link {
	if a > b {
		a, b = b, a
	}
	return s.links[int(a)*maxNodes+int(b)]
}

// reviewLinks is called when something has happened to h.
func (s *Sim) reviewLinks(h *host) {
	for _, o := range s.hosts {
		if o != h {
			s.review(s.link(h.id, o.id))
		}
	}
}

// review has a look at a link when its ends may have noticed: the silence of the other one takes an election timeout to
// be noticed, a connection some time to be made again.
func (s *Sim) review(l *link) {
	l.review++
	d := between(s.rng, time.Millisecond, 250*time.Millisecond)
	if l.up {
		d = s.plan.Election
		if l.whole(s.plan.HalfOpen) {
			return // nobody noticed
		}
	}
	s.after(d, &task{kind: taskConnect, link: l, value: l.review})
}

// connect is the review.
func (s *Sim) connect(l *link) {
	whole := l.whole(s.plan.HalfOpen)
	switch {
	case whole && !l.up:
		l.up = true
		l.life++
		s.stats.Connections++
		s.tell("nodes %d and %d are connected", l.a.id, l.b.id)
		s.peer(l, wire.PeerUp)
	case !whole && l.up:
		s.disconnect(l, wire.PeerDown)
	}
}

// disconnect ends the connection of l. Requests under way have an unknown outcome.
func (s *Sim) disconnect(l *link, why wire.PeerEvent) {
	if !l.up {
		return
	}
	l.up = false
	l.life++
	s.tell("nodes %d and %d are not connected any more", l.a.id, l.b.id)
	under := l.forwards
	l.forwards = nil
	for _, f := range under {
		f.lost()
	}
	l.endTransfers()
	s.peer(l, why)
	s.review(l)
}

// peer tells both ends of a link, when they run, what has become of the other.
func (s *Sim) peer(l *link, what wire.PeerEvent) {
	for _, h := range [...]*host{l.a, l.b} {
		s.on(h, h.life, func() { h.engine().HandlePeer(l.other(h).id, what) })
	}
}

// sayGoodbye tells the peers of a host that it stops on purpose.
func (s *Sim) sayGoodbye(h *host) {
	for _, o := range s.hosts {
		if o == h || !s.link(h.id, o.id).up {
			continue
		}
		f := s.newFrame(h, o.id, frameGoodbye, laneControl)
		s.write(h, f)
	}
}
