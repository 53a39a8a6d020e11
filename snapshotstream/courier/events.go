package courier

import (
	"errors"
	"time"

	"flotilla/quictransport"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Event is something that happened to a snapshot on its way, one of the types below.
type Event any

// TransferStarted says that a snapshot of Group, on which both sides have agreed, is on its way. One TransferEnded follows.
type TransferStarted struct {
	Group     wire.GroupID
	Peer      wire.NodeID
	Direction Direction
	Index     wire.Index
	// BytesBefore of BytesTotal were durable at the receiver already; the total is 0 when it ended before that was known.
	BytesBefore, BytesTotal uint64
}

// TransferEnded says how that ended.
type TransferEnded struct {
	Group     wire.GroupID
	Peer      wire.NodeID
	Direction Direction
	Index     wire.Index
	// BytesDone of BytesTotal are durable at the receiver, BytesBefore were when it began.
	BytesBefore, BytesDone, BytesTotal uint64
	Took                               time.Duration
	// Err is nil when the receiver holds the snapshot whole and durable; else what came stays for the next try.
	Err error
}

// Trouble reports whether operators should look at it: not when all has come, when there is a newer snapshot already, another transfer goes on
// with this one, or the peer wants no more of it.
func (e TransferEnded) Trouble() bool {
	refused, isRefused := errors.AsType[*snapshotstream.RefusedError](e.Err)
	reset, isReset := errors.AsType[*quictransport.ResetError](e.Err)
	switch {
	case e.Err == nil, e.BytesTotal > 0 && e.BytesDone == e.BytesTotal:
		return false
	case errors.Is(e.Err, snapshotstream.ErrOvertaken), errors.Is(e.Err, snapshotstream.ErrTakenOver):
		return false
	case isRefused && refused.Reason == snapshotstream.ReasonOvertaken, isReset && reset.Remote && reset.Reason == quictransport.ReasonNone:
		return false
	}
	return true
}

// NotInstalled says that the replica of Group here did not take over the snapshot that Peer has sent.
type NotInstalled struct {
	Group wire.GroupID
	Peer  wire.NodeID
	Index wire.Index
	Err   error
}

func (c *Courier) emit(e Event) {
	if c.cfg.Events != nil {
		c.cfg.Events(e)
	}
}
