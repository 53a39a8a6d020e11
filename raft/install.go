package raft

import (
	"errors"
	"fmt"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

// Sentinels of BeginInstall.
var (
	// ErrSnapshotOld says that the replica has, or gets by its log, all that the snapshot holds.
	ErrSnapshotOld = errors.New("snapshot is not needed")
	// ErrInstalling says that another one is being installed (D28).
	ErrInstalling = errors.New("another snapshot is being installed")
	// ErrNotAnnounced says that no leader has announced a snapshot up to there in this life of the replica.
	ErrNotAnnounced = errors.New("snapshot was not announced")
)

// A replica that lacks what its leader has compacted away is sent a snapshot. Its host goes:
//
//	Step(MsgSnapshot)   the message in front of the data: the term and the leader count, and what the sender should know
//	                    (a higher term, that nothing is lacking) leaves with the next Ready (P16)
//	WantsSnapshot       whether it is worth while to receive it
//	BeginInstall        all of it is here, verified and durable. From now on nothing is handed out to apply, and nobody
//	                    campaigns (I18, D64), for the machine is neither the old one nor the new one
//	...                 what was handed out before is applied or dropped; the machine takes the data over
//	Installed           log, commit index and membership move there in the next Ready's Update, and the leader is told
//	                    when that is durable; or AbandonInstall, and all is as before
//
// A crash in between leaves the log as it was. A host whose machine may be ahead of it then, since it keeps its state itself,
// finishes with MoveTo before it makes a core.

// install is a snapshot on its way into this replica.
type install struct {
	// announced is the highest index of a snapshot that a leader has announced and that we lack.
	announced wire.Index
	// active: snap is being installed.
	active bool
	snap   wire.Snapshot
}

// followSnapshot takes in that the leader is sending a snapshot. What it ends with is committed.
func (c *Core) followSnapshot(m wire.Message) error {
	if err := c.heed(&m); err != nil {
		return err
	}
	c.life = m.Context
	if m.Index <= c.commit {
		c.acknowledge(m.From, c.commit)
		return nil
	}
	held, err := c.learn(m.Index, m.LogTerm)
	switch {
	case err != nil:
		c.fail(err)
	case held:
		c.acknowledge(m.From, m.Index)
	default:
		c.install.announced = max(c.install.announced, m.Index)
	}
	return nil
}

// learn takes in that the entry of term t at i is committed, and reports whether our log holds it. If so, it is equal
// to everybody's up to there, and what follows it stays (F11).
func (c *Core) learn(i wire.Index, t wire.Term) (bool, error) {
	held, err := c.log.matches(i, t)
	if err != nil || !held {
		return false, err
	}
	c.verified = max(c.verified, i)
	c.setCommit(max(c.commit, i))
	return true, nil
}

// WantsSnapshot reports whether a snapshot up to i that a leader has announced is still lacking here, and no other one
// is being installed.
func (c *Core) WantsSnapshot(i wire.Index) bool {
	return c.err == nil && c.role != Leader && !c.install.active && i > c.commit && i <= c.install.announced
}

// BeginInstall says that the data of s is here, complete and durable, and that the machine is about to take it over.
// Errors, all without effect: ErrSnapshotOld, ErrInstalling, ErrNotAnnounced, ErrMalformed.
func (c *Core) BeginInstall(s wire.Snapshot) error {
	if err := c.installable(&s); err != nil {
		return fmt.Errorf("install snapshot %d of group %d: %w", s.Index, c.group, err)
	}
	c.install.active, c.install.snap = true, s
	c.Wake()
	if c.role != Follower {
		c.rest(Follower, wire.NoNode)
	}
	return nil
}

func (c *Core) installable(s *wire.Snapshot) error {
	switch {
	case c.err != nil:
		return c.err
	case c.install.active:
		return ErrInstalling
	case c.role == Leader || s.Index <= c.commit:
		return ErrSnapshotOld
	case s.Index > c.install.announced:
		return ErrNotAnnounced
	case s.Term == 0 || s.Term > c.term || s.Membership.Index > s.Index || membership.Validate(&s.Membership) != nil:
		return ErrMalformed
	}
	held, err := c.learn(s.Index, s.Term)
	switch {
	case err != nil:
		c.fail(err)
		return c.err
	case held:
		return ErrSnapshotOld
	}
	return nil
}

// AbandonInstall says that the machine has not taken the data over and is what it was.
func (c *Core) AbandonInstall() { c.install.active, c.install.snap = false, wire.Snapshot{} }

// Installed says that the machine holds the state of the snapshot, which takes the place of what led to it: a log that
// does not hold its last entry is replaced as a whole, whatever it held (F11); one that has got there meanwhile
// stays. Applied index and membership move in either case.
func (c *Core) Installed() {
	assert.That(c.install.active, "I18: a snapshot is installed that was never begun")
	s := c.install.snap
	c.AbandonInstall()
	if c.err != nil {
		return
	}
	assert.That(c.role != Leader && s.Index > c.apply.handed, "I18: a snapshot is installed behind what was handed out")
	held, err := c.learn(s.Index, s.Term)
	if err == nil && !held && s.Index <= c.commit {
		err = fmt.Errorf("%w: snapshot %d of term %d is not what is committed here", ErrInconsistent, s.Index, s.Term)
	}
	if err != nil {
		c.fail(err)
		return
	}
	switch {
	case held:
	case mutant.Is(mutant.KeepConflictingSuffix) && c.log.last() >= s.Index:
		c.setCommit(s.Index)
	default:
		c.moveLog(&s)
	}
	c.apply.jump(s.Index)
	if s.Membership.Index > c.membership.Index && !mutant.Is(mutant.ForgetInstalledMembership) {
		c.adopt(s.Membership)
	}
	if c.leader != wire.NoNode {
		c.acknowledge(c.leader, s.Index)
	}
}

// moveLog replaces the log by nothing, after the snapshot. What was about to be said of entries is void.
func (c *Core) moveLog(s *wire.Snapshot) {
	if !mutant.Is(mutant.HeldAckAfterInstall) {
		c.persist.drop(func(m *wire.Message) bool { return m.Type == wire.MsgAppendReply && !m.Reject })
	}
	c.apply.forgetFrom(1)
	c.log.reset(s.Index, s.Term)
	c.setCommit(s.Index)
	c.verified = s.Index
	c.persist.membership = true // it goes with the log, changed or not (D53)
	c.persist.compact = 0
}

// jump says that the state machine holds the state at i.
func (a *application) jump(i wire.Index) {
	assert.That(i >= a.handed, "I7: the state machine goes back")
	a.handed, a.applied = i, i
	a.flights, a.bytes = a.flights[:0], 0
	a.settled(i)
}

// MoveTo returns the update that moves the log of a group to s: for a host that finds at its start a snapshot that was
// taken over by the machine and not yet by the log. term is the one of the leader who announced it, hard what the
// disk holds. It is not for a log that holds the snapshot's last entry, of its term: what follows there may have been
// acknowledged, and New makes do with it. A log that holds another entry there has to move, however long it is.
func MoveTo(group wire.GroupID, hard wire.HardState, s wire.Snapshot, term wire.Term) wire.LogUpdate {
	if term > hard.Term {
		hard = wire.HardState{Term: term, Commit: hard.Commit}
	}
	hard.Commit = max(hard.Commit, s.Index)
	return wire.LogUpdate{
		Group: group, SetHardState: true, HardState: hard, ResetTo: s.Index, ResetTerm: s.Term,
		SetMembership: true, Membership: s.Membership,
	}
}
