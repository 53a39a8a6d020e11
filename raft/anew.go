package raft

import (
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// A replica that is made anew under an id that was a member before has forgotten what its predecessor said: for whom it voted, which
// terms it knew of, what it held. By an older membership it counts all the same, and there may be somebody who decides
// by one: a leader that has stood still since, a candidate that was cut off. That its predecessor knew of its being
// deposed was all that stopped it. So until such a replica knows from its own log that it is a member (Config.Since), it helps
// nobody but who shows that the change that made it one is committed: no acknowledgement, no round of reads, no vote for anybody else.
// Who knows of that change holds it, and so counts this replica by a membership that was in effect after its predecessor was taken out.
// From then on the terms that the replica goes through are not below the one in which that change was committed, and
// whoever leads in one of those holds it. docs/adr/0006 has the argument in full.

// unsure reports whether this replica may be counted for what its predecessor was.
func (c *Core) unsure() bool { return c.commit < c.cfg.Since && !mutant.Is(mutant.HelpBeforeSince) }

// mayElect reports whether this replica may help the candidate that sent m.
func (c *Core) mayElect(m *wire.Message) bool { return !c.unsure() || m.Commit >= c.cfg.Since }

// mayFollow reports whether this replica may help the leader of the present term, which sent m. Once one has shown what it knows,
// every later one holds the change.
func (c *Core) mayFollow(m *wire.Message) bool {
	if c.unsure() && m.Commit >= c.cfg.Since {
		c.assured = true
	}
	return c.assured || !c.unsure()
}
