package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/quorum"
	"flotilla/raft/wire"
)

// Core is one replica's consensus: everything that Raft knows and decides for one group on one node, as a state
// machine without time or I/O of its own. doc.go tells how to drive it and numbers its invariants.
//
// A Core is not safe for concurrent use; it has one owner, who may change between calls.
type Core struct {
	cfg   Config // with defaults
	group wire.GroupID
	self  wire.NodeID
	err   error // sticky: the log cannot be trusted
	rng   rand.PCG

	// What must be on disk before it is told (thesis figure 3.1).
	term wire.Term
	vote wire.NodeID
	log  raftLog

	// What was learned.
	role       Role
	leader     wire.NodeID
	life       uint64 // by which the leader that was heard last counts us (progress.Follower.Life)
	membership wire.Membership
	assured    bool // a leader has shown that it knows what made this replica a member (anew.go)
	commit     wire.Index
	verified   wire.Index // our log equals that of the present term's leader up to here, as far as we know (F7)

	persist persistence
	apply   application
	votes   ballot
	lead    leadership
	install install
	reads   reads

	// Time, in ticks.
	ticks           uint64 // since New
	elapsed         int    // since a leader was heard or the last election began
	electionTimeout int    // drawn anew at each change of role
	asleep          bool   // time does not pass (sleep.go)
	promised        uint64 // the tick until which this node neither votes nor stands (lease.go)

	out  []wire.Message // may leave at once
	told soft           // what the last Ready said
}

// soft is the part of the state that needs no disk.
type soft struct {
	role   Role
	term   wire.Term
	leader wire.NodeID
}

// ballot is the vote a (pre-)candidate holds.
type ballot struct {
	tally quorum.Tally
	// own is the token that makes a candidate's own vote durable, 0 when that has happened (D1).
	own Token
}

// New returns a core restored from cfg, as a follower. It errs when cfg is not valid or what it restores
// contradicts itself (ErrInconsistent); then the group must not run on this node.
func New(cfg Config) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	log, err := openLog(cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("restore group %d on node %d: %w", cfg.Group, cfg.Self, err)
	}
	c := &Core{
		cfg: cfg, group: cfg.Group, self: cfg.Self, log: log,
		term: cfg.HardState.Term, vote: cfg.HardState.Vote, membership: cfg.Membership,
	}
	c.rng.Seed(cfg.Seed, uint64(cfg.Group)*0x9e3779b97f4a7c15+uint64(cfg.Self))
	if err := c.restore(); err != nil {
		return nil, fmt.Errorf("restore group %d on node %d: %w", cfg.Group, cfg.Self, err)
	}
	return c, nil
}

// restore checks what came from disk and starts from it (F2).
func (c *Core) restore() error {
	first, last := c.cfg.Log.Bounds()
	known := c.cfg.HardState.Commit
	switch {
	case known > last, c.cfg.Applied > last, c.membership.Index > last:
		return fmt.Errorf("%w: last index %d is below commit %d, applied %d or membership %d: log entries are missing",
			ErrInconsistent, last, known, c.cfg.Applied, c.membership.Index)
	case c.cfg.Applied+1 < first:
		return fmt.Errorf("%w: log begins at %d, state machine ends at %d", ErrInconsistent, first, c.cfg.Applied)
	case c.log.lastTerm() > c.term:
		return fmt.Errorf("%w: last entry is of term %d, after term %d", ErrInconsistent, c.log.lastTerm(), c.term)
	}
	// What was applied was committed, and so was what is compacted away, whatever the hard state still says (F3).
	c.commit = max(known, c.cfg.Applied, c.membership.Index, first-1)
	c.verified = c.commit
	c.apply = application{handed: c.cfg.Applied, applied: c.cfg.Applied, restored: last}
	if mutant.Is(mutant.ApplyTwice) && c.cfg.Applied >= first {
		c.apply.handed, c.apply.applied = c.cfg.Applied-1, c.cfg.Applied-1
	}
	if !mutant.Is(mutant.ReuseReadNumber) {
		c.reads.nonce = c.rng.Uint64()
	}
	if err := c.replayChanges(first); err != nil {
		return err
	}
	c.told = soft{term: c.term}
	c.rest(Follower, wire.NoNode)
	if c.soleVoter() {
		c.elapsed = c.electionTimeout // nobody to wait for: the first tick campaigns
	}
	if !c.soleVoter() || c.cfg.Applied < last {
		// What the last life promised is not known. Who is the only voter has promised nothing, but the log may hold changes
		// that have made others voters.
		c.promise()
	}
	return nil
}

