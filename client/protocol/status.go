package protocol

import (
	"flotilla/raft/wire"
)

// Status describes a cluster as one of its nodes sees it. Its JSON is that of GET /v1/status and of
// "flotilla status -o json"; slices are never null there.
type Status struct {
	Cluster   string `json:"cluster"`
	ClusterID string `json:"cluster_id"`
	Epoch     uint64 `json:"epoch"`
	// Node is the node that answered.
	Node   wire.NodeID   `json:"node"`
	Nodes  []NodeStatus  `json:"nodes"`
	Groups []GroupStatus `json:"groups"`
	// Transfers are the snapshots on their way to Node and from it. Nil leaves them out for a peer below VersionTransfers.
	Transfers []TransferStatus `json:"transfers"`
}

// NodeStatus describes one node.
type NodeStatus struct {
	ID      wire.NodeID `json:"id"`
	Address string      `json:"address"`
	State   string      `json:"state"`
	Version string      `json:"version"`
	// Replicas is how many groups have a member on it, Leads how many it leads as far as the node that answered knows.
	Replicas int `json:"replicas"`
	Leads    int `json:"leads"`
}

// GroupStatus describes one group; Leader is 0 when none is known.
type GroupStatus struct {
	ID       wire.GroupID  `json:"id"`
	Leader   wire.NodeID   `json:"leader"`
	Term     wire.Term     `json:"term"`
	Commit   wire.Index    `json:"commit"`
	Applied  wire.Index    `json:"applied"`
	Voters   []wire.NodeID `json:"voters"`
	Learners []wire.NodeID `json:"learners"`
	// Kind names the state machine, "" for the default one.
	Kind string `json:"kind"`
	// WantedVoters and WantedLearners are where placement wants replicas, Preferred the voter that is to lead, 0 for any.
	WantedVoters   []wire.NodeID `json:"wanted_voters"`
	WantedLearners []wire.NodeID `json:"wanted_learners"`
	Preferred      wire.NodeID   `json:"preferred"`
	// Moving says that replicas are on their way to where they are wanted.
	Moving bool `json:"moving"`
}

// TransferStatus describes a snapshot on its way.
type TransferStatus struct {
	Group wire.GroupID `json:"group"`
	Peer  wire.NodeID  `json:"peer"`
	// Direction is "out" on the way to Peer, "in" on the way from it.
	Direction string     `json:"direction"`
	Index     wire.Index `json:"index"`
	// BytesDone of BytesTotal, which is 0 while nobody knows, are durable at the receiver; BytesBefore were when the transfer began,
	// ElapsedMS milliseconds ago.
	BytesDone   uint64 `json:"bytes_done"`
	BytesBefore uint64 `json:"bytes_before"`
	BytesTotal  uint64 `json:"bytes_total"`
	ElapsedMS   uint64 `json:"elapsed_ms"`
}

// Normalize makes nil slices empty ones, so that JSON has [] and never null.
func (s *Status) Normalize() {
	if s.Nodes == nil {
		s.Nodes = []NodeStatus{}
	}
	if s.Groups == nil {
		s.Groups = []GroupStatus{}
	}
	if s.Transfers == nil {
		s.Transfers = []TransferStatus{}
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		for _, list := range []*[]wire.NodeID{&g.Voters, &g.Learners, &g.WantedVoters, &g.WantedLearners} {
			if *list == nil {
				*list = []wire.NodeID{}
			}
		}
	}
}

func appendStatus(dst []byte, s *Status) []byte {
	size := 6
	if s.Transfers != nil {
		size = 7
	}
	dst = wire.AppendString(wire.AppendArray(dst, size), cut(s.Cluster))
	dst = wire.AppendString(dst, cut(s.ClusterID))
	dst = wire.AppendUint(dst, s.Epoch)
	dst = wire.AppendUint(dst, uint64(s.Node))
	dst = wire.AppendArray(dst, len(s.Nodes))
	for _, n := range s.Nodes {
		dst = wire.AppendUint(wire.AppendArray(dst, 6), uint64(n.ID))
		dst = wire.AppendString(dst, cut(n.Address))
		dst = wire.AppendString(wire.AppendString(dst, cut(n.State)), cut(n.Version))
		dst = wire.AppendUint(wire.AppendUint(dst, uint64(max(n.Replicas, 0))), uint64(max(n.Leads, 0)))
	}
	dst = wire.AppendArray(dst, len(s.Groups))
	for i := range s.Groups {
		g := &s.Groups[i]
		dst = wire.AppendUint(wire.AppendArray(dst, 12), uint64(g.ID))
		dst = wire.AppendUint(dst, uint64(g.Leader))
		dst = wire.AppendUint(dst, uint64(g.Term))
		dst = wire.AppendUint(wire.AppendUint(dst, uint64(g.Commit)), uint64(g.Applied))
		dst = wire.AppendString(appendNodes(appendNodes(dst, g.Voters), g.Learners), cut(g.Kind))
		dst = wire.AppendUint(appendNodes(appendNodes(dst, g.WantedVoters), g.WantedLearners), uint64(g.Preferred))
		dst = wire.AppendBool(dst, g.Moving)
	}
	if s.Transfers == nil {
		return dst
	}
	return appendTransfers(dst, s.Transfers[:min(len(s.Transfers), MaxTransfers)])
}

