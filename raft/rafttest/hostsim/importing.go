package hostsim

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"flotilla/catalog"
	"flotilla/kv"
	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/shelf"
)

// importPause is how long an import waits before it tries again, as catalog/steward's does.
const importPause = 50 * time.Millisecond

// importing is one call of Admin.ImportGroup as the process has it that was asked: step by step, with time between them. It ends with its
// process; what was begun is found by the steward of the next one, which does not know the token.
type importing struct {
	s      *Sim
	h      *host
	life   int
	token  uint64 // its place in Sim.imports, from 1
	export *export
	staged *shelf.Staged
	caller *int
	id     wire.GroupID // 0 before this process knows it
	at     wire.Snapshot
	// over: whoever waited has an answer, or has left.
	over bool
	// announced: group 0 may hear, in this life of the node or later, that the group is there.
	announced bool
	// first is where the log of the replica began then, 0 for none.
	first wire.Index
	// given is the id as group 0 has given it out, 0 before.
	given wire.GroupID
}

// importGroup hands an export to some node.
func (s *Sim) importGroup() {
	h := s.member()
	if h == nil || len(s.imports) == s.plan.Imported {
		return
	}
	x := s.newExport()
	staged, err := h.depot.Stage(bytes.NewReader(x.bytes), wire.Membership{Voters: []wire.NodeID{h.id}})
	switch {
	case h.depot.Cut():
		s.powerless(h)
		return
	case x.unfit && errors.Is(err, snapshotstream.ErrCorrupt), h.disk.full && errors.Is(err, wire.ErrNoSpace):
		s.stats.Unfit++
		s.tell("node %d does not import: %v", h.id, err)
		return
	case err != nil || x.unfit:
		s.broken("imports", fmt.Errorf("node %d stages an export that is damaged: %t, disk full: %t, with %w", h.id, x.unfit, h.disk.full, err))
		return
	}
	im := &importing{s: s, h: h, life: h.life, token: uint64(len(s.imports) + 1), export: x, staged: staged}
	im.caller = s.checks.callers.Asked(func() string { return fmt.Sprintf("an import by node %d", h.id) })
	h.orders = append(h.orders, im.caller)
	h.steward.imports[im.token] = true
	s.imports = append(s.imports, im)
	s.tell("node %d is given an export of %d bytes, import %d", h.id, len(x.bytes), im.token)
	patience := time.Minute
	if chance(s.rng, 300) {
		patience = between(s.rng, 0, s.plan.PatienceMax)
	}
	s.after(patience, im.task(func() { im.answer(errDeadline) }))
	im.next(im.reserve)
}

// task is something that is done unless the process has ended before, or the import.
func (im *importing) task(do func()) *task {
	return &task{kind: taskDo, host: im.h, life: im.life, do: func() {
		if !im.over {
			do()
		}
	}}
}

// next goes on with a step, in a while, unless whoever waits has left by then.
func (im *importing) next(step func()) {
	s := im.s
	if chance(s.rng, s.rate(s.plan.Leave)) {
		step = func() { im.answer(errDeadline) }
	}
	s.after(between(s.rng, 0, s.plan.StepMax), im.task(step))
}

// again does it again as long as that may help, as catalog/steward's does, and goes on with then.
func (im *importing) again(do func(then func(error)), then func(error)) {
	do(func(err error) {
		var refused *wire.Error
		switch {
		case im.over:
		case err == nil || !errors.As(err, &refused) || !refused.Retryable() || refused.Code == wire.CodeStopped || refused.Code == wire.CodeQuarantined || im.h.stopping:
			then(err)
		default:
			im.s.after(importPause, im.task(func() { im.again(do, then) }))
		}
	})
}

// insist has group 0 apply c, which does no harm if it is applied twice.
func (im *importing) insist(c catalog.Change, then func(catalog.Result, error)) {
	var result catalog.Result
	im.again(func(then func(error)) {
		im.s.propose(im.h, c, func(r catalog.Result, err error) {
			result = r
			then(err)
		})
	}, func(err error) { then(result, err) })
}

