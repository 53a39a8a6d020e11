package quictransport

import "time"

// The wire versions this build speaks. The range is negotiated per connection (P35).
const (
	WireMin = 1
	WireMax = 1
)

// Fixed limits, each with its reason; those of bytes on a stream are in framing. Those an embedder may want to change are in Limits.
const (
	// writeStep is how much is given to QUIC in one piece; progress is watched per piece.
	writeStep = 256 << 10
	// appendLanes is the number of append lanes: two let one decode while the other waits for a lost packet.
	appendLanes = 2
	// maxUniStreams is how many one-way streams a peer may open: control, forward, the append lanes.
	maxUniStreams = 2 + appendLanes
	// maxBidiStreams is for snapshots: twice those that are served, so that one that is refused, or whose end has yet to
	// cross, keeps no other one waiting. The protocols of clients and joiners use one.
	maxBidiStreams = 2 * maxSnapshotsOfPeer
	// maxSnapshotsOfPeer and maxSnapshots are how many snapshots are taken in at a time, of one peer and of all (D73): each is
	// a goroutine, a chunk in memory and work for the disk.
	maxSnapshotsOfPeer = 2
	maxSnapshots       = 4
	// maxJoiners is how many joins are served at a time: each is a person's doing, and strangers may try. Each may have QUIC
	// hold a connWindow of unread data.
	maxJoiners = 16
	// maxStrangers is how many of them may show no certificate, so that they leave room for those who do.
	maxStrangers = 4
	// maxJoinRequest and maxJoinReply bound what a joiner asks and gets: the catalog of 10,000 groups has some megabytes.
	maxJoinRequest = 64 << 10
	maxJoinReply   = 16 << 20
	// streamWindow and connWindow are the flow control windows. They are fixed, and the connection's is the
	// sum of its streams', so that full append lanes and snapshots can never take the credit of the control lane.
	streamWindow = 2 << 20
	connWindow   = (maxUniStreams + maxBidiStreams) * streamWindow
	// maxRemoved bounds the ids remembered as removed; a cluster has tens of nodes.
	maxRemoved = 4096
	// hushTexts is how many troubles of one peer are told that read differently; further ones follow every hushEvery, since
	// the peer may choose the words. An honest peer has one or two.
	hushTexts = 8
	// perIdentity is how many connections of one node may stand at a time, as a peer and as a joiner: the old one and its
	// replacement (D73).
	perIdentity = 2
	// wantBuffer is the UDP buffer QUIC wants, in bytes; less drops datagrams before the wire (D71).
	wantBuffer = 7 << 20
)

// Fixed times, each with its reason.
const (
	// handshakeIdle is how long a stranger may keep a half-open handshake.
	handshakeIdle = 2 * time.Second
	// prefaceTimeout is how long an authenticated peer may take to say who it is.
	prefaceTimeout = 2 * time.Second
	// idleTimeout and keepAlive are QUIC's own, behind ours.
	idleTimeout = 3 * time.Second
	keepAlive   = time.Second
	// strangerTimeout is how long somebody without a certificate is served, joinTimeout how long a node is: several elections.
	strangerTimeout = 10 * time.Second
	joinTimeout     = 30 * time.Second
	// stallTimeout is how long a lane may be stuck on one writeStep, about 50 KB/s (F38).
	stallTimeout = 5 * time.Second
	// refuseTimeout is how long a peer may go on with stale frames although it is told with each one. An honest
	// peer needs a round trip.
	refuseTimeout = 5 * time.Second
	// dialPatience is how long the node with the higher id waits for the other to dial before it does itself,
	// for networks in which only one direction can be dialled.
	dialPatience = time.Second
	// hushEvery spaces what is told of a peer that has too much trouble: enough to see that it goes on.
	hushEvery = time.Minute
	// goodbyeTimeout is how long Close waits for peers to take leave in turn.
	goodbyeTimeout = 300 * time.Millisecond
)

// Limits are the bounds of a Transport that an embedder may change. A zero field means the default.
type Limits struct {
	// LaneBytes bounds what waits in one connection's append lanes together, and in its forward lane.
	// Default 8 MiB.
	LaneBytes int
	// Forwards bounds the requests under way to one peer, and those being served for it. Default 4096.
	Forwards int
	// ForwardBytes bounds the sum of the requests under way to one peer, and of those being served for it.
	// Default 8 MiB.
	ForwardBytes int
	// Peers bounds the connections of nodes. Default 256.
	Peers int
	// Clients bounds the connections of clients. Default 1024.
	Clients int
	// Handshakes bounds handshakes under way from addresses that are not a peer's. Default 128.
	Handshakes int
	// UnvalidatedPerSecond is how many handshakes a second may begin without proof of their address; beyond
	// it QUIC's Retry asks for one. Default 50.
	UnvalidatedPerSecond int
	// Beacon is the interval of liveness frames on a control lane that carries nothing else. Default 100 ms.
	Beacon time.Duration
	// Silence is how long a peer may be silent before its connection is closed and dialled anew. It should be
	// about the election timeout. Default 1 s.
	Silence time.Duration
	// Dial bounds one attempt to connect; it must hold two round trips. Default 700 ms.
	Dial time.Duration
	// BackoffMin and BackoffMax are the bounds of the jittered pause between attempts, far below the election
	// timeout (F39). Defaults 20 ms and 250 ms.
	BackoffMin, BackoffMax time.Duration
}

// withDefaults returns l with its zero fields replaced.
func (l Limits) withDefaults() Limits {
	setInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	setTime := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	setInt(&l.LaneBytes, 8<<20)
	setInt(&l.Forwards, 4096)
	setInt(&l.ForwardBytes, 8<<20)
	setInt(&l.Peers, 256)
	setInt(&l.Clients, 1024)
	setInt(&l.Handshakes, 128)
	setInt(&l.UnvalidatedPerSecond, 50)
	setTime(&l.Beacon, 100*time.Millisecond)
	setTime(&l.Silence, time.Second)
	setTime(&l.Dial, 700*time.Millisecond)
	setTime(&l.BackoffMin, 20*time.Millisecond)
	setTime(&l.BackoffMax, 250*time.Millisecond)
	return l
}
