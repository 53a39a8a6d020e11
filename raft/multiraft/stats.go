package multiraft

import (
	"sync/atomic"
	"time"

	"flotilla/raft/wire"
)

// turnBounds are the upper bounds of the buckets of turn times; a last bucket takes the rest.
var turnBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond,
	2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond,
}

// codes is one more than the largest error code counted by its own number.
const codes = 32

// counters are what the engine counts (P17). All are atomic: whoever counts does not wait.
type counters struct {
	turns, turnNanos                     atomic.Uint64
	turnMax                              atomic.Int64
	turnTimes                            [len(turnBounds) + 1]atomic.Uint64
	sends, messagesOut, sendFailures     atomic.Uint64
	messagesIn, dropped, foreign         atomic.Uint64
	refusedHere, refusedByPeers          atomic.Uint64
	commits, commitTurns, commitEntries  atomic.Uint64
	commitNanos                          atomic.Uint64
	commandsApplied, applied             atomic.Uint64
	reads, readRetries, forwarded        atomic.Uint64
	stepErrors, changeErrors, promotions atomic.Uint64
	quarantined, stalls                  atomic.Uint64
	errors                               [codes]atomic.Uint64
	acquisitions                         atomic.Uint64
	snapshotsMade, snapshotsFailed       atomic.Uint64
	snapshotsSent, snapshotsInstalled    atomic.Uint64
	led                                  atomic.Int64
}

// Stats is a copy of the engine's counters since its start, and a few present figures.
type Stats struct {
	// Turns counts passes of the workers; TurnTime is their sum, TurnMax the longest. TurnTimes[i] counts those
	// up to TurnBounds[i], its last element the rest.
	Turns             uint64
	TurnTime, TurnMax time.Duration
	TurnTimes         []uint64
	TurnBounds        []time.Duration
	// Sends counts calls of Transport.Send, MessagesOut what they carried, SendFailures peers out of reach,
	// once per turn. MessagesIn counts messages taken in, Dropped those that found the inbox or the queue of the disk
	// full, Foreign those whose sender or receiver is not the connection's.
	Sends, MessagesOut, SendFailures uint64
	MessagesIn, Dropped, Foreign     uint64
	// RefusedHere counts messages for groups not served here, RefusedByPeers the refusals that came back.
	RefusedHere, RefusedByPeers uint64
	// Commits counts disk commits, CommitTurns the turns they made durable, CommitEntries the log entries.
	Commits, CommitTurns, CommitEntries uint64
	CommitTime                          time.Duration
	// CommandsApplied counts what the machines were given, Applied local proposals that succeeded, Reads queries
	// answered, ReadRetries read rounds refused and asked again, Forwarded requests sent to other nodes.
	CommandsApplied, Applied, Reads, ReadRetries, Forwarded uint64
	// Errors counts failed requests by code; StepErrors messages and ChangeErrors changes that cores refused.
	Errors                   map[wire.Code]uint64
	StepErrors, ChangeErrors uint64
	Promotions, Stalls       uint64
	// Acquisitions counts how often this node became leader of group 0 and asked for a new epoch (P20).
	Acquisitions uint64
	// Snapshots made and not made here, sent whole to followers, and taken over.
	SnapshotsMade, SnapshotsFailed, SnapshotsSent, SnapshotsInstalled uint64
	// Groups are here, of them Led are led here, Quarantined are out of service, Pending have callers waiting
	// for WaitingBytes of requests.
	Groups, Led, Quarantined, Pending int
	WaitingBytes                      int64
	// Up is true from Start to Close while the log takes commits.
	Up bool
}

// turn counts a turn of length d.
func (c *counters) turn(d time.Duration) {
	c.turns.Add(1)
	c.turnNanos.Add(uint64(d))
	for old := c.turnMax.Load(); int64(d) > old && !c.turnMax.CompareAndSwap(old, int64(d)); old = c.turnMax.Load() {
	}
	i := 0
	for i < len(turnBounds) && d > turnBounds[i] {
		i++
	}
	c.turnTimes[i].Add(1)
}

// commit counts turns that became durable together after d.
func (c *counters) commit(turns []logTurn, d time.Duration) {
	c.commits.Add(1)
	c.commitNanos.Add(uint64(d))
	c.commitTurns.Add(uint64(len(turns)))
	for _, t := range turns {
		c.commitEntries.Add(uint64(t.entries))
	}
}

// count counts a failed request.
func (c *counters) count(code wire.Code) { c.errors[min(int(code), codes-1)].Add(1) }

// failed counts err by its code and returns it.
func (e *Engine) failed(err error) error {
	e.stats.count(wire.CodeOf(err))
	return err
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	c := &e.stats
	s := Stats{
		Turns: c.turns.Load(), TurnTime: time.Duration(c.turnNanos.Load()), TurnMax: time.Duration(c.turnMax.Load()),
		TurnBounds: turnBounds[:], Sends: c.sends.Load(), MessagesOut: c.messagesOut.Load(),
		SendFailures: c.sendFailures.Load(), MessagesIn: c.messagesIn.Load(), Dropped: c.dropped.Load(),
		Foreign: c.foreign.Load(), RefusedHere: c.refusedHere.Load(), RefusedByPeers: c.refusedByPeers.Load(),
		Commits: c.commits.Load(), CommitTurns: c.commitTurns.Load(), CommitEntries: c.commitEntries.Load(),
		CommitTime: time.Duration(c.commitNanos.Load()), CommandsApplied: c.commandsApplied.Load(),
		Applied: c.applied.Load(), Reads: c.reads.Load(), ReadRetries: c.readRetries.Load(), Forwarded: c.forwarded.Load(),
		StepErrors: c.stepErrors.Load(), ChangeErrors: c.changeErrors.Load(), Promotions: c.promotions.Load(),
		Stalls: c.stalls.Load(), Acquisitions: c.acquisitions.Load(), Led: int(c.led.Load()), Quarantined: int(c.quarantined.Load()),
		SnapshotsMade: c.snapshotsMade.Load(), SnapshotsFailed: c.snapshotsFailed.Load(),
		SnapshotsSent: c.snapshotsSent.Load(), SnapshotsInstalled: c.snapshotsInstalled.Load(),
		WaitingBytes: e.bytes.Load(), Errors: map[wire.Code]uint64{},
		Up: e.started.Load() && !e.closing.Load() && !e.fenced.Load(),
	}
	for i := range c.turnTimes {
		s.TurnTimes = append(s.TurnTimes, c.turnTimes[i].Load())
	}
	for i := range c.errors {
		if n := c.errors[i].Load(); n > 0 {
			s.Errors[wire.Code(i)] = n
		}
	}
	e.groups.Range(func(_, v any) bool {
		s.Groups++
		if v.(*group).bytes.Load() > 0 {
			s.Pending++
		}
		return true
	})
	return s
}
