package rafttest

import "flotilla/raft/wire"

// The simulator as a host that lets groups sleep, and looks after nodes instead.

// tick advances a core that does not sleep, and puts its group to sleep when nothing has happened for a while.
func (s *Sim) tick(n wire.NodeID) {
	if s.cluster.Asleep(n) {
		return
	}
	s.cluster.Tick(n)
	h := s.hosts[n]
	if s.plan.QuietTicks == 0 || !s.cluster.Up(n) || !s.cluster.nodes[n].core.CanSleep() {
		h.quiet = 0
		return
	}
	if h.quiet++; h.quiet >= s.plan.QuietTicks {
		h.quiet = 0
		s.cluster.Sleep(n)
	}
}

// beaconTime is how often a host looks who was not heard: an election timeout of the slowest clock.
func (s *Sim) beaconTime() Time {
	return Time(s.plan.Core.ElectionTicks) * (tickEvery + Time(s.plan.TickSkew))
}

// listen tells a node which peers are lost: those that are down, stand still or cannot be heard, and those that were
// started anew since it last looked.
func (s *Sim) listen(n wire.NodeID) {
	h := s.hosts[n]
	if !s.cluster.Up(n) {
		return
	}
	if h.lives == nil {
		h.lives = map[wire.NodeID]int{}
	}
	for _, o := range s.cluster.Nodes() {
		other := s.hosts[o]
		anew := h.lives[o] != 0 && h.lives[o] != other.life
		h.lives[o] = other.life
		if o != n && (anew || !s.cluster.Up(o) || other.pausedTo > s.cluster.now || s.cuts[route{o, n}]) {
			s.cluster.PeerLost(n, o)
		}
	}
}
