package hostsim

import (
	"fmt"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/raft/logstore/logstoretest"
	"flotilla/raft/wire"
)

// stage is how far a node is in the life of a cluster.
type stage uint8

const (
	stageMember stage = iota
	// stageOutside: its data directory is empty, and it asks members to take it in.
	stageOutside
	// stageGone: it was removed and is switched off.
	stageGone
)

// fate is what has become of a group.
type fate uint8

const (
	groupUnborn   fate = iota
	groupImported      // its id is given out
	groupLives
	groupDeleted
)

// newcomer adds a node that nobody knows, unless there are enough.
func (s *Sim) newcomer() {
	if len(s.hosts) == maxNodes-1 || len(s.living()) > 7 {
		return
	}
	h := &host{s: s, id: wire.NodeID(len(s.hosts) + 1), tick: s.plan.Heartbeat}
	for _, o := range s.hosts {
		s.links[int(o.id)*maxNodes+int(h.id)] = &link{a: o, b: h}
	}
	s.hosts = append(s.hosts, h)
	s.stats.Joined++
	s.empty(h, between(s.rng, 0, 5*time.Second))
}

// empty gives a node a new and empty data directory, with which it begins to join.
func (s *Sim) empty(h *host, after time.Duration) {
	s.generations++
	h.disk, h.depot, h.metaCount, h.pausedTo = newDisk(h, logstoretest.NewMemory()), newDepot(), 0, 0
	h.catalog = catalog.Snapshot{Identity: catalog.Identity{
		ClusterID: wire.ClusterID{1}, ClusterName: "simulated", NodeID: h.id, Generation: wire.Generation(1000*s.generations) + wire.Generation(h.id),
	}}
	h.stage, h.kept = stageOutside, make([]keptState, s.plan.groups())
	h.life++
	s.inspect(h)
	s.tell("node %d has an empty data directory, generation %d", h.id, h.catalog.Identity.Generation)
	s.after(after, &task{kind: taskJoin, host: h, life: anyLife})
}

// knows reports whether h takes node n, which comes with a generation, for one of the cluster; see quictransport.
func (h *host) knows(n wire.NodeID, came wire.Generation) bool {
	known, _ := h.catalog.Topology.Find(n)
	return known.State != catalog.NodeRemoved && (known.Generation == 0 || known.Generation == came)
}

// reached tells the checkers of messages that the engine of h is about to be given.
func (s *Sim) reached(h *host, f *frame) {
	known, _ := h.catalog.Topology.Find(f.from.id)
	s.broken("identities", s.checks.identities.Reached(h.id, f.from.id, f.generation, known.Generation, known.State == catalog.NodeRemoved))
}

// speaks holds a message that leaves against the tombstones.
func (s *Sim) speaks(h *host, m *wire.Message) error {
	if m.Type == wire.MsgGroupRefused || h.haunted {
		return nil
	}
	return s.checks.tombstones.Served(h.id, m.Group)
}

// living returns the members that were not removed.
func (s *Sim) living() (in []*host) {
	for _, h := range s.hosts {
		if h.stage == stageMember {
			in = append(in, h)
		}
	}
	return in
}

// newest returns the catalog that is furthest, be its node up or not.
func (s *Sim) newest() *catalog.Snapshot {
	best := s.hosts[0]
	for _, h := range s.hosts {
		if h.catalog.Applied > best.catalog.Applied {
			best = h
		}
	}
	return &best.catalog
}

// member draws a node that can act for the cluster, nil when it draws one that cannot.
func (s *Sim) member() *host {
	m := s.hosts[s.rng.IntN(len(s.hosts))]
	if !m.up || m.paused() || m.stopping || !m.ready || m.fence.Administrable() != nil {
		return nil
	}
	return m
}

// join has a node ask a member to take it in: as catalog/steward's joiner and welcome, but for the bytes' way.
func (s *Sim) join(h *host) {
	if h.stage != stageOutside {
		return
	}
	s.after(between(s.rng, 20*time.Millisecond, time.Second), &task{kind: taskJoin, host: h, life: anyLife})
	m := s.member()
	if m == nil || m == h || s.link(m.id, h.id).cut != [2]bool{} {
		return
	}
	n, _ := m.catalog.Topology.Find(h.id)
	own := h.catalog.Identity.Generation
	switch {
	case n.State == catalog.NodeRemoved:
		s.tell("node %d was removed and does not join", h.id)
		h.stage = stageGone
	case n.Generation == own:
		s.welcome(h, m)
	default:
		s.tell("node %d asks node %d to admit generation %d, old %d", h.id, m.id, own, n.Generation)
		s.propose(m, catalog.AdmitNode{ID: h.id, Generation: own, Old: n.Generation, Addr: fmt.Sprintf("node%d", h.id)}, func(catalog.Result, error) {})
	}
}

