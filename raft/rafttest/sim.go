package rafttest

import (
	"fmt"
	"math/rand/v2"

	"flotilla/raft"
	"flotilla/raft/rafttest/replay"
	"flotilla/raft/wire"
)

// Sim is one run of one plan. It owns everything that moves; whoever calls Run is its only goroutine.
type Sim struct {
	plan    Plan
	rng     *rand.Rand
	cluster *Cluster
	reads   *LinearizableRead
	agenda  replay.Agenda[Time, task]
	stats   counter
	hash    traceHash

	hosts map[wire.NodeID]*host
	cuts  map[route]bool
	// asked numbers proposals and reads.
	asked uint64
	heal  healing
}

// host is what the simulator knows of a node beyond its core: its life, its clock, its disk.
type host struct {
	life     int
	tick     Time       // length of a tick
	pausedTo Time       // until when it stands still
	syncing  raft.Token // the last write of the disk commit under way, 0 when there is none
	synced   raft.Token // the last durable write
	told     raft.Token // the last one that the core was told of
	toldAt   Time       // when the last news of a write arrive
	applying bool
	quiet    int                 // ticks for which the group could have slept
	lives    map[wire.NodeID]int // of the other nodes, as last heard
}

// route is one direction between two nodes.
type route struct{ from, to wire.NodeID }

// Result is the outcome of a run.
type Result struct {
	Seed uint64
	// Hash is over every event; two runs of one seed on the same code have the same.
	Hash  uint64
	Stats Stats
	// Err is the first *Violation, or nil.
	Err error
}

// Simulate runs one seed. Observers see every event.
func Simulate(seed uint64, observers ...func(*Event)) Result { return Run(Draw(seed), observers...) }

// Run runs a plan.
func Run(p Plan, observers ...func(*Event)) Result {
	s := &Sim{
		plan: p, rng: rand.New(rand.NewPCG(p.Seed, 0xd1b54a32d192ed03)), reads: &LinearizableRead{},
		hosts: map[wire.NodeID]*host{}, cuts: map[route]bool{}, hash: newTraceHash(),
	}
	checkers := Checkers()
	for i := range checkers {
		if _, ok := checkers[i].(*LinearizableRead); ok {
			checkers[i] = s.reads
		}
	}
	var birth wire.Membership
	for id := wire.NodeID(1); id <= wire.NodeID(p.Voters+p.Learners); id++ {
		if int(id) <= p.Voters {
			birth.Voters = append(birth.Voters, id)
		} else {
			birth.Learners = append(birth.Learners, id)
		}
	}
	s.cluster = NewCluster(s, p.Core, birth, checkers)
	s.cluster.Observe(s.hash.add)
	s.cluster.Observe(s.stats.add)
	for _, f := range observers {
		s.cluster.Observe(f)
	}
	for id := wire.NodeID(1); id <= wire.NodeID(p.Voters+p.Learners); id++ {
		s.start(id)
	}
	s.schedule()
	s.loop()
	s.stats.Simulated = s.cluster.now
	return Result{Seed: p.Seed, Hash: uint64(s.hash.Hash), Stats: s.stats.Stats, Err: s.cluster.Err()}
}

// start makes a node and winds its clock up.
func (s *Sim) start(id wire.NodeID) {
	skew := int64(s.plan.TickSkew)
	h := &host{life: 1, tick: tickEvery}
	if skew > 0 {
		h.tick += Time(s.rng.Int64N(2*skew+1) - skew)
	}
	s.hosts[id] = h
	s.cluster.Add(id, s.plan.Seed*100+uint64(id))
	s.after(h.tick, task{kind: taskTick, node: id})
	if s.plan.QuietTicks > 0 {
		s.after(s.beaconTime(), task{kind: taskBeacon, node: id})
	}
}

// after writes a task down for d from now.
func (s *Sim) after(d Time, t task) { s.agenda.Add(s.cluster.now+d, &t) }