// Err is not nil once the core cannot trust its log: a read failed that must not. The core then does nothing
// any more, and the group is to be quarantined on this node (P4, F10).
func (c *Core) Err() error { return c.err }

// fail stops the core for good.
func (c *Core) fail(err error) {
	if c.err != nil || err == nil {
		return
	}
	c.err = fmt.Errorf("group %d on node %d: %w", c.group, c.self, err)
	c.refuseReads(&wire.Error{Code: wire.CodeQuarantined, Group: c.group, Cause: c.err})
	c.out, c.persist.held = nil, nil
}

// Tick advances the core's time by one tick.
func (c *Core) Tick() {
	if c.err != nil || c.asleep {
		return
	}
	c.ticks++
	c.elapsed++
	c.log.rest()
	c.persist.tick()
	c.expireReads()
	if c.role == Leader {
		c.tickLeader()
		return
	}
	if c.elapsed >= c.electionTimeout && c.electable() && !c.bound() {
		c.campaign(byTimeout)
	}
}

// TickN says that so many ticks have passed at once: for a driver that was held up and measures time.
func (c *Core) TickN(n int) {
	if c.asleep {
		return
	}
	often := min(n, 2*c.cfg.ElectionTicks) // by then everything has run out
	c.ticks += uint64(n - often)
	for range often {
		c.Tick()
	}
}

// become makes the core a follower of term and leader. Going to a higher term forgets the vote (I16).
func (c *Core) become(term wire.Term, leader wire.NodeID) {
	assert.That(term >= c.term, "I16: term falls")
	if term > c.term {
		c.setHard(term, wire.NoNode)
	}
	c.rest(Follower, leader)
}

// rest changes the role within the present term: timers, votes, reads and leadership start afresh.
func (c *Core) rest(r Role, leader wire.NodeID) {
	c.role, c.leader = r, leader
	c.verified = c.commit
	c.asleep = false
	c.refuseReads(nil)
	c.lead.end()
	c.votes.tally.Reset()
	c.votes.own = 0
	c.elapsed = 0
	c.electionTimeout = c.cfg.ElectionTicks + int(c.rng.Uint64()%uint64(c.cfg.ElectionTicks))
}

// soleVoter reports whether this node is the only one that votes.
func (c *Core) soleVoter() bool {
	voters := c.membership.AllVoters()
	return len(voters) == 1 && voters[0] == c.self
}

// send queues m for its To, in the present term, to leave at once or as soon as the term is on disk (I2).
func (c *Core) send(m wire.Message) {
	m.Term = c.term
	c.post(m, c.persist.needHard())
}

// post queues m, to leave once need is durable; need 0 is at once. From and Group are filled in.
func (c *Core) post(m wire.Message, need Token) {
	assert.That(m.To != c.self && m.To != wire.NoNode, "I17: message to nobody or to itself")
	m.Group, m.From = c.group, c.self
	if need > c.persist.done {
		c.persist.hold(m, need)
		return
	}
	c.out = appendMessage(c.out, m)
}

// appendMessage appends m, or lets the last message speak for both when that is an acknowledgement that m extends.
func appendMessage(list []wire.Message, m wire.Message) []wire.Message {
	if n := len(list); n > 0 && extendsAck(&list[n-1], &m) {
		list[n-1].Index = max(list[n-1].Index, m.Index)
		return list
	}
	return append(list, m)
}

func extendsAck(a, b *wire.Message) bool {
	return a.Type == wire.MsgAppendReply && b.Type == wire.MsgAppendReply && !a.Reject && !b.Reject &&
		a.To == b.To && a.Term == b.Term && a.Context == b.Context
}

// setCommit moves the commit index up to i (I5).
func (c *Core) setCommit(i wire.Index) {
	assert.That(i >= c.commit && i <= c.log.last(), "I5: commit index falls or passes the end of the log")
	if i == c.commit {
		return
	}
	if c.role == Leader {
		c.lead.settle(&c.log, c.commit, i)
	}
	c.commit = i
}

// readable turns the errors of a read that cannot legally miss into the core's end: compacted and unavailable
// entries are the caller's to expect, others mean that the log cannot be trusted.
func readable(err error) bool {
	return err == nil || errors.Is(err, wire.ErrCompacted) || errors.Is(err, wire.ErrUnavailable)
}
