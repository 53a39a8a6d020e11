package hostsim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/raft"
	"flotilla/raft/logstore/logstoretest"
	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest"
	"flotilla/raft/rafttest/hostsim/depot"
	"flotilla/raft/wire"
)

// host is one node: what survives a crash, and a process while it runs.
type host struct {
	s    *Sim
	id   wire.NodeID
	tick time.Duration // of its clock

	// The data directory.
	disk    *disk
	depot   *depot.Depot
	catalog catalog.Snapshot
	// known is the epoch of the catalog as of its last transaction with a known outcome.
	known epoch.Epoch
	kept  []keptState // by group
	// metaCount is the number of metadata commands in the catalog.
	metaCount int
	stage     stage
	// ghost is a data directory that was lost, haunted that it runs instead of the present one.
	ghost   *directory
	haunted bool

	// The process. life counts starts; tasks of an earlier life are stale.
	up       bool
	life     int
	stepper  *multiraft.Stepper
	fence    *epoch.Holder
	machines []*machine // by group, nil where there is none
	watchers []*multiraft.Watcher
	tries    []*try // that its engine works on
	// orders are the callers of what no client waits for.
	orders   []*int
	pausedTo time.Duration
	turning  bool // a turn is on the agenda
	applying bool
	saving   bool // a snapshot is being written
	starting bool // groups are being taken up
	dying    bool // the power is cut, and the end of it is on the agenda
	rots     bool // its end damages a snapshot
	// broken is the data group of which this disk has lost what a start needs, 0 for none.
	broken   wire.GroupID
	ready    bool
	stopping bool
	failed   bool // its log is fenced, or a group quarantined
	// catalogFate says that the catalog's next transaction is to fail, and what of it will be found there.
	catalogFate catalogFate
	hung        time.Duration
	steward     steward
}

// catalogFate is what becomes of a transaction.
type catalogFate uint8

const (
	fateWell catalogFate = iota
	fateLost
	fateKept
)

func (h *host) engine() *multiraft.Engine { return h.stepper.Engine() }

func (h *host) paused() bool { return h.pausedTo > h.s.now }

// lying reports whether the disk forgets what it says it has.
func (h *host) lying() bool {
	return h.s.plan.sabotage == forgetfulDisk || h.s.plan.sabotage == earlyAck
}

// newHost makes a host with the data directory of a newborn cluster.
func (s *Sim) newHost(id wire.NodeID) *host {
	h := &host{s: s, id: id, tick: s.plan.Heartbeat}
	if k := int64(s.plan.Skew); k > 0 {
		h.tick += s.plan.Heartbeat * time.Duration(s.rng.Int64N(2*k+1)-k) / 100
	}
	m := logstoretest.NewMemory()
	var birth []wire.LogUpdate
	for g := range wire.GroupID(s.plan.Groups + 1) { // those who may be made members later hold an empty log from the beginning
		if voters := s.plan.voters(g); s.plan.ChangeEvery > 0 && !s.plan.Managed || slices.Contains(voters, id) {
			birth = append(birth, wire.LogUpdate{Group: g, Create: true, Membership: wire.Membership{Voters: voters}})
		}
	}
	if err := m.Commit(birth); err != nil {
		s.broken("disk", err)
	}
	h.disk = newDisk(h, m)
	if h.lying() {
		m.HoldSyncs()
	}
	h.depot, h.catalog, h.kept = newDepot(), s.birth(id), make([]keptState, s.plan.groups())
	return h
}

// birth is the catalog that a node is born with.
func (s *Sim) birth(id wire.NodeID) catalog.Snapshot {
	c := catalog.Snapshot{
		Born: true, Identity: catalog.Identity{ClusterID: wire.ClusterID{1}, ClusterName: "simulated", NodeID: id, Generation: wire.Generation(id)},
		Settings: catalog.Settings{Groups: uint64(s.plan.Groups), Replication: uint64(s.plan.Replicas)},
		Topology: catalog.Topology{Version: 1}, Routing: catalog.Routing{Version: 1},
	}
	for n := range wire.NodeID(s.plan.Nodes) {
		c.Topology.Nodes = append(c.Topology.Nodes, catalog.Node{
			ID: n + 1, Addr: fmt.Sprintf("node%d", n+1), Generation: wire.Generation(n + 1), State: catalog.NodeActive,
		})
	}
	for g := range wire.GroupID(s.plan.Groups + 1) {
		c.Groups = append(c.Groups, catalog.Group{ID: g, Voters: s.plan.voters(g)}.Founded())
	}
	for i := range c.Routing.Shards {
		c.Routing.Shards[i] = wire.GroupID(i%s.plan.Groups + 1)
	}
	return c
}

