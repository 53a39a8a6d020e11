package hostsim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/rafttest/replay"
	"flotilla/raft/wire"
)

// Sim is one run of one plan. It owns everything that moves; whoever calls Run is its only goroutine.
type Sim struct {
	plan   Plan
	rng    *rand.Rand
	now    time.Duration
	agenda replay.Agenda[time.Duration, task]
	hosts  []*host
	links  []*link // by two ids
	frames []*frame
	trace  trace
	stats  Stats
	checks checks
	err    error

	clients    []*client
	operations int
	transfers  int
	busy       bool
	alertUntil time.Duration // until when clients are busy because of a fault
	round      int           // of faults and healing
	heal       healing
	// led counts the elections of each group.
	led []int
	// memberships are the latest ones that took effect anywhere, by group.
	memberships []wire.Membership
	// fates says what has become of each group.
	fates []fate
	care  care
	// imports are all that were begun, by their tokens.
	imports []*importing
	// generations counts the data directories that came after the first ones.
	generations int
}

// checks are the checkers of a run.
type checks struct {
	elections  check.Elections
	logs       check.Logs
	machines   check.Machines
	durability check.Durability
	epochs     check.Epochs
	fence      check.Fence
	readiness  check.Readiness
	watchers   check.Watchers
	callers    check.Callers
	outcomes   check.Outcomes
	identities check.Identities
	rebirths   check.Rebirths
	tombstones check.Tombstones
	placed     check.Placed
	snapshots  check.Snapshots
	imports    check.Imports
	sessions   []check.Sessions  // by group
	registers  []check.Registers // by group
}

// Violation is a broken invariant.
type Violation struct {
	// Checker is the invariant's name; "panic" and "liveness" are among them.
	Checker string
	At      time.Duration
	Err     error
}

// Error names the invariant and what broke it.
func (v *Violation) Error() string { return fmt.Sprintf("%s broken at %v: %v", v.Checker, v.At, v.Err) }

// Unwrap returns what broke the invariant.
func (v *Violation) Unwrap() error { return v.Err }

// Result is the outcome of a run.
type Result struct {
	Seed uint64
	// Hash is over everything that happened; two runs of one seed on the same code have the same.
	Hash  uint64
	Stats Stats
	// Err is the first *Violation, or nil.
	Err error
}

// Simulate runs one seed.
func Simulate(seed uint64) Result { return Run(Draw(seed), nil) }

// Run runs a plan. lines, when not nil, is told every line of the trace.
func Run(p Plan, lines func(at time.Duration, line string)) Result {
	s := &Sim{plan: p, rng: rand.New(rand.NewPCG(p.Seed, 0xd1b54a32d192ed03))}
	s.trace = trace{Hash: replay.NewHash(), lines: lines}
	s.checks.sessions = make([]check.Sessions, p.groups())
	s.checks.registers = make([]check.Registers, p.groups())
	s.guard(func() {
		s.open()
		s.loop()
	})
	s.stats.Simulated = s.now
	s.stats.Epochs = int(s.checks.epochs.Allocated())
	return Result{Seed: p.Seed, Hash: uint64(s.trace.Hash), Stats: s.stats, Err: s.err}
}

// guard turns a panic into a violation.
func (s *Sim) guard(do func()) {
	defer func() {
		if p := recover(); p != nil {
			s.broken("panic", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	do()
}

// open makes the cluster and writes down what begins by itself.
func (s *Sim) open() {
	s.links = make([]*link, maxNodes*maxNodes)
	s.led, s.fates = make([]int, s.plan.groups()), make([]fate, s.plan.groups())
	for g := range wire.GroupID(s.plan.Groups + 1) {
		s.memberships = append(s.memberships, wire.Membership{Voters: s.plan.voters(g)})
		s.effect(g, &s.memberships[g])
		s.fates[g] = groupLives
	}
	s.memberships = append(s.memberships, make([]wire.Membership, s.plan.Spare+s.plan.Imported)...)
	for n := range wire.NodeID(s.plan.Nodes) {
		s.hosts = append(s.hosts, s.newHost(n+1))
	}
	for i, a := range s.hosts {
		for _, b := range s.hosts[i+1:] {
			s.links[int(a.id)*maxNodes+int(b.id)] = &link{a: a, b: b}
		}
	}
	for _, h := range s.hosts {
		s.start(h)
	}
	s.openClients()
	s.beginPhase()
	s.beginRound()
}

// broken ends the run if err is not nil.
func (s *Sim) broken(checker string, err error) bool {
	if err != nil && s.err == nil {
		s.err = &Violation{Checker: checker, At: s.now, Err: err}
	}
	return err != nil
}

// clock is what the engines read.
func (s *Sim) clock() time.Time { return time.Unix(1_000_000_000, int64(s.now)) }

// rate is a rate of the plan, 0 once the cluster heals.
func (s *Sim) rate(perMille int) int {
	if s.heal.begun {
		return 0
	}
	return perMille
}

// loop does one task after the other until the cluster has healed or something is broken.
func (s *Sim) loop() {
	var t task
	for s.err == nil && !s.heal.done {
		at, ok := s.agenda.Next(&t)
		if !ok {
			return
		}
		s.now = at
		if h := t.host; h != nil {
			if t.life != anyLife && t.life != h.life {
				continue // of a life that is over
			}
			if h.pausedTo > s.now && t.kind != taskResume { // put off, as SIGSTOP does
				s.agenda.Add(h.pausedTo, &t)
				continue
			}
			s.trace.words(uint64(t.kind)<<56|uint64(s.now), uint64(h.id))
		} else {
			s.trace.Word(uint64(t.kind)<<56 | uint64(s.now))
		}
		s.stats.Events++
		s.do(&t)
	}
}

// do is what a task is for.
func (s *Sim) do(t *task) {
	switch t.kind {
	case taskTick:
		s.after(t.host.tick, &task{kind: taskTick, host: t.host, life: t.life})
		t.host.stepper.Tick()
		s.turned(t.host)
	case taskTurn:
		s.turned(t.host)
	case taskSynced:
		s.synced(t.host)
	case taskApply:
		s.appliedSome(t.host)
	case taskSave:
		s.saved(t.host)
	case taskWrite:
		s.write(t.host, t.frame)
	case taskArrive:
		s.arrive(t.host, t.frame)
	case taskConnect:
		if t.value == t.link.review {
			s.connect(t.link)
		}
	case taskDo:
		s.on(t.host, t.life, t.do)
	case taskRequest:
		s.request(t.host, t.try)
	case taskLeave:
		if t.try.call != nil {
			t.try.call.Leave(errDeadline)
			s.pump(t.host)
		}
	case taskAnswer:
		s.answer(t.try)
	case taskDeadline:
		s.overdue(t.try)
	case taskThink:
		switch {
		case t.value != thinkAgain:
			s.think(t.client)
		case t.client.op != nil:
			s.try(t.client)
		}
	case taskPhase:
		s.beginPhase()
	case taskHeal:
		s.beginHealing()
	case taskProbe:
		s.probe()
	case taskLook:
		s.look(t.host)
	case taskJoin:
		s.join(t.host)
	case taskCare:
		s.tendCare()
	case taskHaunt:
		s.haunt(t.host)
	case taskExorcise:
		s.exorcise(t.host)
	default:
		s.doFault(t)
	}
}
