package raft

import (
	"errors"
	"fmt"

	"flotilla/raft/membership"
	"flotilla/raft/wire"
)

// LogReader is the durable log of one group as the core reads it. The core calls it from whatever goroutine
// calls the core; it must not block on anything but the disk. An update is visible here before Persisted is
// called for its token. Errors: wire.ErrCompacted below the log's start, wire.ErrUnavailable above its end; any
// other error means the log cannot be trusted and quarantines the group.
type LogReader interface {
	// Bounds returns the first and last index held; last = first-1 when empty.
	Bounds() (first, last wire.Index)
	// Term returns the term of the entry at i; first-1 is legal and answers the compacted entry's term.
	Term(i wire.Index) (wire.Term, error)
	// Entries appends to dst the entries of [lo, hi), at least one if lo < hi and then as long as the sum of
	// Entry.Size stays within maxBytes, and returns dst. The entries' data is immutable.
	Entries(dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error)
}

// Config is what a core is made of. Durations are counted in ticks; who ticks decides what one lasts.
type Config struct {
	Group wire.GroupID
	Self  wire.NodeID
	// ElectionTicks is the base election timeout; the actual one is drawn from [ElectionTicks, 2*ElectionTicks).
	// At least 3 times HeartbeatTicks. Default 10.
	ElectionTicks int
	// HeartbeatTicks is the interval of a leader's heartbeats. At least 1. Default 1.
	HeartbeatTicks int
	// LeaseMargin, when not 0, lets a leader answer reads within a lease that is so many ticks shorter than ElectionTicks. It
	// needs clocks that agree: read lease.go before. At least 2, less than ElectionTicks. Default 0: never.
	LeaseMargin int
	// MaxAppendBytes bounds the entries of one append (F23). Default 1 MiB.
	MaxAppendBytes int
	// MaxInflightBytes and MaxInflightMessages bound what is unacknowledged per follower. Defaults 8 MiB, 256.
	MaxInflightBytes    int
	MaxInflightMessages int
	// MaxCommittedBytes bounds Ready.Committed. Default 4 MiB.
	MaxCommittedBytes int
	// MaxUncommittedBytes bounds what a leader takes in beyond its commit index. Default 64 MiB.
	MaxUncommittedBytes int
	// Seed feeds the source of randomness. Same seed, same inputs, same outputs.
	Seed uint64
	// Log is the durable log; HardState, Membership what was restored with it.
	Log        LogReader
	HardState  wire.HardState
	Membership wire.Membership
	// Since, when not 0, is the index of the change that made this node a member, or a later one that is committed: before it has
	// taken effect here the node does not stand for election, and before it is known here to be committed the node helps nobody
	// who does not know of it (anew.go). A replica that was made anew begins with the membership that the group was born with, in
	// which it may be all there was, and others may still count it for what was there before it (ADR 0006).
	Since wire.Index
	// Applied is the index up to which the state machine has applied what it holds; entries after it are handed
	// out again.
	Applied wire.Index
}

// Defaults of Config, used where a field is 0.
const (
	DefaultElectionTicks       = 10
	DefaultHeartbeatTicks      = 1
	DefaultMaxAppendBytes      = 1 << 20
	DefaultMaxInflightBytes    = 8 << 20
	DefaultMaxInflightMessages = 256
	DefaultMaxCommittedBytes   = 4 << 20
	DefaultMaxUncommittedBytes = 64 << 20
)

// minElectionHeartbeats is how many heartbeats an election timeout must hold: two may be lost without an election.
const minElectionHeartbeats = 3

// minLeaseMargin: a margin of one tick would be right for clocks that agree exactly.
const minLeaseMargin = 2

// withDefaults returns c with every zero limit replaced by its default.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&c.ElectionTicks, DefaultElectionTicks},
		{&c.HeartbeatTicks, DefaultHeartbeatTicks},
		{&c.MaxAppendBytes, DefaultMaxAppendBytes},
		{&c.MaxInflightBytes, DefaultMaxInflightBytes},
		{&c.MaxInflightMessages, DefaultMaxInflightMessages},
		{&c.MaxCommittedBytes, DefaultMaxCommittedBytes},
		{&c.MaxUncommittedBytes, DefaultMaxUncommittedBytes},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

// Validate reports all faults of c, joined, and changes nothing. Zero limits stand for their defaults.
func (c Config) Validate() error {
	full := c.withDefaults()
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Self != wire.NoNode && c.Self <= wire.MaxNodeID, "config: node %d out of range", c.Self)
	check(c.Log != nil, "config: no log")
	check(full.HeartbeatTicks >= 1, "config: heartbeat of %d ticks, at least 1", c.HeartbeatTicks)
	check(full.ElectionTicks >= minElectionHeartbeats*full.HeartbeatTicks,
		"config: election timeout of %d ticks, at least %d times the heartbeat of %d",
		full.ElectionTicks, minElectionHeartbeats, full.HeartbeatTicks)
	check(c.LeaseMargin == 0 || c.LeaseMargin >= minLeaseMargin && c.LeaseMargin < full.ElectionTicks,
		"config: lease margin of %d ticks, %d to %d", c.LeaseMargin, minLeaseMargin, full.ElectionTicks-1)
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"MaxAppendBytes", full.MaxAppendBytes},
		{"MaxInflightBytes", full.MaxInflightBytes},
		{"MaxInflightMessages", full.MaxInflightMessages},
		{"MaxCommittedBytes", full.MaxCommittedBytes},
		{"MaxUncommittedBytes", full.MaxUncommittedBytes},
	} {
		check(limit.value >= 1, "config: %s is %d, at least 1", limit.name, limit.value)
	}
	if err := membership.Validate(&c.Membership); err != nil {
		faults = append(faults, fmt.Errorf("config: %w", err))
	}
	return errors.Join(faults...)
}
