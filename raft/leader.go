package raft

import (
	"cmp"
	"slices"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/progress"
	"flotilla/raft/quorum"
	"flotilla/raft/wire"
)

const (
	voter   = progress.Voter
	learner = progress.Learner
)

// leadership is what only a leader has. The zero value is nobody's.
type leadership struct {
	// start is the index of the empty entry that began the term; 0 when not leader. What is at or after it is of
	// this term, so an index that a majority holds may be committed if it is not below (thesis section 3.6.2).
	start wire.Index
	// followers are all other members, by rising node id.
	followers []progress.Follower
	// left are nodes that were followers in this term and were taken out, each as often as that happened.
	left []wire.NodeID
	// uncommitted is the sum of sizes of the entries from start on that are not committed.
	uncommitted int
	// sinceHeartbeat counts ticks.
	sinceHeartbeat int
	// dirty: something may have to be sent; found out once per Ready, so that many proposals make one append.
	dirty bool
	// snapshots are followers that need one and whom Ready has not named yet.
	snapshots []SnapshotNeed
	transfer  transfer
	lease     lease

	marks []uint64 // scratch of agreed
}

// end forgets a leadership and keeps its scratch memory.
func (l *leadership) end() { *l = leadership{marks: l.marks} }

// follower returns what is known of n, nil if it is no member.
func (l *leadership) follower(n wire.NodeID) *progress.Follower {
	for i := range l.followers {
		if l.followers[i].Node() == n {
			return &l.followers[i]
		}
	}
	return nil
}

// lives returns how often n was taken out in this term.
func (l *leadership) lives(n wire.NodeID) (times uint64) {
	for _, m := range l.left {
		if m == n {
			times++
		}
	}
	return times
}

// settle takes entries in (from, to] out of what is not committed.
func (l *leadership) settle(log *raftLog, from, to wire.Index) {
	for i := max(from+1, l.start); i <= to; i++ {
		l.uncommitted -= log.tail[i-log.anchor-1].Size()
	}
	assert.That(l.uncommitted >= 0 && (to < log.last() || l.uncommitted == 0), "I9: sizes of uncommitted entries do not add up")
}

// takeOffice makes the winner of an election leader of the term. Its first entry is empty: once that is
// committed, so is everything before it, and reads and changes of the membership may begin (thesis section 6.4;
// D34).
func (c *Core) takeOffice() {
	assert.That(c.role == Candidate && c.vote == c.self && c.votes.own == 0, "I1: leader without an election")
	c.rest(Leader, c.self)
	c.lead.start = c.log.last() + 1
	c.enlist()
	c.appendOwn(wire.EntryEmpty, nil)
}

// enlist brings the followers in line with the membership. What is known of those who stay is kept.
func (c *Core) enlist() {
	limits := progress.Limits{MaxMessages: c.cfg.MaxInflightMessages, MaxBytes: c.cfg.MaxInflightBytes}
	add := func(list []wire.NodeID, kind progress.Kind) {
		for _, n := range list {
			if n == c.self {
				continue
			}
			if f := c.lead.follower(n); f != nil {
				f.SetKind(kind)
				continue
			}
			next := max(c.log.last(), c.lead.start-1) + 1
			f := progress.New(n, kind, next, limits)
			f.SetLife(c.lead.lives(n))
			c.lead.followers = append(c.lead.followers, f)
		}
	}
	c.lead.followers = slices.DeleteFunc(c.lead.followers, func(f progress.Follower) bool {
		gone := !c.membership.Contains(f.Node())
		if gone {
			c.lead.left = append(c.lead.left, f.Node())
		}
		return gone
	})
	add(c.membership.AllVoters(), voter)
	add(c.membership.Learners, learner)
	slices.SortFunc(c.lead.followers, func(a, b progress.Follower) int { return cmp.Compare(a.Node(), b.Node()) })
	c.lead.dirty = true
}

// appendOwn appends an entry of this term to the leader's log (I3).
func (c *Core) appendOwn(kind wire.EntryKind, data []byte) wire.Index {
	assert.That(c.role == Leader, "I3: entry of a term this node does not lead")
	e := wire.Entry{Term: c.term, Index: c.log.last() + 1, Kind: kind, Data: data}
	c.log.appendOne(e)
	c.lead.uncommitted += e.Size()
	if mutant.Is(mutant.ProposalNotSent) {
		return e.Index
	}
	c.lead.dirty = true
	return e.Index
}

// Propose appends data to the leader's log and returns where. The entry is committed if and only if an entry of
// this term is handed out at this index later. Refusals are *wire.Error and mean that the proposal will have no
// effect: CodeNotLeader with the leader to ask, CodeNoLeader, CodeOverloaded, CodeTooLarge. data must not be
// written to any more.
func (c *Core) Propose(data []byte) (wire.Index, wire.Term, error) {
	if err := c.refusal(); err != nil {
		return 0, 0, err
	}
	if len(data) > wire.MaxEntryData {
		return 0, 0, c.deny(wire.CodeTooLarge, "proposal over the limit of an entry")
	}
	e := wire.Entry{Data: data}
	if u := c.lead.uncommitted; u > 0 && u+e.Size() > c.cfg.MaxUncommittedBytes {
		return 0, 0, c.deny(wire.CodeOverloaded, "too much is waiting to be committed")
	}
	return c.appendOwn(wire.EntryData, data), c.term, nil
}

// ProposeEmpty appends an entry without content, which brings the commit index of what is before it to a majority's disks
// once it is committed. Refusals are those of Propose.
func (c *Core) ProposeEmpty() (wire.Index, wire.Term, error) {
	if err := c.refusal(); err != nil {
		return 0, 0, err
	}
	return c.appendOwn(wire.EntryEmpty, nil), c.term, nil
}

