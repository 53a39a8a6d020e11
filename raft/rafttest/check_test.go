package rafttest

import (
	"errors"
	"strings"
	"testing"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// The events of hand-made histories.

func start(n wire.NodeID) Event { return startAt(n, wire.HardState{}) }

func startAt(n wire.NodeID, h wire.HardState) Event {
	return Event{Kind: EventStart, Node: n, HardState: h, Membership: abc}
}

var abc = wire.Membership{Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{4}}

func state(n wire.NodeID, role raft.Role, term wire.Term, commit wire.Index) Event {
	return Event{Kind: EventState, Node: n, Role: role, Term: term, Index: commit, Membership: abc}
}

func crash(n wire.NodeID) Event { return Event{Kind: EventCrash, Node: n} }

func writes(n wire.NodeID, u wire.LogUpdate) Event {
	return Event{Kind: EventWrite, Node: n, Update: u}
}

func durable(n wire.NodeID, u wire.LogUpdate) Event {
	return Event{Kind: EventDurable, Node: n, Update: u}
}

func vote(term wire.Term, candidate wire.NodeID) wire.LogUpdate {
	return wire.LogUpdate{SetHardState: true, HardState: wire.HardState{Term: term, Vote: candidate}}
}

// entries returns an update with entries from index first on, one for each term.
func entries(first wire.Index, terms ...wire.Term) wire.LogUpdate {
	u := wire.LogUpdate{SetHardState: true, HardState: wire.HardState{Term: terms[len(terms)-1]}}
	for i, t := range terms {
		u.Entries = append(u.Entries, wire.Entry{Index: first + wire.Index(i), Term: t, Kind: wire.EntryData, Data: []byte{'x'}})
	}
	return u
}

func change(i wire.Index, t wire.Term) wire.LogUpdate {
	u := entries(i, t)
	u.Entries[0].Kind = wire.EntryChange
	return u
}

func changes(i wire.Index, t wire.Term, set wire.ChangeSet) wire.LogUpdate {
	u := change(i, t)
	u.Entries[0].Data = wire.AppendChangeSet(nil, &set)
	return u
}

// joint is on the way from abc to 1 and 4.
var joint = wire.Membership{Voters: []wire.NodeID{1, 4}, Outgoing: []wire.NodeID{1, 2, 3}}

func since(i wire.Index, m wire.Membership) wire.Membership {
	m.Index = i
	return m
}

// in is e with another membership.
func in(m wire.Membership, e Event) Event {
	e.Membership = m
	return e
}

// has is the event of a membership that takes effect on n.
func has(n wire.NodeID, m wire.Membership) Event {
	return Event{Kind: EventMembership, Node: n, Membership: m}
}

func other(u wire.LogUpdate) wire.LogUpdate {
	u = cloneUpdate(u)
	u.Entries[0].Data = []byte("another")
	return u
}

func sends(m wire.Message) Event { return Event{Kind: EventSend, Node: m.From, Message: m} }

func applies(n wire.NodeID, i wire.Index, t wire.Term) Event {
	return Event{Kind: EventApply, Node: n, Entry: entries(i, t).Entries[0]}
}

// committed are two entries of term 1 that node 1 regards as committed.
var committed = history(writes(1, entries(1, 1, 1)), state(1, raft.Follower, 1, 2))

// since2 is the membership after a change in entry 2.
var since2 = wire.Membership{Index: 2, Voters: []wire.NodeID{1, 2}}

func makes(n wire.NodeID, m wire.Membership) Event {
	return Event{Kind: EventMembership, Node: n, Membership: m}
}

func snapshot(n wire.NodeID, kind EventKind, i wire.Index, m wire.Membership, sum uint64) Event {
	return Event{Kind: kind, Node: n, Snapshot: wire.Snapshot{Index: i, Term: 1, Membership: m}, Sum: sum}
}

func startFrom(n wire.NodeID, i wire.Index, sum uint64) Event {
	e := start(n)
	e.Index, e.Sum = i, sum
	return e
}

func sleeps(n wire.NodeID) Event { return Event{Kind: EventAsleep, Node: n} }

func wakes(n wire.NodeID) Event { return Event{Kind: EventAwake, Node: n} }

// everywhere are two entries of term 1 on all disks.
var everywhere = history(stored(1, entries(1, 1, 1)), stored(2, entries(1, 1, 1)), stored(3, entries(1, 1, 1)), stored(4, entries(1, 1, 1)))

func asks(n wire.NodeID, context uint64) Event {
	return Event{Kind: EventRead, Node: n, Context: context}
}

func answers(n wire.NodeID, context uint64, i wire.Index) Event {
	return Event{Kind: EventReadDone, Node: n, Context: context, Index: i}
}

// stored is a write that is on disk at once.
func stored(n wire.NodeID, u wire.LogUpdate) []Event { return []Event{writes(n, u), durable(n, u)} }

func history(parts ...any) []Event {
	var h []Event
	for _, p := range parts {
		switch p := p.(type) {
		case Event:
			h = append(h, p)
		case []Event:
			h = append(h, p...)
		}
	}
	return h
}

func voteReply(from, to wire.NodeID, term wire.Term) Event {
	return sends(wire.Message{Type: wire.MsgVoteReply, From: from, To: to, Term: term})
}

func ack(from, to wire.NodeID, term wire.Term, i wire.Index) Event {
	return sends(wire.Message{Type: wire.MsgAppendReply, From: from, To: to, Term: term, Index: i})
}

// elected is a legal election of n with the votes of 1 and 2.
func elected(n wire.NodeID, term wire.Term) []Event {
	return history(durable(1, vote(term, n)), durable(2, vote(term, n)), state(n, raft.Leader, term, 0))
}

// TestCheckersBite shows each checker a history that breaks its invariant, and one beside it that does not.
// Only the last event of a bad history is wrong.
func TestCheckersBite(t *testing.T) {
	all := history(start(1), start(2), start(3), start(4))
	cases := []struct {
		name      string
		checker   Checker
		good, bad []Event
		says      string
	}{
		{
			"two leaders of a term", &ElectionSafety{},
			history(all, elected(1, 1), state(2, raft.Leader, 2, 0)),
			history(all, elected(1, 1), state(2, raft.Leader, 1, 0)), "term 1 has leader 2",
		},
		{
			"one leader of a term in two lives", &ElectionSafety{},
			history(all, elected(1, 1), crash(1), startAt(1, wire.HardState{Term: 1}), state(1, raft.Leader, 2, 0)),
			history(all, elected(1, 1), crash(1), startAt(1, wire.HardState{Term: 1}), state(1, raft.Leader, 1, 0)), "life 2",
		},
		{
			"leader with its own vote", &ElectionQuorum{},
			history(all, elected(1, 1)),
			history(all, durable(1, vote(1, 1)), state(1, raft.Leader, 1, 0)), "1 durable vote of",
		},
		{
			"leader with a learner's vote", &ElectionQuorum{},
			history(all, elected(1, 1)),
			history(all, durable(1, vote(1, 1)), durable(4, vote(1, 1)), state(1, raft.Leader, 1, 0)), "1 durable vote of",
		},
		{
			"leader with votes of an earlier term", &ElectionQuorum{},
			history(all, elected(1, 2)),
			history(all, durable(1, vote(1, 1)), durable(2, vote(1, 1)), state(1, raft.Leader, 2, 0)), "0 durable votes of",
		},
		{
			"leader with votes of the incoming half", &ElectionQuorum{},
			history(all, durable(1, vote(1, 1)), durable(2, vote(1, 1)), durable(4, vote(1, 1)), in(joint, state(1, raft.Leader, 1, 0))),
			history(all, durable(1, vote(1, 1)), durable(4, vote(1, 1)), in(joint, state(1, raft.Leader, 1, 0))), "outgoing [1 2 3]",
		},
		{
			"leader with votes of the outgoing half", &ElectionQuorum{},
			history(all, durable(1, vote(1, 1)), durable(4, vote(1, 1)), durable(3, vote(1, 1)), in(joint, state(1, raft.Leader, 1, 0))),
			history(all, durable(2, vote(1, 1)), durable(3, vote(1, 1)), in(joint, state(1, raft.Leader, 1, 0))), "2 durable votes of voters [1 4]",
		},
		{
			"leader without a committed entry", &LeaderCompleteness{},
			history(all, stored(1, entries(1, 1)), state(1, raft.Follower, 1, 1), stored(2, entries(1, 1)), state(2, raft.Leader, 2, 0)),
			history(all, stored(1, entries(1, 1)), state(1, raft.Follower, 1, 1), state(2, raft.Leader, 2, 0)), "without the committed entry 1",
		},
		{
			"leader without an entry committed before its term, and one of a term that came late", &LeaderCompleteness{},
			history(all, stored(1, entries(1, 3)), state(1, raft.Leader, 3, 1), state(2, raft.Leader, 2, 0), state(3, raft.Leader, 3, 0)),
			history(all, stored(1, entries(1, 3)), state(1, raft.Leader, 3, 1), state(2, raft.Leader, 2, 0), state(3, raft.Leader, 4, 0)), "3 leads term 4 without",
		},
		{
			"commit that a later leader lacks", &LeaderCompleteness{},
			history(all, writes(2, entries(1, 1)), state(2, raft.Leader, 2, 0), writes(1, entries(1, 1)), state(1, raft.Leader, 1, 1)),
			history(all, state(2, raft.Leader, 2, 0), writes(1, entries(1, 1)), state(1, raft.Leader, 1, 1)), "2 leads term 2 without",
		},
		{
			"same place, other data", &LogMatching{},
			history(all, writes(1, entries(1, 1)), writes(2, entries(1, 1))),
			history(all, writes(1, entries(1, 1)), writes(2, other(entries(1, 1)))), "differs between 1 and 2",
		},
		{
			"same place, other past", &LogMatching{},
			history(all, writes(1, entries(1, 1, 2)), writes(2, entries(1, 1)), writes(2, entries(2, 2))),
			history(all, writes(1, entries(1, 2, 2)), writes(2, entries(1, 1)), writes(2, entries(2, 2))), "follows term 2 on 1 and term 1 on 2",
		},
		{
			"append that misplaces an entry", &LogMatching{},
			history(all, writes(1, entries(1, 1)), sends(wire.Message{Type: wire.MsgAppend, From: 1, Entries: entries(1, 1).Entries})),
			history(all, writes(1, entries(1, 1)), sends(wire.Message{Type: wire.MsgAppend, From: 1, Entries: other(entries(1, 1)).Entries})), "differs",
		},
		{
			"term falls along a log", &LogMatching{},
			history(all, writes(1, entries(1, 1, 2))),
			history(all, writes(1, entries(1, 2, 1))), "after one of term 2",
		},
		{
			"another entry committed", &StateMachineSafety{},
			history(all, writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1), writes(2, entries(1, 1)), state(2, raft.Follower, 1, 1)),
			history(all, writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1), writes(2, entries(1, 2)), state(2, raft.Follower, 2, 1)), "had committed term 1",
		},
		{
			"another entry applied", &StateMachineSafety{},
			history(all, state(1, raft.Follower, 1, 0), writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1), applies(1, 1, 1)),
			history(all, writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1), applies(1, 1, 1),
				writes(2, entries(1, 1)), state(2, raft.Follower, 1, 1), applies(2, 1, 2)), "another one had applied term 1",
		},
		{
			"applied twice", &StateMachineSafety{}, // P10, F31
			history(all, writes(1, entries(1, 1, 1)), state(1, raft.Follower, 1, 2), applies(1, 1, 1), applies(1, 2, 1)),
			history(all, writes(1, entries(1, 1, 1)), state(1, raft.Follower, 1, 2), applies(1, 1, 1), applies(1, 1, 1)), "its next one is 2",
		},
		{
			"applied before committed", &StateMachineSafety{},
			history(all, writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1), applies(1, 1, 1)),
			history(all, writes(1, entries(1, 1)), applies(1, 1, 1)), "beyond its commit index 0",
		},
		{
			"commit beyond the log", &StateMachineSafety{}, // D9
			history(all, writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1)),
			history(all, state(1, raft.Follower, 1, 1)), "holds only 0 entries",
		},
		{
			"applied before it is on disk", &DurableApply{}, // D10
			history(all, stored(1, entries(1, 1)), state(1, raft.Follower, 1, 1), applies(1, 1, 1)),
			history(all, writes(1, entries(1, 1)), state(1, raft.Follower, 1, 1), applies(1, 1, 1)), "its disk has term 0 there",
		},
		{
			"term goes back", &TermMonotonic{},
			history(all, state(1, raft.Follower, 2, 0), state(1, raft.Follower, 3, 0)),
			history(all, state(1, raft.Follower, 2, 0), state(1, raft.Follower, 1, 0)), "from term 2 back to 1",
		},
		{
			"term forgotten by a restart", &TermMonotonic{}, // F2
			history(all, durable(1, vote(5, 0)), crash(1), start(1), state(1, raft.Follower, 5, 0)),
			history(all, durable(1, vote(5, 0)), crash(1), start(1), state(1, raft.Follower, 1, 0)), "has 5 on disk",
		},
		{
			"commit goes back", &CommitMonotonic{},
			history(all, state(1, raft.Follower, 1, 2), state(1, raft.Follower, 1, 3)),
			history(all, state(1, raft.Follower, 1, 2), state(1, raft.Follower, 1, 1)), "from commit 2 back to 1",
		},
		{
			"commit forgotten by a restart", &CommitMonotonic{}, // F3
			history(all, durable(1, wire.LogUpdate{SetHardState: true, HardState: wire.HardState{Commit: 3}}), crash(1), startAt(1, wire.HardState{Commit: 3})),
			history(all, durable(1, wire.LogUpdate{SetHardState: true, HardState: wire.HardState{Commit: 3}}), crash(1), start(1)), "has 3 on disk",
		},
		{
			"commit with one copy on disk", &CommitQuorum{}, // D1
			history(all, elected(1, 1), stored(1, entries(1, 1)), stored(2, entries(1, 1)), state(1, raft.Leader, 1, 1)),
			history(all, elected(1, 1), stored(1, entries(1, 1)), writes(2, entries(1, 1)), state(1, raft.Leader, 1, 1)), "on 1 disk of voters",
		},
		{
			"commit with a learner's copy", &CommitQuorum{}, // P14
			history(all, elected(1, 1), stored(1, entries(1, 1)), stored(2, entries(1, 1)), state(1, raft.Leader, 1, 1)),
			history(all, elected(1, 1), stored(1, entries(1, 1)), stored(4, entries(1, 1)), state(1, raft.Leader, 1, 1)), "on 1 disk of voters",
		},
		{
			"commit of the incoming half", &CommitQuorum{},
			history(all, elected(1, 1), stored(1, entries(1, 1)), stored(4, entries(1, 1)), stored(2, entries(1, 1)), in(joint, state(1, raft.Leader, 1, 1))),
			history(all, elected(1, 1), stored(1, entries(1, 1)), stored(4, entries(1, 1)), in(joint, state(1, raft.Leader, 1, 1))), "on 2 disks of voters [1 4] outgoing",
		},
		{
			"commit of an earlier term by counting", &CommitTerm{},
			history(all, stored(1, entries(1, 1)), elected(1, 2), stored(1, entries(2, 2)), state(1, raft.Leader, 2, 2)),
			history(all, stored(1, entries(1, 1)), elected(1, 2), state(1, raft.Leader, 2, 1)), "entry 1 of term 1 by counting",
		},
		{
			"vote told before it is on disk", &VoteDurability{}, // F1, F4
			history(all, durable(2, vote(1, 1)), voteReply(2, 1, 1)),
			history(all, writes(2, vote(1, 1)), voteReply(2, 1, 1)), "its disk says none",
		},
		{
			"vote asked before one's own is on disk", &VoteDurability{}, // F1
			history(all, durable(1, vote(1, 1)), sends(wire.Message{Type: wire.MsgVote, From: 1, To: 2, Term: 1})),
			history(all, sends(wire.Message{Type: wire.MsgVote, From: 1, To: 2, Term: 1})), "its disk says none",
		},
		{
			"two votes in a term", &SingleVote{},
			history(all, voteReply(2, 1, 1), crash(2), start(2), voteReply(2, 1, 1), voteReply(2, 3, 2)),
			history(all, voteReply(2, 1, 1), crash(2), start(2), voteReply(2, 3, 1)), "after it had voted for 1",
		},
		{
			"acknowledged before it is on disk", &AckDurability{}, // P2, D9
			history(all, elected(1, 1), writes(1, entries(1, 1)), stored(2, entries(1, 1)), ack(2, 1, 1, 1)),
			history(all, elected(1, 1), writes(1, entries(1, 1)), writes(2, entries(1, 1)), ack(2, 1, 1, 1)), "has 0 on disk",
		},
		{
			"acknowledged what the leader lacks", &AckDurability{}, // F7
			history(all, stored(2, entries(1, 1, 1)), writes(1, entries(1, 1)), elected(1, 2), ack(2, 1, 2, 1)),
			history(all, stored(2, entries(1, 1, 1)), writes(1, entries(1, 1)), elected(1, 2), ack(2, 1, 2, 2)), "who has term 0 there",
		},
		{
			"stale read", &LinearizableRead{},
			history(all, writes(1, entries(1, 1)), asks(2, 7), state(1, raft.Leader, 1, 1), answers(2, 7, 0)),
			history(all, writes(1, entries(1, 1)), state(1, raft.Leader, 1, 1), asks(2, 7), answers(2, 7, 0)), "1 was committed when it was asked",
		},
		{
			"read answered twice", &LinearizableRead{},
			history(all, asks(2, 7), answers(2, 7, 0)),
			history(all, asks(2, 7), answers(2, 7, 0), answers(2, 7, 0)), "nobody waits for",
		},
		{
			"read of what is not committed", &LinearizableRead{},
			history(all, asks(2, 7), answers(2, 7, 0)),
			history(all, asks(2, 7), answers(2, 7, 5)), "only 0 is committed",
		},
		{
			"learner campaigns", &OnlyVotersCampaign{}, // P14
			history(all, sends(wire.Message{Type: wire.MsgPreVote, From: 1, To: 2, Term: 1})),
			history(all, sends(wire.Message{Type: wire.MsgPreVote, From: 4, To: 2, Term: 1})), "4 asks for a vote",
		},
		{
			"two changes at once", &OneChange{}, // F13
			history(all, elected(1, 1), writes(1, entries(1, 1)), state(1, raft.Leader, 1, 1), writes(1, change(2, 1)), state(1, raft.Leader, 1, 2), writes(1, change(3, 1))),
			history(all, elected(1, 1), writes(1, entries(1, 1)), state(1, raft.Leader, 1, 1), writes(1, change(2, 1)), writes(1, change(3, 1))), "while change 2 is not committed",
		},
		{
			"change before an entry of the term is committed", &OneChange{}, // F13
			history(all, writes(1, entries(1, 1)), state(1, raft.Leader, 1, 1), writes(1, change(2, 1))),
			history(all, writes(1, entries(1, 1)), state(1, raft.Leader, 2, 1), writes(1, change(2, 2))), "before an entry of its term 2",
		},
		{
			"one index, two memberships", &MembershipChain{}, // D45
			history(all, has(1, since(2, joint)), has(2, since(2, joint)), crash(2), in(since(2, joint), start(2))),
			history(all, has(1, since(2, joint)), has(2, since(2, joint)), crash(2), in(since(2, abc), start(2))), "another one had",
		},
		{
			"two voters in one simple step", &MembershipChain{},
			history(all, has(1, since(2, joint)), has(1, since(3, wire.Membership{Voters: []wire.NodeID{1, 4}}))),
			history(all, has(1, since(2, wire.Membership{Voters: []wire.NodeID{1, 4}}))), "not all that decide",
		},
		{
			"change of a joint configuration", &JointIsLeft{},
			history(all, elected(1, 1), has(1, since(2, joint)), writes(1, changes(3, 1, wire.ChangeSet{}))),
			history(all, elected(1, 1), has(1, since(2, joint)), writes(1, changes(3, 1, wire.OneChange(wire.ChangeRemove, 2)))), "appends 3@1 remove 2",
		},
		{
			"leave without a joint configuration", &JointIsLeft{},
			history(all, elected(1, 1), writes(1, changes(3, 1, wire.OneChange(wire.ChangeRemove, 2)))),
			history(all, elected(1, 1), writes(1, changes(3, 1, wire.ChangeSet{}))), "appends 3@1 leave joint",
		},
		{
			"snapshot with another state", &SnapshotSafety{},
			history(all, committed, snapshot(1, EventSnapshot, 2, abc, sumOf(entries(1, 1, 1).Entries))),
			history(all, committed, snapshot(1, EventSnapshot, 2, abc, sumOf(entries(1, 1).Entries))), "another state",
		},
		{
			"snapshot with the membership of later", &SnapshotSafety{}, // D53
			history(all, committed, makes(1, since2), snapshot(1, EventSnapshot, 2, since2, sumOf(entries(1, 1, 1).Entries))),
			history(all, committed, makes(1, since2), snapshot(1, EventSnapshot, 1, since2, sumOf(entries(1, 1).Entries))), "in effect there",
		},
		{
			"snapshot taken over by another state", &SnapshotSafety{},
			history(all, committed, snapshot(2, EventInstall, 2, abc, 0), snapshot(2, EventInstalled, 2, abc, sumOf(entries(1, 1, 1).Entries))),
			history(all, committed, snapshot(2, EventInstall, 2, abc, 0), snapshot(2, EventInstalled, 2, abc, 7)), "another state",
		},
		{
			"snapshot taken over backwards", &SnapshotSafety{}, // F30
			history(all, committed, applies(2, 1, 1), snapshot(2, EventInstalled, 2, abc, sumOf(entries(1, 1, 1).Entries))),
			history(all, committed, applies(2, 1, 1), applies(2, 2, 1), snapshot(2, EventInstalled, 2, abc, sumOf(entries(1, 1, 1).Entries))), "goes back from 2",
		},
		{
			"applied while a snapshot is taken over", &SnapshotSafety{}, // D64
			history(all, committed, snapshot(2, EventInstall, 2, abc, 0), snapshot(2, EventAbandoned, 2, abc, 0), applies(2, 1, 1)),
			history(all, committed, snapshot(2, EventInstall, 2, abc, 0), applies(2, 1, 1)), "applies entry 1 while",
		},
		{
			"campaign while a snapshot is taken over", &SnapshotSafety{}, // D64
			history(all, committed, snapshot(2, EventInstall, 2, abc, 0), crash(2), state(2, raft.PreCandidate, 1, 0)),
			history(all, committed, snapshot(2, EventInstall, 2, abc, 0), state(2, raft.PreCandidate, 1, 0)), "is pre-candidate while",
		},
		{
			"start with another state", &SnapshotSafety{},
			history(all, committed, crash(1), startFrom(1, 2, sumOf(entries(1, 1, 1).Entries))),
			history(all, committed, crash(1), startFrom(1, 2, 5)), "starts at 2 with another state",
		},
		{
			"speaks in its sleep", &QuietSleep{},
			history(all, sleeps(1), wakes(1), ack(1, 2, 1, 0)),
			history(all, sleeps(1), ack(1, 2, 1, 0)), "sleeps and goes on",
		},
		{
			"asleep with something uncommitted", &QuietSleep{},
			history(all, everywhere, elected(1, 1), state(1, raft.Leader, 1, 2), sleeps(1)),
			history(all, everywhere, elected(1, 1), state(1, raft.Leader, 1, 1), sleeps(1)), "with commit 1 of 2",
		},
		{
			"asleep although a learner lacks something", &QuietSleep{},
			history(all, everywhere, elected(1, 1), state(1, raft.Leader, 1, 2), sleeps(1)),
			history(all, stored(1, entries(1, 1, 1)), stored(2, entries(1, 1, 1)), stored(3, entries(1, 1, 1)), elected(1, 1),
				state(1, raft.Leader, 1, 2), sleeps(1)), "not on the disk of 4",
		},
	}
	tried := map[string]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tried[c.checker.Name()] = true
			if at, err := watch(fresh(t, c.checker), c.good); err != nil {
				t.Errorf("good history, event %d %q: %v", at, &c.good[at], err)
			}
			at, err := watch(fresh(t, c.checker), c.bad)
			if err == nil || !strings.Contains(err.Error(), c.says) || at != len(c.bad)-1 {
				t.Errorf("bad history: got %v at event %d, want %q at the last of %d", err, at, c.says, len(c.bad))
			}
		})
	}
	for _, ch := range Checkers() {
		if !tried[ch.Name()] {
			t.Errorf("no bad history for %q", ch.Name())
		}
	}
}

// fresh returns a new checker of the same kind.
func fresh(t *testing.T, like Checker) Checker {
	t.Helper()
	for _, c := range Checkers() {
		if c.Name() == like.Name() {
			return c
		}
	}
	t.Fatalf("%q is not among Checkers()", like.Name())
	return nil
}

// watch shows a history to a checker and returns the first complaint and the event that drew it.
func watch(c Checker, h []Event) (int, error) {
	m := NewModel()
	for i := range h {
		m.Observe(&h[i])
		if err := c.Observe(m, &h[i]); err != nil {
			return i, err
		}
	}
	return -1, nil
}

func TestViolationNamesItsChecker(t *testing.T) {
	cause := errors.New("two leaders")
	v := &Violation{Checker: "election safety", At: 12345, Err: cause}
	if got, want := v.Error(), "election safety broken at 12.345s: two leaders"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(v, cause) {
		t.Error("the cause is lost")
	}
}