// repeat writes the next of a recurring kind down, at a random distance with the given mean.
func (s *Sim) repeat(kind taskKind, mean Time) {
	if mean > 0 && !s.heal.begun {
		s.after(1+Time(s.rng.Int64N(2*int64(mean))), task{kind: kind})
	}
}

func (s *Sim) schedule() {
	p := &s.plan
	s.repeat(taskPropose, p.ProposeEvery)
	s.repeat(taskRead, p.ReadEvery)
	s.repeat(taskCrash, p.CrashEvery)
	s.repeat(taskPause, p.PauseEvery)
	s.repeat(taskCut, p.CutEvery)
	s.repeat(taskChange, p.ChangeEvery)
	s.repeat(taskTransfer, p.TransferEvery)
	s.repeat(taskCampaign, p.CampaignEvery)
	s.repeat(taskUnreachable, p.UnreachableEvery)
	s.repeat(taskCompact, p.CompactEvery)
	s.after(p.Length, task{kind: taskHeal})
}

// loop does one task after the other until the group has healed or something is broken.
func (s *Sim) loop() {
	var t task
	for s.cluster.Err() == nil && !s.heal.done {
		at, ok := s.agenda.Next(&t)
		if !ok {
			return
		}
		s.cluster.now = max(s.cluster.now, at)
		if s.stale(&t) || s.postponed(&t) {
			continue
		}
		s.do(&t)
	}
}

// stale reports whether t belongs to a life that is over.
func (s *Sim) stale(t *task) bool { return t.life != 0 && t.life != s.hosts[t.node].life }

// postponed puts off what a paused node would do to the end of its pause, as SIGSTOP does.
func (s *Sim) postponed(t *task) bool {
	switch t.kind {
	case taskTick, taskBeacon, taskDeliver, taskTold, taskApply, taskSend, taskArrive, taskReport, taskInstall, taskInstalled, taskAbandon:
	default:
		return false
	}
	if h := s.hosts[t.node]; h.pausedTo > s.cluster.now {
		s.agenda.Add(h.pausedTo, t)
		return true
	}
	return false
}

func (s *Sim) do(t *task) {
	switch t.kind {
	case taskTick:
		s.tick(t.node)
		s.after(s.hosts[t.node].tick, *t)
	case taskBeacon:
		s.listen(t.node)
		s.after(s.beaconTime(), *t)
	case taskDeliver:
		s.arrive(t.m)
	case taskSync:
		s.sync(t.node)
	case taskTold:
		s.tell(t.node, raft.Token(t.value))
	case taskApply:
		s.apply(t.node)
	case taskRestart:
		if !s.cluster.Up(t.node) {
			s.restart(t.node)
		}
	case taskSend, taskArrive, taskReport, taskInstall, taskInstalled, taskAbandon, taskDie:
		s.transfer(t)
	case taskResume:
		s.cluster.Note("%s goes on", t.node)
		if p := &s.plan; p.Core.LeaseMargin > 0 && !p.LateTicks {
			s.cluster.TickN(t.node, int(t.value))
		}
	case taskHealCut:
		s.mend()
	case taskHeal:
		s.beginHealing()
	case taskProbe:
		s.probe()
	default:
		s.disturb(t)
	}
}

func (s *Sim) transfer(t *task) {
	switch t.kind {
	case taskSend:
		s.send(t)
	case taskArrive:
		s.receive(t)
	case taskReport:
		s.cluster.ReportSnapshot(t.node, t.peer, t.m.Term, raft.SnapshotReport(t.value))
	case taskInstall:
		s.install(t)
	case taskInstalled:
		s.cluster.Installed(t.node)
	case taskAbandon:
		s.cluster.AbandonInstall(t.node)
	case taskDie:
		if !s.heal.begun {
			s.crash(t.node)
		}
	}
}

// Send gives one message its fate.
func (s *Sim) Send(m wire.Message) {
	if s.cuts[route{m.From, m.To}] || s.hosts[m.To] == nil || chance(s.rng, s.rate(s.plan.Drop)) {
		s.cluster.Drop(m)
		return
	}
	s.carry(m)
	if chance(s.rng, s.rate(s.plan.Dup)) {
		s.carry(m)
	}
}

