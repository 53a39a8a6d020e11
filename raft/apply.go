package raft

import (
	"fmt"
	"slices"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// application is the way of committed entries to the state machine. Indexes are in this order (I7):
//
//	applied <= handed <= min(commit, durable)
type application struct {
	handed, applied wire.Index
	// flights are entries handed out and not applied, bytes their sum: bounded by Config.MaxCommittedBytes, so
	// that a slow state machine does not fill the memory.
	flights []applyFlight
	bytes   int
	// restored is the last index at the start: in the log up to there changes of the membership are found only as
	// entries are handed out.
	restored wire.Index
	// changes are the indexes of known changes that have not taken effect, rising.
	changes []wire.Index
}

type applyFlight struct {
	last  wire.Index
	bytes int
}

// note remembers a change of the membership at i.
func (a *application) note(i wire.Index) {
	if at, found := slices.BinarySearch(a.changes, i); !found {
		a.changes = slices.Insert(a.changes, at, i)
	}
}

// forgetFrom says that the log was truncated from i on.
func (a *application) forgetFrom(i wire.Index) {
	at, _ := slices.BinarySearch(a.changes, i)
	a.changes = a.changes[:at]
	a.restored = min(a.restored, i-1)
}

// settled says that changes up to i have taken effect.
func (a *application) settled(i wire.Index) {
	at, _ := slices.BinarySearch(a.changes, i+1)
	a.changes = append(a.changes[:0], a.changes[at:]...)
}

// canHand reports whether there is something to apply and room for it.
func (c *Core) canHand() bool {
	a := &c.apply
	return (!c.install.active || mutant.Is(mutant.ApplyWhileInstalling)) && min(c.commit, c.log.durable) > a.handed && (a.bytes == 0 || a.bytes < c.cfg.MaxCommittedBytes)
}

// takeCommitted hands out entries to apply: only what is durable here, in order, each once (F31).
func (c *Core) takeCommitted(rd *Ready) {
	a := &c.apply
	bytes := 0
	for c.canHand() {
		lo, hi := a.handed+1, min(c.commit, c.log.durable)+1
		n := len(rd.Committed)
		part, err := c.log.slice(rd.Committed, lo, hi, c.cfg.MaxCommittedBytes-a.bytes)
		if err != nil {
			c.fail(fmt.Errorf("entries to apply from %d: %w", lo, err))
			return
		}
		if lo <= c.log.anchor {
			rd.Committed = part
		} else {
			rd.Committed = append(rd.Committed, part...)
		}
		bytes += c.hand(rd.Committed[n:])
	}
	if bytes > 0 {
		a.flights = append(a.flights, applyFlight{last: a.handed, bytes: bytes})
	}
	c.trimLog()
}

// hand counts entries as handed out and returns their bytes.
func (c *Core) hand(entries []wire.Entry) int {
	bytes := 0
	for i := range entries {
		e := &entries[i]
		assert.That(e.Index == c.apply.handed+1, "I7: entries handed out with a gap")
		c.apply.handed = e.Index
		bytes += e.Size()
		if e.Kind == wire.EntryChange && e.Index > c.membership.Index {
			c.apply.note(e.Index)
		}
	}
	c.apply.bytes += bytes
	assert.That(c.apply.handed <= min(c.commit, c.log.durable), "I7: entries handed out before they are committed and durable")
	return bytes
}

// Applied says that the state machine has applied everything up to and including i; an earlier index says
// nothing new.
func (c *Core) Applied(i wire.Index) {
	a := &c.apply
	assert.That(i <= a.handed, "I7: applied what was never handed out")
	if i <= a.applied {
		return
	}
	a.applied = i
	n := 0
	for n < len(a.flights) && a.flights[n].last <= i {
		a.bytes -= a.flights[n].bytes
		n++
	}
	a.flights = append(a.flights[:0], a.flights[n:]...)
	assert.That((len(a.flights) == 0) == (a.bytes == 0), "I7: bytes leaked from the entries being applied")
}
