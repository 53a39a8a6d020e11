package flotilla

import (
	"context"
	"log/slog"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/courier"
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

// openCourier makes what carries snapshots to and from peers. Nothing comes before the transport starts.
func (h *Host) openCourier(context.Context) error {
	h.courier = courier.New(courier.Config{
		Store: h.snapshots, Fence: h.fence, Rate: h.cfg.SnapshotRate, Busy: func() bool { return h.engine.Busy() },
		Open:  func(ctx context.Context, to NodeID) (courier.Stream, error) { return h.transport.OpenSnapshot(ctx, to) },
		Offer: func(ctx context.Context, m wire.Message) error { return h.engine.OfferSnapshot(ctx, m) },
		Install: func(ctx context.Context, g GroupID, s wire.Snapshot) error {
			return h.engine.InstallSnapshot(ctx, g, s)
		},
		Events: h.courierEvent,
	})
	return nil
}

// Transfer is a snapshot on its way to or from a peer.
type Transfer = courier.Transfer

// Transfers returns the snapshots that are on their way from here and to here now.
func (h *Host) Transfers() []Transfer { return h.courier.Transfers() }
