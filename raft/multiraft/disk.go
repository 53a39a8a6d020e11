package multiraft

import (
	"flotilla/internal/mutant"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// watchDisk counts, once a tick, how long this worker has been waiting for the disk. After an election
// timeout it offers the groups it leads to others (D21). Cores with something on its way to the disk step
// down by themselves then; this moves those that are idle too, before somebody needs them.
func (w *worker) watchDisk() {
	w.stallTicks++
	if w.outstanding == 0 {
		w.stallTicks = 0
	}
	hangs := w.stallTicks >= w.e.cfg.electionTicks()
	switch {
	case hangs && !w.stalled:
		w.e.stats.stalls.Add(1)
		w.e.emit(DiskStalled{Led: w.handOver()})
	case !hangs && w.stalled:
		w.e.emit(DiskRecovered{})
	}
	w.stalled = hangs
	if w.draining {
		w.handOver() // who was no successor yet may be one now
	}
}

// handOver offers every group led here to its best placed follower and returns how many there are.
func (w *worker) handOver() (led int) {
	for _, g := range w.groups {
		if g.core == nil || g.view.Load().role != raft.Leader {
			continue
		}
		led++
		w.visit(g, func(core *raft.Core) {
			if to := successor(core); to != wire.NoNode {
				_ = core.TransferTo(to) // one under way already is as good
			}
		})
	}
	return led
}

// Busy reports whether the disk is slow right now: a commit of the log has been under way for longer than one should take. What is not
// urgent should give way then (N6).
func (e *Engine) Busy() bool {
	since := e.log.since.Load()
	return since != 0 && e.cfg.Now().UnixNano()-since > int64(slowCommit)
}

// fence stops everything after a commit with an unknown outcome: what is in memory and what is on disk may
// differ now, so no group may vote, acknowledge or lead from here (D20). Called by the log writer.
func (e *Engine) fence(err error) {
	if mutant.Is(mutant.NodeGoesOn) || e.fenced.Swap(true) {
		return
	}
	e.failure.Store(&err)
	for _, w := range e.workers {
		w.inbox.order(func(w *worker) { w.fence() })
	}
	close(e.failedCh)
	e.emit(LogFenced{Err: err})
}

// fence lets the groups of one worker fall silent. The last thing that leaves is the word to take over.
func (w *worker) fence() {
	for _, g := range w.groups {
		w.lastWord(g)
		g.answerAll(g.errorf(wire.CodeStorage, "the log is fenced"))
		v := g.view.Load()
		if v.role == raft.Leader {
			w.e.stats.led.Add(-1)
		}
		g.view.Store(&view{role: raft.Follower, term: v.term, members: v.members})
	}
	w.fenced = true
	w.batch.reset()
}

// lastWord orders the best placed follower of a group led here to take over, whether or not it holds everything:
// TimeoutNow asserts nothing about a log.
func (w *worker) lastWord(g *group) {
	v := g.view.Load()
	if g.core == nil || v.role != raft.Leader {
		return
	}
	defer w.contain(g)
	if to := successor(g.core); to != wire.NoNode {
		w.out.add(wire.Message{Type: wire.MsgTimeoutNow, Group: g.id, From: w.e.cfg.Self, To: to, Term: v.term})
	}
}

// outOfSpace refuses commands until the commit that had no space goes through.
func (e *Engine) outOfSpace(err error) {
	if !e.full.Swap(true) {
		e.emit(DiskFull{Err: err})
	}
}

// spaceAgain takes commands again.
func (e *Engine) spaceAgain() {
	if e.full.Load() && e.full.Swap(false) {
		e.emit(DiskFreed{})
	}
}

// Failed returns a channel that is closed when the log is fenced: the node must be stopped and started.
func (e *Engine) Failed() <-chan struct{} { return e.failedCh }

// Err returns why the log is fenced, nil while it is not.
func (e *Engine) Err() error {
	if err := e.failure.Load(); err != nil {
		return *err
	}
	return nil
}
