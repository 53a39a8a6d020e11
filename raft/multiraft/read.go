package multiraft

import (
	"context"
	"slices"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// readKind says what a read waits for.
type readKind uint8

const (
	readLinear readKind = iota // a read index, then the machine having applied it
	readStale                  // nothing
	readWait                   // the machine having applied an index; there is no request
)

// read is a caller that waits for a state of the machine. Owner: first the worker, then the applier.
type read struct {
	caller
	g       *group
	kind    readKind
	request []byte
	index   wire.Index
	cost    int
}

// finish answers r and gives its room back. Called once.
func (r *read) finish(value []byte, err error) {
	if r.cost > 0 {
		r.g.release(r.cost)
	}
	r.answer(outcome{result: Result{Index: r.index, Value: value}, err: err})
}

// Query has group id's local machine answer request as of now: everything that was acknowledged anywhere before
// the call is in the answer. It asks the leader for a read index, waits until the machine has applied it, and
// tries again by itself when leadership moves, until ctx ends (D36) or no leader has been known for two election timeouts. Errors are *wire.Error, or what
// StateMachine.Query returned.
func (e *Engine) Query(ctx context.Context, id wire.GroupID, request []byte) ([]byte, error) {
	return e.query(ctx, id, request, readLinear)
}

// QueryStale has group id's local machine answer request from whatever state it is in.
func (e *Engine) QueryStale(ctx context.Context, id wire.GroupID, request []byte) ([]byte, error) {
	return e.query(ctx, id, request, readStale)
}

func (e *Engine) query(ctx context.Context, id wire.GroupID, request []byte, kind readKind) ([]byte, error) {
	g, err := e.group(id)
	if err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, e.failed(&wire.Error{Code: wire.CodeTimeout, Group: id, Cause: err})
	}
	r := &read{caller: caller{done: make(chan outcome, 1)}, g: g, kind: kind, request: request}
	if err := e.beginRead(r); err != nil {
		return nil, e.failed(err)
	}
	out, answered := r.wait(ctx, id)
	switch {
	case !answered:
		return nil, e.failed(g.overdue(context.Cause(ctx)))
	case out.err != nil:
		return nil, e.failed(out.err)
	}
	e.stats.reads.Add(1)
	return out.result.Value, nil
}

// beginRead leaves r with whoever has to look at it first, or says why not.
func (e *Engine) beginRead(r *read) error {
	g := r.g
	r.cost = len(r.request) + commandOverhead
	if r.kind == readLinear && e.fenced.Load() {
		return g.errorf(wire.CodeStorage, "the log is fenced: ask another node")
	}
	if err := g.take(r.cost); err != nil { // a full disk keeps nobody from reading
		return err
	}
	open := false
	if r.kind == readStale {
		open = e.appliers.read(r)
	} else {
		open = g.w.inbox.read(r)
	}
	if !open {
		g.release(r.cost)
		return g.stopped()
	}
	return nil
}

// overdue says why a read or a wait did not end in time.
func (g *group) overdue(cause error) *wire.Error {
	code := wire.CodeTimeout
	if g.view.Load().leader == wire.NoNode {
		code = wire.CodeNoLeader
	}
	return &wire.Error{Code: code, Group: g.id, Cause: cause}
}

// readRound is one call of Core.ReadIndex on behalf of all reads that had come until then.
type readRound struct {
	context uint64
	age     int // ticks
	reads   []*read
}

// readBook keeps one group's reads until they have an index. Owner: the worker.
type readBook struct {
	// next is the number of the next round. It never repeats, also not by a restart (its start is drawn from
	// Config.Seed): an answer to an earlier question never serves a later one (D31).
	next    uint64
	waiting []*read
	rounds  []readRound
	// refused says that the last round was: the next one waits for a tick or a leader.
	refused bool
	// leaderless counts the ticks for which no leader has been known.
	leaderless int
}

// ask begins a round for the reads that wait.
func (b *readBook) ask(core *raft.Core) {
	if b.refused || len(b.rounds) >= maxReadRounds {
		return
	}
	b.waiting = withoutGone(b.waiting)
	if len(b.waiting) == 0 {
		return
	}
	b.next++
	b.rounds = append(b.rounds, readRound{context: b.next, reads: b.waiting})
	b.waiting = nil
	core.ReadIndex(b.next)
}

// withoutGone forgets the reads whose callers have left.
func withoutGone(reads []*read) []*read {
	return slices.DeleteFunc(reads, func(r *read) bool {
		gone := r.gone()
		if gone {
			r.finish(nil, nil)
		}
		return gone
	})
}

// answer hands the reads of a confirmed round to the machine; those of a refused one wait for the next.
func (b *readBook) answer(g *group, a raft.Read) {
	for i, round := range b.rounds {
		if round.context != a.Context {
			continue
		}
		b.rounds = append(b.rounds[:i], b.rounds[i+1:]...)
		if a.Err != nil {
			b.waiting = append(b.waiting, round.reads...)
			b.refused = true
			g.e.stats.readRetries.Add(1)
			return
		}
		for _, r := range round.reads {
			r.index = a.Index
			if !g.e.appliers.read(r) {
				r.finish(nil, g.stopped())
			}
		}
		if len(b.waiting) > 0 {
			g.w.activate(g)
		}
		return
	}
}

// tick lets rounds age; one without an answer for limit ticks is asked again under a new number, so that
// no read ever waits for a lost message. Without a leader for as long, every read is refused: an election is worth
// waiting for, a lost majority is not. It reports whether there is something to ask.
func (b *readBook) tick(g *group, limit int) bool {
	b.leaderless++
	if g.view.Load().leader != wire.NoNode {
		b.leaderless = 0
	}
	if b.leaderless > limit && len(b.waiting)+len(b.rounds) > 0 {
		b.drop(g.errorf(wire.CodeNoLeader, "none for %v", time.Duration(b.leaderless)*g.e.cfg.Heartbeat))
	}
	for i := 0; i < len(b.rounds); i++ {
		if b.rounds[i].age++; b.rounds[i].age > limit {
			b.waiting = append(b.waiting, b.rounds[i].reads...)
			b.rounds = append(b.rounds[:i], b.rounds[i+1:]...)
			i--
		}
	}
	b.refused = false
	b.waiting = withoutGone(b.waiting)
	return len(b.waiting) > 0
}

// drop answers all reads with err.
func (b *readBook) drop(err error) {
	for _, round := range b.rounds {
		for _, r := range round.reads {
			r.finish(nil, err)
		}
	}
	for _, r := range b.waiting {
		r.finish(nil, err)
	}
	b.rounds, b.waiting = nil, nil
}