// answer ends it.
func (im *importing) answer(err error) {
	s, h := im.s, im.h
	im.over = true
	s.broken("callers", s.checks.callers.Answered(im.caller))
	s.tell("node %d answers import %d with group %d: %v", h.id, im.token, im.id, err)
	switch {
	case err == nil:
		s.broken("imports", s.checks.imports.Acknowledged(im.id))
	default:
		if s.stats.GivenUp++; !im.announced && im.given != 0 { // else its outcome is unknown
			s.broken("imports", s.checks.imports.Refused(im.given))
		}
	}
	_ = im.staged.Discard() // what stays is removed by the next start
	delete(h.steward.imports, im.token)
	s.powerless(h)
	s.later(h, func() { s.lookNow(h) })
}

func (im *importing) reserve() {
	im.insist(catalog.BeginImport{Node: im.h.id, Token: im.token}, func(r catalog.Result, err error) {
		if err == nil && r.Outcome.Refused() {
			err = errRefused
		}
		if err != nil {
			im.answer(err)
			return
		}
		if im.id = wire.GroupID(r.Value); im.s.plan.sabotage == hastyImport {
			im.next(im.announce)
			return
		}
		im.next(im.adopt)
	})
}

func (im *importing) adopt() {
	s, h := im.s, im.h
	var err error
	if im.at, err = im.staged.Adopt(im.id); err != nil {
		if !h.depot.Cut() {
			im.answer(err)
		}
		return // else it ends with the process
	}
	s.tell("node %d has named the state of group %d", h.id, im.id)
	s.broken("imports", s.checks.imports.Adopted(h.id, im.id, &im.at.Membership))
	im.next(im.lay)
}

func (im *importing) lay() {
	im.s.inquire(im.h, "lay a log", func(done func(error)) { im.h.stepper.LayGroup(im.id, im.at, done) }, im.goOn(im.create))
}

func (im *importing) create() {
	s, h := im.s, im.h
	s.inquire(h, "create an imported group", func(done func(error)) { s.createGroup(h, im.id, im.at.Membership, done) }, func(err error) {
		if made, _ := h.engine().GroupStatus(im.id); err == nil {
			err = made.Err
		}
		im.goOn(im.lead)(err)
	})
}

// goOn is the end of a step, and the beginning of the next one.
func (im *importing) goOn(step func()) func(error) {
	return func(err error) {
		switch {
		case im.over:
		case err != nil:
			im.answer(err)
		default:
			im.next(step)
		}
	}
}

func (im *importing) lead() {
	s, h := im.s, im.h
	if chance(s.rng, 500) {
		im.knock()
	}
	im.again(func(then func(error)) {
		s.ask(h, "barrier", func(done func(error)) *multiraft.Call { return h.stepper.Barrier(im.id, done) }, then)
	}, im.goOn(im.announce))
}

// knock is a client who is early.
func (im *importing) knock() {
	s, h, g := im.s, im.h, im.id
	command := kv.AppendCommand(nil, &kv.Command{Op: kv.OpOpen})
	s.order(h, "early command", func(done func(error)) *multiraft.Call {
		return h.stepper.Propose(g, command, func(r multiraft.Result, err error) {
			if err == nil {
				s.broken("imports", s.checks.imports.Acknowledged(g))
				s.broken("machines", s.checks.machines.Acknowledged(g, r.Index, check.Sum(command)))
			}
			done(err)
		})
	})
}

func (im *importing) announce() {
	s, h := im.s, im.h
	if s.care.victim == h { // whoever is about to take a disk away does not count on what comes to it
		im.answer(errDeadline)
		return
	}
	im.announced = true
	im.first, _ = h.disk.Bounds(im.id)
	im.insist(catalog.EndImport{ID: im.id, Token: im.token, Made: true}, func(r catalog.Result, err error) {
		if g, found := h.catalog.FindGroup(im.id); err == nil && r.Outcome.Refused() && (!found || g.Deleted) { // else an earlier try did it
			err = errRefused
		}
		im.answer(err)
	})
}
