package flotilla

import (
	"context"

	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/internal/scrub"
	"flotilla/quictransport"
	"flotilla/quictransport/pki"
	"flotilla/raft/logstore"
	"flotilla/raft/multiraft"
	"flotilla/snapshotstream/courier"
)

// Status is a cluster as this node sees it.
type Status struct {
	Cluster   string
	ClusterID string
	Node      NodeID
	// Epoch is the applied one, Observed the highest heard of; they differ while this node catches up.
	Epoch    Epoch
	Observed Epoch
	Serving  bool
	Nodes    []NodeStatus
	// Groups are all of the cluster; those without a replica here have no role, term or indexes.
	Groups []GroupStatus
	// Transfers are the snapshots on their way from this node and to it.
	Transfers []Transfer
}

// NodeStatus is one node of the cluster as this node sees it.
type NodeStatus struct {
	ID NodeID
	// Address is where peers and native clients find it, HTTP its HTTP side.
	Address string
	HTTP    string
	// Version is that of its program as of its last start, as it said itself; may be empty.
	Version string
	// State is "up" or "down" for a member by the connection to it, else what the topology says: "listed" before
	// its first start, "draining", "removed".
	State string
}

// Status returns what this node knows. It waits for nothing.
func (h *Host) Status() Status {
	view, stamp := h.catalog.View(), h.fence.Stamp()
	s := Status{
		Cluster: h.identity.ClusterName, ClusterID: h.identity.ClusterID.String(), Node: h.identity.NodeID,
		Epoch: stamp.Applied, Observed: stamp.Observed, Serving: h.Serving(),
		Transfers: h.Transfers(),
	}
	up := map[NodeID]bool{h.identity.NodeID: true}
	for _, p := range h.transport.Peers() {
		up[p.ID] = p.Connected
	}
	for _, n := range view.Topology.Nodes {
		state := n.State.String()
		if n.State == catalog.NodeActive {
			state = map[bool]string{true: "up", false: "down"}[up[n.ID]]
		}
		s.Nodes = append(s.Nodes, NodeStatus{ID: n.ID, Address: n.Addr, HTTP: n.HTTP, Version: n.Version, State: state})
	}
	for g := range view.Live() {
		local, here := h.engine.GroupStatus(g.ID)
		if !here {
			local = GroupStatus{ID: g.ID, Voters: g.Members.Voters, Learners: g.Members.Learners, Members: g.Members}
		}
		s.Groups = append(s.Groups, local)
	}
	return s
}

// Replicas returns the groups that have a replica on this node, as Status has them.
func (h *Host) Replicas() []GroupStatus { return h.engine.Status() }

// View returns the catalog as it is applied here: nodes, groups as wanted and as they are, routing. It is immutable.
func (h *Host) View() *catalog.Snapshot { return h.catalog.View() }

// Routing returns the shard table; it is immutable.
func (h *Host) Routing() *catalog.Routing { return &h.catalog.View().Routing }

// TransferLeader hands the leadership of a group to another of its voters. It is cluster administration: a node
// that has heard of an epoch it has not applied refuses with *epoch.BehindError, which is worth a retry (P26).
func (g *Group) TransferLeader(ctx context.Context, to NodeID) error {
	return g.host.Admin().TransferLeader(ctx, g.id, to)
}

// TLS is who the node is; Reload it when the files have changed (N14).
func (h *Host) TLS() *pki.Source { return h.tls }

// Stats are a node's counters since its start.
type Stats struct {
	Epoch epoch.Stamp
	// Proposals made at this node, by what became of them (N7).
	Proposals struct{ Applied, NotApplied, Unknown uint64 }
	Engine    multiraft.Stats
	Transport quictransport.Stats
	Log       logstore.Stats
	Scrub     scrub.Stats
	Snapshots courier.Stats
}

// Stats returns the counters.
func (h *Host) Stats() Stats {
	s := Stats{
		Epoch: h.fence.Stamp(), Engine: h.engine.Stats(), Transport: h.transport.Stats(), Log: h.store.Stats(),
		Scrub: h.scrub.Stats(), Snapshots: h.courier.Stats(),
	}
	s.Proposals.Applied, s.Proposals.NotApplied, s.Proposals.Unknown = h.applied.Load(), h.notApplied.Load(), h.unknown.Load()
	return s
}
