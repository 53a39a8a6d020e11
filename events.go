package flotilla

import (
	"context"
	"fmt"
	"log/slog"

	"flotilla/catalog/birth"
	"flotilla/internal/eventlog"
	"flotilla/quictransport"
	"flotilla/raft/logstore"
	"flotilla/raft/multiraft"
)

// The storeys below emit typed events and never log; here they become log lines.

func (h *Host) logEvent(e logstore.Event)     { eventlog.Write(h.log, levelOf(e), "log", e) }
func (h *Host) engineEvent(e multiraft.Event) { eventlog.Write(h.log, levelOf(e), "raft", e) }

func levelOf(e any) slog.Level {
	switch e.(type) {
	case logstore.Rotated, logstore.Unlinked, logstore.Draining:
		return slog.LevelDebug
	case logstore.Corrupted, logstore.SpaceLow, logstore.HousekeepingFailed, multiraft.DiskStalled, multiraft.DiskFull,
		multiraft.ApplyWaits, multiraft.ChangeRefused, multiraft.GroupRefused:
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
		h.fail(birth.RefusedGeneration(self))
	case e.Said() == quictransport.ReasonRemoved && h.verdict.Removed(self, e.Peer, h.meta.View()):
		h.fail(fmt.Errorf("node %d: %w", self, ErrRemoved))
	}
}
