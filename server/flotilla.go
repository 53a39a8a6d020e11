package server

import (
	"context"
	"io"
	"slices"
	"time"

	"flotilla"
	"flotilla/catalog"
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

// Export implements Exports.
func (n node) Export(ctx context.Context, g wire.GroupID, w io.Writer) error {
	_, err := n.host.Group(g).Export(ctx, w)
	return err
}

// Administer implements Administration.
func (n node) Administer(ctx context.Context, a protocol.Admin) (g wire.GroupID, text string, err error) {
	admin := n.host.Admin()
	switch a.Op {
	case protocol.OpAddNode:
		err = admin.AddNode(ctx, a.Node, a.Text)
	case protocol.OpRemoveNode:
		err = admin.RemoveNode(ctx, a.Node, flotilla.Gently)
	case protocol.OpForceRemoveNode:
		err = admin.RemoveNode(ctx, a.Node, flotilla.Force)
	case protocol.OpDrainNode:
		err = admin.DrainNode(ctx, a.Node)
	case protocol.OpUndrainNode:
		err = admin.UndrainNode(ctx, a.Node)
	case protocol.OpMoveNode:
		err = admin.MoveNode(ctx, a.Node, a.Text)
	case protocol.OpJoinToken:
		text, err = admin.JoinToken(ctx)
	case protocol.OpCreateGroup:
		g, err = admin.CreateGroup(ctx, a.Text, a.Voters)
	case protocol.OpDeleteGroup:
		g, err = a.Group, admin.DeleteGroup(ctx, a.Group)
	case protocol.OpTransfer:
		g, err = a.Group, admin.TransferLeader(ctx, a.Group, a.Node)
	default:
		err = &wire.Error{Code: wire.CodeBadRequest, Detail: "unknown operation"}
	}
	return g, text, err
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
	replicas, leads := map[wire.NodeID]int{}, map[wire.NodeID]int{}
	for _, g := range from.Groups {
		to := protocol.GroupStatus{
			ID: g.ID, Leader: g.Leader, Term: g.Term, Commit: g.Commit, Applied: g.Applied, Voters: g.Voters, Learners: g.Learners,
		}
		if placed, found := n.host.View().FindGroup(g.ID); found {
			to.Kind, to.WantedVoters, to.WantedLearners = placed.Kind, placed.Voters, placed.Learners
			to.Preferred, to.Moving = placed.Leader, !placed.Settled()
		}
		for _, id := range slices.Concat(g.Voters, g.Learners) {
			replicas[id]++
		}
		leads[g.Leader]++
		s.Groups = append(s.Groups, to)
	}
	for _, x := range from.Transfers {
		s.Transfers = append(s.Transfers, transferStatus(&x, time.Now()))
	}
	tombs := max(len(from.Nodes)-protocol.MaxNodes, 0) // those removed first are left out when there are too many nodes
	for _, m := range from.Nodes {
		if m.State == catalog.NodeRemoved.String() && tombs > 0 {
			tombs--
			continue
		}
		to := protocol.NodeStatus{ID: m.ID, Address: m.Address, State: m.State, Version: m.Version, Replicas: replicas[m.ID], Leads: leads[m.ID]}
		if m.ID == from.Node {
			to.Version = n.version
		}
		s.Nodes = append(s.Nodes, to)
	}
	return s
}

// transferStatus is x as clients see it now.
func transferStatus(x *flotilla.Transfer, now time.Time) protocol.TransferStatus {
	return protocol.TransferStatus{
		Group: x.Group, Peer: x.Peer, Direction: string(x.Direction), Index: x.Index, BytesDone: x.Done, BytesBefore: x.Before, BytesTotal: x.Total,
		ElapsedMS: uint64(max(now.Sub(x.Since), 0).Milliseconds()),
	}
}

// Routes implements Cluster.
func (n node) Routes() *protocol.Routes {
	view, status := n.host.View(), n.host.Status()
	r := &protocol.Routes{Version: routesVersion(view), Shards: view.Routing.Shards}
	for _, g := range status.Groups {
		if g.Leader != wire.NoNode {
			r.Leaders = append(r.Leaders, protocol.GroupLeader{Group: g.ID, Node: g.Leader})
		}
	}
	for _, m := range status.Nodes {
		if m.Address != "" && m.State != catalog.NodeRemoved.String() {
			r.Nodes = append(r.Nodes, protocol.NodeAddress{Node: m.ID, Address: m.Address})
		}
	}
	return r
}

// routesVersion orders routes by how much of group 0's log they know: it rises with every change of shards and of nodes, so that a
// node which is behind takes nothing from a client that has heard of more. Each of the two only ever rises along the log.
func routesVersion(v *catalog.Snapshot) uint64 {
	return v.Routing.Version + v.Topology.Version
}

// Health implements Cluster.
func (n node) Health() Health {
	replicas := n.host.Replicas()
	return Health{Alive: n.host.Err(), Checks: []Check{leadersKnown(replicas), ledProgress(replicas)}}
}
