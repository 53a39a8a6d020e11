package multiraft

import "flotilla/raft/wire"

// Event is something that happened in the engine, one of the types below.
type Event any

// GroupQuarantined says that this node's replica of Group was taken out of service (P4).
type GroupQuarantined struct {
	Group wire.GroupID
	Err   error
}

// LeaderChanged says whom this node takes for Group's leader now; NoNode for nobody.
type LeaderChanged struct {
	Group  wire.GroupID
	Term   wire.Term
	Leader wire.NodeID
}

// MembershipChanged says that a change of Group's membership took effect here.
type MembershipChanged struct {
	Group      wire.GroupID
	Membership wire.Membership
}

// ChangeRefused says that the change at Index was not legal when it was applied; it had no effect anywhere.
type ChangeRefused struct {
	Group wire.GroupID
	Index wire.Index
	Err   error
}

// GroupRefused says that Peer does not serve Group (P6). It is told again when the reason changes, or when Peer has
// served the group in between.
type GroupRefused struct {
	Group  wire.GroupID
	Peer   wire.NodeID
	Reason wire.RefuseCode
}

// NodeReady says that the readiness latch flipped (P13).
type NodeReady struct{ Term wire.Term }

// DiskStalled says that a log commit has been under way for an election timeout: the groups that one worker
// leads are handed away (D21). DiskRecovered ends it.
type DiskStalled struct{ Led int }

// DiskRecovered says that commits go on after DiskStalled.
type DiskRecovered struct{}

// DiskFull says that the log had no space for a commit, which is tried again. DiskFreed ends it.
type DiskFull struct{ Err error }

// DiskFreed says that the commit which had no space went through.
type DiskFreed struct{}

// ApplyWaits says that Group's machine had no space for committed entries, which it is given again with each tick.
// ApplyGoesOn ends it.
type ApplyWaits struct {
	Group wire.GroupID
	Err   error
}

// ApplyGoesOn says that Group's machine has taken the entries it had no space for.
type ApplyGoesOn struct{ Group wire.GroupID }

// SnapshotMade says that this node has a new snapshot of Group's state, of Bytes bytes.
type SnapshotMade struct {
	Group    wire.GroupID
	Snapshot wire.Snapshot
	Bytes    int64
}

// SnapshotInstalled says that a snapshot took the place of this node's state of Group.
type SnapshotInstalled struct {
	Group    wire.GroupID
	Snapshot wire.Snapshot
}

// SnapshotFailed says that a snapshot of Group could not be made or installed here; it is tried again.
type SnapshotFailed struct {
	Group wire.GroupID
	Err   error
}

// SnapshotDamaged says that a start could not trust the snapshot of Group at Index and looked for another one.
type SnapshotDamaged struct {
	Group wire.GroupID
	Index wire.Index
	Err   error
}

// SnapshotSending says that the Courier was asked to send Peer a snapshot of Group, SnapshotSent how that ended: well when Err is nil.
// Peer may have refused it before anything was sent, as often as it was offered.
type SnapshotSending struct {
	Group wire.GroupID
	Peer  wire.NodeID
	Index wire.Index
}

// SnapshotSent is the end of what SnapshotSending began.
type SnapshotSent struct {
	Group wire.GroupID
	Peer  wire.NodeID
	Index wire.Index
	Err   error
}

// LogFenced says that a commit failed with an unknown outcome: no group acts here any more until the
// next start (D20).
type LogFenced struct{ Err error }

// emit tells ev to whoever listens.
func (e *Engine) emit(ev Event) {
	if e.cfg.Events != nil {
		e.cfg.Events(ev)
	}
}
