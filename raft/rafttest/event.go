package rafttest

import (
	"flotilla/raft"
	"flotilla/raft/wire"
)

// EventKind says what happened.
type EventKind uint8

// The events of a run. Beside each stands which fields of Event it fills, besides Node.
const (
	// EventStart: a core was made. HardState, Membership, Index (applied), Sum (of the machine's state).
	EventStart EventKind = iota + 1
	// EventCrash: a core and its queued writes are gone. Count (writes lost).
	EventCrash
	// EventState: the core's state changed. Role, Term, Leader, Index (commit), Membership.
	EventState
	// EventWrite: the core handed out an update. Token, Update.
	EventWrite
	// EventDurable: an update became durable. Token, Update.
	EventDurable
	// EventSend, EventDeliver, EventDrop, EventDuplicate: a message. Message; Node is the sender for the
	// first and the receiver otherwise.
	EventSend
	EventDeliver
	EventDrop
	EventDuplicate
	// EventApply: an entry was given to the state machine. Entry.
	EventApply
	// EventMembership: a change entry was applied. Membership, Err.
	EventMembership
	// EventPropose: a proposal was taken in or refused. Index, Term, Data, Err.
	EventPropose
	// EventRead: a read index was asked for. Context.
	EventRead
	// EventReadDone: it was answered. Context, Index, Err.
	EventReadDone
	// EventNeed: the core named a follower that needs a snapshot. Peer, Term, Index.
	EventNeed
	// EventSnapshot: a snapshot was made. Snapshot, Sum.
	EventSnapshot
	// EventInstall, EventInstalled, EventAbandoned: a snapshot is being taken over, was, was not. Snapshot; Sum for the second.
	EventInstall
	EventInstalled
	EventAbandoned
	// EventAsleep, EventAwake: a core fell asleep, or woke up. Index (commit).
	EventAsleep
	EventAwake
	// EventNote: something for the reader of a trace. Text.
	EventNote
)

// Event is one thing that happened to one replica. Slices are shared with the run and must not be changed.
type Event struct {
	Kind       EventKind
	At         Time
	Node       wire.NodeID
	Role       raft.Role
	Term       wire.Term
	Leader     wire.NodeID
	Peer       wire.NodeID
	Index      wire.Index
	Token      raft.Token
	Context    uint64
	Count      int
	Sum        uint64
	Snapshot   wire.Snapshot
	HardState  wire.HardState
	Membership wire.Membership
	Update     wire.LogUpdate
	Message    wire.Message
	Entry      wire.Entry
	Err        error
	Text       string
}

// Time is simulated time in milliseconds since the start of the run.
type Time int64
