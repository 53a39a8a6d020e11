package hostsim

import (
	"errors"
	"slices"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// What a steward of catalog/steward waits for, and how long.
const (
	lookEvery         = 200 * time.Millisecond
	restAfterError    = 500 * time.Millisecond
	restAfterTransfer = 10 * time.Second
	restAfterRefusal  = 2 * time.Second
	// settledElections is after how many election timeouts a leader is asked to hand over for the sake of spread.
	settledElections = 3
)

// steward is the loop of catalog/steward without its goroutines: it looks at the catalog and at the groups here, and has the
// engine take the next step of each. Nothing of it survives the process.
type steward struct {
	content uint64 // the version of the topology for which nothing was to be planned
	groups  []*errand
	plan    errand
	// imports are the tokens of those that this process works on.
	imports map[uint64]bool
}

// errand is something under way, at most once.
type errand struct {
	busy bool
	rest time.Duration // not before
}

func newSteward(groups wire.GroupID) steward {
	s := steward{groups: make([]*errand, groups), imports: map[uint64]bool{}}
	for g := range s.groups {
		s.groups[g] = &errand{}
	}
	return s
}

// look is what a steward does ever again.
func (s *Sim) look(h *host) {
	s.after(lookEvery, &task{kind: taskLook, host: h, life: h.life})
	s.lookNow(h)
}

func (s *Sim) lookNow(h *host) {
	if h.stopping {
		return
	}
	view, replicas := h.catalog, h.engine().Status()
	s.tend(h, &view, replicas)
	alive := func(n wire.NodeID) bool { return n == h.id || int(n) <= len(s.hosts) && s.link(h.id, n).up }
	for i := range replicas {
		r := &replicas[i]
		if r.Leader != h.id || r.Err != nil {
			continue
		}
		settled := r.SteadyTicks > settledElections*int(s.plan.Election/s.plan.Heartbeat)
		serves := func(n wire.NodeID) bool { return alive(n) && !slices.Contains(r.Refusing, n) }
		s.take(h, r, placement.Next(&view, r.ID, placement.View{Self: h.id, Members: r.Members, Alive: serves, Settled: settled}))
		if r.ID == wire.MetadataGroup {
			s.planPlacements(h, &view)
		}
	}
	s.pump(h)
}

// errand does what is not under way and does not rest.
func (s *Sim) errand(h *host, e *errand, what string, rest time.Duration, do func(done func(error))) {
	if e.busy || s.now < e.rest {
		return
	}
	e.busy = true
	life := h.life
	do(func(err error) {
		if h.life != life {
			return
		}
		e.busy = false
		if err != nil {
			e.rest = s.now + rest
			s.note("node %d: %s: %v", h.id, what, err)
			return
		}
		s.later(h, func() { s.lookNow(h) })
	})
}

// later has a process do something when it has ended what it is at.
func (s *Sim) later(h *host, do func()) {
	s.after(0, &task{kind: taskDo, host: h, life: h.life, do: do})
}

// ask is order, and goes on with then.
func (s *Sim) ask(h *host, what string, ask func(done func(error)) *multiraft.Call, then func(error)) {
	s.order(h, what, func(done func(error)) *multiraft.Call {
		return ask(func(err error) {
			done(err)
			s.later(h, func() { then(err) })
		})
	})
}

// propose has group 0 apply c, and goes on once that has taken effect here.
func (s *Sim) propose(h *host, c catalog.Change, then func(catalog.Result, error)) {
	var result multiraft.Result
	command, err := catalog.Encode(c)
	s.broken("catalog", err)
	s.ask(h, "proposal", func(done func(error)) *multiraft.Call {
		return h.stepper.Propose(wire.MetadataGroup, command, func(r multiraft.Result, err error) {
			result = r
			done(err)
		})
	}, func(err error) {
		if err != nil {
			then(catalog.Result{}, err)
			return
		}
		s.ask(h, "wait", func(done func(error)) *multiraft.Call { return h.stepper.Wait(wire.MetadataGroup, result.Index, done) }, func(err error) {
			r, malformed := catalog.ParseResult(result.Value)
			s.broken("catalog", malformed)
			then(r, err)
		})
	})
}

// tend makes and ends replicas.
func (s *Sim) tend(h *host, view *catalog.Snapshot, replicas []multiraft.GroupStatus) {
	here := make([]wire.GroupID, len(replicas))
	for i := range replicas {
		here[i] = replicas[i].ID
	}
	s.repair(h, view, replicas)
	s.callOff(h, view)
	create, destroy := placement.Replicas(view, h.id, here)
	for _, g := range destroy {
		s.errand(h, h.steward.groups[g], "end a replica", restAfterError, func(done func(error)) { s.endReplica(h, g, done) })
	}
	for _, c := range placement.Ended(view, h.id, here) {
		c.Generation = view.Identity.Generation
		s.errand(h, h.steward.groups[c.ID], "tell that a replica has ended", restAfterError, func(done func(error)) {
			s.endReplica(h, c.ID, func(err error) {
				if err != nil {
					done(err)
					return
				}
				s.later(h, func() { s.propose(h, c, func(_ catalog.Result, err error) { done(err) }) })
			})
		})
	}
	for _, g := range create {
		s.errand(h, h.steward.groups[g], "make a replica", restAfterError, func(done func(error)) { s.makeReplica(h, g, view, done) })
	}
}

// repair has replicas made anew whose disk has lost what they need.
func (s *Sim) repair(h *host, view *catalog.Snapshot, replicas []multiraft.GroupStatus) {
	var broken []wire.GroupID
	for i := range replicas {
		if errors.Is(replicas[i].Err, raft.ErrInconsistent) {
			broken = append(broken, replicas[i].ID)
		}
	}
	for _, c := range placement.Broken(view, h.id, broken) {
		c.Generation = view.Identity.Generation
		s.errand(h, h.steward.groups[c.ID], "tell that a replica is damaged", restAfterRefusal, func(done func(error)) {
			s.propose(h, c, func(r catalog.Result, err error) {
				s.tell("node %d has told that its replica of group %d is damaged: %v, %v", h.id, c.ID, r.Outcome, err)
				if err == nil && r.Outcome.Refused() {
					err = errRefused
				}
				done(err)
			})
		})
	}
}

var errRefused = errors.New("refused")

// endReplica ends the replica of a group, if there is one.
func (s *Sim) endReplica(h *host, g wire.GroupID, done func(error)) {
	h.stepper.RemoveGroup(g, func(err error) {
		if err == nil && h.watchers[g] != nil {
			s.stats.Ended++
			s.tell("node %d has ended its replica of group %d", h.id, g)
			if h.watchers[g], h.machines[g] = nil, nil; h.broken == g {
				h.broken = wire.MetadataGroup
			}
			s.checks.watchers.Ended(h.id, g)
			if !h.haunted {
				s.checks.rebirths.Lost(h.id, g)
			}
			if found, _ := h.catalog.FindGroup(g); found.Deleted && !h.haunted {
				s.checks.tombstones.Ended(h.id, g)
			}
		}
		done(err)
	})
}

// makeReplica makes the replica of a group.
func (s *Sim) makeReplica(h *host, g wire.GroupID, view *catalog.Snapshot, done func(error)) {
	group, _ := view.FindGroup(g)
	s.createGroup(h, g, group.Origin, done)
}

// createGroup has an engine make a replica, or take one up whose log is here.
func (s *Sim) createGroup(h *host, g wire.GroupID, origin wire.Membership, done func(error)) {
	h.stepper.CreateGroup(h.groupConfig(g), origin, func(err error) {
		if err == nil {
			s.stats.Made++
			s.tell("node %d has made a replica of group %d", h.id, g)
			s.watchGroup(h, g)
		}
		if err == nil && !h.haunted {
			s.broken("rebirths", s.checks.rebirths.Made(h.id, g))
			s.broken("tombstones", s.checks.tombstones.Served(h.id, g))
		}
		done(err)
	})
}

// take takes the next step of a group that is led here.
func (s *Sim) take(h *host, r *multiraft.GroupStatus, step placement.Step) {
	g, members := r.ID, r.Members
	e := h.steward.groups[g]
	switch step.Kind {
	case placement.Report:
		s.errand(h, e, "report the members", restAfterError, func(done func(error)) {
			s.ask(h, "barrier", func(done func(error)) *multiraft.Call { return h.stepper.Barrier(g, done) }, func(err error) {
				if err != nil {
					done(err)
					return
				}
				s.stats.Reports++
				s.propose(h, catalog.ReportMembers{ID: g, Members: members}, func(_ catalog.Result, err error) { done(err) })
			})
		})
	case placement.Change:
		s.errand(h, e, "change the members", restAfterError, func(done func(error)) {
			s.tell("node %d changes group %d: %+v", h.id, g, step.Changes)
			s.ask(h, "change", func(done func(error)) *multiraft.Call { return h.stepper.Change(g, step.Changes, done) }, done)
		})
	case placement.Transfer:
		s.errand(h, e, "hand leadership over", restAfterTransfer, func(done func(error)) {
			s.tell("node %d hands group %d to %d", h.id, g, step.To)
			s.ask(h, "transfer", func(done func(error)) *multiraft.Call { return h.stepper.Transfer(g, step.To, done) }, done)
		})
	}
}

// planPlacements has what is wanted brought up to date, one change after the other until one is refused.
func (s *Sim) planPlacements(h *host, view *catalog.Snapshot) {
	st := &h.steward
	if view.Topology.Version == st.content || st.plan.busy {
		return
	}
	changes := placement.Plan(view)
	if len(changes) == 0 {
		st.content = view.Topology.Version
		return
	}
	s.errand(h, &st.plan, "plan", restAfterError, func(done func(error)) { s.proposeAll(h, changes, done) })
}

func (s *Sim) proposeAll(h *host, changes []catalog.Change, done func(error)) {
	if len(changes) == 0 {
		done(nil)
		return
	}
	s.tell("node %d plans %T %+v", h.id, changes[0], changes[0])
	s.propose(h, changes[0], func(r catalog.Result, err error) {
		if err != nil || r.Outcome.Refused() {
			done(err)
			return
		}
		s.proposeAll(h, changes[1:], done)
	})
}

// promote says whether a learner that has caught up is to vote.
func (s *Sim) promote(h *host) func(wire.GroupID, wire.NodeID) bool {
	if !s.plan.Managed {
		return nil
	}
	return func(g wire.GroupID, n wire.NodeID) bool { return placement.Promotable(&h.catalog, g, n) }
}
