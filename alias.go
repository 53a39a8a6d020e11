package flotilla

import (
	"flotilla/epoch"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// The words of the house, so that an embedder imports this package alone.
type (
	// NodeID identifies a node within its cluster, from 1.
	NodeID = wire.NodeID
	// GroupID identifies a Raft group; 0 is the metadata group.
	GroupID = wire.GroupID
	// Index is a position in a group's log, from 1.
	Index = wire.Index
	// Term is a Raft term.
	Term = wire.Term
	// Epoch is the cluster's fence token.
	Epoch = epoch.Epoch
	// Shard is one of the 1024 slots of the key space.
	Shard = wire.Shard
	// StateMachine is what a group replicates.
	StateMachine = multiraft.StateMachine
	// Command is one command of a group's log.
	Command = multiraft.Command
	// Result is the outcome of a command that was applied.
	Result = multiraft.Result
	// Error is the typed outcome of a request that did not succeed.
	Error = wire.Error
	// Code classes an Error.
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
)

// CodeOf returns the Code of err's chain, or 0 when it holds no *Error.
func CodeOf(err error) Code { return wire.CodeOf(err) }

// ShardOf returns the shard of key.
func ShardOf(key []byte) Shard { return wire.ShardOf(key) }
