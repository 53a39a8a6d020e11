package multiraft

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"flotilla/raft/wire"
)

// Config is what an engine is made of. Zero values of optional fields mean the defaults named.
type Config struct {
	// Self is this node.
	Self wire.NodeID
	// Workers own the groups' cores, ApplyWorkers run the state machines. Default GOMAXPROCS, 8 at most.
	Workers      int
	ApplyWorkers int
	// Heartbeat is the length of a tick, default 100 ms; ElectionTimeout at least three of them, default 1 s.
	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	// Seed feeds randomness. It must differ from start to start (mix in the incarnation): read requests
	// of an earlier life are told apart by it.
	Seed uint64
	// Log and Transport stay the caller's, who closes them after Close.
	Log       LogStore
	Transport Transport
	// Snapshots and Courier likewise; without Snapshots no log is ever compacted, without a Courier no snapshot is sent.
	Snapshots SnapshotStore
	Courier   Courier
	// SnapshotBytes is how many bytes of log make it worth while to take a new snapshot of a group, unless the state is much larger
	// (snapshot.go). Default 64 MiB. TailBytes of log are kept behind a snapshot for followers that are a little behind.
	// Default a quarter of SnapshotBytes.
	SnapshotBytes int64
	TailBytes     int64
	// SnapshotSends bounds the transfers from this node under way at once. Default 2.
	SnapshotSends int
	// EpochBump makes the command that is proposed on group 0 once each time this node becomes its leader
	// (P20); nil for none.
	EpochBump func(wire.Term) []byte
	// Promote says whether a learner that has caught up is to become a voter of the group (P14): placement may want
	// it to stay one. Called by workers often, it must not block. Nil promotes all.
	Promote func(wire.GroupID, wire.NodeID) bool
	// Events is told what happened, from the engine's goroutines: it must not block. Nil for nobody.
	Events func(Event)
	// Now reads the clock by which turns and commits are measured; nothing is decided by it. Nil for time.Now.
	Now func() time.Time
	// NodeBytes and GroupBytes bound the commands and requests waiting here. Defaults 64 MiB and 8 MiB.
	NodeBytes  int
	GroupBytes int
}

// Validate reports all faults of c, joined, and changes nothing.
func (c Config) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	c = c.populated()
	fault(c.Self == wire.NoNode || c.Self > wire.MaxNodeID, "self %d is no node id", c.Self)
	fault(c.Log == nil, "log store is missing")
	fault(c.Transport == nil, "transport is missing")
	fault(c.Workers < 1 || c.Workers > maxWorkers, "%d workers: 1 to %d", c.Workers, maxWorkers)
	fault(c.ApplyWorkers < 1, "%d apply workers: 1 at least", c.ApplyWorkers)
	fault(c.Heartbeat < time.Millisecond, "heartbeat %v: 1ms at least", c.Heartbeat)
	fault(c.ElectionTimeout < 3*c.Heartbeat, "election timeout %v: three heartbeats of %v at least", c.ElectionTimeout, c.Heartbeat)
	fault(c.SnapshotBytes < 0 || c.TailBytes < 0 || c.SnapshotSends < 0, "negative limit of snapshots")
	fault(c.NodeBytes < 0 || c.GroupBytes < 0, "negative byte limit")
	return errors.Join(faults...)
}

// populated returns c with the defaults filled in.
func (c Config) populated() Config {
	procs := min(runtime.GOMAXPROCS(0), maxWorkers)
	if c.Workers == 0 {
		c.Workers = procs
	}
	if c.ApplyWorkers == 0 {
		c.ApplyWorkers = max(procs, minApplyWorkers)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 100 * time.Millisecond
	}
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = 10 * c.Heartbeat
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = defaultSnapshotBytes
	}
	if c.TailBytes == 0 {
		c.TailBytes = c.SnapshotBytes / 4
	}
	if c.SnapshotSends == 0 {
		c.SnapshotSends = defaultSnapshotSends
	}
	if c.NodeBytes == 0 {
		c.NodeBytes = defaultNodeBytes
	}
	if c.GroupBytes == 0 {
		c.GroupBytes = defaultGroupBytes
	}
	return c
}

// electionTicks is the election timeout in ticks.
func (c *Config) electionTicks() int { return int(c.ElectionTimeout / c.Heartbeat) }
