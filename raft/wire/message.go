package wire

import "strconv"

// MessageType is the kind of a Message between replicas of one group.
type MessageType uint8

// Message types. Which fields a type uses is said beside it; unused ones are zero.
const (
	// MsgPreVote asks whether a vote would be given (thesis section 9.6). Term is the term the sender would
	// campaign in; Index and LogTerm are its last entry's.
	MsgPreVote MessageType = 1
	// MsgPreVoteReply answers with Term as asked when granted, the sender's own term when Reject.
	MsgPreVoteReply MessageType = 2
	// MsgVote asks for a vote in Term; Index and LogTerm are the candidate's last entry's. Context is 1 when
	// the election was ordered by a leadership transfer, which overrides the receiver's leader lease.
	MsgVote MessageType = 3
	// MsgVoteReply answers a MsgVote; held back until the vote is on disk.
	MsgVoteReply MessageType = 4
	// MsgAppend carries Entries that follow (Index, LogTerm), and Commit.
	MsgAppend MessageType = 5
	// MsgAppendReply acknowledges that the sender's durable log matches the leader's up to Index; when
	// Reject, Index is the refused previous index and Hint, HintTerm say where to look next.
	MsgAppendReply MessageType = 6
	// MsgHeartbeat asserts leadership; Commit is bounded by what the receiver is known to hold; Context is
	// the number of the latest read round, 0 for none.
	MsgHeartbeat MessageType = 7
	// MsgHeartbeatReply answers with the same Context.
	MsgHeartbeatReply MessageType = 8
	// MsgReadIndex asks the leader for a read index on behalf of From; Context is From's own number.
	MsgReadIndex MessageType = 9
	// MsgReadIndexReply answers with Index and the same Context, or Reject.
	MsgReadIndexReply MessageType = 10
	// MsgTimeoutNow orders the receiver to campaign at once (thesis section 3.10).
	MsgTimeoutNow MessageType = 11
	// MsgGroupRefused says that the sender does not serve Group: Context is the RefuseCode. It never reaches a core.
	MsgGroupRefused MessageType = 12
	// MsgSnapshot says that the leader is sending a snapshot whose last entry is (Index, LogTerm). The data
	// travels on a stream of its own.
	MsgSnapshot MessageType = 13
	// MsgSleep says that the leader falls asleep: it has nothing beyond Commit, and knows that all members have it.
	MsgSleep MessageType = 14

	maxMessageType = MsgSleep
)

// Valid reports whether t is a known type.
func (t MessageType) Valid() bool { return t >= MsgPreVote && t <= maxMessageType }

// Message is what one replica says to another of the same group. A value; Entries are immutable.
type Message struct {
	Type     MessageType
	Reject   bool
	Group    GroupID
	From     NodeID
	To       NodeID
	Term     Term
	LogTerm  Term
	Index    Index
	Commit   Index
	Hint     Index
	HintTerm Term
	Context  uint64
	Entries  []Entry
}

// RefuseCode is the reason of a MsgGroupRefused.
type RefuseCode uint8

// The reasons for refusing one group's message (P6).
const (
	// RefuseUnknownGroup says that no replica of the group lives here.
	RefuseUnknownGroup RefuseCode = 1
	// RefuseQuarantined says that the group's replica here is quarantined (P4).
	RefuseQuarantined RefuseCode = 2
	// RefuseRemoved says that the sender is no longer a member of the group.
	RefuseRemoved RefuseCode = 3
)

// String returns the reason in words.
func (c RefuseCode) String() string {
	switch c {
	case RefuseUnknownGroup:
		return "unknown group"
	case RefuseQuarantined:
		return "quarantined"
	case RefuseRemoved:
		return "removed"
	}
	return "reason " + strconv.FormatUint(uint64(c), 10)
}

// Lane is one of the priorities between two nodes (architecture section 5).
type Lane uint8

// The lanes of raft traffic. Forward and snapshot streams have their own calls.
const (
	// LaneControl carries votes, heartbeats, acknowledgements, read indexes and refusals.
	LaneControl Lane = 1
	// LaneAppend carries log appends.
	LaneAppend Lane = 2
)

// Lane says which lane t travels on: liveness never queues behind bulk (P5).
func (t MessageType) Lane() Lane {
	if t == MsgAppend {
		return LaneAppend
	}
	return LaneControl
}

// PeerEvent is what a transport tells about a peer.
type PeerEvent uint8

// The events of a peer.
const (
	// PeerUp says that a connection to the peer stands.
	PeerUp PeerEvent = 1
	// PeerDown says that the last connection to the peer is gone.
	PeerDown PeerEvent = 2
	// PeerGoodbye says that the peer is closing down on purpose: its leaderships are vacant now.
	PeerGoodbye PeerEvent = 3
)
