package multiraft

import (
	"context"
	"io"

	"flotilla/raft/wire"
)

// Transport carries messages to other nodes. The engine calls it; implementations are safe for
// concurrent use and Send never blocks.
type Transport interface {
	// Send queues one turn's messages for one peer on one lane (P5). It reads msgs before it returns and
	// keeps nothing of the slice. Errors are *wire.Error: CodeUnreachable without a connection,
	// CodeOverloaded when the lane is full; then none of msgs is sent, and the engine tells the cores.
	Send(to wire.NodeID, lane wire.Lane, msgs []wire.Message) error
	// Forward carries one request to the peer's HandleForward and returns its reply (P18). Errors are
	// *wire.Error; CodeUnknownOutcome once the request may have left, CodeUnreachable before.
	Forward(ctx context.Context, to wire.NodeID, request []byte) ([]byte, error)
}

// LogStore is the durable log of all groups of a node. Commit is called by one goroutine; the readers by
// any number of others at the same time. What Commit was given is visible to readers when it returns nil.
type LogStore interface {
	// Commit makes a batch durable, all of it or none, in one disk commit (N3); a group may have several updates in it.
	// wire.ErrNoSpace says that nothing was attempted: the same updates come again. Any other error has an unknown
	// outcome: the store is fenced and answers wire.ErrFenced from then on. Entries and members are kept.
	Commit(batch []wire.LogUpdate) error
	// State returns what the store holds of group g, and whether it holds it.
	State(g wire.GroupID) (wire.GroupState, bool)
	// Bounds, Term and Entries read group g's log as raft.LogReader says.
	Bounds(g wire.GroupID) (first, last wire.Index)
	Term(g wire.GroupID, i wire.Index) (wire.Term, error)
	Entries(g wire.GroupID, dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error)
}

// Command is one command of a group's log as the state machine sees it. Data is immutable.
type Command struct {
	// Index and Term are those of the entry that carried the command.
	Index wire.Index
	Term  wire.Term
	// Data is what was proposed.
	Data []byte
}

// StateMachine is what a group replicates. The engine calls it from one goroutine at a time, so it
// needs no lock of its own. Apply must be deterministic: no clock, no randomness, no I/O outside.
// An error of Apply, but wire.ErrNoSpace, or a panic of any method quarantines the group on this node (P4). A machine that
// is an io.Closer is closed when its replica was ended by RemoveGroup, not when the node stops.
type StateMachine interface {
	// Apply applies commands in log order (P10) and returns one result for each; results may be nil. It runs once
	// per command and process life, and again after a restart from the applied index given at AddGroup. The batch is
	// valid during the call, its commands' data for ever; the results are the callers' from then on. wire.ErrNoSpace
	// says that nothing of the batch was applied or attempted: the same batch comes again.
	Apply(batch []Command) (results [][]byte, err error)
	// Query answers a read-only request from the present state. An error is the caller's, not the group's;
	// only a panic quarantines.
	Query(request []byte) ([]byte, error)
}

// Snapshotter is a state machine whose state can leave it and come back. The log of a group whose machine is none is kept as a whole.
type Snapshotter interface {
	StateMachine
	// Freeze returns the present state, which stays what it is while Apply goes on. It must be cheap: nothing of the group is
	// applied meanwhile. Of a machine that keeps its state on disk, all of it is durable when Freeze returns.
	Freeze() (Frozen, error)
	// Restore replaces the state by the one that state holds, of all entries up to and including at, and is done when it has read
	// io.EOF: any other error of state means that the bytes read before it are worth nothing. An error leaves the machine
	// as it was; all but wire.ErrNoSpace quarantine the group.
	Restore(at wire.Index, state io.Reader) error
}

// Frozen is a state that does not change. Its methods are called from one goroutine, but not the machine's.
type Frozen interface {
	// WriteTo writes the state. Equal states of all replicas are equal bytes, so that one node can continue what another began.
	io.WriterTo
	// Close lets go of it. It is called once, whether or not it was written.
	io.Closer
}

// SnapshotStore keeps the snapshots of all groups of a node: whole and durable or not there, the newest two of each. It is safe
// for concurrent use.
type SnapshotStore interface {
	// Newest returns the newest snapshot of group g and how many bytes its state has; it does not wait for the disk.
	Newest(g wire.GroupID) (s wire.Snapshot, bytes int64, ok bool)
	// Save makes a snapshot of what write writes and returns nil when it is durable, or when there is one as new already.
	Save(g wire.GroupID, s wire.Snapshot, write func(io.Writer) error) error
	// Load has read read the state of g's snapshot at i up to io.EOF, and returns read's error or why the state
	// cannot be trusted: snapshotstream.ErrCorrupt, then it is not offered again.
	Load(g wire.GroupID, i wire.Index, read func(io.Reader) error) error
	// Drop removes everything of group g; what is being read stays until it has been.
	Drop(g wire.GroupID) error
}

// Courier carries snapshots to other nodes.
type Courier interface {
	// Send begins to carry a snapshot of m.Group to m.To and returns at once: the one at m.Index, or another one that the SnapshotStore
	// holds at least or above, if the receiver has a part of that (N5). m goes in front of the data: before it takes any, the other
	// node's courier asks Engine.OfferSnapshot, and when it holds all of it, Engine.InstallSnapshot. moved is called now and then as
	// the receiver holds more; done once: with nil when the receiver holds it whole and durable, else with why not, soon after ctx
	// has ended. Both may be called from any goroutine, and from within Send.
	Send(ctx context.Context, m wire.Message, least wire.Index, moved func(), done func(error))
}

// GroupConfig makes a group known to the engine.
type GroupConfig struct {
	ID wire.GroupID
	// Machine is owned by the engine from AddGroup on.
	Machine StateMachine
	// Applied is the index the machine's state already includes: 0 for one that lives in memory.
	Applied wire.Index
	// Since is raft.Config.Since: 0 for a member from the group's beginning.
	Since wire.Index
	// Vet, when not nil, judges a command before this node proposes it, for itself or another; its error refuses it with
	// CodeBadRequest. In the log, a command that the machine cannot read takes the group down on every node (F17).
	Vet func(command []byte) error
}
