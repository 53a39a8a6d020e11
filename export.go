package flotilla

import (
	"context"
	"errors"
	"io"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Export writes the group's state as a snapshot to w: everything that was acknowledged anywhere before the call is in it, and
// perhaps more. Its format is docs/format.md's; a snapshotstream.Decoder reads it, package snapshotstream/archive makes a file of those of
// all groups. It is asked of the node that leads the group, whose state machine has to be a Snapshotter. Memory is for one chunk,
// whatever the state's size. Errors are *Error, or those of w; what was written is worth nothing then.
func (g *Group) Export(ctx context.Context, w io.Writer) (snapshotstream.Header, error) {
	if !g.local() {
		return snapshotstream.Header{}, &Error{Code: CodeNotLeader, Group: g.id, Detail: "no replica lives on this node: ask the one that leads the group"}
	}
	// An entry that a majority commits after the call began, and that is applied here: so is what was acknowledged before it.
	if _, err := g.host.engine.Barrier(ctx, g.id); err != nil {
		return snapshotstream.Header{}, err
	}
	s, err := g.host.engine.MakeSnapshot(ctx, g.id)
	if err != nil {
		return snapshotstream.Header{}, err
	}
	h, err := g.host.shelf.Export(ctx, g.id, s.Index, w)
	if errors.Is(err, snapshotstream.ErrCorrupt) || errors.Is(err, snapshotstream.ErrNotHeld) {
		err = &Error{Code: wire.CodeStorage, Group: g.id, Cause: err, Detail: "its snapshot cannot be read here"}
	}
	return h, err
}
