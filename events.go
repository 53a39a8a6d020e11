package flotilla

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"flotilla/quictransport"
	"flotilla/raft/logstore"
	"flotilla/raft/multiraft"
)

// The storeys below emit typed events and never log; here they become log lines.

func (h *Host) logEvent(e logstore.Event) {
	level := slog.LevelInfo
	switch e.(type) {
	case logstore.Rotated, logstore.Unlinked, logstore.Draining:
		level = slog.LevelDebug
	case logstore.Corrupted, logstore.SpaceLow, logstore.HousekeepingFailed:
		level = slog.LevelWarn
	case logstore.Quarantined, logstore.Fenced:
		level = slog.LevelError
	}
	h.emit(level, "log", e)
}

func (h *Host) transportEvent(e quictransport.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case quictransport.EventRefused, quictransport.EventDialFailed, quictransport.EventSmallBuffer:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.Any("peer", e.Peer)}
	if e.Addr != "" {
		attrs = append(attrs, slog.String("addr", e.Addr))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	h.log.LogAttrs(context.Background(), level, "peer "+e.Kind.String(), attrs...)
	h.heedRefusal(e)
}

// heedRefusal ends a node that its peers refuse for what it is: waiting would not help.
func (h *Host) heedRefusal(e quictransport.Event) {
	var closed *quictransport.CloseError
	if !errors.As(e.Err, &closed) || !closed.Remote {
		return
	}
	switch closed.Reason {
	case quictransport.ReasonGeneration:
		h.failure.set(refusedGeneration(h.identity.NodeID, h.cfg.Dir))
	case quictransport.ReasonRemoved:
		h.failure.set(fmt.Errorf("node %d: %w", h.identity.NodeID, ErrRemoved))
	}
}

func (h *Host) engineEvent(e multiraft.Event) { h.emit(slog.LevelInfo, "raft", e) }

// emit writes an event named by its type, with its fields.
func (h *Host) emit(level slog.Level, source string, e any) {
	name := fmt.Sprintf("%T", e)
	h.log.Log(context.Background(), level, source+": "+strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]), "event", fmt.Sprintf("%+v", e))
}
