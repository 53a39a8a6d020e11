package flotilla

import (
	"flotilla/epoch"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// The words of the house, so that an embedder imports this package alone.
type (
	NodeID  = wire.NodeID  // identifies a node within its cluster, from 1
	GroupID = wire.GroupID // identifies a Raft group; 0 is the metadata group
	Index   = wire.Index   // a position in a group's log, from 1
	Term    = wire.Term    // a Raft term
	Epoch   = epoch.Epoch  // the cluster's fence token
	Shard   = wire.Shard   // one of the 1024 slots of the key space

	// Command is what was proposed, in Data, with Index and Term of the log entry that carried it. Nobody may change it.
	Command = multiraft.Command
	// Frozen is a state that a Snapshotter has frozen: it stays what it is until Close. One goroutine calls it, but not the machine's.
	// WriteTo(io.Writer) (int64, error) writes it: equal states of all replicas are equal bytes. Close() error ends it.
	Frozen = multiraft.Frozen
	// Result is the outcome of a command that was applied: Value is the machine's, Index and Term the entry's.
	Result = multiraft.Result
	// GroupStatus is one replica: Role, Leader, Term, Commit, Applied, members, and in Err why it is out of service.
	GroupStatus = multiraft.GroupStatus
	// Error is how a request failed: its Code says whether it was applied, Leader whom to ask for CodeNotLeader, Detail
	// the rest. Ambiguous: it may have been applied. Retryable: the same may succeed later or elsewhere.
	Error = wire.Error
	// Code classes an Error, one of the constants below; "not applied" is the meaning of all but CodeUnknownOutcome.
	Code = wire.Code
)

// The codes of an Error; see wire.Code for what each says about the request.
const (
	CodeInternal       = wire.CodeInternal
	CodeNotLeader      = wire.CodeNotLeader
	CodeNoLeader       = wire.CodeNoLeader
	CodeOverloaded     = wire.CodeOverloaded
	CodeUnknownGroup   = wire.CodeUnknownGroup
	CodeQuarantined    = wire.CodeQuarantined
	CodeStopped        = wire.CodeStopped
	CodeStaleEpoch     = wire.CodeStaleEpoch
	CodeUnknownOutcome = wire.CodeUnknownOutcome
	CodeTooLarge       = wire.CodeTooLarge
	CodeUnreachable    = wire.CodeUnreachable
	CodeNotApplied     = wire.CodeNotApplied
	CodeStorage        = wire.CodeStorage
	CodeBadRequest     = wire.CodeBadRequest
	CodeTimeout        = wire.CodeTimeout
	CodeConflict       = wire.CodeConflict
	CodeUnsafe         = wire.CodeUnsafe
)

// CodeOf returns the Code of err's chain, or 0 when it holds no *Error.
func CodeOf(err error) Code { return wire.CodeOf(err) }
