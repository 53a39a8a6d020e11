package multiraft

import (
	"context"
	"errors"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// errNotAwaited is why a transfer ends that serves nobody any more: the follower got there, left the group, or has another leader.
var errNotAwaited = errors.New("the snapshot is not awaited any more")

// errSilent is why one ends of which nothing was heard for so long that the follower is sent another one.
var errSilent = errors.New("nothing was heard of it for too long: another transfer goes on")

// sending is one transfer to a follower, until the follower goes on with the log from there: until then the log has to stay. Owner: the
// worker of the group.
type sending struct {
	to     wire.NodeID
	term   wire.Term  // that this node led when it began
	least  wire.Index // the log goes on from there
	cancel context.CancelCauseFunc
}

// answerNeeds begins to send snapshots to the followers named this turn. Whoever finds all transfers of the node taken is named
// again by the core within an election timeout.
func (w *worker) answerNeeds(g *group) {
	needs := g.snaps.needs
	g.snaps.needs = needs[:0]
	if w.e.cfg.Courier == nil || w.e.cfg.Snapshots == nil {
		return
	}
	for _, need := range needs {
		state, _, ok := w.e.cfg.Snapshots.Newest(g.id)
		if !ok || state.Index < need.Index {
			w.takeSnapshot(g) // none, or only older ones than the log's beginning: the newest was found damaged
			continue
		}
		for _, x := range g.snaps.sends {
			if x.to == need.Node { // it has failed, or nothing is heard of it; the log stays until another one takes its place
				x.cancel(errSilent)
			}
		}
		if w.e.beginSend() {
			w.send(g, need, state)
		}
	}
}

// send begins a transfer; the node's place for it is taken already.
func (w *worker) send(g *group, need raft.SnapshotNeed, state wire.Snapshot) {
	left := true
	defer func() {
		if left {
			w.e.endSend()
		}
	}()
	m, err := g.core.SendSnapshot(need.Node, state)
	if err != nil {
		return // the follower got on, or the core would rather have a newer one: it names it again
	}
	left = false
	ctx, cancel := context.WithCancelCause(w.e.life)
	x := &sending{to: need.Node, term: need.Term, least: need.Index, cancel: cancel}
	s := &g.snaps
	s.sends = append(slices.DeleteFunc(s.sends, func(x *sending) bool { return x.to == need.Node }), x)
	report := func(r raft.SnapshotReport) {
		g.w.inbox.order(func(w *worker) { w.report(g, x, r) })
	}
	w.e.emit(SnapshotSending{Group: g.id, Peer: x.to, Index: state.Index})
	w.e.cfg.Courier.Send(ctx, m, need.Index, func() { report(raft.SnapshotProgress) }, func(err error) {
		w.e.endSend()
		g.w.inbox.order(func(w *worker) { w.sent(g, x, state.Index, err) })
	})
}

// report tells the core how a transfer gets on, unless it is let go of: then another one may be under way to the same follower.
func (w *worker) report(g *group, x *sending, r raft.SnapshotReport) {
	if slices.Contains(g.snaps.sends, x) {
		w.visit(g, func(core *raft.Core) { core.ReportSnapshot(x.to, x.term, r) })
	}
}

// sent learns that a transfer has ended. The follower counts when it says itself that its log has moved.
func (w *worker) sent(g *group, x *sending, index wire.Index, err error) {
	x.cancel(nil)
	w.e.emit(SnapshotSent{Group: g.id, Peer: x.to, Index: index, Err: err})
	if w.fenced || g.core == nil {
		return
	}
	report := raft.SnapshotSent
	switch {
	case err == nil:
		w.e.stats.snapshotsSent.Add(1)
	case g.installs(err):
		report = raft.SnapshotProgress
	default:
		report = raft.SnapshotFailed
	}
	w.report(g, x, report)
	if useless(err) {
		w.visit(g, func(core *raft.Core) { w.takeAnother(g, core) })
	}
}

// installs reports whether the receiver says by err that its machine takes over an earlier snapshot. That may take longer than a leader
// waits for news; who let go of the log meanwhile would have to send another one, for ever if the log grows fast.
func (g *group) installs(err error) bool {
	said, ok := errors.AsType[*wire.Error](err)
	return ok && said.Code == wire.CodeOverloaded && said.Group == g.id
}

// awaited lets go of the transfers that serve nobody any more, and of the log that was kept for them.
func (s *snapshots) awaited(core *raft.Core) {
	n := len(s.sends)
	s.sends = slices.DeleteFunc(s.sends, func(x *sending) bool {
		if core.AwaitsSnapshot(x.to, x.term) {
			return false
		}
		x.cancel(errNotAwaited)
		return true
	})
	s.compact = s.compact || len(s.sends) < n
}

// takeAnother has a snapshot made that is none of those which are here. An idle group has to move for that.
func (w *worker) takeAnother(g *group, core *raft.Core) {
	g.snaps.beyond, _ = w.e.newest(g.id)
	if st := core.Status(); g.snaps.beyond >= g.handed && st.Last == st.Commit { // else what is under way moves it, or nothing does
		_, _, _ = core.ProposeEmpty() // who does not lead any more has no need of it
	}
	w.takeSnapshot(g)
}

// useless reports whether this snapshot will not get there: it is damaged here, or came damaged twice (P36).
func useless(err error) bool {
	refused, ok := errors.AsType[*snapshotstream.RefusedError](err)
	return errors.Is(err, snapshotstream.ErrCorrupt) || ok && refused.Reason == snapshotstream.ReasonQuarantined
}

// beginSend takes one of the node's places for transfers; false when all are taken.
func (e *Engine) beginSend() bool {
	if e.sends.Add(1) > int64(e.cfg.SnapshotSends) {
		e.endSend()
		return false
	}
	return true
}

func (e *Engine) endSend() { e.sends.Add(-1) }
