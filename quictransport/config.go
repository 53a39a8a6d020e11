package quictransport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// Config is what a Transport is made from.
type Config struct {
	// Cluster is the cluster's id, ClusterName the name in its certificates.
	Cluster     wire.ClusterID
	ClusterName string
	// Self, Incarnation and Generation are this node's identity.
	Self        wire.NodeID
	Incarnation wire.Incarnation
	Generation  wire.Generation
	// Conn is the UDP socket, or a simulated one. The Transport owns it from New on and closes it.
	Conn net.PacketConn
	// TLS holds this node's credentials; each handshake uses the current ones (N14).
	TLS *pki.Source
	// Fence stamps and admits frames. It belongs to the node, which raises it.
	Fence *epoch.Holder
	// ClientConn is given each connection of the client protocol, in a goroutine of its own, and returns when it is
	// done with it, at the latest soon after the connection's context has ended. Nil refuses clients.
	ClientConn func(*quic.Conn)
	// Join answers nodes that ask their way into the cluster, each in a goroutine of its own; nil refuses them. An error that is
	// a *wire.Error travels. It must return soon after ctx has ended.
	Join func(ctx context.Context, from Joiner, request []byte) ([]byte, error)
	// Snapshot is given each stream on which a peer sends a snapshot, in a goroutine of its own, and the stream ends when it returns.
	// ctx ends with the connection and with the transport; it returns soon after. Nil refuses them.
	Snapshot func(ctx context.Context, from wire.NodeID, s *Stream)
	// Generations returns the data generation registered for a node, 0 if none is; a peer that comes with another one is
	// refused (N8). Nil knows none. It must not block.
	Generations func(wire.NodeID) wire.Generation
	// ResetKey lets a restarted process tell peers that the old one is gone. It must be the same at each start
	// of a node and secret: derive it from the node's private key. Zero turns this off.
	ResetKey [32]byte
	// Events is told what happened, from many goroutines; it must not block. Nil is fine.
	Events func(Event)
	Limits Limits

	// versions replaces the range of wire versions in tests.
	versions framing.Versions
}

// Validate reports everything that is wrong with c, joined.
func (c *Config) Validate() error {
	var errs []error
	if c.Cluster == (wire.ClusterID{}) {
		errs = append(errs, errors.New("no cluster id"))
	}
	if err := pki.ValidateCluster(c.ClusterName); err != nil {
		errs = append(errs, err)
	}
	if c.Self == wire.NoNode || c.Self > wire.MaxNodeID {
		errs = append(errs, fmt.Errorf("node id %d: must be 1 to 2^63-1", uint64(c.Self)))
	}
	if c.Incarnation == 0 {
		errs = append(errs, errors.New("no incarnation"))
	}
	if c.Conn == nil {
		errs = append(errs, errors.New("no socket"))
	}
	if c.Fence == nil {
		errs = append(errs, errors.New("no fence"))
	}
	if c.TLS == nil {
		errs = append(errs, errors.New("no certificates"))
	} else if want := pki.NodeName(c.ClusterName, c.Self); c.TLS.Current().Name != want {
		errs = append(errs, fmt.Errorf("certificate of %s, want %s", c.TLS.Current().Name, want))
	}
	if err := c.Limits.validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("transport configuration: %w", errors.Join(errs...))
	}
	return nil
}

// validate refuses what would make no sense; zero fields are defaults.
func (l Limits) validate() error {
	for _, v := range []int{l.LaneBytes, l.Forwards, l.ForwardBytes, l.Peers, l.Clients, l.Handshakes, l.UnvalidatedPerSecond} {
		if v < 0 {
			return errors.New("a limit is negative")
		}
	}
	d := l.withDefaults()
	switch {
	case d.Beacon <= 0 || d.Silence < 2*d.Beacon:
		return fmt.Errorf("silence %v must be at least two beacons of %v", d.Silence, d.Beacon)
	case d.BackoffMin <= 0 || d.BackoffMax < d.BackoffMin:
		return fmt.Errorf("back-off from %v to %v", d.BackoffMin, d.BackoffMax)
	case d.Dial <= 0:
		return fmt.Errorf("dial timeout %v", d.Dial)
	}
	return nil
}

// Handler takes what comes from peers. It is called from many goroutines at the same time and must not block, but for
// HandleForward, which runs in a goroutine of its own.
type Handler interface {
	// HandleMessages takes one frame's messages, all from one peer and addressed to this node. msgs is valid during
	// the call; the data of entries is never written again and may be kept.
	HandleMessages(from wire.NodeID, msgs []wire.Message)
	// HandleForward serves one forwarded request and returns its reply. An error that is a *wire.Error travels; any
	// other reaches the caller as CodeUnknownOutcome. ctx ends when the caller gives up or its time is over, and with
	// the connection; the handler returns soon after. It owns request.
	HandleForward(ctx context.Context, from wire.NodeID, request []byte) ([]byte, error)
	// HandlePeer is told about a peer's connection, in order, from one goroutine. First messages may come earlier than
	// PeerUp. A connection replaced by another one of the same process of the peer is not told.
	HandlePeer(id wire.NodeID, event wire.PeerEvent)
}
