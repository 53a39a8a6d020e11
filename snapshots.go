package flotilla

import (
	"context"
	"log/slog"

	"flotilla/snapshotstream"
	"flotilla/snapshotstream/shelf"
)

// openSnapshots finishes or removes what the last life left half done (P37).
func (h *Host) openSnapshots(context.Context) (err error) {
	h.snapshots, err = snapshotstream.Open(snapshotstream.Config{Dir: h.cfg.Dir, ChunkSize: uint32(h.cfg.SnapshotChunk)})
	if err != nil {
		return err
	}
	for _, s := range h.snapshots.Recovered() {
		level := slog.LevelInfo
		if s.Err != nil {
			level = slog.LevelWarn
		}
		h.log.Log(context.Background(), level, "snapshots: "+s.String())
	}
	h.shelf = shelf.New(h.snapshots, shelf.Config{
		Rate: h.cfg.SnapshotRate, Busy: func() bool { return h.engine.Busy() },
		Epoch: func() snapshotstream.Epoch { return snapshotstream.Epoch(h.fence.Applied()) },
	})
	return nil
}
