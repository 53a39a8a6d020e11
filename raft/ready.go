package raft

import "flotilla/raft/wire"

// Role is what a replica is in its current term.
type Role uint8

// The roles. A learner is a Follower that is not a voter.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// String returns the role's name.
func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Token names one batch handed out for persistence. Tokens rise; 0 names nothing.
type Token uint64

// Read is the answer to one ReadIndex call.
type Read struct {
	// Context is the caller's number, as given to ReadIndex.
	Context uint64
	// Index is the read index: the read is linearizable once the state machine has applied it.
	Index wire.Index
	// Err is nil, or why no index can be given (*wire.Error: not leader, no leader). The read may be tried again.
	Err error
}

// Ready is everything a core wants done, filled by Core.Ready into buffers the caller owns and may reuse.
// After the call the core regards Messages as sent, Entries and HardState as on their way to disk under
// Token, and Committed as on its way to the state machine. Several tokens may be outstanding.
type Ready struct {
	// Messages may leave at once. Whatever asserts durability is held inside the core until Persisted.
	Messages []wire.Message

	// Token is not 0 when Update must reach the disk; Persisted(Token) follows when it has.
	Token Token
	// Update is what to persist; Group and the Set flags are filled in. Valid until Persisted(Token).
	Update wire.LogUpdate

	// Committed are entries to apply, contiguous, all of them durable here. When the caller meets an
	// EntryChange it calls Core.ApplyChange before it applies what follows (P9).
	Committed []wire.Entry

	// Reads are read indexes confirmed or refused since the last call.
	Reads []Read

	// NeedSnapshot are followers whose next entry is compacted away here (snapshot.go). They are named when that is found
	// out, and again as long as it lasts and no transfer is under way.
	NeedSnapshot []SnapshotNeed
	// Promotable are learners that have caught up (P14): match within a small distance of the last
	// index, heard of within an election timeout.
	Promotable []wire.NodeID

	// Role, Term and Leader are the present ones; Leader is NoNode when unknown.
	Role   Role
	Term   wire.Term
	Leader wire.NodeID
}
