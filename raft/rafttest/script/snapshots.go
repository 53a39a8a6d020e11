package script

import (
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/rafttest"
	"flotilla/raft/wire"
)

// The commands of hosts that make, carry and install snapshots.

func (s *Script) cmdSnapshot(a arguments) error {
	_, err := s.cluster.TakeSnapshot(a.node(0))
	return err
}

func (s *Script) cmdCompact(a arguments) error {
	n, to := a.node(0), wire.Index(a.count(1, 0))
	if applied := s.cluster.Model().Replica(n).Applied; to > applied {
		return fmt.Errorf("%s has applied only %d", n, applied)
	}
	if s.cluster.Stored(n) < to {
		if _, err := s.cluster.TakeSnapshot(n); err != nil {
			return err
		}
	}
	if got := s.cluster.Compact(n, to, s.keep); got != to {
		fmt.Fprintf(&s.out, "%s compacts to %d only\n", n, got)
	}
	return nil
}

func (s *Script) cmdSend(a arguments) error {
	t, err := s.cluster.SendSnapshot(a.node(0), a.node(1))
	if err != nil {
		fmt.Fprintf(&s.out, "%s refuses: %v\n", a.node(0), err)
		return nil
	}
	s.transit = append(s.transit, t)
	return nil
}

// take takes the first snapshot to n out of those in transit.
func (s *Script) take(n wire.NodeID) (rafttest.Transfer, error) {
	at := slices.IndexFunc(s.transit, func(t rafttest.Transfer) bool { return t.Message.To == n })
	if at < 0 {
		return rafttest.Transfer{}, fmt.Errorf("no snapshot is in transit to %s", n)
	}
	t := s.transit[at]
	s.transit = slices.Delete(s.transit, at, at+1)
	return t, nil
}

func (s *Script) cmdReceive(a arguments) error {
	n := a.node(0)
	t, err := s.take(n)
	if err != nil {
		return err
	}
	if a.flag("keep") {
		s.transit = append(s.transit, t)
	}
	switch wanted, err := s.cluster.Receive(t); {
	case err != nil:
		fmt.Fprintf(&s.out, "%s answers: %v\n", n, err)
	case wanted:
		s.arrived[n] = t
		fmt.Fprintf(&s.out, "%s wants it\n", n)
	default:
		fmt.Fprintf(&s.out, "%s does not want it\n", n)
	}
	return nil
}

func (s *Script) cmdLose(a arguments) error {
	t, err := s.take(a.node(0))
	if err == nil {
		s.cluster.Drop(t.Message)
	}
	return err
}

func (s *Script) cmdBegin(a arguments) error {
	t, ok := s.arrived[a.node(0)]
	if !ok {
		return fmt.Errorf("nothing has arrived at %s", a.node(0))
	}
	if err := s.cluster.BeginInstall(t); err != nil {
		fmt.Fprintf(&s.out, "%s refuses: %v\n", a.node(0), err)
	}
	return nil
}

func (s *Script) cmdInstalled(a arguments) error {
	s.cluster.Installed(a.node(0))
	return nil
}

func (s *Script) cmdInstall(a arguments) error {
	if err := s.cmdBegin(a); err != nil {
		return err
	}
	return s.cmdInstalled(a)
}

func (s *Script) cmdAbandon(a arguments) error {
	s.cluster.AbandonInstall(a.node(0))
	return nil
}

var reports = map[string]raft.SnapshotReport{
	"progress": raft.SnapshotProgress, "sent": raft.SnapshotSent, "failed": raft.SnapshotFailed,
}

func (s *Script) cmdReport(a arguments) error {
	r, ok := reports[a.word(2)]
	if !ok {
		return fmt.Errorf("unknown report %q", a.word(2))
	}
	n := a.node(0)
	s.cluster.ReportSnapshot(n, a.node(1), wire.Term(a.number("term", uint64(s.cluster.Status(n).Term))), r)
	return nil
}
