package multiraft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// CreateGroup makes this node's replica of a group that begins with the membership origin, durable when it returns, and takes
// it up. A replica that is here already is left as it is; a log without a replica, as a crash in between leaves it, is taken up.
// CodeOverloaded while an earlier call for the group is not done, whose caller may have left: it goes on.
func (e *Engine) CreateGroup(ctx context.Context, cfg GroupConfig, origin wire.Membership) error {
	made := make(chan error, 1)
	e.createGroup(cfg, origin, func(err error) { made <- err })
	return e.await(ctx, cfg.ID, made)
}

// createGroup is CreateGroup whose end then is told, by a worker or at once.
func (e *Engine) createGroup(cfg GroupConfig, origin wire.Membership, then func(error)) {
	if !e.claim(cfg.ID) {
		then(busy(cfg.ID))
		return
	}
	made := func(err error) {
		e.moving.Delete(cfg.ID)
		then(err)
	}
	_, held := e.cfg.Log.State(cfg.ID)
	switch {
	case e.lookup(cfg.ID) != nil:
		made(nil)
		return
	case cfg.Machine == nil:
		made(fmt.Errorf("create group %d: state machine is missing", cfg.ID))
		return
	case held:
		made(e.AddGroup(cfg))
		return
	}
	update := wire.LogUpdate{Group: cfg.ID, Create: true, SetMembership: true, Membership: origin}
	e.forget(cfg.ID, func(err error) { // an earlier replica's, which a crash left behind
		if err != nil {
			made(fmt.Errorf("create group %d: remove old snapshots: %w", cfg.ID, err))
			return
		}
		begin := func(w *worker) { w.commitAlone(func() { made(e.AddGroup(cfg)) }, update) }
		if !e.workerOf(cfg.ID).inbox.order(begin) {
			made(&wire.Error{Code: wire.CodeStopped, Group: cfg.ID})
		}
	})
}

// LayGroup makes the log of a replica that begins after snapshot s, which the store holds with s.Membership in effect; durable when it
// returns. CreateGroup takes it up. Errors as CreateGroup's; CodeConflict when there is a log already.
func (e *Engine) LayGroup(ctx context.Context, id wire.GroupID, s wire.Snapshot) error {
	laid := make(chan error, 1)
	e.layGroup(id, s, func(err error) { laid <- err })
	return e.await(ctx, id, laid)
}

func (e *Engine) layGroup(id wire.GroupID, s wire.Snapshot, then func(error)) {
	if !e.claim(id) {
		then(busy(id))
		return
	}
	done := func(err error) {
		e.moving.Delete(id)
		then(err)
	}
	if _, held := e.cfg.Log.State(id); held || e.lookup(id) != nil {
		done(&wire.Error{Code: wire.CodeConflict, Group: id, Detail: "there is a log of it already"})
		return
	}
	made := wire.LogUpdate{Group: id, Create: true, SetMembership: true}
	moved := raft.MoveTo(id, wire.HardState{}, s, s.Term)
	lay := func(w *worker) { w.commitAlone(func() { done(nil) }, made, moved) }
	if !e.workerOf(id).inbox.order(lay) {
		done(&wire.Error{Code: wire.CodeStopped, Group: id})
	}
}

// claim takes hold of a group whose replica here is to be made or ended; false while somebody else does. Whoever has it deletes it
// from moving at the end, also when nobody waits for that any more.
func (e *Engine) claim(id wire.GroupID) bool {
	_, held := e.moving.LoadOrStore(id, true)
	return !held
}

func busy(id wire.GroupID) *wire.Error {
	return &wire.Error{Code: wire.CodeOverloaded, Group: id, Detail: "its replica here is being made or ended"}
}

// RemoveGroup ends this node's replica of a group: whoever waits for it is answered, CodeUnknownOutcome for commands in the
// log, CodeUnknownGroup else; when its machine is left alone, its log let go of, durably, and its snapshots after it, it returns. What is
// left of one without a replica is let go of as well. nil means that there is none and that none is being made. CodeOverloaded while an
// earlier call for the group is not done. Peers are told that the group is unknown here. Once begun it goes on when ctx has ended.
func (e *Engine) RemoveGroup(ctx context.Context, id wire.GroupID) error {
	ended := make(chan error, 1)
	e.removeGroup(id, func(err error) { ended <- err })
	return e.await(ctx, id, ended)
}

// removeGroup is RemoveGroup whose end then is told, by a worker or at once.
func (e *Engine) removeGroup(id wire.GroupID, then func(error)) {
	if !e.claim(id) {
		then(busy(id))
		return
	}
	g := e.lookup(id)
	if g == nil {
		e.removeRest(id, then)
		return
	}
	e.groups.Delete(id)
	gone := g.errorf(wire.CodeUnknownGroup, "the replica on node %d was ended", e.cfg.Self)
	if !g.fault.CompareAndSwap(nil, gone) {
		e.stats.quarantined.Add(^uint64(0)) // it was out of service, and is no longer counted
	}
	var closed error
	leave := func(w *worker) {
		w.evict(g)
		w.groups = slices.DeleteFunc(w.groups, func(other *group) bool { return other == g })
		e.dropLog(w, g.id, func(err error) { then(errors.Join(closed, err)) })
	}
	// The machine first: it may read what the log holds. Then the owner lets go, in whose order the log is written.
	ordered := e.appliers.last(g, func() {
		closed = closeMachine(g.machine)
		if !g.w.inbox.order(leave) {
			then(g.stopped())
		}
	})
	if !ordered {
		then(g.stopped())
	}
}

