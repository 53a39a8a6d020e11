package multiraft

import (
	"fmt"
	"runtime/debug"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// worker owns the cores of its groups: nobody else calls them, so they need no lock (P3). Others leave what they
// want in the inbox; turn takes it out. Fields are the owner's, but for inbox.
type worker struct {
	e      *Engine
	number int
	inbox  *inbox

	groups []*group
	active []*group // to be visited in this turn, each once
	mail   mail     // taken out of the inbox in this turn

	rd      raft.Ready
	out     outbox
	batch   logBatch
	toApply []applyJob
	answers []readAnswer

	outstanding int // log batches on their way to the disk
	stallTicks  int // ticks since one of them was handed over or one became durable
	stalled     bool
	fenced      bool
	draining    bool
	drained     chan struct{} // closed once when a draining worker has nothing left
}

// readAnswer is the answer of a core to one read index round.
type readAnswer struct {
	g    *group
	read raft.Read
}

func newWorker(e *Engine, number int) *worker {
	return &worker{
		e: e, number: number, inbox: newInbox(e.cfg.NodeBytes / e.cfg.Workers),
		out: outbox{peers: map[wire.NodeID]*peerBuffer{}}, drained: make(chan struct{}),
	}
}

// loop turns whenever there is something to do, until done is closed.
func (w *worker) loop(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-w.inbox.wake:
		}
		for again := true; again; {
			again = w.turn()
			select {
			case <-done:
				return
			default:
			}
		}
	}
}

// activate puts g on this turn's list unless it is there.
func (w *worker) activate(g *group) {
	if !g.active {
		g.active = true
		w.active = append(w.active, g)
	}
}

// contain turns a panic in one group's core into the end of this one replica (P4). To be deferred around
// every call of a core.
func (w *worker) contain(g *group) {
	if r := recover(); r != nil {
		g.quarantine(fmt.Errorf("panic in the core of group %d: %v\n%s", g.id, r, debug.Stack()))
		w.evict(g)
	}
}

// adopt makes g one of the worker's groups.
func (w *worker) adopt(g *group) {
	w.groups = append(w.groups, g)
	if g.core != nil {
		w.activate(g)
	}
}

// evict ends a quarantined group's part in the loop.
func (w *worker) evict(g *group) {
	g.core = nil
	g.answerAll(g.fault.Load())
	v := g.view.Load()
	if v.role == raft.Leader {
		w.e.stats.led.Add(-1)
	}
	g.view.Store(&view{role: raft.Follower, term: v.term, members: v.members})
}

// answerAll answers everybody who waits in the worker's part of g. Commands that are in the log may yet be applied, by
// other replicas or after the next start, so their outcome is unknown; the rest had no effect.
func (g *group) answerAll(why *wire.Error) {
	g.pending.drop(&wire.Error{Code: wire.CodeUnknownOutcome, Group: g.id, Cause: why, Detail: why.Code.String()})
	for _, p := range g.incoming {
		p.settle(Result{}, why)
	}
	g.incoming = nil
	g.reads.drop(why)
	g.endTransfers(why)
	g.snaps.drop(why)
}
