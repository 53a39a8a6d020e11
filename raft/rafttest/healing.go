package rafttest

import (
	"fmt"
	"strings"

	"flotilla/raft"
	"flotilla/raft/wire"
)

const (
	// healTime is how long a group may take, once everything works again, to have one leader, the same
	// log everywhere and an answer to every read: far more than any run needs, far less than a livelock.
	healTime Time = 120_000
	// probeEvery is how often that is looked at.
	probeEvery Time = 500
	// echoes is for how long after the healing began what was under way before may still disturb: the latest
	// messages, the slowest writes, and what they set off.
	echoes Time = 30_000
	// calmTimeouts is for how many election timeouts a healed group must keep its leader and its term (D48).
	calmTimeouts = 20
)

// healing is the end of a run: no more faults, and the group must come to rest.
type healing struct {
	begun, done bool
	since       Time
	// target is a proposal made after the healing began.
	target wire.Index
	term   wire.Term
	// firstRead is the first context of the last round of reads, answered how many of them were.
	firstRead uint64
	answered  map[wire.NodeID]bool
	// calmSince is when the group had converged, calm its state then.
	calmSince Time
	calm      State
}

func (s *Sim) beginHealing() {
	s.heal = healing{begun: true, since: s.cluster.now, answered: map[wire.NodeID]bool{}}
	s.cluster.Note("no more faults")
	clear(s.cuts)
	for _, n := range s.cluster.Nodes() {
		s.hosts[n].pausedTo = 0
		if !s.cluster.Up(n) {
			s.restart(n)
		}
	}
	s.cluster.Observe(func(e *Event) {
		if e.Kind == EventReadDone && e.Err == nil && s.heal.firstRead != 0 && e.Context >= s.heal.firstRead {
			s.heal.answered[e.Node] = true
		}
	})
	s.after(probeEvery, task{kind: taskProbe})
}

// probe looks whether the group has healed, and asks it for what a client would.
func (s *Sim) probe() {
	why := s.ailing()
	if why == "" {
		s.heal.done = true
		return
	}
	if s.cluster.now > s.heal.since+healTime {
		s.cluster.fail("liveness", fmt.Errorf("not healed after %s: %s\n%s", healTime, why, s.describe()))
		return
	}
	s.after(probeEvery, task{kind: taskProbe})
}

// ailing returns what is still wrong, "" when nothing is.
func (s *Sim) ailing() string {
	l := s.soleLeader()
	if l == wire.NoNode {
		s.heal.calmSince = 0
		return "no leader, or more than one"
	}
	m := s.cluster.model
	state := m.Replica(l).Now
	if s.heal.target == 0 || s.heal.term != state.Term {
		s.asked++
		i, t, err := s.cluster.Propose(l, fmt.Appendf(nil, "last%d", s.asked))
		if err != nil {
			return fmt.Sprintf("leader %s refuses a proposal: %v", l, err)
		}
		s.heal.target, s.heal.term = i, t
	}
	if why := s.behind(l); why != "" {
		return why
	}
	if why := s.unread(l); why != "" {
		return why
	}
	state = m.Replica(l).Now
	if s.heal.calmSince == 0 || s.heal.calm != state {
		if s.heal.calmSince > s.heal.since+echoes && s.heal.calm.Term != state.Term {
			s.cluster.fail("calm", fmt.Errorf("leader %s of term %d was deposed by term %d with nothing wrong\n%s",
				s.heal.calm.Leader, s.heal.calm.Term, state.Term, s.describe()))
		}
		s.heal.calmSince, s.heal.calm = s.cluster.now, state
	}
	if s.cluster.now < max(s.heal.calmSince, s.heal.since+echoes)+Time(calmTimeouts*s.plan.Core.ElectionTicks)*tickEvery {
		return "waiting for it to last"
	}
	return ""
}

// soleLeader returns the one leader, if it is one of a term that nobody is ahead of among its members.
func (s *Sim) soleLeader() wire.NodeID {
	leader := wire.NoNode
	for _, n := range s.cluster.Nodes() {
		if r := s.cluster.model.Replica(n); r.Now.Role == raft.Leader {
			if leader != wire.NoNode {
				return wire.NoNode
			}
			leader = n
		}
	}
	return leader
}

// behind returns who has not applied the target.
func (s *Sim) behind(l wire.NodeID) string {
	m := s.cluster.model
	r := m.Replica(l)
	if r.Membership.Joint() {
		return fmt.Sprintf("%s has not left its joint configuration", l)
	}
	for _, n := range r.Membership.Members() {
		o := m.Replica(n)
		switch {
		case o.Applied < s.heal.target:
			return fmt.Sprintf("%s has applied %d of %d", n, o.Applied, s.heal.target)
		case o.Now.Leader != l || o.Now.Term != r.Now.Term:
			return fmt.Sprintf("%s does not follow leader %s of term %d", n, l, r.Now.Term)
		case o.Now.Commit != r.Now.Commit:
			return fmt.Sprintf("%s has commit %d, leader %s has %d", n, o.Now.Commit, l, r.Now.Commit)
		}
	}
	return ""
}

// unread asks every member for a read until all have answered, and waits for the answers of old ones.
func (s *Sim) unread(l wire.NodeID) string {
	if s.heal.firstRead == 0 {
		s.heal.firstRead = s.asked + 1
	}
	membership := s.cluster.model.Replica(l).Membership
	why := ""
	for _, n := range membership.Members() {
		if !s.heal.answered[n] {
			s.asked++
			s.cluster.Read(n, s.asked)
			why = fmt.Sprintf("%s has not answered a read", n)
		}
	}
	if why == "" && s.reads.Waiting() > 0 {
		return Plural(s.reads.Waiting(), "read") + " without an answer"
	}
	return why
}

// describe is the state of all nodes, for the report of a failure.
func (s *Sim) describe() string {
	var b strings.Builder
	for _, n := range s.cluster.Nodes() {
		if !s.cluster.Up(n) {
			fmt.Fprintf(&b, "%s is down\n", n)
			continue
		}
		st := s.cluster.Status(n)
		fmt.Fprintf(&b, "%s %s term %d vote %s leader %s commit %d applied %d last %d durable %d, %s\n%s", n, st.Role, st.Term,
			FormatNode(st.Vote), FormatNode(st.Leader), st.Commit, st.Applied, st.Last, st.Durable, FormatMembership(&st.Membership), FormatProgress(&st))
	}
	return b.String()
}
