package main

import (
	"fmt"
	"strings"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// maxNodes is the largest cluster of a schedule.
const maxNodes = 5

// group is the only one of a schedule.
const group wire.GroupID = 1

// electionTicks is the base election timeout of all nodes; heartbeats go out every tick, so that the two sides' ways of
// counting to the next one are the same.
const electionTicks = 10

// state is what is compared of a replica after each step.
type state struct {
	role             raft.Role
	term             wire.Term
	vote, lead       wire.NodeID
	commit, applied  wire.Index
	transferee       wire.NodeID
	voters, learners nodeSet
	// outgoing is not empty in a joint configuration; demoted are those of them that become learners.
	outgoing, demoted nodeSet
	match             [maxNodes + 1]wire.Index // a leader's followers
	// next is where a leader goes on with followers that take everything, 0 for others. When that is so is taste, but if both
	// sides agree on it, they must send the same.
	next [maxNodes + 1]wire.Index
}

// voting is everybody who votes.
func (s *state) voting() nodeSet { return s.voters | s.outgoing }

// sameVoters reports whether the same nodes vote in the same halves.
func (s *state) sameVoters(o *state) bool { return s.voters == o.voters && s.outgoing == o.outgoing }

// nodeSet has bit n for node n.
type nodeSet uint8

func setOf(list []wire.NodeID) (s nodeSet) {
	for _, n := range list {
		s |= 1 << n
	}
	return s
}

func (s nodeSet) has(n wire.NodeID) bool { return s>>n&1 == 1 }

func (s nodeSet) list() (out []wire.NodeID) {
	for n := wire.NodeID(1); n <= maxNodes; n++ {
		if s.has(n) {
			out = append(out, n)
		}
	}
	return out
}

// String is the state on one line of a trace.
func (s *state) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s term %d vote %d leader %d commit %d applied %d voters %v learners %v",
		s.role, s.term, s.vote, s.lead, s.commit, s.applied, s.voters.list(), s.learners.list())
	if s.outgoing != 0 {
		fmt.Fprintf(&b, " outgoing %v demoted %v", s.outgoing.list(), s.demoted.list())
	}
	if s.transferee != 0 {
		fmt.Fprintf(&b, " transfer to %d", s.transferee)
	}
	if s.role == raft.Leader {
		fmt.Fprintf(&b, " match %v", s.match[1:])
	}
	return b.String()
}

// ledger is the log of a replica: as it has handed it out, and as much of it as is durable. Entry i is at [i-1].
type ledger struct {
	log, durable []wire.Entry
	hard         wire.HardState // durable
	// low is the lowest index that was written since it was last looked at, 0 for none.
	low wire.Index
	// first is where the durable log begins for those who read it; entries below are kept here, to compare.
	first wire.Index
	// snap is the newest snapshot stored, with an Index of 0 for none.
	snap wire.Snapshot
	// moving are snapshots that have taken the log's place and are not durable; before is what the machine had applied
	// before the first of them.
	moving int
	before wire.Index
	// past returns what is committed up to an index, on this side.
	past func(wire.Index) []wire.Entry
}

func newLedger(past func(wire.Index) []wire.Entry) ledger { return ledger{first: 1, past: past} }

// move puts a snapshot in the place of the log that is handed out.
func (l *ledger) move(s *wire.Snapshot, applied wire.Index) {
	if l.moving == 0 {
		l.before = applied
	}
	l.moving++
	l.log = append(l.log[:0], l.past(s.Index)...)
	if l.low == 0 || s.Index < l.low {
		l.low = s.Index
	}
}

// moved makes it durable.
func (l *ledger) moved(s *wire.Snapshot) {
	l.moving--
	l.durable = append(l.durable[:0:0], l.past(s.Index)...)
	l.first, l.snap = s.Index+1, *s
}

// put writes entries over the end of list and returns it.
func put(list, entries []wire.Entry) []wire.Entry {
	if len(entries) == 0 {
		return list
	}
	return append(list[:entries[0].Index-1], entries...)
}

func (l *ledger) write(entries []wire.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].Index
	if first == 0 || int(first) > len(l.log)+1 {
		return fmt.Errorf("entries from %d are written to a log that ends at %d", first, len(l.log))
	}
	l.log = put(l.log, entries)
	if l.low == 0 || first < l.low {
		l.low = first
	}
	return nil
}

// crash returns what the machine is known to have applied of what it had.
func (l *ledger) crash(applied wire.Index) wire.Index {
	if l.moving > 0 {
		applied, l.moving = l.before, 0
	}
	l.log = append(l.log[:0], l.durable...)
	l.low = 1
	return applied
}

// termAt returns the term of the entry at i, 0 if there is none.
func termAt(list []wire.Entry, i wire.Index) wire.Term {
	if i == 0 || int(i) > len(list) {
		return 0
	}
	return list[i-1].Term
}

// answer is the end of a read.
type answer struct {
	read    uint64
	index   wire.Index
	refused bool
}

// output is what a replica has handed out during one step.
type output struct {
	messages []message
	answers  []answer
}

func (o *output) reset() { o.messages, o.answers = o.messages[:0], o.answers[:0] }
