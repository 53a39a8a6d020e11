package quictransport

import (
	"slices"
	"time"

	"flotilla/raft/wire"
)

// hush keeps the troubles of one peer from filling the operator's log. It outlives the peer's connections, and the peer itself
// where that is known by nothing else: who is refused comes back a few times a second.
type hush struct {
	texts []string // what was told, hushTexts at most
	next  int      // the place of the oldest once all are taken
	last  time.Time
}

// tells reports whether text is to be told, and notes that it is.
func (h *hush) tells(text string, now time.Time) bool {
	switch {
	case slices.Contains(h.texts, text):
		return false
	case len(h.texts) < hushTexts:
		h.texts = append(h.texts, text)
	case now.Sub(h.last) < hushEvery:
		return false
	default:
		h.texts[h.next] = text
		h.next = (h.next + 1) % hushTexts
	}
	h.last = now
	return true
}

// newsLocked reports whether a trouble with a peer is worth telling; mu is held.
func (t *Transport) newsLocked(id wire.NodeID, err error) bool {
	h := t.hushes[id]
	if h == nil {
		if len(t.hushes) >= t.limits.Peers { // of nodes that came and went: begin anew
			clear(t.hushes)
		}
		h = &hush{}
		t.hushes[id] = h
	}
	return h.tells(err.Error(), time.Now())
}
