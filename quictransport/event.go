package quictransport

import (
	"errors"
	"fmt"

	"flotilla/raft/wire"
)

// EventKind is what an Event tells.
type EventKind uint8

// The events.
const (
	// EventConnected: a connection to Peer stands.
	EventConnected EventKind = 1
	// EventClosed: a connection that stood has ended; Err is a *CloseError.
	EventClosed EventKind = 2
	// EventRefused: a connection of an authenticated peer ended before it stood; Err says why.
	EventRefused EventKind = 3
	// EventDialFailed: dialling Peer failed. This and EventRefused are told once for each text until Peer has stood for a
	// while; one with ever more texts, a few and then one a minute.
	EventDialFailed EventKind = 4
	// EventGoodbye: Peer is stopping on purpose.
	EventGoodbye EventKind = 5
	// EventStale: Peer's frames are refused by the fence since its last good one; Err is an *epoch.StaleError.
	EventStale EventKind = 6
	// EventSmallBuffer: the system grants smaller UDP buffers than QUIC wants (D71); Err says how much and what to do.
	EventSmallBuffer EventKind = 7
)

var eventText = [...]string{
	EventConnected: "connected", EventClosed: "closed", EventRefused: "refused", EventDialFailed: "dial failed",
	EventGoodbye: "goodbye", EventStale: "stale", EventSmallBuffer: "small UDP buffer",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if int(k) < len(eventText) && eventText[k] != "" {
		return eventText[k]
	}
	return fmt.Sprintf("event %d", uint8(k))
}

// Event tells operators what happened. The transport never logs.
type Event struct {
	Kind EventKind
	// Peer is the node concerned; NoNode when it is unknown.
	Peer wire.NodeID
	// Addr is the other side's address.
	Addr string
	Err  error
}

// Trouble reports whether somebody should look at it. Both sides dialling at once, of which one connection stays, is none.
func (e Event) Trouble() bool {
	switch e.Kind {
	case EventDialFailed, EventSmallBuffer:
		return true
	case EventRefused:
		return e.Said() != ReasonDuplicate
	}
	return false
}

// Said returns the reason for which the peer closed the connection, 0 when it did not.
func (e Event) Said() Reason {
	var closed *CloseError
	if errors.As(e.Err, &closed) && closed.Remote {
		return closed.Reason
	}
	return 0
}
