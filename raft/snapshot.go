package raft

import (
	"errors"
	"fmt"

	"flotilla/internal/mutant"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// Sentinels of SendSnapshot.
var (
	// ErrNoSnapshotNeeded says that the follower gets on without one by now, or is no member.
	ErrNoSnapshotNeeded = errors.New("follower needs no snapshot")
	// ErrSnapshotUnderWay says that one is being sent to it already (F28).
	ErrSnapshotUnderWay = errors.New("snapshot under way")
	// ErrSnapshotUseless says that the log begins later than the snapshot ends, or that it is none of this log.
	ErrSnapshotUseless = errors.New("snapshot does not reach the log")
)

// A follower whose next entry is compacted away is in state progress.Snapshot. The core cannot help it: the data is the
// host's, and so is the way to it. Between the two it goes like this, a transfer at a time for each follower (P15, F28):
//
//	Ready.NeedSnapshot names it   ->  the host picks or makes a snapshot, SendSnapshot
//	SendSnapshot returns a message -> the host opens a stream to the follower and puts the message in front; there it
//	                                  is given to Step (install.go)
//	ReportSnapshot                <-  whenever the receiver got further, has all of it, or the stream broke
//	AwaitsSnapshot                <-  whenever the host would like to know whether to go on
//
// The core believes nobody but the follower itself that a snapshot has arrived: what ends the state is an
// acknowledgement, which says that the log beyond it is durable there, or a commit index in a heartbeat reply. So a
// report that is lost, late, repeated or wrong costs time and no data, and a follower never counts before its disk (F7).

// SnapshotNeed is a follower that needs a snapshot, in Ready.NeedSnapshot.
type SnapshotNeed struct {
	Node wire.NodeID
	// Term is the one that this node leads; ReportSnapshot and AwaitsSnapshot want it back (F29).
	Term wire.Term
	// Index is the lowest one of a snapshot that helps: the log goes on after it.
	Index wire.Index
}

// SnapshotReport is what a host tells of a transfer.
type SnapshotReport uint8

// The reports.
const (
	// SnapshotProgress: the receiver holds more of it than before.
	SnapshotProgress SnapshotReport = iota + 1
	// SnapshotSent: the receiver holds all of it. What is awaited now is that it installs it and says so.
	SnapshotSent
	// SnapshotFailed: the transfer has ended and will not be continued. The follower is named again within an election
	// timeout, unless it is silent.
	SnapshotFailed
)

// SendSnapshot says that s is sent to a follower now, and returns the message that goes with the data. Errors, all
// without effect: ErrNoSnapshotNeeded, ErrSnapshotUnderWay, ErrSnapshotUseless; the *wire.Error of a node that does
// not lead (F29).
func (c *Core) SendSnapshot(n wire.NodeID, s wire.Snapshot) (wire.Message, error) {
	if c.err != nil || c.role != Leader {
		return wire.Message{}, fmt.Errorf("send snapshot %d to node %d: %w", s.Index, n, c.notLeader())
	}
	if err := c.sendable(n, &s); err != nil {
		return wire.Message{}, fmt.Errorf("send snapshot %d to node %d: %w", s.Index, n, err)
	}
	c.lead.follower(n).SendsSnapshot(s.Index)
	m := to(n, wire.MsgSnapshot)
	m.Group, m.From, m.Term, m.Index, m.LogTerm = c.group, c.self, c.term, s.Index, s.Term
	m.Context = c.lead.follower(n).Life()
	return m, nil
}

func (c *Core) sendable(n wire.NodeID, s *wire.Snapshot) error {
	f := c.lead.follower(n)
	switch {
	case f == nil || f.State() != progress.Snapshot:
		return ErrNoSnapshotNeeded
	case c.sending(f):
		return ErrSnapshotUnderWay
	case s.Index+1 < c.log.first() || s.Index > c.apply.applied:
		return ErrSnapshotUseless
	}
	if term, err := c.log.term(s.Index); err != nil || term != s.Term {
		return ErrSnapshotUseless
	}
	return nil
}

// ReportSnapshot says how the transfer to n that began in term gets on. Reports of what this node has no part in
// any more say nothing.
func (c *Core) ReportSnapshot(n wire.NodeID, term wire.Term, r SnapshotReport) {
	if !c.AwaitsSnapshot(n, term) {
		return
	}
	switch f := c.lead.follower(n); r {
	case SnapshotProgress, SnapshotSent:
		if i := f.Sending(); mutant.Is(mutant.CountSentSnapshot) {
			f.Restored(i)
			f.Acked(i)
			c.advanceCommit()
			return
		}
		f.SnapshotMoves()
	case SnapshotFailed:
		f.SnapshotEnds()
	}
}

// AwaitsSnapshot reports whether what a transfer to n that began in term brings still serves: this node leads that term, and n
// has neither got there on another way nor left the group, nor fallen silent after a transfer that failed. A host that finds it false
// lets go of the stream, and of the log that goes on from there; until then a failed transfer may be continued.
func (c *Core) AwaitsSnapshot(n wire.NodeID, term wire.Term) bool {
	if c.err != nil || c.role != Leader || term != c.term {
		return false
	}
	f := c.lead.follower(n)
	return f != nil && f.State() == progress.Snapshot && (f.Sending() != 0 || f.Quiet() < c.cfg.ElectionTicks)
}

// needSnapshot has the next Ready name n.
func (c *Core) needSnapshot(n wire.NodeID) {
	c.abortTransferTo(n)
	need := SnapshotNeed{Node: n, Term: c.term, Index: c.log.first() - 1}
	for i := range c.lead.snapshots {
		if c.lead.snapshots[i].Node == n {
			c.lead.snapshots[i] = need
			return
		}
	}
	c.lead.snapshots = append(c.lead.snapshots, need)
}

// remindSnapshots names those who still need a snapshot again, once per election timeout: those who answer, and to whom
// none is under way.
func (c *Core) remindSnapshots() {
	for i := range c.lead.followers {
		f := &c.lead.followers[i]
		if f.State() != progress.Snapshot || f.Quiet() >= c.cfg.ElectionTicks {
			continue
		}
		if !c.sending(f) {
			c.needSnapshot(f.Node())
		}
	}
}

// sending reports whether a snapshot is under way to f. One of which nothing was told for so long that the host may have forgotten it is
// not, but awaited all the same until another one takes its place: the follower may take its time with it.
func (c *Core) sending(f *progress.Follower) bool {
	return f.Sending() != 0 && f.Silent() < snapshotPatience*c.cfg.ElectionTicks
}

// leaveSnapshot: a follower that needed a snapshot holds our log up to i. If we still have what comes after
// that, the snapshot has arrived, or is not needed any more (F27).
func (c *Core) leaveSnapshot(f *progress.Follower, i wire.Index) {
	if i+1 >= c.log.first() && (!mutant.Is(mutant.NeedlessSnapshot) || i >= c.log.last()) {
		f.Restored(i)
		c.lead.dirty = true
	}
}
