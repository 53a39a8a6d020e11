package server

import (
	"context"

	"flotilla"
	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// New returns a Server in front of a node.
func New(host *flotilla.Host, cfg Config) *Server { return Over(node{host, cfg.Version.Version}, cfg) }

// node makes a flotilla.Host a Host.
type node struct {
	host    *flotilla.Host
	version string
}

var _ Host = node{}

// GroupOf implements Groups.
func (n node) GroupOf(shard wire.Shard) wire.GroupID { return n.host.Routing().Shards[shard] }

// Propose implements Groups.
func (n node) Propose(ctx context.Context, g wire.GroupID, command []byte) ([]byte, error) {
	r, err := n.host.Group(g).Propose(ctx, command)
	return r.Value, err
}

// Query implements Groups.
func (n node) Query(ctx context.Context, g wire.GroupID, request []byte, c protocol.Consistency) ([]byte, error) {
	if c == protocol.Stale {
		return n.host.Group(g).QueryStale(ctx, request)
	}
	return n.host.Group(g).Query(ctx, request)
}

// Serving implements Cluster.
func (n node) Serving() error {
	switch {
	case n.host.Serving():
		return nil
	case n.host.Err() != nil:
		return &wire.Error{Code: wire.CodeStorage, Detail: "the node has failed", Cause: n.host.Err()}
	}
	select {
	case <-n.host.Ready():
		return &wire.Error{Code: wire.CodeStopped, Detail: "the node is stopping"}
	default:
		return &wire.Error{Code: wire.CodeNoLeader, Detail: "the node has not heard from a leader of group 0 since its start"}
	}
}

// Epoch implements Cluster.
func (n node) Epoch() uint64 { return uint64(n.host.Epoch()) }

// Status implements Cluster.
func (n node) Status() *protocol.Status {
	from := n.host.Status()
	s := &protocol.Status{Cluster: from.Cluster, ClusterID: from.ClusterID, Epoch: uint64(from.Epoch), Node: from.Node}
	for _, m := range from.Nodes {
		to := protocol.NodeStatus{ID: m.ID, Address: m.Address, State: m.State, Version: m.Version}
		if m.ID == from.Node {
			to.Version = n.version
		}
		s.Nodes = append(s.Nodes, to)
	}
	for _, g := range from.Groups {
		s.Groups = append(s.Groups, protocol.GroupStatus{
			ID: g.ID, Leader: g.Leader, Term: g.Term, Commit: g.Commit, Applied: g.Applied, Voters: g.Voters, Learners: g.Learners,
		})
	}
	return s
}

// Routes implements Cluster.
func (n node) Routes() *protocol.Routes {
	table, status := n.host.Routing(), n.host.Status()
	r := &protocol.Routes{Version: uint64(table.Version), Shards: table.Shards}
	for _, g := range status.Groups {
		if g.Leader != wire.NoNode {
			r.Leaders = append(r.Leaders, protocol.GroupLeader{Group: g.ID, Node: g.Leader})
		}
	}
	for _, m := range status.Nodes {
		if m.Address != "" {
			r.Nodes = append(r.Nodes, protocol.NodeAddress{Node: m.ID, Address: m.Address})
		}
	}
	return r
}

// Health implements Cluster.
func (n node) Health() Health {
	replicas := n.host.Replicas()
	return Health{Alive: n.host.Err(), Checks: []Check{leadersKnown(replicas), ledProgress(replicas)}}
}
