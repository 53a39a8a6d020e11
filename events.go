package flotilla

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/catalog/steward"
	"flotilla/internal/eventlog"
	"flotilla/internal/scrub"
	"flotilla/quictransport"
	"flotilla/raft/logstore"
	"flotilla/raft/multiraft"
	"flotilla/snapshotstream/courier"
)

// The storeys below emit typed events and never log; here they become log lines.

func (h *Host) logEvent(e logstore.Event) { eventlog.Write(h.log, levelOf(e), "log", e) }

func (h *Host) engineEvent(e multiraft.Event) {
	eventlog.Write(h.log, levelOf(e), "raft", e)
	h.events.Tell(e)
	switch e.(type) {
	case multiraft.MembershipChanged, multiraft.LeaderChanged:
		if h.steward != nil { // nil while the engine is made
			h.steward.Wake()
		}
	}
}

func (h *Host) stepEvent(e steward.StepFailed) {
	level := slog.LevelInfo
	if refused := (*Error)(nil); errors.As(e.Err, &refused) && refused.Retryable() {
		level = slog.LevelDebug // it is tried again, and most often only early
	}
	eventlog.Write(h.log, level, "placement", e)
}

// courierEvent takes in what happens to snapshots on their way.
func (h *Host) courierEvent(e courier.Event) {
	level := levelOf(e)
	if ended, ok := e.(courier.TransferEnded); ok && ended.Trouble() && !h.closing.Load() {
		level = slog.LevelWarn
	}
	eventlog.Write(h.log, level, "snapshots", e)
	h.events.Tell(e)
}

// Event is something that happened on this node and ends up in its log: one of the types of the packages raft/multiraft and
// snapshotstream/courier.
type Event any

// Events returns what happens on this node from this call on, until ctx ends or the node is closed. A loop that does not keep up loses the oldest
// events; the second value is how many were lost right before the first.
func (h *Host) Events(ctx context.Context) iter.Seq2[Event, int] {
	return h.events.Listen(ctx, eventQueue)
}

// Topology returns the catalog as it is applied here now, and again after each change of nodes, groups or routing, until ctx
// ends or the node is closed: each of a higher Applied than the one before, not every state there was. What it returns is immutable.
func (h *Host) Topology(ctx context.Context) iter.Seq[*catalog.Snapshot] {
	changes := h.views.Listen(ctx, 1)
	return func(yield func(*catalog.Snapshot) bool) {
		last := h.catalog.View()
		if !yield(last) {
			return
		}
		for v := range changes {
			if v.Applied <= last.Applied { // it was told before the look above
				continue
			}
			if last = v; !yield(v) {
				return
			}
		}
	}
}

// eventQueue bounds the events that wait for one listener.
const eventQueue = 1024

func levelOf(e any) slog.Level {
	switch e.(type) {
	case logstore.Rotated, logstore.Unlinked, logstore.Draining, multiraft.SnapshotSending, multiraft.SnapshotSent: // the courier tells of those that got anywhere
		return slog.LevelDebug
	case scrub.LogDamaged, scrub.LogRenewed, scrub.SnapshotDamaged, scrub.PassFailed, logstore.Corrupted, logstore.SpaceLow, logstore.HousekeepingFailed, multiraft.DiskStalled, multiraft.DiskFull,
		multiraft.ApplyWaits, multiraft.ChangeRefused, multiraft.GroupRefused, multiraft.SnapshotDamaged, multiraft.SnapshotFailed, courier.NotInstalled:
		return slog.LevelWarn
	case logstore.Quarantined, logstore.Fenced, multiraft.GroupQuarantined, multiraft.LogFenced:
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (h *Host) transportEvent(e quictransport.Event) {
	level := slog.LevelInfo
	if e.Trouble() && !h.closing.Load() {
		level = slog.LevelWarn
	}
	args := []any{"peer", e.Peer, "addr", e.Addr}
	if e.Err != nil {
		args = append(args, "error", e.Err)
	}
	h.log.Log(context.Background(), level, "peer "+e.Kind.String(), args...)
	h.heedRefusal(e)
}

// heedRefusal ends a node that its peers refuse for what it is: waiting would not help.
func (h *Host) heedRefusal(e quictransport.Event) {
	switch self := h.identity.NodeID; { // one peer's word is not enough: it may lie
	case e.Said() == quictransport.ReasonGeneration && h.meta.generation(self) != h.identity.Generation:
		h.giveUp(birth.RefusedGeneration(self))
	case e.Said() == quictransport.ReasonRemoved && h.verdict.Removed(self, e.Peer, h.meta.View()):
		h.fail(fmt.Errorf("node %d: %w", self, ErrRemoved))
	}
}
