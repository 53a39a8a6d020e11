package pki

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"flotilla/raft/wire"
)

// Scheme is the URI scheme of names in certificates.
const Scheme = "flotilla"

// Role is what the holder of a certificate may be.
type Role uint8

// The roles. 0 is no role.
const (
	// RoleNode is a member of the cluster: it may speak both protocols.
	RoleNode Role = 1
	// RoleClient may speak the client protocol only.
	RoleClient Role = 2
)

// String returns "node" or "client".
func (r Role) String() string {
	switch r {
	case RoleNode:
		return "node"
	case RoleClient:
		return "client"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Name is who a certificate belongs to.
type Name struct {
	Cluster string
	Role    Role
	// Node is the node's id for RoleNode, wire.NoNode otherwise.
	Node wire.NodeID
}

// NodeName is the name of one node.
func NodeName(cluster string, id wire.NodeID) Name {
	return Name{Cluster: cluster, Role: RoleNode, Node: id}
}

// ClientName is the name of every client of a cluster.
func ClientName(cluster string) Name { return Name{Cluster: cluster, Role: RoleClient} }

// String returns the name's URI.
func (n Name) String() string { return n.uri().String() }

func (n Name) uri() *url.URL {
	path := "/client"
	if n.Role == RoleNode {
		path = "/node/" + n.Node.String()
	}
	return &url.URL{Scheme: Scheme, Host: n.Cluster, Path: path}
}

// Validate says whether n may stand in a certificate.
func (n Name) Validate() error {
	if err := ValidateCluster(n.Cluster); err != nil {
		return err
	}
	switch {
	case n.Role == RoleNode && (n.Node == wire.NoNode || n.Node > wire.MaxNodeID):
		return fmt.Errorf("node id %d: must be 1 to 2^63-1", uint64(n.Node))
	case n.Role == RoleClient && n.Node != wire.NoNode:
		return fmt.Errorf("client name with node id %d", uint64(n.Node))
	case n.Role != RoleNode && n.Role != RoleClient:
		return fmt.Errorf("%v is neither node nor client", n.Role)
	}
	return nil
}

// ValidateCluster says whether name may be a cluster's: 1 to 63 of a-z, 0-9, '-' and '.', beginning and
// ending with a letter or digit. Upper case is refused because host parts of URIs do not tell it apart.
func ValidateCluster(name string) error {
	if name == "" || len(name) > maxClusterName {
		return fmt.Errorf("cluster name %q: must have 1 to %d characters", name, maxClusterName)
	}
	for i := range len(name) {
		c := name[i]
		word := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		inner := i > 0 && i < len(name)-1 && (c == '-' || c == '.' && name[i-1] != '.')
		if !word && !inner {
			return fmt.Errorf("cluster name %q: only a-z, 0-9 and inner '-' and '.' are allowed", name)
		}
	}
	return nil
}

// ParseName parses a name's URI.
func ParseName(uri string) (Name, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Name{}, fmt.Errorf("parse name: %w", err)
	}
	return parseURI(u)
}

func parseURI(u *url.URL) (Name, error) {
	n := Name{Cluster: u.Host, Role: RoleClient}
	if id, ok := strings.CutPrefix(u.Path, "/node/"); ok {
		v, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return Name{}, fmt.Errorf("parse name %q: node id: %w", u, err)
		}
		n.Role, n.Node = RoleNode, wire.NodeID(v)
	} else if u.Path != "/client" {
		return Name{}, fmt.Errorf("parse name %q: neither /node/ID nor /client", u)
	}
	if err := n.Validate(); err != nil {
		return Name{}, fmt.Errorf("parse name %q: %w", u, err)
	}
	// One name has one spelling: user info, queries, "+1" or "01" as an id are refused.
	if n.String() != u.String() {
		return Name{}, fmt.Errorf("parse name %q: want %q", u, n)
	}
	return n, nil
}

// NameOf returns the one flotilla name in cert. None and two are errors.
func NameOf(cert *x509.Certificate) (Name, error) {
	var found []*url.URL
	for _, u := range cert.URIs {
		if u.Scheme == Scheme {
			found = append(found, u)
		}
	}
	if len(found) != 1 {
		return Name{}, fmt.Errorf("certificate %q carries %d names of scheme %s, want 1", cert.Subject.CommonName, len(found), Scheme)
	}
	return parseURI(found[0])
}