// welcome gives a node what it begins with, if m can tell.
func (s *Sim) welcome(h, m *host) {
	view := m.catalog
	meta, _ := view.FindGroup(wire.MetadataGroup)
	st, _ := m.engine().GroupStatus(wire.MetadataGroup)
	if !meta.Hosted(h.id) || view.Applied < meta.SinceOf(h.id) || st.Members.Index > view.Applied || st.Members.Joint() || !st.Members.Contains(h.id) {
		return
	}
	term, err := m.disk.Term(wire.MetadataGroup, view.Applied)
	if err != nil {
		return
	}
	shared, err := catalog.ReadShared(view.AppendShared(nil))
	if s.broken("catalog", err) {
		return
	}
	shared.Born, shared.Identity = true, h.catalog.Identity
	if s.broken("disk", birth.CreateBase(h.disk, view.Applied, term, st.Members)) {
		return
	}
	if h.lying() {
		h.disk.HoldSyncs()
	}
	s.broken("rebirths", s.checks.rebirths.Made(h.id, wire.MetadataGroup))
	h.catalog, h.metaCount, h.stage = shared, m.metaCount, stageMember
	s.tell("node %d is taken in by node %d, at %d of term %d", h.id, m.id, view.Applied, term)
	s.start(h)
	if h.ghost != nil {
		s.after(between(s.rng, 0, 20*time.Second), &task{kind: taskHaunt, host: h, life: anyLife})
	}
}

// learnTopology is a node's metadata with other nodes or groups than before.
func (s *Sim) learnTopology(h *host) {
	self, _ := h.catalog.Topology.Find(h.id)
	s.later(h, func() {
		s.reviewLinks(h)
		switch {
		case self.State == catalog.NodeRemoved:
			s.switchOff(h)
		case h.haunted && self.Generation != h.catalog.Identity.Generation:
			s.exorcise(h)
		case s.plan.Managed:
			s.lookNow(h)
		}
	})
}

// decided is a metadata command that is applied for the first time.
func (s *Sim) decided(data []byte, result []byte) {
	change, err := catalog.ParseChange(data)
	r, malformed := catalog.ParseResult(result)
	if s.broken("catalog", err) || s.broken("catalog", malformed) || r.Outcome != catalog.Done {
		return
	}
	switch c := change.(type) {
	case catalog.AdmitNode:
		s.tell("node %d is admitted with generation %d", c.ID, c.Generation)
		s.endImports(c.ID)
	case catalog.SetNodeState:
		s.tell("node %d is %s", c.ID, c.State)
		if c.State == catalog.NodeRemoved {
			s.stats.Left++
			s.endImports(c.ID)
			s.after(between(s.rng, 0, 30*time.Second), &task{kind: taskOff, host: s.hosts[c.ID-1], life: anyLife})
		}
	case catalog.CreateGroup:
		g := wire.GroupID(r.Value)
		s.stats.Created++
		s.tell("group %d is created on %v", g, c.Voters)
		s.memberships[g], s.fates[g] = wire.Membership{Voters: c.Voters}, groupLives
		s.effect(g, &s.memberships[g])
		s.rouse(g)
		s.broken("imports", s.checks.imports.Created(g))
	case catalog.DeleteGroup:
		s.stats.Deleted++
		s.tell("group %d is deleted", c.ID)
		s.fates[c.ID] = groupDeleted
		s.broken("imports", s.checks.imports.Ended(c.ID, false))
	case catalog.BeginImport:
		s.begun(s.imports[c.Token-1], wire.GroupID(r.Value))
	case catalog.EndImport:
		s.ended(s.imports[c.Token-1], c.Made)
	}
}

// switchOff ends a node that was removed.
func (s *Sim) switchOff(h *host) {
	if h.stage == stageGone {
		return
	}
	s.tell("node %d is switched off for good", h.id)
	s.crash(h)
	h.stage = stageGone
	h.life++
}
