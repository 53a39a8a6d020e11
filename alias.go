package flotilla

import (
	"flotilla/epoch"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// The words of the house, so that an embedder imports this package alone.
type (
	NodeID       = wire.NodeID            // identifies a node within its cluster, from 1
	GroupID      = wire.GroupID           // identifies a Raft group; 0 is the metadata group
	Index        = wire.Index             // a position in a group's log, from 1
	Term         = wire.Term              // a Raft term
	Epoch        = epoch.Epoch            // the cluster's fence token
	Shard        = wire.Shard             // one of the 1024 slots of the key space
	StateMachine = multiraft.StateMachine // what a group replicates
	Command      = multiraft.Command      // one command of a group's log
	Result       = multiraft.Result       // the outcome of a command that was applied
	GroupStatus  = multiraft.GroupStatus  // one replica, or what is known of a group without one here
	Error        = wire.Error             // the typed outcome of a request that did not succeed
	Code         = wire.Code              // classes an Error
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
)

// CodeOf returns the Code of err's chain, or 0 when it holds no *Error.
func CodeOf(err error) Code { return wire.CodeOf(err) }
