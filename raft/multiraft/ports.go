package multiraft

import (
	"context"

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
