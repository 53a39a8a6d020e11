package steward

import (
	"context"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Engine is what a steward asks of the loop. It is safe for concurrent use; errors are *wire.Error.
type Engine interface {
	// Replicas returns every replica here.
	Replicas() []Replica
	// Create makes this node's replica of g, durable when it returns; nil when it is here already.
	Create(ctx context.Context, g *catalog.Group) error
	// Remove ends this node's replica of a group and lets go of its log; nil when there is none.
	Remove(ctx context.Context, g wire.GroupID) error
	// Change has a membership changed, by the leader wherever it is.
	Change(ctx context.Context, g wire.GroupID, set wire.ChangeSet) error
	// Barrier commits an empty entry of a group that is led here.
	Barrier(ctx context.Context, g wire.GroupID) error
	// Transfer hands the leadership over.
	Transfer(ctx context.Context, g wire.GroupID, to wire.NodeID) error
}

// Replica is one replica of this node.
type Replica struct {
	Group wire.GroupID
	// Leads says that it leads, Settled that nobody else has for a while.
	Leads, Settled bool
	// Members are those in effect, as it knows.
	Members wire.Membership
	// Out says that the replica is out of service, Damaged that it is for what the disk has lost of it.
	Out, Damaged bool
	// Refusing are the nodes that answer that they do not serve the group.
	Refusing []wire.NodeID
}

// Meta is group 0 as a steward uses it; see birth.Meta.
type Meta interface {
	// View is the catalog as applied here.
	View() *catalog.Snapshot
	// ProposeMeta has a command applied by group 0 and returns its result once it has taken effect here.
	ProposeMeta(ctx context.Context, command []byte) ([]byte, error)
}

// Base says where the log of a joiner's group 0 begins.
type Base struct {
	Index wire.Index
	Term  wire.Term
	// Members is the membership in effect at Index.
	Members wire.Membership
}
