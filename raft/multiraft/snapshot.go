package multiraft

import (
	"context"
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// snapshots is what the owner of a group knows of its snapshots and of the log that they stand for.
type snapshots struct {
	machine Snapshotter // nil when the log is kept as a whole
	// newest is the one up to which the log may go, 0 for none; bytes is the size of its state.
	newest wire.Index
	bytes  int64
	// grown is the log since the last one came due by size, in bytes; log says where how much of it lies.
	grown int64
	log   logMarks
	// told is how far the core knows that the machine has applied.
	told wire.Index
	// making: one is frozen and written. wanted: one more is to be made, and if beyond is not 0 one beyond that index. pause
	// counts the ticks until the next try after a failure.
	making, wanted bool
	beyond         wire.Index
	// missed: one came due while another was made. lull counts the ticks since the machine was given something.
	missed  bool
	lull    int
	pause   int
	asked   []snapshotAsk
	compact bool // the log may have become shorter
	again   int  // ticks until that is looked at once more, 0 for never

	needs  []raft.SnapshotNeed // of this turn
	sends  []*sending
	taking *taking
}

// snapshotAsk is a caller of MakeSnapshot.
type snapshotAsk struct {
	from wire.Index // one of this index or later will do
	then func(wire.Snapshot, error)
}

// due counts an entry that goes to the machine and reports whether a snapshot comes due with it. When depends on nothing but
// the log and the size of the last state, so replicas of a group make the same ones, and one can go on sending what another
// one began (N5). A state much larger than SnapshotBytes is not written for so little; its size is taken in powers of two
// because they differ in when they know it. With many groups each one's log is shorter, so that their sum stays bounded.
func (w *worker) due(g *group, e *wire.Entry) bool {
	s, size := &g.snaps, int64(e.Size())
	if s.machine == nil {
		return false
	}
	if s.log.add(e.Index, size, w.e.cfg.TailBytes/marksPerTail) {
		s.compact = true
	}
	s.grown += size
	s.lull = 0
	worth := w.e.cfg.SnapshotBytes
	if groups := int64(len(w.groups) * len(w.e.workers)); groups > fullLogs {
		worth = max(worth*fullLogs/groups, min(worth, minSnapshotBytes))
	}
	for worth < s.bytes/stateShare {
		worth *= 2
	}
	if s.grown < worth {
		return false
	}
	s.grown = 0
	// Else not this one: one at another index would be of use here alone. If the group comes to rest then, one is made all the same.
	s.missed = !s.free()
	return !s.missed
}

// takeSnapshot has the state that the machine will have when it has applied all that it was given frozen and written. What
// stands in the way is looked at again when it has gone.
func (w *worker) takeSnapshot(g *group) {
	s := &g.snaps
	s.wanted = true
	if !s.free() || g.handed == 0 {
		return
	}
	newest, bytes, _ := w.e.cfg.Snapshots.Newest(g.id)
	if s.newest, s.bytes = newest.Index, bytes; s.newest >= g.handed { // made here, or sent by a peer
		s.wanted = s.newest <= s.beyond
		s.serve(newest)
		return
	}
	state, err := g.core.SnapshotAt(g.handed)
	if err != nil {
		w.snapshotFailed(g, err)
		return
	}
	s.making, s.wanted, s.beyond = true, false, 0
	w.e.appliers.submit(applyJob{g: g, freeze: &state})
}

// free reports whether a snapshot could be made now.
func (s *snapshots) free() bool {
	return s.machine != nil && !s.making && s.taking == nil && s.pause == 0
}

// saved learns that a snapshot is durable, or why there is none.
func (w *worker) saved(g *group, state wire.Snapshot, err error) {
	s := &g.snaps
	s.making = false
	if g.core == nil || w.fenced {
		return
	}
	if err != nil {
		w.snapshotFailed(g, err)
		return
	}
	w.e.stats.snapshotsMade.Add(1)
	s.newest, s.bytes = w.e.newest(g.id)
	g.snapshot.Store(uint64(s.newest))
	w.e.emit(SnapshotMade{Group: g.id, Snapshot: state, Bytes: s.bytes})
	s.compact = true
	s.serve(state)
	w.activate(g)
	if s.wanted || len(s.asked) > 0 {
		w.call(g, func(*raft.Core) { w.takeSnapshot(g) })
	}
}

// newest returns index and size of the newest snapshot of group id, 0 for none.
func (e *Engine) newest(id wire.GroupID) (wire.Index, int64) {
	if e.cfg.Snapshots == nil {
		return 0, 0
	}
	s, bytes, _ := e.cfg.Snapshots.Newest(id)
	return s.Index, bytes
}

// snapshotFailed tells who asked and whoever listens, and has it tried again after a while.
func (w *worker) snapshotFailed(g *group, err error) {
	s := &g.snaps
	s.pause, s.wanted = snapshotPause*w.e.cfg.electionTicks(), true
	w.e.stats.snapshotsFailed.Add(1)
	w.e.emit(SnapshotFailed{Group: g.id, Err: err})
	s.answer(&wire.Error{Code: wire.CodeStorage, Group: g.id, Cause: err, Detail: "no snapshot was made"})
}

// serve answers those whom a snapshot that is here is late enough for.
func (s *snapshots) serve(state wire.Snapshot) {
	s.asked = slices.DeleteFunc(s.asked, func(a snapshotAsk) bool {
		if state.Index >= a.from {
			a.then(state, nil)
		}
		return state.Index >= a.from
	})
}

// answer tells all who asked for a snapshot that there is none.
func (s *snapshots) answer(why *wire.Error) {
	for _, a := range s.asked {
		a.then(wire.Snapshot{}, why)
	}
	s.asked = nil
}

// tick lets time pass for what waits.
func (s *snapshots) tick(w *worker, g *group) {
	if s.pause > 0 {
		s.pause--
	}
	if s.lull++; s.missed && s.lull > w.e.cfg.electionTicks() {
		s.missed, s.wanted = false, true
	}
	if s.wanted {
		w.takeSnapshot(g)
	}
	if s.again > 0 {
		s.again--
		s.compact = s.compact || s.again == 0
	}
	if s.compact {
		w.activate(g)
	}
	s.awaited(g.core)
}

// drop ends everything that is under way for a group that ends here.
func (s *snapshots) drop(why *wire.Error) {
	s.answer(why)
	for _, x := range s.sends {
		x.cancel(why)
	}
	if t := s.taking; t != nil {
		s.taking = nil
		t.then(why)
	}
}

// MakeSnapshot has a snapshot of group id made here that holds all that is applied here now, and returns it, or a later one.
// Errors are *wire.Error: CodeStorage when it could not be written, CodeBadRequest for a machine that has none.
func (e *Engine) MakeSnapshot(ctx context.Context, id wire.GroupID) (wire.Snapshot, error) {
	type answer struct {
		s   wire.Snapshot
		err error
	}
	made := make(chan answer, 1)
	e.makeSnapshot(id, func(s wire.Snapshot, err error) { made <- answer{s, err} })
	select {
	case a := <-made:
		return a.s, a.err
	case <-ctx.Done():
		return wire.Snapshot{}, &wire.Error{Code: wire.CodeTimeout, Group: id, Cause: context.Cause(ctx)}
	}
}

// makeSnapshot is MakeSnapshot whose end then is told, by a worker or at once.
func (e *Engine) makeSnapshot(id wire.GroupID, then func(wire.Snapshot, error)) {
	g, err := e.group(id)
	if err != nil {
		then(wire.Snapshot{}, err)
		return
	}
	if !g.w.inbox.order(func(w *worker) { w.askSnapshot(g, then) }) {
		then(wire.Snapshot{}, g.stopped())
	}
}

func (w *worker) askSnapshot(g *group, then func(wire.Snapshot, error)) {
	s := &g.snaps
	switch {
	case w.fenced:
		then(wire.Snapshot{}, g.errorf(wire.CodeStorage, "the log is fenced"))
	case g.core == nil:
		then(wire.Snapshot{}, g.fault.Load())
	case s.machine == nil:
		then(wire.Snapshot{}, g.errorf(wire.CodeBadRequest, "its state machine makes no snapshots"))
	case g.handed == 0:
		then(wire.Snapshot{}, &wire.Error{Code: wire.CodeNoLeader, Group: g.id, Cause: fmt.Errorf("nothing is applied yet")})
	default:
		if have, _, ok := w.e.cfg.Snapshots.Newest(g.id); ok && have.Index >= g.handed {
			then(have, nil)
			return
		}
		if len(s.asked) >= maxSnapshotAsks {
			then(wire.Snapshot{}, g.errorf(wire.CodeOverloaded, "%d callers wait for a snapshot: try later", len(s.asked)))
			return
		}
		s.asked = append(s.asked, snapshotAsk{from: g.handed, then: then})
		w.call(g, func(*raft.Core) { w.takeSnapshot(g) })
	}
}

// keepSnapshots is the phase of a turn that helps followers behind the log and lets go of what snapshots stand for (P2).
func (w *worker) keepSnapshots() {
	for _, g := range w.active {
		if g.core == nil {
			continue
		}
		if len(g.snaps.needs) > 0 {
			w.call(g, func(*raft.Core) { w.answerNeeds(g) })
		}
		if g.snaps.compact && g.core != nil {
			g.snaps.compact = false
			w.call(g, func(core *raft.Core) { w.compact(g, core) })
		}
	}
}
