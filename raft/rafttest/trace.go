package rafttest

import (
	"fmt"
	"strings"

	"flotilla/raft"
	"flotilla/raft/rafttest/replay"
	"flotilla/raft/wire"
)

// traceHash is a running hash over events. Every field that a checker looks at is in it.
type traceHash struct{ replay.Hash }

func newTraceHash() traceHash { return traceHash{replay.NewHash()} }

func (h *traceHash) entry(e *wire.Entry) {
	h.Word(uint64(e.Index))
	h.Word(uint64(e.Term))
	h.Word(uint64(e.Kind))
	h.Word(markOf(e).Sum)
}

func (h *traceHash) hard(s wire.HardState) {
	h.Word(uint64(s.Term))
	h.Word(uint64(s.Vote))
	h.Word(uint64(s.Commit))
}

func (h *traceHash) membership(m *wire.Membership) {
	h.Word(uint64(m.Index))
	for _, list := range [...][]wire.NodeID{m.Voters, m.Learners, m.Outgoing, m.Demoted} {
		h.Word(uint64(len(list)))
		for _, n := range list {
			h.Word(uint64(n))
		}
	}
}

func (h *traceHash) message(m *wire.Message) {
	for _, v := range [...]uint64{
		uint64(m.Type), uint64(m.From), uint64(m.To), uint64(m.Term), uint64(m.LogTerm), uint64(m.Index), uint64(m.Commit),
		uint64(m.Hint), uint64(m.HintTerm), m.Context, uint64(len(m.Entries)),
	} {
		h.Word(v)
	}
	if m.Reject {
		h.Word(1)
	}
	for i := range m.Entries {
		h.entry(&m.Entries[i])
	}
}

func (h *traceHash) add(e *Event) {
	for _, v := range [...]uint64{
		uint64(e.Kind), uint64(e.At), uint64(e.Node), uint64(e.Role), uint64(e.Term), uint64(e.Leader), uint64(e.Index),
		uint64(e.Token), e.Context, uint64(e.Count), uint64(e.Peer), e.Sum, uint64(e.Snapshot.Index), uint64(e.Snapshot.Term),
	} {
		h.Word(v)
	}
	h.Text(e.Text)
	if e.Err != nil {
		h.Text(e.Err.Error())
	}
	h.hard(e.HardState)
	h.membership(&e.Membership)
	h.membership(&e.Snapshot.Membership)
	switch e.Kind {
	case EventSend, EventDeliver, EventDrop, EventDuplicate:
		h.message(&e.Message)
	case EventApply:
		h.entry(&e.Entry)
	case EventWrite, EventDurable:
		h.hard(e.Update.HardState)
		h.Word(uint64(e.Update.ResetTo))
		h.Word(uint64(e.Update.ResetTerm))
		h.Word(uint64(e.Update.CompactTo))
		for i := range e.Update.Entries {
			h.entry(&e.Update.Entries[i])
		}
		h.membership(&e.Update.Membership)
	}
}

// Stats counts what happened in a run: a run in which little did proves little.
type Stats struct {
	Simulated Time
	Events    int
	Messages  int
	Dropped   int
	Leaders   int
	Writes    int
	Lost      int // writes lost in crashes
	Crashes   int
	Applied   int
	Proposed  int
	Refused   int
	Reads     int
	ReadsOK   int
	Changes   int
	Snapshots int // made
	Installed int
	Finished  int // installs finished at a start
	Slept     int // times that a replica fell asleep
}

// counter counts the events of one run.
type counter struct {
	Stats
	led map[wire.NodeID]wire.Term
}

func (s *counter) add(e *Event) {
	s.Events++
	switch e.Kind {
	case EventSend:
		s.Messages++
	case EventDrop:
		s.Dropped++
	case EventState:
		if s.led == nil {
			s.led = map[wire.NodeID]wire.Term{}
		}
		if e.Role == raft.Leader && s.led[e.Node] != e.Term {
			s.led[e.Node] = e.Term
			s.Leaders++
		}
	case EventWrite:
		s.Writes++
	case EventCrash:
		s.Crashes++
		s.Lost += e.Count
	case EventApply:
		s.Applied++
	case EventMembership:
		s.Changes++
	case EventSnapshot:
		s.Snapshots++
	case EventInstalled:
		s.Installed++
	case EventAsleep:
		s.Slept++
	case EventPropose:
		if e.Err != nil {
			s.Refused++
		} else {
			s.Proposed++
		}
	case EventReadDone:
		s.Reads++
		if e.Err == nil {
			s.ReadsOK++
		}
	}
}

// Plus returns the sum of two counts.
func (s Stats) Plus(t Stats) Stats {
	return Stats{
		Simulated: s.Simulated + t.Simulated, Events: s.Events + t.Events, Messages: s.Messages + t.Messages,
		Dropped: s.Dropped + t.Dropped, Leaders: s.Leaders + t.Leaders, Writes: s.Writes + t.Writes, Lost: s.Lost + t.Lost,
		Crashes: s.Crashes + t.Crashes, Applied: s.Applied + t.Applied, Proposed: s.Proposed + t.Proposed,
		Refused: s.Refused + t.Refused, Reads: s.Reads + t.Reads, ReadsOK: s.ReadsOK + t.ReadsOK, Changes: s.Changes + t.Changes,
		Snapshots: s.Snapshots + t.Snapshots, Installed: s.Installed + t.Installed, Finished: s.Finished + t.Finished, Slept: s.Slept + t.Slept,
	}
}

// String tells the counts in one line.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events, %d messages (%d dropped), %d writes (%d lost in %d crashes), ", s.Events, s.Messages, s.Dropped, s.Writes, s.Lost, s.Crashes)
	fmt.Fprintf(&b, "%d elections, %d proposals (%d refused), %d applied, %d reads (%d answered), %d changes applied, %d snapshots (%d installed, %d of them at a start), %d times asleep",
		s.Leaders, s.Proposed, s.Refused, s.Applied, s.Reads, s.ReadsOK, s.Changes, s.Snapshots, s.Installed+s.Finished, s.Finished, s.Slept)
	return b.String()
}
