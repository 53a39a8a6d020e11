package quictransport

import (
	"sync/atomic"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// LaneStats counts frames of one kind of lane.
type LaneStats struct {
	SentFrames, ReceivedFrames uint64
	SentBytes, ReceivedBytes   uint64
	// Dropped counts messages that a full or blocked lane turned away.
	Dropped uint64
}

// Stats is a snapshot of a Transport's counters.
type Stats struct {
	Control, Append, Forward LaneStats
	// Snapshot counts streams where the others count frames: those opened, those served, and those of peers turned away.
	Snapshot LaneStats
	// SnapshotsOut and SnapshotsIn are the streams of snapshots that stand now.
	SnapshotsOut, SnapshotsIn int
	// FenceRefused counts frames refused as stale, FenceImplausible those with an epoch out of reach,
	// AuthorityRefused forwarded requests whose sender had not applied the current epoch.
	FenceRefused, FenceImplausible, AuthorityRefused uint64
	// RefusalsHeard counts refusals of own frames by peers, Resent the forward frames written again for one.
	RefusalsHeard, Resent uint64
	// Unreachable counts sends without a connection.
	Unreachable uint64
	// Peers and Clients are the connections that stand now; Connected counts all that ever stood.
	Peers, Clients int
	Connected      uint64
	// Dials counts attempts, DialsFailed those without success.
	Dials, DialsFailed uint64
	// HandshakesRefused counts handshakes begun by others that came to nothing: strangers, floods, lost packets.
	HandshakesRefused uint64
	// Closed counts ended peer connections by reason.
	Closed map[Reason]uint64
	// ForwardsOut and ForwardsIn are requests under way now.
	ForwardsOut, ForwardsIn int
	// ReceiveBuffer is the UDP receive buffer the system granted, 0 where it cannot be asked.
	ReceiveBuffer int
}

// PeerStatus is what the transport knows of one peer.
type PeerStatus struct {
	ID   wire.NodeID
	Addr string
	// Connected says that it was heard of within Limits.Silence, and accepts what it is sent.
	Connected bool
	// Incarnation and Generation are what the peer said in its preface; 0 while not connected.
	Incarnation wire.Incarnation
	Generation  wire.Generation
	// LastError is why the last attempt to connect failed, nil while connected.
	LastError error
}

type laneCounters struct {
	sentFrames, receivedFrames, sentBytes, receivedBytes, dropped atomic.Uint64
}

func (c *laneCounters) sent(bytes int) {
	c.sentFrames.Add(1)
	c.sentBytes.Add(uint64(bytes))
}

func (c *laneCounters) received(bytes int) {
	c.receivedFrames.Add(1)
	c.receivedBytes.Add(uint64(bytes))
}

func (c *laneCounters) snapshot() LaneStats {
	return LaneStats{
		SentFrames: c.sentFrames.Load(), ReceivedFrames: c.receivedFrames.Load(),
		SentBytes: c.sentBytes.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Dropped: c.dropped.Load(),
	}
}

// counters are the Transport's own; every field is safe for concurrent use.
type counters struct {
	lanes                                            [framing.NumLanes]laneCounters
	fenceRefused, fenceImplausible, authorityRefused atomic.Uint64
	refusalsHeard, resent, unreachable               atomic.Uint64
	connected, dials, dialsFailed, handshakesRefused atomic.Uint64
	forwardsOut, forwardsIn                          atomic.Int64
	closed                                           [numReasons]atomic.Uint64
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	n := &t.counters
	s := Stats{
		Control: n.lanes[framing.LaneControl].snapshot(), Append: n.lanes[framing.LaneAppend].snapshot(), Forward: n.lanes[framing.LaneForward].snapshot(),
		Snapshot:     n.lanes[framing.LaneSnapshot].snapshot(),
		FenceRefused: n.fenceRefused.Load(), FenceImplausible: n.fenceImplausible.Load(), AuthorityRefused: n.authorityRefused.Load(),
		RefusalsHeard: n.refusalsHeard.Load(), Resent: n.resent.Load(), Unreachable: n.unreachable.Load(),
		Connected: n.connected.Load(), Dials: n.dials.Load(), DialsFailed: n.dialsFailed.Load(),
		HandshakesRefused: n.handshakesRefused.Load(), Closed: map[Reason]uint64{},
		ForwardsOut: int(n.forwardsOut.Load()), ForwardsIn: int(n.forwardsIn.Load()), ReceiveBuffer: int(t.receiveBuffer.Load()),
	}
	for r := range n.closed {
		if v := n.closed[r].Load(); v != 0 {
			s.Closed[Reason(r)] = v
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Clients = len(t.clients)
	for stream := range t.streams {
		if stream.incoming {
			s.SnapshotsIn++
		} else {
			s.SnapshotsOut++
		}
	}
	for _, p := range t.peers {
		if p.conn != nil {
			s.Peers++
		}
	}
	return s
}
