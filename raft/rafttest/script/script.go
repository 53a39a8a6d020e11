package script

import (
	"fmt"
	"slices"
	"strings"

	"flotilla/raft"
	"flotilla/raft/rafttest"
	"flotilla/raft/wire"
)

// settleLimit bounds the rounds of one settle: a group that does not come to rest in so many is livelocked.
const settleLimit = 2000

// Script runs the commands of one transcript. Nothing moves unless a command says so: messages wait in the
// network, writes wait at the disks, and only committed entries are applied at once unless a node is told to
// hold them. The table of commands stands in commands.go.
type Script struct {
	cluster *rafttest.Cluster
	config  raft.Config
	keep    wire.Index // entries that a compaction leaves for followers

	net    []packet
	sent   int // number of the last packet
	cuts   map[route]bool
	manual map[wire.NodeID]bool // disks that wait for persist
	hold   map[wire.NodeID]bool // state machines that wait for apply
	auto   bool                 // disks of new nodes persist at once
	synced map[wire.NodeID]raft.Token
	// transit are snapshots on their way; arrived is the last one that each node has received.
	transit []rafttest.Transfer
	arrived map[wire.NodeID]rafttest.Transfer

	out   strings.Builder
	level level
	told  bool // the violation has been reported
	// expected says that the transcript is about a violation.
	expected bool
}

// packet is one message in the network.
type packet struct {
	number int
	m      wire.Message
	held   bool
}

// route is one direction between two nodes.
type route struct{ from, to wire.NodeID }

// level says which events a command shows.
type level uint8

const (
	quiet level = iota // none
	brief              // states, memberships, applied entries, answers
	full               // all
)

// New returns a script without nodes.
func New() *Script {
	return &Script{
		cuts: map[route]bool{}, manual: map[wire.NodeID]bool{}, hold: map[wire.NodeID]bool{},
		synced: map[wire.NodeID]raft.Token{}, arrived: map[wire.NodeID]rafttest.Transfer{},
	}
}

// Run carries out one command and returns what it has to say. A broken invariant is reported once, in a line
// that begins with VIOLATION.
func (s *Script) Run(name string, args []Arg) string {
	s.out.Reset()
	cmd, ok := commands[name]
	if !ok {
		return fmt.Sprintf("unknown command %q", name)
	}
	if s.cluster == nil && name != "nodes" {
		return "the first command is nodes"
	}
	s.level = cmd.shows
	a := arguments(args)
	for l, word := range []string{"quiet", "brief", "full"} {
		if a.flag(word) {
			s.level = level(l)
		}
	}
	if err := cmd.run(s, a); err != nil {
		fmt.Fprintf(&s.out, "error: %v\n", err)
	}
	s.catchUp()
	if s.cluster != nil && s.cluster.Err() != nil && !s.told {
		s.told = true
		fmt.Fprintf(&s.out, "VIOLATION %v\n", s.cluster.Err())
	}
	if s.out.Len() == 0 {
		return "ok\n"
	}
	return abridge(s.out.String())
}

// abridge shortens long rows of applied entries.
func abridge(text string) string {
	lines := strings.SplitAfter(text, "\n")
	var b strings.Builder
	for i := 0; i < len(lines); {
		node, _, applies := strings.Cut(lines[i], " applies ")
		end := i + 1
		for applies && end < len(lines) && strings.HasPrefix(lines[end], node+" applies ") {
			end++
		}
		if end-i > 5 {
			fmt.Fprintf(&b, "%s... %s more ...\n%s", lines[i], rafttest.Plural(end-i-2, "line"), lines[end-1])
		} else {
			b.WriteString(strings.Join(lines[i:end], ""))
		}
		i = end
	}
	return b.String()
}

// Violation returns the first broken invariant of the script so far that it did not ask for, or nil.
func (s *Script) Violation() error {
	if s.cluster == nil || s.expected {
		return nil
	}
	return s.cluster.Err()
}

// Send puts a message into the network.
func (s *Script) Send(m wire.Message) {
	s.sent++
	s.net = append(s.net, packet{number: s.sent, m: m})
}

// Queued does nothing: catchUp looks for writes of disks that persist at once.
func (s *Script) Queued(wire.NodeID) {}

// Committed does nothing: catchUp looks for entries to apply.
func (s *Script) Committed(wire.NodeID) {}

// NeedSnapshot does nothing: the transcript sends snapshots.
func (s *Script) NeedSnapshot(wire.NodeID, raft.SnapshotNeed) {}

// show is the observer that prints events.
func (s *Script) show(e *rafttest.Event) {
	if s.level == quiet {
		return
	}
	switch e.Kind {
	case rafttest.EventState, rafttest.EventMembership, rafttest.EventApply, rafttest.EventReadDone, rafttest.EventCrash, rafttest.EventStart, rafttest.EventNote,
		rafttest.EventNeed, rafttest.EventSnapshot, rafttest.EventInstall, rafttest.EventInstalled, rafttest.EventAbandoned,
		rafttest.EventAsleep, rafttest.EventAwake:
	case rafttest.EventRead, rafttest.EventPropose:
		return // the command itself says it
	default:
		if s.level != full {
			return
		}
	}
	r := s.cluster.Model().Replica(e.Node)
	if e.Kind == rafttest.EventApply && e.Entry.Kind != wire.EntryData || e.Kind == rafttest.EventState && r.Was == r.Now {
		return // it shows in the applied index and the membership
	}
	fmt.Fprintln(&s.out, e.String())
}

// catchUp persists and applies on every node that does so by itself.
func (s *Script) catchUp() bool {
	if s.cluster == nil {
		return false
	}
	moved := false
	for busy := true; busy && s.cluster.Err() == nil; {
		busy = false
		for _, n := range s.cluster.Nodes() {
			if !s.manual[n] && s.cluster.Up(n) && s.cluster.Persist(n) {
				busy = true
			}
			if !s.hold[n] && s.cluster.Apply(n, 1<<20) > 0 {
				busy = true
			}
		}
		moved = moved || busy
	}
	return moved
}

// settle delivers, persists and applies until nothing is left to do but what is held back or cut off.
func (s *Script) settle() error {
	for range settleLimit {
		moved := s.catchUp()
		for _, n := range s.cluster.Nodes() {
			for s.cluster.Up(n) && s.cluster.Persist(n) {
				moved = true
			}
		}
		if s.deliver(s.choose(func(*packet) bool { return true })) > 0 {
			moved = true
		}
		if s.cluster.Err() != nil || !moved {
			return nil
		}
	}
	return fmt.Errorf("no rest after %d rounds", settleLimit)
}

// choose takes the packets out of the network that are not held and that match, in order.
func (s *Script) choose(match func(*packet) bool) []packet {
	var chosen []packet
	s.net = slices.DeleteFunc(s.net, func(p packet) bool {
		if p.held || !match(&p) {
			return false
		}
		chosen = append(chosen, p)
		return true
	})
	return chosen
}

// deliver hands packets over, those of cut links are lost.
func (s *Script) deliver(packets []packet) int {
	for i := range packets {
		m := packets[i].m
		if s.cuts[route{m.From, m.To}] {
			s.cluster.Drop(m)
			continue
		}
		if err := s.cluster.Deliver(m); err != nil && s.level != quiet {
			fmt.Fprintf(&s.out, "%s answers: %v\n", m.To, err)
		}
	}
	return len(packets)
}
