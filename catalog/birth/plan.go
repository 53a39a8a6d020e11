// Package birth works out what a new cluster is before any node has talked to another: its id, who replicates which
// group, and which shard goes where. It hides nothing but arithmetic; it guarantees that every node which is
// given the same Plan comes to the same result, byte for byte, because each writes it on its own (ADR 0002).
//
//	plan := birth.Plan{Name: "flotilla", Nodes: map[wire.NodeID]string{1: "a:7400"}, Groups: 4, Replication: 3, Authority: ca}
//	err := catalog.Bootstrap(plan.Of(1))
package birth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"flotilla/catalog"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// metaVoters bounds the voters of group 0: it survives two failures, more voters only slow it down.
const metaVoters = 5

// Plan says what a cluster is born with. It is the same at each of its nodes.
type Plan struct {
	// Name is the cluster's, as in the certificates; Authority signed them.
	Name      string
	Authority *x509.Certificate
	// Nodes are the first members and their addresses.
	Nodes map[wire.NodeID]string
	// Groups is the number of data groups, Replication that of voters of each where there are as many nodes.
	Groups, Replication int
}

// Of returns what the node self writes: everybody's the same but for the Identity, whose Generation is drawn.
func (p *Plan) Of(self wire.NodeID) catalog.Birth {
	b := catalog.Birth{
		Identity: catalog.Identity{ClusterID: p.ClusterID(), ClusterName: p.Name, NodeID: self, Generation: NewGeneration()},
		Settings: catalog.Settings{Groups: uint64(p.Groups), Replication: uint64(p.Replication)},
		Topology: catalog.Topology{Version: 1},
		Groups:   p.place(),
		Routing:  catalog.Routing{Version: 1},
	}
	b.Topology.Nodes = p.listed()
	for s := range b.Routing.Shards {
		b.Routing.Shards[s] = wire.GroupID(1 + s%p.Groups)
	}
	return b
}

// listed are the nodes before any has registered.
func (p *Plan) listed() (nodes []catalog.Node) {
	for _, id := range p.ids() {
		nodes = append(nodes, catalog.Node{ID: id, Addr: p.Nodes[id], State: catalog.NodeListed})
	}
	return nodes
}

func (p *Plan) ids() []wire.NodeID { return slices.Sorted(maps.Keys(p.Nodes)) }

// ListText is the one spelling of a list of nodes: 1=host:port,2=host:port by rising ids.
func ListText(nodes map[wire.NodeID]string) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		parts = append(parts, fmt.Sprintf("%d=%s", id, nodes[id]))
	}
	return strings.Join(parts, ",")
}

// ClusterID is the id that every node of the list finds by itself: a list or an authority that differs makes another
// cluster, refused at the handshake.
func (p *Plan) ClusterID() wire.ClusterID {
	return p.clusterID([]byte("flotilla-cluster"))
}

func (p *Plan) clusterID(kind ...[]byte) wire.ClusterID {
	h := sha256.New()
	for _, part := range append(kind, []byte(p.Name), []byte(ListText(p.Nodes)), p.Authority.RawSubjectPublicKeyInfo) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // keeps one part from running into the next
		h.Write(part)
	}
	return wire.ClusterID(h.Sum(nil)[:16])
}

// AuthorityOf returns the authority that signed c; a bundle may hold others too.
func AuthorityOf(c *pki.Credentials) *x509.Certificate {
	leaf := c.Certificate.Leaf
	i := slices.IndexFunc(c.CAs, func(ca *x509.Certificate) bool {
		return bytes.Equal(ca.RawSubject, leaf.RawIssuer) && leaf.CheckSignatureFrom(ca) == nil
	})
	return c.CAs[max(i, 0)]
}

// ResetKey derives the transport's reset key from the node's private key: secret, and the same at each start.
func ResetKey(c *pki.Credentials) ([32]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.Certificate.PrivateKey)
	if err != nil {
		return [32]byte{}, fmt.Errorf("derive reset key: %w", err)
	}
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte("flotilla stateless reset"))
	return [32]byte(mac.Sum(nil)), nil
}

// place gives group 0 to every node, with the lowest ids as voters and the others as learners, and the data groups to
// Replication nodes each, round robin.
func (p *Plan) place() []catalog.Group {
	out := []catalog.Group{p.meta()}
	for g := range p.Groups {
		out = append(out, catalog.Group{ID: wire.GroupID(g + 1), Voters: p.voters(g)}.Founded())
	}
	return out
}

func (p *Plan) meta() catalog.Group {
	nodes := p.ids()
	voters := min(len(nodes), metaVoters)
	return catalog.Group{ID: wire.MetadataGroup, Voters: nodes[:voters:voters], Learners: nodes[voters:]}.Founded()
}

// voters are Replication nodes, or all there are, from the n-th on.
func (p *Plan) voters(n int) []wire.NodeID {
	nodes := p.ids()
	var members []wire.NodeID
	for i := range min(p.Replication, len(nodes)) {
		members = append(members, nodes[(n+i)%len(nodes)])
	}
	slices.Sort(members)
	return members
}

// NewGeneration draws the identity of a data directory; 0 means unknown, so it is never drawn.
func NewGeneration() wire.Generation {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return wire.Generation(binary.BigEndian.Uint64(b[:])>>1 | 1)
}
