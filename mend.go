package flotilla

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flotilla/internal/eventlog"
	"flotilla/internal/scrub"
	"flotilla/raft"
	"flotilla/raft/logstore"
	"flotilla/snapshotstream"
)

// replaceWait bounds how long Open waits for the cluster to take this node in anew, when its log cannot be opened at all.
const replaceWait = time.Minute

// damaged reports whether a replica is out of service for what its disk has lost, which its peers can give it again; a machine
// that fails would fail everywhere alike.
func damaged(err error) bool {
	var record *logstore.CorruptionError
	var known *logstore.QuarantineError
	return errors.As(err, &record) || errors.As(err, &known) || errors.Is(err, snapshotstream.ErrCorrupt) || errors.Is(err, raft.ErrInconsistent)
}

func (h *Host) newScrubber() *scrub.Scrubber {
	return scrub.New(scrub.Config{
		Interval: h.cfg.ScrubInterval, Log: h.store, Snapshots: h.snapshots, Busy: h.engine.Busy,
		Damaged: func(g GroupID, err error) {
			h.engine.Quarantine(g, err)
			h.steward.Wake()
		},
		Remake: func(ctx context.Context, g GroupID) error {
			_, err := h.engine.MakeSnapshot(ctx, g)
			return err
		},
		Events: func(e scrub.Event) { eventlog.Write(h.log, levelOf(e), "scrub", e) },
	})
}

// replaceDisk has the cluster give up the disk of this node, which has lost what it needs, and marks it: the next Open empties
// it and joins. Nothing is changed before the cluster has agreed.
func (h *Host) replaceDisk(ctx context.Context) error {
	e := h.entrance()
	if err := e.Replace(ctx, h.tls, h.catalog.View(), h.cfg.Dir); err != nil {
		return err
	}
	why := fmt.Errorf("node %d: %w", h.identity.NodeID, ErrSuperseded)
	h.givenUp.Do(func() { h.fail(why) })
	return nil
}

// replaceUnreadable does so for a node whose log could not be opened because of why.
func (h *Host) replaceUnreadable(ctx context.Context, why error) error {
	var lost *logstore.CorruptionError
	if !errors.As(why, &lost) || !h.catalog.View().Born {
		return why
	}
	h.log.Error("the log cannot be opened: the cluster is asked to take this node in anew", "error", why)
	ctx, cancel := context.WithTimeout(ctx, replaceWait)
	defer cancel()
	if err := h.replaceDisk(ctx); err != nil {
		return errors.Join(why, err)
	}
	return errors.Join(h.Err(), why)
}
