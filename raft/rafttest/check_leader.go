package rafttest

import (
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

func isLeader(s State) bool { return s.Role == raft.Leader }

// ElectionSafety: at most one leader in a term, ever, across crashes (thesis figure 3.2). A replica that leads
// the same term in two lives counts as two, since it may have lost what it had appended in the first.
type ElectionSafety struct{ leaders map[wire.Term]life }

type life struct {
	node  wire.NodeID
	start int
}

// Name returns the invariant's number in package raft and its name.
func (*ElectionSafety) Name() string { return "I1 election safety" }

// Observe checks the leader that e makes.
func (c *ElectionSafety) Observe(m *Model, e *Event) error {
	if !becameLeader(m, e) {
		return nil
	}
	if c.leaders == nil {
		c.leaders = map[wire.Term]life{}
	}
	now := life{e.Node, m.Replica(e.Node).Starts}
	if old, ok := c.leaders[e.Term]; ok && old != now {
		return fmt.Errorf("term %d has leader %s (life %d) after leader %s (life %d)", e.Term, now.node, now.start, old.node, old.start)
	}
	c.leaders[e.Term] = now
	return nil
}

// ElectionQuorum: a leader has the durable votes, given in its term, of a majority of the voters it knows, in a joint
// configuration of either half.
type ElectionQuorum struct{ votes map[ballot]wire.NodeID }

// Name returns the invariant's number in package raft and its name.
func (*ElectionQuorum) Name() string { return "I1 election quorum" }

// Observe counts the votes of the leader that e makes.
func (c *ElectionQuorum) Observe(m *Model, e *Event) error {
	if c.votes == nil {
		c.votes = map[ballot]wire.NodeID{}
	}
	if e.Kind == EventDurable && e.Update.SetHardState && e.Update.HardState.Vote != wire.NoNode {
		c.votes[ballot{e.Node, e.Update.HardState.Term}] = e.Update.HardState.Vote
	}
	if !becameLeader(m, e) {
		return nil
	}
	var votes []wire.NodeID
	for _, v := range e.Membership.AllVoters() {
		if c.votes[ballot{v, e.Term}] == e.Node {
			votes = append(votes, v)
		}
	}
	if !decides(&e.Membership, func(n wire.NodeID) bool { return slices.Contains(votes, n) }) {
		return fmt.Errorf("%s leads term %d with %s of %s", e.Node, e.Term, Plural(len(votes), "durable vote"), FormatMembership(&e.Membership))
	}
	return nil
}

// LeaderCompleteness: a leader holds every entry committed in terms before its own (thesis figure 3.2). It is checked
// when a leader is made, and again when an entry turns out committed while leaders of later terms exist. A late
// leader may lack what leaders after it have committed meanwhile: a slow candidate can win an old term.
type LeaderCompleteness struct{}

// Name returns the invariant's number in package raft and its name.
func (*LeaderCompleteness) Name() string { return "I6 leader completeness" }

// Observe compares leaders' logs with what is committed.
func (c *LeaderCompleteness) Observe(m *Model, e *Event) error {
	if e.Kind != EventState {
		return nil
	}
	if becameLeader(m, e) {
		if err := holds(m, e.Node, 0, m.MaxCommit()); err != nil {
			return err
		}
	}
	r := m.Replica(e.Node)
	for _, n := range m.Nodes {
		other := m.Replicas[n]
		if other.Alive && isLeader(other.Now) && other.Now.Term > r.Now.Term && r.Now.Commit > r.Was.Commit {
			if err := holds(m, n, r.Was.Commit, r.Now.Commit); err != nil {
				return err
			}
		}
	}
	return nil
}

// holds checks that leader n's log has what is committed in (after, upTo].
func holds(m *Model, n wire.NodeID, after, upTo wire.Index) error {
	r := m.Replica(n)
	for i := upTo; i > after && i <= m.MaxCommit(); i-- {
		if got, want := r.View.At(i), m.Committed[i-1]; got != want && m.CommittedIn[i-1] < r.Now.Term {
			return fmt.Errorf("%s leads term %d without the committed entry %d of term %d (has term %d, last %d)",
				n, r.Now.Term, i, want.Term, got.Term, r.View.Last())
		}
	}
	return nil
}

// OnlyVotersCampaign: whoever knows that it is not a voter asks for no vote (P14, D48).
type OnlyVotersCampaign struct{}

// Name returns the invariant's number in package raft and its name.
func (*OnlyVotersCampaign) Name() string { return "I13 only voters campaign" }

// Observe checks a request for a vote.
func (*OnlyVotersCampaign) Observe(m *Model, e *Event) error {
	if e.Kind != EventSend || e.Message.Type != wire.MsgVote && e.Message.Type != wire.MsgPreVote {
		return nil
	}
	if r := m.Replica(e.Node); !r.Membership.IsVoter(e.Node) {
		return fmt.Errorf("%s asks for a vote in term %d and knows %s", e.Node, e.Message.Term, FormatMembership(&r.Membership))
	}
	return nil
}