// start opens the node as flotilla.Open does: the fence from the catalog, another incarnation, every group that the log holds.
func (s *Sim) start(h *host) {
	h.life++
	h.up, h.pausedTo, h.turning, h.applying, h.ready, h.stopping, h.failed = true, 0, false, false, false, false, false
	h.saving, h.dying, h.starting = false, false, true
	h.tries, h.catalogFate = nil, fateWell
	h.steward = newSteward(s.plan.groups())
	if !s.openDepot(h) {
		s.bury(h)
		s.after(between(s.rng, time.Millisecond, s.plan.DownMax), &task{kind: taskStart, host: h, life: h.life})
		return
	}
	h.catalog.Incarnation++
	h.known = h.catalog.Epoch
	h.fence = epoch.NewHolder(h.catalog.Epoch)
	port := &port{h: h, life: h.life}
	cfg := multiraft.Config{
		Self: h.id, Workers: s.plan.Workers, ApplyWorkers: 1, Heartbeat: s.plan.Heartbeat, ElectionTimeout: s.plan.Election,
		Seed: uint64(h.catalog.Incarnation)*0x9e3779b97f4a7c15 ^ s.plan.Seed ^ uint64(h.id)<<40,
		Log:  h.disk, Transport: port, EpochBump: func(t wire.Term) []byte { return catalog.EpochBump{Term: t}.Append(nil) },
		GroupBytes: s.plan.GroupBytes, Promote: s.promote(h), Events: func(e multiraft.Event) { s.event(h, e) }, Now: s.clock,
	}
	s.configure(h, &cfg, port)
	stepper, err := multiraft.NewStepper(cfg, port.forward)
	if err != nil {
		s.broken("engine", err)
		return
	}
	h.stepper = stepper
	h.machines = make([]*machine, s.plan.groups())
	h.watchers = make([]*multiraft.Watcher, s.plan.groups())
	for _, st := range h.disk.Groups() {
		s.effect(st.Group, &st.Membership)
		err := h.engine().AddGroup(h.groupConfig(st.Group))
		s.broken("engine", err)
		s.watchGroup(h, st.Group)
	}
	h.starting = false
	s.stats.Restarts++
	s.tell("node %d starts: incarnation %d, epoch %d, metadata applied to %d", h.id, h.catalog.Incarnation, h.catalog.Epoch, h.catalog.Applied)
	s.after(between(s.rng, 0, h.tick), &task{kind: taskTick, host: h, life: h.life})
	if s.plan.Managed {
		s.after(between(s.rng, 0, lookEvery), &task{kind: taskLook, host: h, life: h.life})
	}
	for _, o := range s.hosts {
		if o == h {
			continue
		}
		if l := s.link(h.id, o.id); l.up {
			s.disconnect(l, wire.PeerDown) // that of the process before: its packets are answered with a reset
		} else {
			s.review(l)
		}
	}
	s.pump(h)
}

// groupConfig is what an engine is told of a group.
func (h *host) groupConfig(id wire.GroupID) multiraft.GroupConfig {
	g, _ := h.catalog.FindGroup(id)
	cfg := multiraft.GroupConfig{ID: id, Machine: metadataKeeper{&metadata{h}}, Applied: h.catalog.Applied, Vet: vetMetadata}
	if h.s.plan.Managed { // else the catalog knows of no member but the first ones
		cfg.Since = g.ReplicaSince(h.id)
	}
	if id != wire.MetadataGroup {
		h.machines[id] = h.newMachine(id)
		cfg.Machine, cfg.Applied, cfg.Vet = keeper{h.machines[id]}, h.machines[id].at, h.gate(id)
	}
	return cfg
}

// watchGroup takes a group up that the engine has.
func (s *Sim) watchGroup(h *host, g wire.GroupID) {
	var err error
	h.watchers[g], err = h.engine().Watch(g)
	s.broken("engine", err)
}

// inspect tells the checkers what is on the disk.
func (s *Sim) inspect(h *host) {
	for g := range s.plan.groups() {
		st, _ := h.disk.State(g)
		s.checks.durability.Synced(h.id, g, st.HardState, st.Last)
	}
}

func vetMetadata(command []byte) error {
	_, err := catalog.ParseChange(command)
	return err
}

