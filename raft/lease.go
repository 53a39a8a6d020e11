package raft

import (
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/progress"
)

// Lease reads (thesis section 6.4.1), off unless Config.LeaseMargin says otherwise. A leader then begins a round of
// heartbeats with each interval, and as long as a majority of voters has answered one that was sent less than
//
//	ElectionTicks - LeaseMargin
//
// ticks ago, it answers reads at once, without a round of their own. That is right because whoever answered has promised
// something: neither to vote for anybody nor to stand for ElectionTicks ticks of its own, counted from when it heard the leader,
// which is later than when the round was sent. A majority that elects somebody else has one of them in it.
//
// What it rests on, beyond what the rest of the core needs:
//
//   - Clocks. Of L, the longest time that ElectionTicks-LeaseMargin ticks take on a leader, and F, the shortest that
//     ElectionTicks-1 take on a follower (the first may strike at once), L must not be more than F. With ticks that are
//     wrong by a part d on either side: (ElectionTicks-LeaseMargin)(1+d) <= (ElectionTicks-1)(1-d). 10 ticks with a
//     margin of 4 bear a fifth; rates of quartz differ by a ten-thousandth, but a loaded host ticks late.
//   - A process that stands still does not tick: one that is stopped between its last tick and an answer serves what was
//     right when it was stopped. No core can see that. A driver that measures time tells what has passed (TickN)
//     before it asks for reads, which leaves the moment between the two.
//   - All members of the group have a margin, or none has, and the same ElectionTicks.
//   - LeaderGone is only said of a leader that has stopped.
//
// The promise outlives all that a replica forgets: a change of term, and a restart, after which it is silent for an
// election timeout. A leader gives its lease up for the rest of the term when it orders anybody to campaign, since
// that order overrides promises and may arrive at any time (thesis section 3.10); and each time that a change of the
// membership takes effect, until a round that began after that has come back.

// lease is what a leader knows of its own. The zero value is none.
type lease struct {
	// sent are the rounds that were the first of their tick, by rising round; those of the last election timeout.
	sent []roundSent
	// from is the first round that counts.
	from uint64
	// void: an order to campaign is on its way.
	void bool
}

type roundSent struct{ round, tick uint64 }

// leases reports whether lease reads are on.
func (c *Core) leases() bool { return c.cfg.LeaseMargin > 0 }

// promise is made when a leader is heard.
func (c *Core) promise() {
	if c.leases() {
		c.promised = c.ticks + uint64(c.cfg.ElectionTicks)
	}
}

// bound reports whether a promise keeps this node from voting and from standing.
func (c *Core) bound() bool { return c.ticks < c.promised && !mutant.Is(mutant.BreakPromise) }

// noteRound remembers when the latest round was sent.
func (c *Core) noteRound() {
	l := &c.lead.lease
	if !c.leases() || len(l.sent) > 0 && l.sent[len(l.sent)-1].tick == c.ticks {
		return
	}
	old := 0
	for old < len(l.sent) && c.ticks-l.sent[old].tick >= uint64(c.cfg.ElectionTicks) {
		old++
	}
	l.sent = append(slices.Delete(l.sent, 0, old), roundSent{round: c.reads.round, tick: c.ticks})
}

// leaseHolds reports whether nobody else can have been elected.
func (c *Core) leaseHolds() bool {
	l := &c.lead.lease
	if !c.leases() || l.void && !mutant.Is(mutant.LeaseAfterTransfer) {
		return false
	}
	round := c.agreed(c.reads.round, (*progress.Follower).Round)
	if round < l.from && !mutant.Is(mutant.LeaseThroughChange) {
		return false
	}
	for i := len(l.sent) - 1; i >= 0; i-- {
		if s := &l.sent[i]; s.round <= round {
			return c.ticks-s.tick < uint64(c.cfg.ElectionTicks-c.cfg.LeaseMargin) || mutant.Is(mutant.LeaseWithoutEnd)
		}
	}
	return false
}
