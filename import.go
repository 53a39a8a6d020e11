package flotilla

import (
	"context"
	"io"

	"flotilla/catalog"
	"flotilla/catalog/steward"
	"flotilla/raft/wire"
)

// Knows implements steward.Importer, as do the methods below: what Admin.ImportGroup needs of this node.
func (l loop) Knows(kind string) error {
	if _, known := l.cfg.Kinds[kind]; !known && kind != "" {
		return unknownKind(kind).err()
	}
	return nil
}

func (l loop) Stage(ctx context.Context, r io.Reader) (steward.Staged, error) {
	return l.shelf.Stage(ctx, r, wire.Membership{Voters: []NodeID{l.identity.NodeID}})
}

func (l loop) Make(ctx context.Context, i *catalog.Import, state steward.Staged) error {
	c, err := l.fresh(&catalog.Group{ID: i.ID, Kind: i.Kind})
	if err != nil {
		return err
	}
	if _, can := c.Machine.(Snapshotter); !can {
		return &Error{Code: CodeBadRequest, Group: i.ID, Detail: "its state machine takes no state over: implement Snapshotter to import"}
	}
	s, err := state.Adopt(i.ID)
	if err == nil {
		err = l.engine.LayGroup(ctx, i.ID, s)
	}
	if err == nil {
		err = l.engine.CreateGroup(ctx, c, s.Membership)
	}
	if made, _ := l.engine.GroupStatus(i.ID); err == nil && made.Err != nil {
		err = &Error{Code: CodeBadRequest, Group: i.ID, Cause: made.Err, Detail: "its state machine does not take this state over"}
	}
	return err
}

func (l loop) Strays() (ids []GroupID) {
	for _, id := range l.snapshots.Groups() {
		if !l.Group(id).local() {
			ids = append(ids, id)
		}
	}
	return ids
}

// placed is group id as the catalog has it, or as it is being imported.
func (h *Host) placed(id GroupID) *catalog.Group {
	g, found := h.catalog.View().FindGroup(id)
	if i, importing := h.catalog.View().FindImport(id); !found && importing {
		g.Kind = i.Kind
	}
	g.ID = id
	return &g
}
