package shelf

import (
	"context"
	"errors"
	"io"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Staged is a state that is here, whole and verified, and belongs to no group yet.
type Staged struct{ staged *snapshotstream.Staged }

// Stage reads an export from r to its end and keeps its state, with members in place of those it had, no faster than the Shelf may. Errors: those
// of r, wire.ErrNoSpace, snapshotstream.ErrCorrupt, *snapshotstream.VersionError, why ctx ended; *wire.Error for one of group 0. Nothing is left
// after them.
func (s *Shelf) Stage(ctx context.Context, r io.Reader, members wire.Membership) (*Staged, error) {
	d, err := snapshotstream.NewDecoder(r)
	if err != nil {
		return nil, err
	}
	h := d.Header()
	if h.Group == wire.MetadataGroup {
		return nil, &wire.Error{Code: wire.CodeBadRequest, Detail: "it is an export of group 0, which holds the cluster: flotilla.Restore makes a cluster of an archive"}
	}
	if mutant.Is(mutant.ImportMembers) {
		members = h.Membership
	}
	state := snapshotstream.State{Index: h.Index, Term: h.Term, Membership: members}
	if s.cfg.Epoch != nil {
		state.Epoch = s.cfg.Epoch()
	}
	st, err := s.store.Stage(state, h.BodyLength)
	if err != nil {
		return nil, spaced(err)
	}
	if _, err = io.Copy(s.paced(ctx, st), &until{ctx: ctx, r: d}); err == nil {
		err = st.Seal()
	}
	if err != nil {
		return nil, spaced(errors.Join(err, st.Discard()))
	}
	return &Staged{st}, nil
}

// Adopt makes it the snapshot of group id, durable when it returns.
func (s *Staged) Adopt(id wire.GroupID) (wire.Snapshot, error) {
	h, err := s.staged.Adopt(id)
	return h.Snapshot(), spaced(err)
}

// Discard throws it away; after Adopt it does nothing.
func (s *Staged) Discard() error { return s.staged.Discard() }

// until is r until ctx ends.
type until struct {
	ctx context.Context // of the one call that reads
	r   io.Reader
}

// Read implements io.Reader.
func (u *until) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
