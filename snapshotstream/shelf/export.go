package shelf

import (
	"context"
	"errors"
	"fmt"
	"io"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Export writes a snapshot of group g at index least or later to w, as it stands in its file, no faster than the Shelf may. Errors: those
// of w; wire.ErrNoSpace never. A damaged snapshot is set aside, and the error says so: what was written of it ends in the middle.
func (s *Shelf) Export(ctx context.Context, g wire.GroupID, least wire.Index, w io.Writer) (snapshotstream.Header, error) {
	x, err := s.open(g, least)
	if err != nil {
		return snapshotstream.Header{}, err
	}
	defer x.Close()
	h := x.Header()
	err = copyOut(x, s.paced(ctx, w))
	if errors.Is(err, snapshotstream.ErrCorrupt) {
		err = errors.Join(err, s.store.SetAside(h))
	}
	if err != nil {
		return h, fmt.Errorf("export snapshot %s of group %d at %d: %w", h.ID, g, h.Index, err)
	}
	return h, nil
}

// openTries is how often a snapshot may be overtaken by others between being named and being opened.
const openTries = 8

// open opens the newest snapshot of g, of index least at least.
func (s *Shelf) open(g wire.GroupID, least wire.Index) (*snapshotstream.Snapshot, error) {
	err := fmt.Errorf("snapshot of group %d at %d or later: %w", g, least, snapshotstream.ErrNotHeld)
	for range openTries {
		h, ok := s.store.Newest(g)
		if !ok || h.Index < least {
			return nil, err
		}
		x, failed := s.store.Open(g, h.Index)
		if failed == nil {
			return x, nil
		}
		if err = failed; !errors.Is(err, snapshotstream.ErrNotHeld) {
			return nil, err
		}
	}
	return nil, err
}

// copyOut writes x to w, read anew and checked to its end. The trailer goes out when all in front of it was good.
func copyOut(x *snapshotstream.Snapshot, w io.Writer) error {
	body, err := x.Body()
	if err != nil {
		return err
	}
	enc, err := snapshotstream.NewEncoder(w, x.Header())
	if err != nil {
		return err
	}
	if _, err := io.Copy(enc, body); err != nil {
		return err
	}
	return enc.Close()
}
