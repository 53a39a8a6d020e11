package raft

import (
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// Status is a copy of what a core knows, for dashboards, tests and decisions that are not urgent.
type Status struct {
	Group wire.GroupID
	Self  wire.NodeID
	Role  Role
	// Term and Vote are the present ones; they may still be on their way to the disk.
	Term wire.Term
	Vote wire.NodeID
	// Leader is NoNode when unknown.
	Leader wire.NodeID
	// Commit is the highest index known to be committed, Handed the highest handed out in Ready.Committed, Applied
	// the highest that came back through Applied.
	Commit  wire.Index
	Handed  wire.Index
	Applied wire.Index
	// Last is the last index of the log, Durable the highest whose entry is on disk here.
	Last    wire.Index
	Durable wire.Index
	// Membership is the one in effect here.
	Membership wire.Membership
	// Transferee is the node that leadership is being handed to, NoNode when none.
	Transferee wire.NodeID
	// Asleep is set while time does not pass.
	Asleep bool
	// WaitingReads counts reads without an answer.
	WaitingReads int
	// Followers is what a leader knows of every other member, by rising node id; nil for other roles.
	Followers []FollowerStatus
	// Err is why the core has stopped, nil while it works (see Core.Err).
	Err error
}

// FollowerStatus is what a leader knows of one other member.
type FollowerStatus struct {
	Node    wire.NodeID
	Learner bool
	State   progress.State
	// Match is the highest index known to be durable there and equal to ours, Next the next one to send.
	Match wire.Index
	Next  wire.Index
	// Snapshot is the index of the snapshot that is under way to it, 0 for none.
	Snapshot wire.Index
	// InflightMessages and InflightBytes are sent and not acknowledged.
	InflightMessages int
	InflightBytes    int
	// QuietTicks is how long ago it was heard, in ticks.
	QuietTicks int
	// Life is how often in this term the node was a follower before, and was taken out.
	Life uint64
}