// removeRest lets go of what is left without a replica: the log of a caller of LayGroup who did not go on, snapshots whose log was gone when
// a crash came. The group is claimed.
func (e *Engine) removeRest(id wire.GroupID, then func(error)) {
	if _, held := e.cfg.Log.State(id); !held || mutant.Is(mutant.KeepLaidLog) {
		e.dropSnapshots(id, then)
		return
	}
	if !e.workerOf(id).inbox.order(func(w *worker) { e.dropLog(w, id, then) }) {
		e.moving.Delete(id)
		then(&wire.Error{Code: wire.CodeStopped, Group: id})
	}
}

// dropLog lets go of the log of a claimed group, and of its snapshots after it: without a log nobody misses a beginning.
func (e *Engine) dropLog(w *worker, id wire.GroupID, then func(error)) {
	w.commitAlone(func() { e.dropSnapshots(id, then) }, wire.LogUpdate{Group: id, Drop: true})
}

func (e *Engine) dropSnapshots(id wire.GroupID, then func(error)) {
	e.forget(id, func(err error) {
		e.moving.Delete(id)
		then(err)
	})
}

// closeMachine closes a machine that wants to be, and turns a panic into an error (P4).
func closeMachine(m StateMachine) (err error) {
	defer caught(&err)
	if c, ok := m.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// await waits for the end of something that goes on without its caller.
func (e *Engine) await(ctx context.Context, id wire.GroupID, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return &wire.Error{Code: wire.CodeTimeout, Group: id, Cause: context.Cause(ctx)}
	case <-e.life.Done():
		return &wire.Error{Code: wire.CodeStopped, Group: id}
	case <-e.failedCh:
		return &wire.Error{Code: wire.CodeStorage, Group: id, Cause: e.Err()}
	}
}

// commitAlone hands the log writer updates that are no core's, behind all that this worker handed over before.
func (w *worker) commitAlone(done func(), updates ...wire.LogUpdate) {
	b := logBatch{updates: updates}
	for range updates[1:] {
		b.marks = append(b.marks, durableMark{w: w, done: func() {}})
	}
	b.marks = append(b.marks, durableMark{w: w, done: done})
	if w.outstanding == 0 {
		w.stallTicks = 0
	}
	w.outstanding++
	w.e.log.submit(w, &b)
}

// Barrier has an entry without content committed in a group that this node leads, and applied here, and returns its index. A
// majority then holds on disk that everything before it is committed. CodeNotLeader elsewhere.
func (e *Engine) Barrier(ctx context.Context, id wire.GroupID) (wire.Index, error) {
	g, err := e.group(id)
	if err != nil {
		return 0, err
	}
	p, err := e.beginBarrier(g, nil)
	if err != nil {
		return 0, e.failed(err)
	}
	out, answered := p.wait(ctx, g.id)
	if !answered {
		return 0, e.failed(out.err)
	}
	e.recycle(p)
	return out.result.Index, out.err
}

func (e *Engine) beginBarrier(g *group, tell func(outcome)) (*proposal, error) {
	p := e.newProposal(g, nil, nil)
	p.empty, p.tell = true, tell
	if err := g.reserve(p.cost); err != nil {
		return nil, err
	}
	if !g.w.inbox.propose(p) {
		g.release(p.cost)
		return nil, g.stopped()
	}
	return p, nil
}

// CreateGroup is Engine.CreateGroup.
func (s *Stepper) CreateGroup(cfg GroupConfig, origin wire.Membership, then func(error)) {
	s.e.createGroup(cfg, origin, then)
}

// LayGroup is Engine.LayGroup.
func (s *Stepper) LayGroup(id wire.GroupID, at wire.Snapshot, then func(error)) {
	s.e.layGroup(id, at, then)
}

// RemoveGroup is Engine.RemoveGroup.
func (s *Stepper) RemoveGroup(id wire.GroupID, then func(error)) { s.e.removeGroup(id, then) }

// Barrier is Engine.Barrier.
func (s *Stepper) Barrier(id wire.GroupID, done func(error)) *Call {
	c := &Call{s: s, id: id, done: resultless(done)}
	g, err := s.e.group(id)
	if err != nil {
		c.finish(Result{}, err)
		return c
	}
	var p *proposal
	p, err = s.e.beginBarrier(g, func(out outcome) {
		c.local = nil
		s.e.recycle(p)
		c.finish(out.result, out.err)
	})
	if err != nil {
		c.finish(Result{}, s.e.failed(err))
		return c
	}
	c.local = &p.caller
	return c
}
