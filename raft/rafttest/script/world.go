package script

import (
	"errors"
	"fmt"
	"strings"

	"flotilla/raft"
	"flotilla/raft/rafttest"
	"flotilla/raft/wire"
)

// The commands that move the world around the cores: network, disks, state machines, and what can be looked at.

// selected takes the packets of a selection out of the network.
func (s *Script) selected(a arguments) []packet {
	match, left := a.matcher(), a.number("n", 1<<30)
	return s.choose(func(p *packet) bool {
		if left == 0 || !match(p) {
			return false
		}
		left--
		return true
	})
}

func (s *Script) cmdDeliver(a arguments) error {
	if s.deliver(s.selected(a)) == 0 {
		return fmt.Errorf("no such message")
	}
	return nil
}

func (s *Script) cmdDrop(a arguments) error {
	packets := s.selected(a)
	for i := range packets {
		s.cluster.Drop(packets[i].m)
	}
	if len(packets) == 0 {
		return fmt.Errorf("no such message")
	}
	return nil
}

// cmdDup puts a copy of each selected packet behind everything else.
func (s *Script) cmdDup(a arguments) error {
	match := a.matcher()
	for _, p := range s.net {
		if !p.held && match(&p) {
			s.cluster.Duplicate(p.m)
			s.Send(p.m)
		}
	}
	return nil
}

// cmdHold keeps packets back until release; deliver and settle pass them over.
func (s *Script) cmdHold(a arguments) error {
	match, n := a.matcher(), 0
	for i := range s.net {
		if p := &s.net[i]; !p.held && match(p) {
			p.held = true
			n++
			fmt.Fprintf(&s.out, "held %s\n", rafttest.FormatMessage(&p.m))
		}
	}
	if n == 0 {
		return fmt.Errorf("no such message")
	}
	return nil
}

func (s *Script) cmdRelease(a arguments) error {
	match := a.matcher()
	for i := range s.net {
		if p := &s.net[i]; p.held && match(p) {
			p.held = false
		}
	}
	return nil
}

func (s *Script) cmdNet(arguments) error {
	for i := range s.net {
		p := &s.net[i]
		fmt.Fprintf(&s.out, "#%d %s", p.number, rafttest.FormatMessage(&p.m))
		if p.held {
			s.out.WriteString(" (held)")
		}
		s.out.WriteString("\n")
	}
	return nil
}

func (s *Script) cmdStep(a arguments) error {
	if err := s.cluster.Deliver(a.message()); err != nil {
		fmt.Fprintf(&s.out, "%d answers: %v\n", a.number("to", 0), err)
	}
	return nil
}

func (s *Script) cmdCut(a arguments) error {
	if from, to, ok := strings.Cut(a.word(0), "->"); ok {
		s.cuts[route{wire.NodeID(parseNumber(from)), wire.NodeID(parseNumber(to))}] = true
		return nil
	}
	n, others := a.node(0), s.cluster.Nodes()
	if len(a.words()) > 1 {
		others = []wire.NodeID{a.node(1)}
	}
	for _, o := range others {
		s.cuts[route{n, o}], s.cuts[route{o, n}] = true, true
	}
	return nil
}

func (s *Script) cmdHeal(arguments) error {
	clear(s.cuts)
	return nil
}

func (s *Script) cmdPersist(a arguments) error {
	n := a.node(0)
	for range a.count(1, 1<<30) {
		if !s.cluster.Persist(n) {
			break
		}
	}
	return nil
}

func (s *Script) cmdSync(a arguments) error {
	token, ok := s.cluster.Sync(a.node(0))
	if !ok {
		return fmt.Errorf("nothing is queued")
	}
	s.synced[a.node(0)] = token
	return nil
}

func (s *Script) cmdTold(a arguments) error {
	s.cluster.Persisted(a.node(0), s.synced[a.node(0)])
	return nil
}

func (s *Script) cmdDisk(a arguments) error {
	s.manual[a.node(0)] = a.word(1) == "manual"
	return nil
}

// errUnreadable is what a broken disk answers.
var errUnreadable = errors.New("unreadable sector")

func (s *Script) cmdBreak(a arguments) error {
	s.cluster.Disk(a.node(0)).Break(errUnreadable)
	return nil
}

func (s *Script) cmdMend(a arguments) error {
	s.cluster.Disk(a.node(0)).Break(nil)
	return nil
}

func (s *Script) cmdApply(a arguments) error {
	n := a.node(0)
	switch w := a.word(1); w {
	case "auto", "manual":
		s.hold[n] = w == "manual"
	default:
		s.cluster.Apply(n, a.count(1, 1))
	}
	return nil
}

func (s *Script) cmdStatus(a arguments) error {
	for _, n := range s.chosenNodes(a) {
		if !s.cluster.Up(n) {
			fmt.Fprintf(&s.out, "%s is down\n", n)
			continue
		}
		st := s.cluster.Status(n)
		fmt.Fprintf(&s.out, "%s %s term %d vote %s leader %s commit %d applied %d last %d, %s\n", n, st.Role, st.Term,
			rafttest.FormatNode(st.Vote), rafttest.FormatNode(st.Leader), st.Commit, st.Applied, st.Last, rafttest.FormatMembership(&st.Membership))
		if st.WaitingReads > 0 {
			fmt.Fprintf(&s.out, "  %s waiting\n", rafttest.Plural(st.WaitingReads, "read"))
		}
		if st.Transferee != wire.NoNode {
			fmt.Fprintf(&s.out, "  handing over to %s\n", st.Transferee)
		}
		if st.Err != nil {
			fmt.Fprintf(&s.out, "  stopped: %v\n", st.Err)
		}
		s.out.WriteString(rafttest.FormatProgress(&st))
		if p := s.cluster.Promotable(n); st.Role == raft.Leader && len(p) > 0 {
			fmt.Fprintf(&s.out, "  promotable %v\n", p)
		}
	}
	return nil
}

func (s *Script) cmdViolated(arguments) error {
	if s.cluster.Err() == nil {
		return errors.New("no invariant is broken")
	}
	s.expected = true
	return nil
}

func (s *Script) chosenNodes(a arguments) []wire.NodeID {
	if len(a.words()) > 0 {
		return []wire.NodeID{a.node(0)}
	}
	return s.cluster.Nodes()
}

func (s *Script) cmdLog(a arguments) error {
	for _, n := range s.chosenNodes(a) {
		d := s.cluster.Disk(n)
		fmt.Fprintf(&s.out, "%s: ", n)
		first, last := d.Bounds()
		if first > 1 {
			fmt.Fprintf(&s.out, "(to %d compacted) ", first-1)
		}
		entries, err := d.Entries(nil, first, last+1, 1<<30)
		if err != nil {
			return err
		}
		for i := range entries {
			if i > 0 {
				s.out.WriteString(", ")
			}
			s.out.WriteString(rafttest.FormatEntry(&entries[i]))
		}
		for i := range d.Pending() {
			u := d.Queued(i)
			fmt.Fprintf(&s.out, " | #%d %s", d.Token(i), rafttest.FormatUpdate(&u))
		}
		s.out.WriteString("\n")
	}
	return nil
}

func (s *Script) cmdMachine(a arguments) error {
	for _, n := range s.chosenNodes(a) {
		fmt.Fprintf(&s.out, "%s applied: %s\n", n, rafttest.FormatEntries(s.cluster.Machine(n)))
	}
	return nil
}
