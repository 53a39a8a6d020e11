package steward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Importer is what a steward needs to make replicas of states that come from outside.
type Importer interface {
	// Knows says why no group of a kind can be made here, nil if it can.
	Knows(kind string) error
	// Stage reads an export to its end and keeps its state, verified, with this node as the only member.
	Stage(ctx context.Context, r io.Reader) (Staged, error)
	// Make makes this node's replica of a group that is being imported, and returns when log and machine have the state. What it leaves after an
	// error goes with the group's tombstone.
	Make(ctx context.Context, i *catalog.Import, state Staged) error
	// Strays are the groups of which there are snapshots and no replica.
	Strays() []wire.GroupID
}

// Staged is a state that is here, whole and verified, and belongs to no group yet.
type Staged interface {
	// Adopt makes it the newest snapshot of group id, durable when it returns.
	Adopt(id wire.GroupID) (wire.Snapshot, error)
	// Discard throws it away; after Adopt it does nothing.
	Discard() error
}

// ImportGroup makes a new group of what Group.Export wrote, of this cluster or of another one, and returns its id. The machine's kind is
// as in CreateGroup; it has to be a Snapshotter. The node that is asked reads r to its end, verifies it, and makes the first replica;
// nothing is agreed on before that. It returns when the group has as many voters as it is to have; that takes as long as the state takes
// to travel.
//
// An error with id 0 says that there is no group, and will be none: what was begun is taken back, also after a crash, and leaves a tombstone at
// most. CodeBadRequest: it is no export, damaged, cut off, of group 0, or the machine cannot take it over; CodeStorage: no room for it;
// CodeConflict: refused, or deleted meanwhile; CodeUnknownOutcome: ctx ended in the very moment in which the group came to be, and
// Host.Groups tells; of r, as they are. An error with an id: the group is there and serves, and ctx ended before all of its voters were.
func (a *Admin) ImportGroup(ctx context.Context, kind string, r io.Reader) (wire.GroupID, error) {
	if err := a.s.cfg.Administrable(); err != nil {
		return 0, err
	}
	if err := a.s.cfg.Imports.Knows(kind); err != nil {
		return 0, &wire.Error{Code: wire.CodeBadRequest, Cause: err}
	}
	state, err := a.s.cfg.Imports.Stage(ctx, r)
	if err != nil {
		return 0, unstaged(err)
	}
	defer func() { _ = state.Discard() }() // what stays is removed by the next start
	i := catalog.Import{Kind: kind, Node: a.s.cfg.Self, Token: uint64(birth.NewGeneration())}
	a.s.work(i.Token, true)
	defer a.s.work(i.Token, false)
	if err := a.s.importState(ctx, &i, state); err != nil {
		return 0, err
	}
	return i.ID, a.s.spread(ctx, i.ID)
}

// unstaged says what was wrong with an export.
func unstaged(err error) error {
	var version *snapshotstream.VersionError
	switch {
	case errors.Is(err, snapshotstream.ErrCorrupt) || errors.Is(err, snapshotstream.ErrHeader) || errors.As(err, &version):
		return &wire.Error{Code: wire.CodeBadRequest, Cause: err, Detail: "it cannot be imported"}
	case errors.Is(err, wire.ErrNoSpace):
		return &wire.Error{Code: wire.CodeStorage, Cause: err, Detail: "it cannot be imported"}
	}
	return err
}

// work notes that this process works on an import, or does so no more: what it leaves undone the next look takes back.
func (s *Steward) work(token uint64, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.mu.imports[token] = true
		return
	}
	delete(s.mu.imports, token)
	s.Wake()
}

func (s *Steward) working(token uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.imports[token]
}

// importState reserves an id, makes the replica, sees it lead, and has group 0 make it a group.
func (s *Steward) importState(ctx context.Context, i *catalog.Import, state Staged) error {
	r, err := s.insist(ctx, catalog.BeginImport{Kind: i.Kind, Node: i.Node, Token: i.Token})
	if err == nil && r.Outcome.Refused() {
		err = &wire.Error{Code: wire.CodeConflict, Detail: "nothing can be imported at this node now: " + r.Outcome.String()}
	}
	if err != nil {
		return err
	}
	i.ID = wire.GroupID(r.Value)
	if err := s.cfg.Imports.Make(ctx, i, state); err != nil {
		return err
	}
	err = s.again(ctx, func() error { return s.cfg.Engine.Barrier(ctx, i.ID) })
	if err != nil {
		return err
	}
	r, err = s.insist(ctx, catalog.EndImport{ID: i.ID, Token: i.Token, Made: true})
	if err != nil {
		return &wire.Error{Code: wire.CodeUnknownOutcome, Group: i.ID, Cause: err, Detail: "whether the group came to be is not known"}
	}
	if g, found := s.cfg.Meta.View().FindGroup(i.ID); r.Outcome.Refused() && (!found || g.Deleted) { // else an earlier try did it
		return &wire.Error{Code: wire.CodeConflict, Group: i.ID, Detail: "it was deleted, or its node, while it was imported"}
	}
	return nil
}

// spread waits until a new group has the voters that it is to have.
func (s *Steward) spread(ctx context.Context, id wire.GroupID) error {
	seen := uint64(0)
	return s.again(ctx, func() error {
		missing := &wire.Error{Code: wire.CodeNoLeader, Group: id, Detail: "imported; not all of its voters have it yet"}
		v := s.cfg.Meta.View()
		g, _ := v.FindGroup(id)
		if g.Deleted || v.Topology.Version != seen && placement.Placed(v, &g) {
			return nil
		}
		seen = v.Topology.Version
		return missing
	})
}

// insist has group 0 apply c, which does no harm if it is applied twice, however often it takes.
func (s *Steward) insist(ctx context.Context, c catalog.Change) (r catalog.Result, err error) {
	err = s.again(ctx, func() (err error) {
		r, err = s.propose(ctx, c)
		return err
	})
	return r, err
}

// again does it again as long as that may help, until ctx or the node ends. It returns the last error.
func (s *Steward) again(ctx context.Context, do func() error) error {
	pause := time.NewTicker(importPause)
	defer pause.Stop()
	for {
		err := do()
		var refused *wire.Error
		if err == nil || !errors.As(err, &refused) || !refused.Retryable() || refused.Code == wire.CodeStopped || refused.Code == wire.CodeQuarantined {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.ended:
			return err
		case <-pause.C:
		}
	}
}

// callOff takes back the imports of this node that nobody works on any more, and removes what is left of those that were.
func (s *Steward) callOff(ctx context.Context, view *catalog.Snapshot) {
	if s.cfg.Imports == nil {
		return
	}
	for _, c := range placement.CalledOff(view, s.cfg.Self, s.working) {
		s.start(ctx, task{group: c.ID}, "take back an import that was cut off", restAfterError, func(ctx context.Context) error {
			_, err := s.propose(ctx, c) // refused: it has ended
			return err
		})
	}
	for _, id := range placement.Leftovers(view, s.cfg.Imports.Strays()) {
		s.start(ctx, task{group: id}, "remove what is left of the replica here", restAfterError, func(ctx context.Context) error {
			return s.cfg.Engine.Remove(ctx, id)
		})
	}
}

// Gate lets commands into group id when it is a group, and not before: what is imported may be taken back.
func (s *Steward) Gate(id wire.GroupID, vet func([]byte) error) func([]byte) error {
	return func(command []byte) error {
		if !placement.Open(s.cfg.Meta.View(), id) {
			return fmt.Errorf("group %d is being imported, or was", id)
		}
		if vet == nil {
			return nil
		}
		return vet(command)
	}
}
