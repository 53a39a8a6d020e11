package raft

import (
	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/progress"
	"flotilla/raft/wire"
)

// reads are linearizable reads on their way to an index (thesis section 6.4). A leader's go
//
//	waiting -> (an entry of this term is committed, next Ready) -> started in a round -> a majority answers
//
// A round is a heartbeat to everybody under a new number. It confirms the reads that waited when it began, and
// none that came later, whenever its answers arrive; numbers are never used again in a core's life (D31).
// Heartbeats repeat the number of the latest round, so that a lost message costs a heartbeat interval.
type reads struct {
	round   uint64 // the latest round
	waiting []readRequest
	started []readRequest // by rising round
	// asked were sent to the leader by this follower.
	asked []readRequest
	// nonce numbers asked reads. It starts at random: an answer to a read of an earlier life of this node must not
	// answer one of this life.
	nonce uint64
	done  []Read
}

// readRequest is one read without an answer.
type readRequest struct {
	from    wire.NodeID // who asked: this node or a follower
	context uint64      // its number there
	round   uint64      // started: the round that confirms it; asked: the number sent
	index   wire.Index
	since   uint64 // tick
}

func (r *reads) waitingCount() int { return len(r.waiting) + len(r.started) + len(r.asked) }

// ReadIndex asks for an index up to which everything acknowledged so far is applied. Exactly one Read with the
// same context comes in Ready.Reads, with the index or with a *wire.Error: CodeNotLeader or CodeNoLeader (also
// when no majority answered within an election timeout), CodeOverloaded.
func (c *Core) ReadIndex(context uint64) {
	c.Wake()
	req := readRequest{from: c.self, context: context, since: c.ticks}
	switch {
	case c.err != nil:
		c.answer(req, 0, &wire.Error{Code: wire.CodeQuarantined, Group: c.group, Cause: c.err})
	case c.reads.waitingCount() >= maxWaitingReads:
		c.answer(req, 0, c.deny(wire.CodeOverloaded, "too many reads without an answer"))
	case c.role == Leader:
		c.reads.waiting = append(c.reads.waiting, req)
	case c.leader == wire.NoNode:
		c.answer(req, 0, c.notLeader())
	default:
		c.reads.nonce++
		req.round = c.reads.nonce
		c.reads.asked = append(c.reads.asked, req)
		m := to(c.leader, wire.MsgReadIndex)
		m.Context = req.round
		c.send(m)
	}
}

// leadReadIndex takes in a follower's read.
func (c *Core) leadReadIndex(m wire.Message) error {
	if c.reads.waitingCount() >= maxWaitingReads {
		return c.refuseReadIndex(m)
	}
	c.reads.waiting = append(c.reads.waiting, readRequest{from: m.From, context: m.Context, since: c.ticks})
	return nil
}

// refuseReadIndex tells a follower to ask somebody else.
func (c *Core) refuseReadIndex(m wire.Message) error {
	c.answer(readRequest{from: m.From, context: m.Context}, 0, c.notLeader())
	return nil
}

// followReadIndex takes in the leader's answer.
func (c *Core) followReadIndex(m wire.Message) error {
	if m.From != c.leader {
		return nil
	}
	for i, req := range c.reads.asked {
		if req.round != m.Context {
			continue
		}
		c.reads.asked = append(c.reads.asked[:i], c.reads.asked[i+1:]...)
		if m.Reject {
			c.answer(req, 0, c.notLeader())
		} else {
			c.answer(req, m.Index, nil)
		}
		return nil
	}
	return nil
}

// readsDue reports whether a round should begin: reads wait, and an entry of this term is committed, so that
// the commit index covers everything any earlier leader acknowledged (D30, D34).
func (c *Core) readsDue() bool {
	return c.role == Leader && len(c.reads.waiting) > 0 && (c.commit >= c.lead.start || mutant.Is(mutant.ReadBeforeOwnCommit))
}

// startReadRound begins a round for all waiting reads. Who is the only voter needs nobody's word, nor does who has a
// lease.
func (c *Core) startReadRound() {
	if !c.readsDue() {
		return
	}
	if c.leaseHolds() {
		for _, req := range c.reads.waiting {
			assert.That(c.commit >= c.lead.start, "I14: read index of an earlier term")
			c.answer(req, c.commit, nil)
		}
		c.reads.waiting = c.reads.waiting[:0]
		return
	}
	if !mutant.Is(mutant.ReuseReadRound) || len(c.reads.started) == 0 {
		c.reads.round++
	}
	for _, req := range c.reads.waiting {
		req.round, req.index = c.reads.round, c.commit
		c.reads.started = append(c.reads.started, req)
	}
	c.reads.waiting = c.reads.waiting[:0]
	if c.soleVoter() {
		c.confirmReads()
		return
	}
	c.sendHeartbeats()
}

// confirmReads answers the reads whose round a majority of voters has answered, this node among them.
func (c *Core) confirmReads() {
	if len(c.reads.started) == 0 {
		return
	}
	confirmed := c.agreed(c.reads.round, (*progress.Follower).Round)
	if mutant.Is(mutant.ReadWithoutQuorum) {
		confirmed = c.reads.round
	}
	n := 0
	for n < len(c.reads.started) && c.reads.started[n].round <= confirmed {
		req := c.reads.started[n]
		assert.That(req.index >= c.lead.start, "I14: read index of an earlier term")
		c.answer(req, req.index, nil)
		n++
	}
	c.reads.started = append(c.reads.started[:0], c.reads.started[n:]...)
}

// answer ends a read, here or at the follower that asked.
func (c *Core) answer(req readRequest, i wire.Index, err *wire.Error) {
	if req.from != c.self {
		m := to(req.from, wire.MsgReadIndexReply)
		m.Context, m.Index, m.Reject = req.context, i, err != nil
		c.send(m)
		return
	}
	read := Read{Context: req.context, Index: i}
	if err != nil {
		read.Err = err
	}
	c.reads.done = append(c.reads.done, read)
}

// refuseReads ends all reads with err; nil stands for what notLeader says. It happens at every change of role,
// term or leader (D32).
func (c *Core) refuseReads(err *wire.Error) {
	r := &c.reads
	if r.waitingCount() == 0 {
		return
	}
	if err == nil {
		err = c.notLeader()
	}
	for _, list := range [...]*[]readRequest{&r.started, &r.waiting, &r.asked} {
		for _, req := range *list {
			c.answer(req, 0, err)
		}
		*list = (*list)[:0]
	}
}

// expireReads ends reads that nobody has answered for an election timeout: the question or the answer was lost,
// or no majority is left (D36).
func (c *Core) expireReads() {
	r := &c.reads
	if r.waitingCount() == 0 {
		return
	}
	for _, list := range [...]*[]readRequest{&r.started, &r.waiting, &r.asked} {
		n := 0
		for n < len(*list) && c.ticks-(*list)[n].since >= uint64(c.cfg.ElectionTicks) {
			c.answer((*list)[n], 0, c.deny(wire.CodeNoLeader, "no answer within an election timeout"))
			n++
		}
		*list = append((*list)[:0], (*list)[n:]...)
	}
}
