package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"flotilla/client/protocol"
)

// The words of the protocol that callers need.
type (
	// Revision counts the writes of one group; 0 is that of a key that does not exist.
	Revision = protocol.Revision
	// Status describes the cluster.
	Status = protocol.Status
	// NodeStatus describes a node.
	NodeStatus = protocol.NodeStatus
	// GroupStatus describes a group.
	GroupStatus = protocol.GroupStatus
	// TransferStatus describes a snapshot on its way.
	TransferStatus = protocol.TransferStatus
	// Class sorts errors by what to do about them.
	Class = protocol.Class
)

// Config says how to reach a cluster.
type Config struct {
	// Endpoints are addresses, host:port, of one or more nodes. The others are learned.
	Endpoints []string
	// TLS holds the client's certificate and checks the nodes'; required. The application protocol is set by Dial.
	TLS *tls.Config
	// Conn is the socket to use; nil opens one on any port. The client closes it, and so does a Dial that fails.
	Conn net.PacketConn
}

// Validate reports every fault of c, joined.
func (c Config) Validate() error {
	var faults []error
	if len(c.Endpoints) == 0 {
		faults = append(faults, errors.New("no endpoints"))
	}
	if len(c.Endpoints) > maxPeers {
		faults = append(faults, fmt.Errorf("%d endpoints, %d at most", len(c.Endpoints), maxPeers))
	}
	for _, e := range c.Endpoints {
		if _, _, err := net.SplitHostPort(e); err != nil {
			faults = append(faults, fmt.Errorf("endpoint %q: %w", e, err))
		}
	}
	if c.TLS == nil {
		faults = append(faults, errors.New("no TLS configuration: flotilla speaks only mutual TLS"))
	}
	return errors.Join(faults...)
}
