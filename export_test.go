package flotilla

import (
	"bytes"
	"context"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// SetCatalogSpace has free tell the catalog how many bytes the disk has left.
func SetCatalogSpace(c *Config, free func(dir string) (int64, error)) { c.catalogSpace = free }

// MakeSnapshot has a snapshot of group id made here.
func (h *Host) MakeSnapshot(ctx context.Context, id GroupID) (wire.Snapshot, error) {
	return h.engine.MakeSnapshot(ctx, id)
}

// RestoreMetadata has the machine of group 0 take over s as of index at. Nothing else must happen in the group meanwhile.
func (h *Host) RestoreMetadata(at Index, s *catalog.Snapshot) error {
	var state bytes.Buffer
	if _, err := s.WriteState(&state); err != nil {
		return err
	}
	return h.meta.Restore(at, &state)
}

// ScrubPass reads all files of this node once.
func (h *Host) ScrubPass(ctx context.Context) { h.scrub.Pass(ctx) }
