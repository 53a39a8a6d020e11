package multiraft

import (
	"context"
	"errors"
	"fmt"
	"io"

	"flotilla/internal/crashpoint"
	"flotilla/raft"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// taking is a snapshot on its way into this replica: from the store into the machine, then the log moves. Owner: the worker, but
// for the constant fields.
type taking struct {
	state wire.Snapshot
	then  func(error)
}

// OfferSnapshot says that a peer would like to send a snapshot, m being the MsgSnapshot that it put in front. It returns nil when the
// data is to be received, else the *wire.Error that says why not: it is not lacking, or the replica is not in service.
func (e *Engine) OfferSnapshot(ctx context.Context, m wire.Message) error {
	answered := make(chan error, 1)
	e.offerSnapshot(m, func(err error) { answered <- err })
	return e.await(ctx, m.Group, answered)
}

// offerSnapshot is OfferSnapshot whose end then is told, by a worker or at once.
func (e *Engine) offerSnapshot(m wire.Message, then func(error)) {
	g, err := e.receiver(m.Group)
	if err == nil && (m.Type != wire.MsgSnapshot || m.To != e.cfg.Self || m.From == e.cfg.Self) {
		e.stats.foreign.Add(1)
		err = g.errorf(wire.CodeBadRequest, "the message in front of a snapshot is not one for node %d", e.cfg.Self)
	}
	if err != nil {
		then(err)
		return
	}
	if !g.w.inbox.order(func(w *worker) { w.offered(g, m, then) }) {
		then(g.stopped())
	}
}

// receiver returns group id if a snapshot can be taken in for it.
func (e *Engine) receiver(id wire.GroupID) (*group, error) {
	g, err := e.group(id)
	if err != nil {
		return nil, err
	}
	if fault := g.fault.Load(); fault != nil {
		return nil, fault
	}
	if g.snaps.machine == nil { // never written after the group was made
		return nil, g.errorf(wire.CodeBadRequest, "its state machine takes no snapshots")
	}
	return g, nil
}

func (w *worker) offered(g *group, m wire.Message, then func(error)) {
	if w.fenced || g.core == nil {
		then(g.outOfService())
		return
	}
	wanted := false
	w.visit(g, func(core *raft.Core) {
		if err := core.Step(m); err != nil {
			w.e.stats.stepErrors.Add(1)
			return
		}
		wanted = core.WantsSnapshot(m.Index)
	})
	if g.snaps.taking != nil { // the sender keeps the log for it (sent)
		then(g.errorf(wire.CodeOverloaded, "an earlier snapshot is being installed"))
		return
	}
	if !wanted {
		then(g.errorf(wire.CodeNotApplied, "node %d does not need the snapshot at %d", w.e.cfg.Self, m.Index))
		return
	}
	then(nil)
}

// outOfService says why a replica takes nothing: its own fault, or the log's.
func (g *group) outOfService() *wire.Error {
	if fault := g.fault.Load(); fault != nil {
		return fault
	}
	return g.errorf(wire.CodeStorage, "the log is fenced")
}

// InstallSnapshot says that the store holds snapshot s of group id, whole and durable. It returns when the machine has taken it over and
// the log is about to move, or when it turned out not to be needed. Errors are *wire.Error; after each the replica is what it was.
func (e *Engine) InstallSnapshot(ctx context.Context, id wire.GroupID, s wire.Snapshot) error {
	ended := make(chan error, 1)
	e.installSnapshot(id, s, func(err error) { ended <- err })
	return e.await(ctx, id, ended)
}

// installSnapshot is InstallSnapshot whose end then is told, by a worker or at once.
func (e *Engine) installSnapshot(id wire.GroupID, s wire.Snapshot, then func(error)) {
	g, err := e.receiver(id)
	if err != nil {
		then(err)
		return
	}
	if !g.w.inbox.order(func(w *worker) { w.beginInstall(g, &taking{state: s, then: then}) }) {
		then(g.stopped())
	}
}

// beginInstall has the machine take over a snapshot once it has applied what it was given before; nothing more is handed out
// meanwhile (I18).
func (w *worker) beginInstall(g *group, t *taking) {
	if w.fenced || g.core == nil {
		t.then(g.outOfService())
		return
	}
	err := error(g.errorf(wire.CodeQuarantined, "the core failed"))
	w.visit(g, func(core *raft.Core) { err = core.BeginInstall(t.state) })
	switch {
	case errors.Is(err, raft.ErrSnapshotOld):
		t.then(nil)
	case err != nil:
		t.then(&wire.Error{Code: wire.CodeNotApplied, Group: g.id, Cause: err})
	default:
		g.snaps.taking = t
		w.e.appliers.submit(applyJob{g: g, install: t})
	}
}

// install is the applier's part: data first, then the applied index, which watchers see jump (P12, F30).
func (a *applier) install(g *group, t *taking) error {
	crashpoint.Here(crashpoint.InstallBegun)
	err := a.e.load(g.snaps.machine, g, g.id, t.state.Index)
	if _, broken := errors.AsType[*restoreError](err); broken {
		return err
	}
	if err == nil {
		crashpoint.Here(crashpoint.InstallRestored)
		g.commit.Store(max(g.commit.Load(), uint64(t.state.Index)))
		g.applied.Store(uint64(t.state.Index))
		g.run.given = t.state.Index
		g.kept.Store(uint64(t.state.Index))
	}
	g.w.inbox.order(func(w *worker) { w.installed(g, t, err) })
	return nil
}

// installed learns that the machine has taken a snapshot over, or is what it was.
func (w *worker) installed(g *group, t *taking, err error) {
	if g.snaps.taking != t || g.core == nil {
		return // ended meanwhile, and answered
	}
	g.snaps.taking = nil
	if err != nil {
		w.visit(g, func(core *raft.Core) { core.AbandonInstall() })
		w.e.emit(SnapshotFailed{Group: g.id, Err: err})
		t.then(&wire.Error{Code: wire.CodeStorage, Group: g.id, Cause: err, Detail: "the snapshot was not installed"})
		return
	}
	err = g.errorf(wire.CodeQuarantined, "the core failed")
	w.visit(g, func(core *raft.Core) {
		core.Installed()
		if core.Err() == nil {
			w.jump(g, &t.state)
			err = nil
		}
	})
	t.then(err)
}

// jump takes in that everything up to a snapshot was applied at once.
func (w *worker) jump(g *group, s *wire.Snapshot) {
	g.handed, g.appliedTerm = s.Index, s.Term
	g.pending.jump(g, s.Index, s.Term)
	if g.promote != 0 && s.Index >= g.promote {
		g.promote = 0
	}
	if v := *g.view.Load(); s.Membership.Index > v.members.Index {
		v.members = s.Membership
		g.view.Store(&v)
		w.e.emit(MembershipChanged{Group: g.id, Membership: s.Membership})
	}
	g.snaps.begin(w.e, g, s.Index)
	w.e.stats.snapshotsInstalled.Add(1)
	w.e.emit(SnapshotInstalled{Group: g.id, Snapshot: *s})
	w.e.latch(g)
}

// begin starts the accounts of a group's log whose machine has got to applied.
func (s *snapshots) begin(e *Engine, g *group, applied wire.Index) {
	s.newest, s.bytes = e.newest(g.id)
	s.told, s.grown = applied, 0
	g.snapshot.Store(uint64(s.newest))
	// Nobody has counted what a machine of its own memory had applied before this start.
	uncounted := int64(applied-min(applied, s.newest)) * uncountedEntryBytes
	s.log.start(min(applied, s.newest), applied, uncounted)
	s.grown = uncounted
}

// jump settles what was proposed up to a snapshot's end: it may be in there, or something else. What lies behind it of an earlier
// term never can be (N7).
func (b *pendingBook) jump(g *group, index wire.Index, term wire.Term) {
	for b.len() > 0 {
		p := b.entries[b.head]
		if p.index > index && p.term >= term {
			return
		}
		why := g.errorf(wire.CodeUnknownOutcome, "a snapshot took the place of the log in which it would be found")
		if p.index > index {
			why = g.errorf(wire.CodeNotApplied, "another leader's entry took its place")
		}
		b.pop()
		for _, prop := range p.props {
			prop.settle(Result{}, why)
		}
	}
}

// restoreError says that a machine could not take over a state that is right.
type restoreError struct{ cause error }

// Error returns the cause.
func (e *restoreError) Error() string { return fmt.Sprintf("restore the state machine: %v", e.cause) }

// Unwrap returns the cause.
func (e *restoreError) Unwrap() error { return e.cause }

// load has a machine take over the state of a snapshot; g is nil at its start. Errors: *restoreError for the machine's own, which may be
// anything by then; the store's, wire.ErrNoSpace and that of an end meanwhile leave the machine as it was.
func (e *Engine) load(m Snapshotter, g *group, id wire.GroupID, at wire.Index) error {
	var broken error
	var panicked *machinePanic // in the middle of what: also when the state ended early
	err := e.cfg.Snapshots.Load(id, at, func(r io.Reader) error {
		from := &witness{Reader: r, e: e, g: g}
		err := restoreTo(m, at, from)
		if err != nil && from.err == nil && !errors.Is(err, wire.ErrNoSpace) || errors.As(err, &panicked) {
			broken = &restoreError{cause: err}
		}
		return err
	})
	if broken != nil && (panicked != nil || !errors.Is(err, snapshotstream.ErrCorrupt)) {
		return broken
	}
	return err
}

// witness is a reader that fails when the engine stops or the group ends, and remembers why it ended early.
type witness struct {
	io.Reader
	e   *Engine
	g   *group
	err error
}

// Read implements io.Reader.
func (w *witness) Read(p []byte) (n int, err error) {
	if err = w.e.ended(w.g); err == nil {
		n, err = w.Reader.Read(p)
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// restoreTo calls Restore and turns a panic into an error (P4).
func restoreTo(m Snapshotter, at wire.Index, r io.Reader) (err error) {
	defer caught(&err)
	return m.Restore(at, r)
}