// refusal says why nothing can be proposed here now, nil if something can. Who is asked wakes up.
func (c *Core) refusal() error {
	c.Wake()
	switch {
	case c.err != nil:
		return &wire.Error{Code: wire.CodeQuarantined, Group: c.group, Cause: c.err}
	case c.role != Leader:
		return c.notLeader()
	case c.lead.transfer.to != wire.NoNode:
		return c.deny(wire.CodeNoLeader, "leadership is being handed over")
	}
	return nil
}

func (c *Core) deny(code wire.Code, detail string) *wire.Error {
	return &wire.Error{Code: code, Group: c.group, Detail: detail}
}

// notLeader is the refusal of what only a leader can do.
func (c *Core) notLeader() *wire.Error {
	if c.leader == wire.NoNode || c.leader == c.self {
		return &wire.Error{Code: wire.CodeNoLeader, Group: c.group}
	}
	return &wire.Error{Code: wire.CodeNotLeader, Group: c.group, Leader: c.leader}
}

// meetRival: a second node claims to lead our term, which election safety rules out (F8).
func (c *Core) meetRival(m wire.Message) error {
	return refuse(&m, ErrTwoLeaders, "this node leads it")
}

// tickLeader is Tick for a leader.
func (c *Core) tickLeader() {
	for i := range c.lead.followers {
		c.lead.followers[i].Tick()
	}
	// Whom no majority answers may have been replaced long ago, and whose disk hangs serves nobody (F12, D21;
	// thesis section 6.2).
	if !c.majorityHeard() && !mutant.Is(mutant.LeadWithoutMajority) || c.diskHangs() {
		c.become(c.term, wire.NoNode)
		return
	}
	c.tickTransfer()
	if c.elapsed >= c.cfg.ElectionTicks {
		c.elapsed = 0
		c.remindSnapshots()
	}
	if c.lead.sinceHeartbeat++; c.lead.sinceHeartbeat >= c.cfg.HeartbeatTicks {
		if c.leases() {
			c.reads.round++
		}
		c.sendHeartbeats()
	}
}

// majorityHeard reports whether a majority of voters was heard within an election timeout.
func (c *Core) majorityHeard() bool {
	return c.agreed(1, func(f *progress.Follower) uint64 {
		if f.Quiet() < c.cfg.ElectionTicks {
			return 1
		}
		return 0
	}) == 1
}

// agreed returns the highest mark that a majority of voters has reached, in a joint configuration a majority of
// either half: the leader's own mark is own, that of a follower what mark says.
func (c *Core) agreed(own uint64, mark func(*progress.Follower) uint64) uint64 {
	marks := c.lead.marks[:0]
	for _, half := range [...][]wire.NodeID{c.membership.Voters, c.membership.Outgoing} {
		for _, n := range half {
			if n == c.self {
				marks = append(marks, own)
				continue
			}
			f := c.lead.follower(n)
			assert.That(f != nil, "I9: a voter is missing among the followers")
			marks = append(marks, mark(f))
		}
	}
	if mutant.Is(mutant.CountLearner) {
		for i := range c.lead.followers {
			if f := &c.lead.followers[i]; f.Kind() == learner {
				marks = append(marks, mark(f))
			}
		}
		slices.Sort(marks)
		marks = marks[len(c.membership.Learners):]
	}
	c.lead.marks = marks
	voters := len(c.membership.Voters)
	if mutant.Is(mutant.IncomingAlone) {
		return quorum.Reached(marks[:voters])
	}
	if mutant.Is(mutant.OutgoingAlone) && c.membership.Joint() {
		return quorum.Reached(marks[voters:])
	}
	return quorum.Joint(marks[:voters], marks[voters:])
}

// sendHeartbeats tells everybody that the leader lives, what they may regard as committed of what they are
// known to hold, and which read round is the latest.
func (c *Core) sendHeartbeats() {
	c.lead.sinceHeartbeat = 0
	c.noteRound()
	for i := range c.lead.followers {
		f := &c.lead.followers[i]
		m := to(f.Node(), wire.MsgHeartbeat)
		m.Commit, m.Context = min(f.Match(), c.commit), c.reads.round
		c.send(m)
	}
}

// leadHeartbeatReply: a follower lives. Its reply may confirm reads, show that appends to it were lost (D22),
// or that it does not regard as committed what it was told.
func (c *Core) leadHeartbeatReply(m wire.Message) error {
	f := c.lead.follower(m.From)
	if f == nil {
		return nil
	}
	if m.Context > c.reads.round {
		return refuse(&m, ErrMalformed, "answers a read round that never was")
	}
	f.Heard()
	f.AnsweredRound(m.Context)
	f.Regards(m.Index)
	c.confirmReads()
	if m.Reject && c.lead.transfer.to == m.From {
		c.lead.transfer = transfer{} // it will not stand
	}
	if f.State() == progress.Snapshot && m.Index <= c.commit {
		c.leaveSnapshot(f, m.Index)
		return nil
	}
	stalled := f.Alive()
	behind := f.State() == progress.Replicate && m.Index < min(f.Told(), f.Match())
	if stalled || behind {
		c.sendEmpty(f)
	}
	c.lead.dirty = true
	return nil
}

// advanceCommit commits what a majority of voters holds on disk, if the last of it is of this term (thesis
// section 3.6.2, figure 3.7). The leader counts itself by what is durable here, no more than any other (I9).
func (c *Core) advanceCommit() {
	held := func(f *progress.Follower) uint64 { return uint64(f.Match()) }
	if i := wire.Index(c.agreed(uint64(c.log.durable), held)); i > c.commit && (i >= c.lead.start || mutant.Is(mutant.CommitEarlierTerm)) {
		c.setCommit(i)
		c.lead.dirty = true
	}
}