// crash ends the process as kill -9 or a power cut does. What was on its way to the disk is there as a whole or not at all.
func (s *Sim) crash(h *host) {
	if !h.up {
		return
	}
	kept := false
	if batch := h.stepper.Writing(); batch != nil && s.plan.sabotage != earlyAck && chance(s.rng, 400) {
		kept = h.disk.Commit(batch) == nil
	}
	s.tell("node %d crashes; commit under way kept %t", h.id, kept)
	s.bury(h)
}

// die is a crash, and a start some time after it.
func (s *Sim) die(h *host) {
	if !h.up {
		return
	}
	s.stats.Crashes++
	s.crash(h)
	s.after(between(s.rng, time.Millisecond, s.plan.DownMax), &task{kind: taskStart, host: h, life: h.life})
}

// bury takes everything of a process away.
func (s *Sim) bury(h *host) {
	for _, t := range h.tries {
		t.call = nil
		s.checks.callers.Died(t.caller)
		s.after(s.clientDelay(), &task{kind: taskAnswer, try: t}) // the client sees the connection end
	}
	for _, caller := range h.orders {
		s.checks.callers.Died(caller)
	}
	s.cutOff(h)
	h.up, h.stepper, h.machines, h.watchers, h.tries, h.orders = false, nil, nil, nil, nil, nil
	h.life++
	h.hung = 0
	s.endDepot(h)
	s.forgetTransfers(h)
	h.disk = newDisk(h, h.disk.Crash())
	if h.lying() {
		h.disk.HoldSyncs()
	}
	s.inspect(h)
	s.forgetForwards(h)
	s.reviewLinks(h)
}

// stop closes a node with courtesy: leaderships are handed over, everybody is answered, peers hear goodbye.
func (s *Sim) stop(h *host) {
	if !h.up || h.stopping {
		return
	}
	h.stopping = true
	s.stats.Stops++
	s.tell("node %d is stopped", h.id)
	h.stepper.Drain()
	s.after(2*s.plan.Election, &task{kind: taskDrained, host: h, life: h.life})
	s.pump(h)
}

// stopped ends a drained node.
func (s *Sim) stopped(h *host) {
	s.tell("node %d has stopped, drained %t", h.id, h.stepper.Drained())
	h.stepper.Kill()
	for _, t := range h.tries {
		s.broken("callers", fmt.Errorf("node %d has stopped and has not answered %s", h.id, t))
	}
	s.sayGoodbye(h)
	s.crashQuietly(h)
}

// crashQuietly is what is left of a process that ended by itself: a commit under way was finished or never begun.
func (s *Sim) crashQuietly(h *host) {
	s.bury(h)
	s.after(between(s.rng, time.Millisecond, s.plan.DownMax), &task{kind: taskStart, host: h, life: h.life})
}

// pump writes down what the engine of h has to do.
func (s *Sim) pump(h *host) {
	due := h.stepper.Due()
	if due&multiraft.TurnDue != 0 && !h.turning {
		h.turning = true
		s.after(s.turnDelay(), &task{kind: taskTurn, host: h, life: h.life})
	}
	if due&multiraft.CommitDue != 0 && h.stepper.BeginCommit() {
		if s.plan.sabotage == earlyAck {
			h.stepper.EndCommit()
		}
		s.after(s.syncTime(h), &task{kind: taskSynced, host: h, life: h.life})
	}
	if due&multiraft.ApplyDue != 0 && !h.applying {
		h.applying = true
		s.after(s.applyTime(), &task{kind: taskApply, host: h, life: h.life})
	}
	if due&multiraft.SaveDue != 0 && !h.saving {
		h.saving = true
		s.after(between(s.rng, 0, s.plan.WriteMax), &task{kind: taskSave, host: h, life: h.life})
	}
	s.powerless(h)
}

// applyTime draws how long a machine takes.
func (s *Sim) applyTime() time.Duration {
	if chance(s.rng, s.rate(s.plan.Slow)) {
		return between(s.rng, 0, s.plan.SlowMax)
	}
	return between(s.rng, 0, s.plan.ApplyMax)
}

func (s *Sim) turnDelay() time.Duration {
	if chance(s.rng, s.rate(s.plan.Hiccup)) {
		return between(s.rng, 0, s.plan.HiccupMax)
	}
	return between(s.rng, 0, s.plan.TurnMax)
}

