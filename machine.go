package flotilla

import "io"

// StateMachine is what a group replicates. It is made empty at each start and gets the group's whole log applied,
// on every node alike: Apply depends on nothing else, no clock, no chance, nothing outside. One goroutine calls it.
// The log of a plain StateMachine is kept as a whole; one that is a Snapshotter has it shortened, one that is Durable need not
// be told everything again.
//
// An error of Apply, or a panic of any method, takes the group out of service on that node until its next start (P4). As
// all nodes apply the same log, a command that cannot be applied stops the group everywhere: answer what makes no sense
// with a result, which goes to its caller, and have Config.Vet keep what cannot be read out of the log. If it
// happened, a corrected program recovers the group with all that was acknowledged: it applies the log anew.
type StateMachine interface {
	// Apply applies commands in log order and returns one result for each, which its caller gets; results may be
	// nil. Commands of one entry share its index and come in one batch. The batch is valid during the call, its commands' data for ever.
	Apply(batch []Command) (results [][]byte, err error)
	// Query answers a request from the present state and changes nothing. An error is its caller's alone.
	Query(request []byte) ([]byte, error)
}

// Snapshotter is a StateMachine whose state can leave it and come back. A node writes the state now and then
// (Config.SnapshotThreshold), lets go of the log before it, restores the machine from it at the next start, and sends it to nodes
// that are too far behind. Package raft/multiraft/machinetest tries the machine's side of it.
type Snapshotter interface {
	StateMachine
	// Freeze returns the present state, to be written while Apply goes on. It must be quick: nothing is applied meanwhile.
	Freeze() (Frozen, error)
	// Restore replaces the whole state by the one that state holds, of all entries up to and including at. It is done when it has
	// read io.EOF; any other error of state means that what was read before is worth nothing. An error, or a crash in between,
	// leaves the machine as it was; the error takes the group out of service here, but ErrNoSpace has it tried again later.
	Restore(at Index, state io.Reader) error
}

// Durable is a Snapshotter that keeps its state on disk itself, so that a start does not depend on its size. The rules:
//
//   - The applied index is part of the state: it moves with what the commands up to there did, in one transaction.
//   - What Apply has done need not be on disk when it returns. A crash may take it back, but only from the end: what is left is
//     the state after some earlier batch, with its index, and the node applies the rest again. So many small batches
//     may be made durable as one.
//   - When Freeze returns, all of the state is durable: the log that led to it may be let go of.
//   - Restore is one transaction with the index at, and durable when it returns.
//   - The state lives and ends with the replica. A machine that is an io.Closer is closed when its replica was taken away from this
//     node, and removes what it keeps; made anew, it begins at 0. It is not closed when the node is: after Host.Close whoever made
//     it closes its files. As a machine may also be made and not be needed, the files are rather those of who makes it.
//
// Package kv/ledger is an example.
type Durable interface {
	Snapshotter
	// Applied is the index that the state on disk includes, 0 for none. It is asked once, before everything else.
	Applied() Index
}
