package catalog

import (
	"cmp"
	"hash/crc32"
	"slices"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

// Identity says who the node is. It is written once.
type Identity struct {
	ClusterID   wire.ClusterID
	ClusterName string
	NodeID      wire.NodeID
	// Generation is the data directory's own identity, not 0 (N8).
	Generation wire.Generation
}

// Settings are chosen when the cluster is born and the same on all nodes.
type Settings struct {
	// Groups is the number of data groups, Replication that of voters of each.
	Groups, Replication uint64
}

// NodeState is what the cluster thinks of a node. Values never change.
type NodeState uint8

// The states of a node. 0 is no state.
const (
	// NodeListed is named by the topology and has not registered its generation yet.
	NodeListed NodeState = 1
	// NodeActive has registered.
	NodeActive NodeState = 2
	// NodeDraining serves, and is to lose its leaderships and replicas. Only SetNodeState ends it (F44).
	NodeDraining NodeState = 3
	// NodeRemoved is a tombstone: the id never comes back (D47).
	NodeRemoved NodeState = 4
	// NodeLeaving serves, loses its leaderships and replicas, and is removed when none is left.
	NodeLeaving NodeState = 5
)

// Valid reports whether s is a known state.
func (s NodeState) Valid() bool { return s >= NodeListed && s <= NodeLeaving }

// String returns the state's name, as status shows it.
func (s NodeState) String() string {
	if !s.Valid() {
		return "unknown"
	}
	return [...]string{NodeListed: "listed", NodeActive: "active", NodeDraining: "draining", NodeRemoved: "removed", NodeLeaving: "leaving"}[s]
}

// Node is one node of the topology.
type Node struct {
	ID wire.NodeID
	// Addr is what peers and native clients dial, HTTP the base of its HTTP API; host:port, HTTP may be empty.
	Addr, HTTP string
	// Generation is that of the first data directory that registered; 0 before.
	Generation wire.Generation
	State      NodeState
	// Version is that of the program that registered last, as it said itself; may be empty.
	Version string
}

// Topology is the list of nodes, sorted by id. Version rises by one with each change.
type Topology struct {
	Version uint64
	Nodes   []Node
}

// Find returns the node with id.
func (t *Topology) Find(id wire.NodeID) (Node, bool) {
	i, found := t.search(id)
	if !found {
		return Node{}, false
	}
	return t.Nodes[i], true
}

func (t *Topology) search(id wire.NodeID) (int, bool) {
	return slices.BinarySearchFunc(t.Nodes, id, func(n Node, id wire.NodeID) int { return cmp.Compare(n.ID, id) })
}

// Routing maps each shard to a group. Version rises by one with each change.
type Routing struct {
	Version uint64
	Shards  [wire.Shards]wire.GroupID
}

// Of returns the group that holds key.
func (r *Routing) Of(key []byte) wire.GroupID { return r.Shards[wire.ShardOf(key)] }

// Snapshot is everything the catalog holds at one moment. It is immutable: nobody writes to it or to what
// it reaches, so it may be shared and kept.
type Snapshot struct {
	// Format is the version of the file's format; Born whether there is an identity. What follows is zero before.
	Format   uint64
	Born     bool
	Identity Identity
	// Incarnation counts the node's starts; 0 before the first NextIncarnation.
	Incarnation wire.Incarnation

	// What follows is group 0's state, the same on all nodes at the same Applied.

	Settings Settings
	Topology Topology
	// Groups is sorted by id and holds group 0 too, and those that were deleted.
	Groups  []Group
	Routing Routing
	// Tokens are the join tokens that can be spent, by hash.
	Tokens []Token
	// Imports are the groups to be that are being imported, sorted by id.
	Imports []Import
	// Epoch is the applied epoch; EpochTerm the last term of group 0 that was counted (P20).
	Epoch     epoch.Epoch
	EpochTerm wire.Term
	// Applied is the index of group 0's log up to which its commands are in here.
	Applied wire.Index
}

// FindGroup returns the group with id.
func (s *Snapshot) FindGroup(id wire.GroupID) (Group, bool) {
	i, found := s.searchGroup(id)
	if !found {
		return Group{}, false
	}
	return s.Groups[i], true
}

func (s *Snapshot) searchGroup(id wire.GroupID) (int, bool) {
	return slices.BinarySearchFunc(s.Groups, id, func(g Group, id wire.GroupID) int { return cmp.Compare(g.ID, id) })
}

// Digest is a checksum of group 0's state but for the applied index: nodes that applied the same commands
// have the same, and a node that differs has a bug.
func (s *Snapshot) Digest() uint32 {
	h := crc32.New(castagnoli)
	for _, part := range [][]byte{
		appendSettings(nil, s), appendTopology(nil, s), appendGroups(nil, s), appendRouting(nil, s), appendTokens(nil, s), appendImports(nil, s),
		wire.AppendUint(wire.AppendUint(nil, uint64(s.Epoch)), uint64(s.EpochTerm)),
	} {
		h.Write(part) // a hash never fails to write
	}
	return h.Sum32()
}