// rate is a rate of the plan, 0 once the group heals.
func (s *Sim) rate(perMille int) int {
	if s.heal.begun {
		return 0
	}
	return perMille
}

func (s *Sim) carry(m wire.Message) {
	d := between(s.rng, 1, s.plan.DelayMax+1)
	if chance(s.rng, s.rate(s.plan.Late)) {
		d = between(s.rng, 1, s.plan.LateMax+1)
	}
	s.after(d, task{kind: taskDeliver, node: m.To, m: m})
}

// arrive delivers a message, unless its way has been cut meanwhile.
func (s *Sim) arrive(m wire.Message) {
	if s.cuts[route{m.From, m.To}] {
		s.cluster.Drop(m)
		return
	}
	if err := s.cluster.Deliver(m); err != nil { // everybody here is honest
		s.cluster.fail("core", fmt.Errorf("node %s refuses %s: %w", m.To, FormatMessage(&m), err))
	}
}

// Queued begins a disk commit, if none is under way.
func (s *Sim) Queued(id wire.NodeID) {
	if h := s.hosts[id]; h.syncing == 0 {
		s.beginSync(id)
	}
}

// beginSync draws how long the next disk commit takes. It carries all that is queued, as a host's would, now and then
// less, so that what one turn wrote becomes durable bit by bit.
func (s *Sim) beginSync(id wire.NodeID) {
	h, d := s.hosts[id], s.cluster.Disk(id)
	n := d.Pending()
	if chance(s.rng, 200) {
		n = 1 + s.rng.IntN(n)
	}
	h.syncing = d.Token(n - 1)
	took := between(s.rng, 0, s.plan.SyncMax+1)
	if chance(s.rng, s.rate(s.plan.SlowSync)) {
		took = between(s.rng, 1, s.plan.SlowSyncMax+1)
	}
	s.after(took, task{kind: taskSync, node: id, life: h.life})
	if s.plan.sabotage == tellEarly {
		s.after(0, task{kind: taskTold, node: id, life: h.life, value: uint64(h.syncing)})
	}
}

// sync ends a disk commit and begins the next one. The core hears of it a little later, now and then much later.
func (s *Sim) sync(id wire.NodeID) {
	h := s.hosts[id]
	for h.synced < h.syncing {
		h.synced, _ = s.cluster.Sync(id)
		if s.cluster.Err() != nil {
			return
		}
	}
	h.syncing = 0
	late := between(s.rng, 0, 3)
	if chance(s.rng, s.rate(50)) {
		late = between(s.rng, 1, 500)
	}
	h.toldAt = max(h.toldAt, s.cluster.now+late)
	s.agenda.Add(h.toldAt, &task{kind: taskTold, node: id, life: h.life, value: uint64(h.synced)})
	if s.cluster.Disk(id).Pending() > 0 {
		s.beginSync(id)
	}
}

// tell has the core of a node hear what is durable: the write it waits for, now and then all there is by now.
func (s *Sim) tell(id wire.NodeID, token raft.Token) {
	h := s.hosts[id]
	if chance(s.rng, 300) {
		token = max(token, h.synced)
	}
	if token > h.told {
		h.told = token
		s.cluster.Persisted(id, token)
	}
}

// Committed has the state machine of a node begin to apply, if it is not at it.
func (s *Sim) Committed(id wire.NodeID) {
	h := s.hosts[id]
	if h.applying {
		return
	}
	h.applying = true
	s.after(between(s.rng, 0, s.plan.ApplyMax+1), task{kind: taskApply, node: id, life: h.life})
}

func (s *Sim) apply(id wire.NodeID) {
	h := s.hosts[id]
	h.applying = false
	s.cluster.Apply(id, 1+s.rng.IntN(64))
	if s.cluster.ToApply(id) > 0 {
		s.Committed(id)
	}
}