func appendTransfers(dst []byte, transfers []TransferStatus) []byte {
	dst = wire.AppendArray(dst, len(transfers))
	for i := range transfers {
		x := &transfers[i]
		dst = wire.AppendUint(wire.AppendUint(wire.AppendArray(dst, 8), uint64(x.Group)), uint64(x.Peer))
		dst = wire.AppendUint(wire.AppendString(dst, cut(x.Direction)), uint64(x.Index))
		dst = wire.AppendUint(wire.AppendUint(dst, x.BytesDone), x.BytesBefore)
		dst = wire.AppendUint(wire.AppendUint(dst, x.BytesTotal), x.ElapsedMS)
	}
	return dst
}

func readStatus(r *wire.Reader) *Status {
	size := r.ArrayLen(7)
	if size < 6 {
		r.Fail("status", wire.ErrInvalid)
	}
	s := &Status{Cluster: r.String(MaxTextBytes), ClusterID: r.String(MaxTextBytes), Epoch: r.Uint(), Node: wire.NodeID(r.Uint())}
	for range r.ArrayLen(MaxNodes) {
		r.Array(6)
		n := NodeStatus{ID: wire.NodeID(r.Uint()), Address: r.String(MaxTextBytes)}
		n.State, n.Version = r.String(MaxTextBytes), r.String(MaxTextBytes)
		n.Replicas, n.Leads = int(r.UintMax(2*MaxGroups)), int(r.UintMax(2*MaxGroups))
		s.Nodes = append(s.Nodes, n)
	}
	for range r.ArrayLen(MaxGroups) {
		if r.Err() != nil {
			break
		}
		r.Array(12)
		g := GroupStatus{ID: wire.GroupID(r.Uint()), Leader: wire.NodeID(r.Uint()), Term: wire.Term(r.Uint())}
		g.Commit, g.Applied = wire.Index(r.Uint()), wire.Index(r.Uint())
		g.Voters, g.Learners, g.Kind = readNodes(r), readNodes(r), r.String(MaxTextBytes)
		g.WantedVoters, g.WantedLearners, g.Preferred, g.Moving = readNodes(r), readNodes(r), wire.NodeID(r.Uint()), r.Bool()
		s.Groups = append(s.Groups, g)
	}
	if size > 6 {
		s.Transfers = readTransfers(r)
	}
	s.Normalize()
	return s
}

func readTransfers(r *wire.Reader) (transfers []TransferStatus) {
	for range r.ArrayLen(MaxTransfers) {
		if r.Err() != nil {
			break
		}
		r.Array(8)
		x := TransferStatus{Group: wire.GroupID(r.Uint()), Peer: wire.NodeID(r.Uint()), Direction: r.String(MaxTextBytes)}
		x.Index, x.BytesDone, x.BytesBefore = wire.Index(r.Uint()), r.Uint(), r.Uint()
		x.BytesTotal, x.ElapsedMS = r.Uint(), r.Uint()
		transfers = append(transfers, x)
	}
	return transfers
}

func appendNodes(dst []byte, ids []wire.NodeID) []byte {
	dst = wire.AppendArray(dst, len(ids))
	for _, id := range ids {
		dst = wire.AppendUint(dst, uint64(id))
	}
	return dst
}

func readNodes(r *wire.Reader) []wire.NodeID {
	var ids []wire.NodeID
	for range r.ArrayLen(MaxReplicas) {
		ids = append(ids, wire.NodeID(r.Uint()))
	}
	return ids
}

// cut shortens text that comes from configuration to what a reader takes.
func cut(s string) string { return s[:min(len(s), MaxTextBytes)] }

// Routes tells a client where to send what.
type Routes struct {
	// Version rises with each change of shards, nodes and groups: routes with a lower one are older.
	Version uint64
	// Shards maps each shard to its group.
	Shards [wire.Shards]wire.GroupID
	// Leaders holds the groups whose leader is known.
	Leaders []GroupLeader
	// Nodes holds the address native clients dial for each node.
	Nodes []NodeAddress
}

// GroupLeader names the leader of a group.
type GroupLeader struct {
	Group wire.GroupID
	Node  wire.NodeID
}

// NodeAddress is where a node listens for peers and native clients.
type NodeAddress struct {
	Node    wire.NodeID
	Address string
}

func appendRoutes(dst []byte, t *Routes) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 4), t.Version)
	dst = wire.AppendArray(dst, len(t.Shards))
	for _, g := range t.Shards {
		dst = wire.AppendUint(dst, uint64(g))
	}
	dst = wire.AppendArray(dst, 2*len(t.Leaders))
	for _, l := range t.Leaders {
		dst = wire.AppendUint(wire.AppendUint(dst, uint64(l.Group)), uint64(l.Node))
	}
	dst = wire.AppendArray(dst, 2*len(t.Nodes))
	for _, n := range t.Nodes {
		dst = wire.AppendString(wire.AppendUint(dst, uint64(n.Node)), cut(n.Address))
	}
	return dst
}

func readRoutes(r *wire.Reader) *Routes {
	r.Array(4)
	t := &Routes{Version: r.Uint()}
	r.Array(len(t.Shards))
	for i := range t.Shards {
		t.Shards[i] = wire.GroupID(r.Uint())
	}
	for range readPairs(r, 2*MaxGroups) {
		t.Leaders = append(t.Leaders, GroupLeader{Group: wire.GroupID(r.Uint()), Node: wire.NodeID(r.Uint())})
	}
	for range readPairs(r, 2*MaxNodes) {
		t.Nodes = append(t.Nodes, NodeAddress{Node: wire.NodeID(r.Uint()), Address: r.String(MaxTextBytes)})
	}
	return t
}

// readPairs reads the header of a flat array of pairs and returns how many there are.
func readPairs(r *wire.Reader, limit int) int {
	n := r.ArrayLen(limit)
	if n%2 != 0 {
		r.Fail("pairs", wire.ErrInvalid)
		return 0
	}
	return n / 2
}
