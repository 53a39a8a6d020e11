package multiraft

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// joinGrace is how long Close waits, after ctx has ended, for goroutines that are inside the disk or a machine.
const joinGrace = 5 * time.Second

// Close refuses new work, hands leaderships over and lets what is under way end, both for as long as ctx
// and two election timeouts allow; then it ends everything in flight with CodeStopped or
// CodeUnknownOutcome and waits for every goroutine (P7, P8). It may be called any number of times, all calls
// return when the engine has stopped. An error says that a goroutine is stuck in the disk or in a machine.
func (e *Engine) Close(ctx context.Context) error { return e.stop(ctx) }

// Kill stops as a crash would, as far as peers and callers can tell, and waits for every goroutine.
func (e *Engine) Kill() {
	e.once.hurry.Do(func() { close(e.hurry) })
	_ = e.stop(context.Background())
}

func (e *Engine) stop(ctx context.Context) error {
	e.closing.Store(true)
	e.once.stop.Do(func() {
		e.once.start.Do(func() {}) // from now on Start does nothing
		if e.started.Load() {
			e.drain(ctx)
		}
		e.stopErr = e.halt(ctx)
	})
	return e.stopErr
}

// drain asks the workers to finish and waits for them.
func (e *Engine) drain(ctx context.Context) {
	select {
	case <-e.hurry:
		return
	default:
	}
	limit := time.NewTimer(2 * e.cfg.ElectionTimeout)
	defer limit.Stop()
	e.beginDrain()
	for _, w := range e.workers {
		select {
		case <-w.drained:
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-e.hurry:
			return
		case <-e.failedCh:
			return
		}
	}
}

// beginDrain has the workers hand over what they lead and tell when nothing is left.
func (e *Engine) beginDrain() {
	for _, w := range e.workers {
		w.inbox.order(func(w *worker) { w.draining = true; w.handOver() })
	}
}

// checkDrained reports, at the end of a turn, that nothing is left to hand over or to wait for.
func (w *worker) checkDrained() {
	for _, g := range w.groups {
		if g.core == nil || w.fenced {
			continue
		}
		v := g.view.Load()
		leads := v.role == raft.Leader && len(v.members.AllVoters()) > 1
		if leads || g.pending.len() > 0 || g.handed > wire.Index(g.applied.Load()) {
			return
		}
	}
	w.draining = false
	close(w.drained)
}

// halt closes the doors, joins the goroutines and answers everybody who still waits. Nothing gets in after a
// door is closed, so nobody is missed (F35).
func (e *Engine) halt(ctx context.Context) error {
	e.end(errStopped)
	left := make([]mail, len(e.workers))
	for n, w := range e.workers {
		left[n] = w.inbox.close()
	}
	close(e.done)
	e.appliers.close()
	e.saver.close()
	e.remover.close()
	e.turning.Wait() // a turn waits for nothing
	for n, w := range e.workers {
		w.abandon(&left[n])
	}
	err := e.join(ctx)
	for _, w := range e.workers {
		for _, g := range w.groups {
			e.appliers.abandon(g)
		}
	}
	return err
}

// join waits for the goroutines that call the disk and the machines.
func (e *Engine) join(ctx context.Context) error {
	if !e.started.Load() {
		return nil
	}
	joined := make(chan struct{})
	go func() {
		e.running.Wait()
		close(joined)
	}()
	select {
	case <-joined:
		return nil
	case <-ctx.Done():
	}
	grace := time.NewTimer(joinGrace)
	defer grace.Stop()
	select {
	case <-joined:
		return nil
	case <-grace.C:
		return fmt.Errorf("close engine: a goroutine is stuck in the log store or in a state machine: %w",
			errors.Join(errStopped, context.Cause(ctx)))
	}
}

// abandon answers everybody who waits for this worker, after its goroutine has returned.
func (w *worker) abandon(left *mail) {
	for _, p := range left.proposals {
		p.settle(Result{}, p.g.stopped())
	}
	for _, r := range left.reads {
		r.finish(nil, r.g.stopped())
	}
	for _, do := range left.orders {
		do(w)
	}
	for _, g := range w.groups {
		g.answerAll(g.stopped())
	}
	for i := range w.toApply {
		w.toApply[i].refuse(w.toApply[i].g.stopped())
	}
}
