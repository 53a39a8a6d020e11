package hostsim

import (
	"slices"
	"time"

	"flotilla/catalog"
	"flotilla/raft/rafttest/hostsim/depot"
	"flotilla/raft/wire"
)

const (
	// careFor is how long a loss waits for a time when the cluster can bear it: no group survives all its disks.
	careFor = 2 * time.Minute
	// afterIntent is how long nobody must have asked for a smaller cluster before that.
	afterIntent = 15 * time.Second
)

// care is an operator's who has lost a disk or a node, or is about to: until it is made up for, nothing else is taken away. Two
// losses at a time may take acknowledged writes with them, by nobody's fault.
type care struct {
	active bool
	until  time.Duration
	victim *host // nil before
	forced bool  // removed by force, not replaced
	// intent is when somebody last asked for a group or the cluster to be smaller.
	intent time.Duration
}

// directory is what survives a process.
type directory struct {
	disk      *disk
	depot     *depot.Depot
	catalog   catalog.Snapshot
	kept      []keptState
	metaCount int
}

// planLoss begins to wait for a time when a disk may be lost.
func (s *Sim) planLoss() {
	if !s.care.active {
		s.care.active, s.care.until = true, s.now+careFor
		s.after(time.Second, &task{kind: taskCare})
	}
}

// tendCare is a look at how it stands.
func (s *Sim) tendCare() {
	c := &s.care
	switch v := c.victim; {
	case v == nil && (s.heal.begun || s.now > c.until), v != nil && s.repaired():
		s.tell("the operator's care has ended")
		s.care = care{intent: c.intent}
		return
	case v == nil && s.bearable():
		s.lose()
	case v != nil && c.forced:
		s.removeByForce(v)
	}
	s.after(time.Second, &task{kind: taskCare})
}

// bearable reports whether every group survives the loss of any one disk now and until it is made up for.
func (s *Sim) bearable() bool {
	v := s.newest()
	if s.clients[0].op != nil || s.now < s.care.intent+afterIntent || !s.settled(v) {
		return false
	}
	for _, n := range v.Topology.Nodes {
		if n.State != catalog.NodeActive && n.State != catalog.NodeRemoved {
			return false
		}
	}
	for g := range v.Live() {
		if len(g.Members.Voters) < 3 {
			return false
		}
	}
	return !slices.ContainsFunc(s.hosts, func(h *host) bool { return h.stage == stageOutside || h.haunted })
}

// settled reports whether all groups are where they are wanted, in their logs as well, and without nodes that were removed: where they are
// wanted may not have been planned anew yet.
func (s *Sim) settled(v *catalog.Snapshot) bool {
	for g := range v.Live() {
		if !g.Settled() || s.memberships[g.ID].Index != g.Members.Index {
			return false
		}
		for _, n := range g.Members.Members() {
			if node, _ := v.Topology.Find(n); node.State == catalog.NodeRemoved {
				return false
			}
		}
	}
	return true
}

// lose takes a disk, or a whole node.
func (s *Sim) lose() {
	active := 0
	for _, n := range s.newest().Topology.Nodes {
		if n.State == catalog.NodeActive {
			active++
		}
	}
	h := s.someone()
	if h.stage != stageMember || s.announcing(h) {
		return
	}
	s.care.victim = h
	if s.care.forced = active > 3 && chance(s.rng, 300); s.care.forced {
		s.tell("node %d is to be removed by force", h.id)
		if chance(s.rng, 500) {
			s.switchOff(h)
		}
		s.removeByForce(h)
		return
	}
	if chance(s.rng, 400) && s.breakReplica(h) {
		return
	}
	s.stats.Replaced++
	s.tell("node %d loses its disk", h.id)
	s.crash(h)
	if s.plan.sabotage == silentLoss {
		s.replaceSilently(h)
		return
	}
	for g := range s.plan.groups() {
		s.checks.rebirths.Lost(h.id, g)
	}
	if h.ghost = nil; chance(s.rng, s.plan.Ghosts) {
		h.ghost = &directory{h.disk, h.depot, h.catalog, h.kept, h.metaCount}
	}
	s.empty(h, between(s.rng, time.Millisecond, s.plan.DownMax))
}

// replaceSilently is a sabotage: the logs of data groups are gone, and the node goes on as if they had never been.
func (s *Sim) replaceSilently(h *host) {
	for g := wire.GroupID(1); g < s.plan.groups(); g++ {
		if _, here := h.disk.State(g); here {
			s.broken("disk", h.disk.Commit([]wire.LogUpdate{{Group: g, Drop: true}}))
			h.kept[g] = keptState{}
			s.checks.rebirths.Lost(h.id, g)
		}
	}
	s.start(h)
}

// removeByForce has a node removed that nobody waits for.
func (s *Sim) removeByForce(h *host) {
	if m := s.member(); m != nil && m != h {
		s.propose(m, catalog.SetNodeState{ID: h.id, State: catalog.NodeRemoved}, func(catalog.Result, error) {})
	}
}

// repaired reports whether the loss is made up for.
func (s *Sim) repaired() bool {
	v, h := s.newest(), s.care.victim
	n, _ := v.Topology.Find(h.id)
	switch {
	case s.care.forced && n.State != catalog.NodeRemoved, h.haunted, h.broken != wire.MetadataGroup, !s.settled(v):
		return false
	case n.State == catalog.NodeRemoved:
		return true
	}
	return h.stage == stageMember && n.Generation == h.catalog.Identity.Generation
}

// haunt runs the directory that was lost in place of the one that its node was admitted with.
func (s *Sim) haunt(h *host) {
	if h.ghost == nil || h.haunted || h.stage != stageMember || s.heal.begun {
		return
	}
	s.stats.Ghosts++
	s.tell("node %d runs with its lost data directory", h.id)
	h.haunted = true
	s.exchange(h)
	s.after(between(s.rng, time.Second, 20*time.Second), &task{kind: taskExorcise, host: h, life: anyLife})
}

// exorcise ends that.
func (s *Sim) exorcise(h *host) {
	if h.haunted {
		s.tell("node %d runs with its new data directory again", h.id)
		h.haunted = false
		s.exchange(h)
		h.ghost = nil
	}
}

// exchange has a node go on with its other directory.
func (s *Sim) exchange(h *host) {
	s.crash(h)
	other := h.ghost
	h.ghost = &directory{h.disk, h.depot, h.catalog, h.kept, h.metaCount}
	h.disk, h.depot, h.catalog, h.kept, h.metaCount = other.disk, other.depot, other.catalog, other.kept, other.metaCount
	h.life++
	s.inspect(h)
	if h.stage == stageMember {
		s.start(h)
	}
}