// syncTime draws how long a disk commit takes.
func (s *Sim) syncTime(h *host) time.Duration {
	d := between(s.rng, s.plan.SyncMax/10, s.plan.SyncMax)
	if chance(s.rng, s.rate(s.plan.SlowSync)) {
		d = between(s.rng, 0, s.plan.SlowSyncMax)
	}
	if h.hung > 0 {
		d, h.hung = h.hung, 0
	}
	return d
}

// turned, synced and appliedSome are the ends of what pump wrote down.
func (s *Sim) turned(h *host) {
	h.turning = false
	s.stats.Turns++
	h.stepper.Turn()
	s.pump(h)
}

func (s *Sim) synced(h *host) {
	if s.plan.sabotage == earlyAck {
		h.disk.Sync()
		h.disk.HoldSyncs()
		for _, st := range h.disk.Groups() {
			s.checks.durability.Synced(h.id, st.Group, st.HardState, st.Last)
		}
	}
	h.stepper.EndCommit()
	s.pump(h)
}

func (s *Sim) appliedSome(h *host) {
	h.applying = false
	h.stepper.Apply()
	for g := range h.watchers {
		s.watch(h, wire.GroupID(g), 0)
	}
	s.pump(h)
}

// event takes in what an engine tells.
func (s *Sim) event(h *host, e multiraft.Event) {
	switch e := e.(type) {
	case multiraft.LeaderChanged:
		s.tell("node %d: group %d is led by %d in term %d", h.id, e.Group, e.Leader, e.Term)
		s.leaderChanged(h, &e)
	case multiraft.NodeReady:
		s.tell("node %d is ready in term %d", h.id, e.Term)
		h.ready = true
		s.broken("readiness", s.checks.readiness.Flipped(h.id, h.life, e.Term, s.appliedTerm(h)))
	case multiraft.GroupQuarantined:
		s.stats.Quarantined++
		switch s.tell("node %d: group %d is quarantined: %v", h.id, e.Group, e.Err); {
		case errors.Is(e.Err, errMachine):
			s.fail(h, 20*time.Second)
		case h.depot.Cut(): // what is damaged could not be set aside
		case s.unmade(h, e.Group, e.Err): // and never will be
		case h.broken != e.Group || !errors.Is(e.Err, raft.ErrInconsistent):
			s.broken("quarantine", fmt.Errorf("node %d, group %d: %w", h.id, e.Group, e.Err))
		}
	case multiraft.MembershipChanged:
		s.tell("node %d: group %d has %s", h.id, e.Group, rafttest.FormatMembership(&e.Membership))
		s.effect(e.Group, &e.Membership)
		if m := &s.memberships[e.Group]; m.Index < e.Membership.Index {
			*m = e.Membership
			s.stats.Changes++
		}
	case multiraft.ChangeRefused:
		s.broken("membership", fmt.Errorf("node %d, group %d, change at %d: %w", h.id, e.Group, e.Index, e.Err))
	case multiraft.LogFenced:
		s.tell("node %d: log fenced: %v", h.id, e.Err)
		if !h.disk.failing {
			s.broken("disk", fmt.Errorf("node %d: %w", h.id, e.Err))
		}
		s.fail(h, 5*time.Second)
	default:
		if !s.snapshotEvent(h, e) {
			s.tell("node %d: %T %+v", h.id, e, e)
		}
	}
}

// fail has a process that is of no use any more started again within a time.
func (s *Sim) fail(h *host, within time.Duration) {
	h.failed = true
	s.after(between(s.rng, time.Millisecond, within), &task{kind: taskStart, host: h, life: h.life, value: restartFailed})
}

func (s *Sim) leaderChanged(h *host, e *multiraft.LeaderChanged) {
	if e.Leader == wire.NoNode {
		return
	}
	known := s.checks.elections.Leader(e.Group, e.Term)
	if s.broken("elections", s.checks.elections.Led(e.Group, e.Term, e.Leader)) || known != wire.NoNode || e.Leader != h.id {
		return
	}
	s.stats.Elections++
	if s.led[e.Group]++; s.plan.Peaceful && s.led[e.Group] > 1 {
		s.broken("calm", fmt.Errorf("node %d takes over group %d in term %d with nothing wrong", h.id, e.Group, e.Term))
	}
	s.broken("machines", s.checks.machines.Elected(h.id, e.Group, e.Term, func(i wire.Index) wire.Term {
		term, err := h.disk.Term(e.Group, i)
		if errors.Is(err, wire.ErrCompacted) { // before what its catalog began with
			return s.checks.machines.Term(e.Group, i)
		}
		return term
	}))
}
