package main

import (
	"flotilla/raft"
	"flotilla/raft/wire"
)

// pair is one node: a core of ours and a RawNode of the reference.
type pair struct {
	id     wire.NodeID
	ours   *ours
	theirs *theirs
	alive  bool
	life   int

	now, before state        // our state after and before the present step
	owed        [2][]promise // by side: said by this side, and not (yet) by the other one
	out         [2]output

	// verified is what the harness believes of the core's mark of the same name: the log equals the present leader's up to here.
	verified  wire.Index
	rounds    map[wire.Term][]mark     // of this node's leaderships
	reads     map[uint64]uint64        // our number of a forwarded read -> its number in the schedule
	numbers   map[uint64]uint64        // the other way
	asked     map[uint64]*read         // reads asked here in this life
	heard     [maxNodes + 1]int        // ticks since a leader heard a peer in its term
	acked     ackMark                  // the last acknowledgement of ours
	noticed   [maxNodes + 1]notices    // by node, stale requests for our vote to be answered
	theirNext [maxNodes + 1]wire.Index // as state.next, of the reference
	inStep    [maxNodes + 1]bool       // followers that both halves sent the same to, before this step
	early     map[uint64]departure     // forwarded reads that ours ended before the reference, and why
	waiting   int                      // ticks since something waits for the disk
	stepped   int                      // number of the present step
	begun     int                      // step in which our latest read round began
}

// ackMark is the highest acknowledgement that our side has said to a leader.
type ackMark struct {
	to    wire.NodeID
	term  wire.Term
	index wire.Index
}

// notices are stale requests for votes, and stale snapshots, that are to be answered with a term.
type notices struct {
	term  wire.Term
	count int
}

// promise is a message that only one side has said yet.
type promise struct {
	message
	stamp int
}

// mark pairs the two sides' numbers of read rounds: our round, and the reference's position at the end of the step
// in which it began.
type mark struct{ round, position uint64 }

// read is one read of the schedule at the node that asked.
type read struct {
	floor         wire.Index // highest commit index anywhere when it was asked for
	done, refused bool       // by ours
	index         wire.Index
	theirsDone    bool
	theirsIndex   wire.Index
}

// The sides.
const (
	sideOurs   = 0
	sideTheirs = 1
)

var sideNames = [...]string{"ours", "reference"}

func newPair(id wire.NodeID, birth wire.Membership, seed uint64, safety *[2]*safety) (*pair, error) {
	o, err := newOurs(id, birth, seed, safety[sideOurs].past)
	if err != nil {
		return nil, err
	}
	t, err := newTheirs(id, birth, safety[sideTheirs].past)
	if err != nil {
		return nil, err
	}
	p := &pair{
		id: id, ours: o, theirs: t, alive: true,
		rounds: map[wire.Term][]mark{}, reads: map[uint64]uint64{}, numbers: map[uint64]uint64{}, // late messages outlive a life
	}
	p.forget()
	p.now = o.state()
	return p, nil
}

// forget is what a new life begins with.
func (p *pair) forget() {
	p.owed = [2][]promise{}
	p.asked, p.early = map[uint64]*read{}, map[uint64]departure{}
	p.waiting = 0
	p.verified = 0
	p.acked = ackMark{}
}

func (p *pair) pending() bool { return len(p.ours.pending) > 0 || len(p.theirs.pending) > 0 }

// oldest returns the step of the oldest write that is on its way on either side.
func (p *pair) oldest() int {
	switch {
	case len(p.ours.pending) == 0:
		return p.theirs.pending[0].stamp
	case len(p.theirs.pending) == 0:
		return p.ours.pending[0].stamp
	}
	return min(p.ours.pending[0].stamp, p.theirs.pending[0].stamp)
}

// markRounds remembers what the heartbeats of this step say about rounds, then gives each the other side's number.
func (p *pair) markRounds() {
	for side := range p.out {
		for i := range p.out[side].messages {
			if m := &p.out[side].messages[i]; m.typ == wire.MsgHeartbeat {
				p.markRound(m.term, m)
			}
		}
	}
}

// markRound takes in one heartbeat. Ours come first: the reference's position in the same step belongs to our round.
func (p *pair) markRound(term wire.Term, m *message) {
	list := p.rounds[term]
	last := mark{}
	if n := len(list); n > 0 {
		last = list[n-1]
	}
	switch {
	case m.round > last.round:
		p.rounds[term] = append(list, mark{m.round, last.position})
		p.begun = p.stepped
	case m.position > last.position && p.begun == p.stepped && len(list) > 0:
		list[len(list)-1].position = m.position
	case m.position > last.position:
		p.rounds[term] = append(list, mark{last.round, m.position})
	}
}

// position translates our round of a leadership of p.
func (p *pair) position(term wire.Term, round uint64) uint64 {
	for _, m := range p.rounds[term] {
		if m.round == round {
			return m.position
		}
	}
	return 0
}

// round translates the reference's position.
func (p *pair) round(term wire.Term, position uint64) uint64 {
	if position == 0 {
		return 0
	}
	for _, m := range p.rounds[term] {
		if m.position >= position {
			return m.round
		}
	}
	return 0
}

// soleVoter reports whether the node's membership has one voter.
func soleVoter(s *state) bool { return s.voting()&(s.voting()-1) == 0 }

// leads reports whether s is a leader's.
func leads(s *state) bool { return s.role == raft.Leader }
