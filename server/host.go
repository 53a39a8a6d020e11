package server

import (
	"context"
	"io"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// Groups is how a Server reaches the replicated groups. It is called from many goroutines at a time and may block until
// ctx ends. Errors are *wire.Error; what is not counts as unknown for a command, as internal for a query.
type Groups interface {
	// GroupOf returns the group that a shard is routed to. It does not block.
	GroupOf(shard wire.Shard) wire.GroupID
	// Propose has a command applied by group g's machine and returns its result. It keeps command.
	Propose(ctx context.Context, g wire.GroupID, command []byte) ([]byte, error)
	// Query asks group g's machine.
	Query(ctx context.Context, g wire.GroupID, request []byte, c protocol.Consistency) ([]byte, error)
}

// Cluster is what a Server says about the cluster. Nothing of it blocks.
type Cluster interface {
	// Serving returns nil when the node serves clients (P13), else a *wire.Error that says why not.
	Serving() error
	// Epoch is the applied epoch.
	Epoch() uint64
	// Status and Routes return values the Server may keep.
	Status() *protocol.Status
	Routes() *protocol.Routes
	// Health says what is wrong, if anything.
	Health() Health
}

// Administration is what a Server passes on from administrators. It may block until ctx ends.
type Administration interface {
	// Administer carries a out and returns what the reply says. Errors are *wire.Error or *epoch.BehindError.
	Administer(ctx context.Context, a protocol.Admin) (g wire.GroupID, text string, err error)
}

// Exports is how a Server gets at the state of whole groups.
type Exports interface {
	// Export writes the state of group g, with everything that was acknowledged before the call, as a snapshot to w: package
	// snapshotstream has the format. It may block until ctx ends. Errors are *wire.Error, or w's.
	Export(ctx context.Context, g wire.GroupID, w io.Writer) error
}

// Host is the node a Server stands in front of.
type Host interface {
	Groups
	Exports
	Cluster
	Administration
}

// Health is what /livez and /readyz tell.
type Health struct {
	// Alive is nil while the loop and the disk writer respond; it never depends on peers (N13).
	Alive error
	// Checks are the parts of readiness beyond Serving, in the order to be shown.
	Checks []Check
}

// Check is one part of readiness.
type Check struct {
	Name string
	// Err is why not, nil if all is well.
	Err error
	// Note is what to know although all is well; may be empty.
	Note string
}
