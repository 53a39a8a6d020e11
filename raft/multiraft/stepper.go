package multiraft

import "flotilla/raft/wire"

// Stepper drives an engine that was never started: nothing runs by itself, nothing waits, and the same steps in the
// same order do the same. It is what simulators of whole hosts stand on. One goroutine calls everything, of the
// engine too; there AddGroup, HandleMessages, HandlePeer, Watch and Status work as ever, while whatever waits
// (Propose, Query, Close, Kill...) has its counterpart here. What calls the log writer's and the appliers' goroutines make
// in a started engine are the steps Commit and Apply.
//
//	s, err := multiraft.NewStepper(cfg, forward)
//	s.Tick()
//	for s.Due() != 0 { s.Turn(); s.BeginCommit(); s.EndCommit(); s.Apply() }
type Stepper struct {
	e       *Engine
	forward Forwarder
	applier applier
	again   []bool // by worker: wants another turn at once
	writing bool
	hops    []*Call // that wait for other nodes, in the order they were made
}

// Work is a set of steps.
type Work uint8

// The steps that may be due.
const (
	TurnDue Work = 1 << iota
	CommitDue
	ApplyDue
	SaveDue
)

// NewStepper returns a stepper of a new engine without groups. Requests to other nodes go through forward instead of
// cfg.Transport.Forward, which is never called.
func NewStepper(cfg Config, forward Forwarder) (*Stepper, error) {
	e, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Stepper{e: e, forward: forward, applier: applier{e: e}, again: make([]bool, len(e.workers))}, nil
}

// Engine returns the engine.
func (s *Stepper) Engine() *Engine { return s.e }

// Tick lets one tick pass; the next turn acts on it.
func (s *Stepper) Tick() { s.e.tick() }

// Due returns which steps have something to do now. CommitDue is BeginCommit; while a commit is under way it is not due.
func (s *Stepper) Due() (due Work) {
	for n, w := range s.e.workers {
		if s.again[n] || len(w.inbox.wake) > 0 {
			due |= TurnDue
			break
		}
	}
	if !s.writing && len(s.e.log.wake) > 0 {
		due |= CommitDue
	}
	if s.e.appliers.runnable() {
		due |= ApplyDue
	}
	if s.e.saver.waiting() || s.e.remover.waiting() {
		due |= SaveDue
	}
	return due
}

// Turn has every worker with something to do turn once.
func (s *Stepper) Turn() {
	for n, w := range s.e.workers {
		select {
		case <-w.inbox.wake:
			s.again[n] = true
		default:
		}
		if s.again[n] {
			s.again[n] = w.turn()
		}
	}
}

// BeginCommit takes what waits for the disk and reports whether there is anything: then EndCommit has to follow, now or
// later. Nothing is written before it.
func (s *Stepper) BeginCommit() bool {
	if s.writing {
		return false
	}
	select {
	case <-s.e.log.wake:
	default:
		return false
	}
	s.writing = s.e.log.begin()
	return s.writing
}

// EndCommit calls the store and tells the workers what came of it.
func (s *Stepper) EndCommit() {
	if s.writing {
		s.writing = false
		s.e.log.finish()
	}
}

// Writing returns the updates between BeginCommit and EndCommit, nil when there are none: a crash now leaves all or
// nothing of them. They are the engine's.
func (s *Stepper) Writing() []wire.LogUpdate {
	if !s.writing {
		return nil
	}
	return s.e.log.writing.updates
}

// Apply runs the machine of the next group that has something for it; false when there is none.
func (s *Stepper) Apply() bool { return s.e.appliers.runNext(&s.applier, returnWhenIdle) }

// Save writes or removes the next snapshot; false when there is none.
func (s *Stepper) Save() bool { return s.e.remover.run() || s.e.saver.run() }

// OfferSnapshot is Engine.OfferSnapshot.
func (s *Stepper) OfferSnapshot(m wire.Message, then func(error)) { s.e.offerSnapshot(m, then) }

// InstallSnapshot is Engine.InstallSnapshot.
func (s *Stepper) InstallSnapshot(g wire.GroupID, state wire.Snapshot, then func(error)) {
	s.e.installSnapshot(g, state, then)
}

// MakeSnapshot is Engine.MakeSnapshot.
func (s *Stepper) MakeSnapshot(g wire.GroupID, then func(wire.Snapshot, error)) {
	s.e.makeSnapshot(g, then)
}

// Kill is Engine.Kill, and answers those too who wait for another node.
func (s *Stepper) Kill() {
	s.e.Kill()
	for len(s.hops) > 0 {
		s.hops[0].Leave(errStopped)
	}
}

// Drain begins what Close does first: leaderships are handed over. Kill ends it, best once Drained.
func (s *Stepper) Drain() {
	s.e.closing.Store(true)
	s.e.beginDrain()
}

// Drained reports whether nothing is left to hand over or to wait for.
func (s *Stepper) Drained() bool {
	for _, w := range s.e.workers {
		select {
		case <-w.drained:
		default:
			return false
		}
	}
	return true
}
