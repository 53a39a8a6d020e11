package rafttest

import (
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// Snapshot is a state of a node's machine: what it is called, and the data. Storing one takes no time and is durable.
type Snapshot struct {
	wire.Snapshot
	machine []wire.Entry
	// announced is the term of the leader who sent it, 0 for one that was made here.
	announced wire.Term
}

// Transfer is a snapshot on its way, with the message in front of it.
type Transfer struct {
	Message wire.Message
	Data    *Snapshot
}

// keptSnapshots is how many a node keeps, as hosts do: one may be on its way while the next is made.
const keptSnapshots = 2

// store puts a snapshot that is durable beside those that node n has.
func (n *node) store(s *Snapshot) {
	n.snaps = append(n.snaps, s)
	if len(n.snaps) > keptSnapshots {
		n.snaps = slices.Delete(n.snaps, 0, 1)
	}
}

// newest returns the last snapshot that node n has stored, nil for none.
func (n *node) newest() *Snapshot {
	if len(n.snaps) == 0 {
		return nil
	}
	return n.snaps[len(n.snaps)-1]
}

// fits reports whether the log on disk goes on where s ends.
func (d *Disk) fits(s *Snapshot) bool {
	term, err := d.Term(s.Index)
	return err == nil && term == s.Term
}

// restorable returns the newest snapshot that the log on disk goes on after, and lets go of those that were taken over
// by a machine and never by the log. nil stands for the state before the first entry.
func (n *node) restorable() *Snapshot {
	n.snaps = slices.DeleteFunc(n.snaps, func(s *Snapshot) bool { return !n.disk.fits(s) })
	return n.newest()
}

// TakeSnapshot has node n store what its machine holds.
func (c *Cluster) TakeSnapshot(id wire.NodeID) (s wire.Snapshot, err error) {
	n := c.nodes[id]
	c.guard(n, func() {
		s, err = n.core.SnapshotAt(c.model.Replica(id).Applied)
		if err != nil || len(n.snaps) > 0 && n.newest().Index >= s.Index {
			return
		}
		n.store(&Snapshot{Snapshot: s, machine: slices.Clip(n.machine)})
		c.emit(&Event{Kind: EventSnapshot, Node: id, Snapshot: s, Sum: sumOf(n.machine)})
	})
	return s, err
}

// Stored returns the index of the newest snapshot of node n, 0 for none.
func (c *Cluster) Stored(id wire.NodeID) wire.Index {
	if s := c.nodes[id].newest(); s != nil {
		return s.Index
	}
	return 0
}

// Compact asks node n to let go of its log up to to, or up to its newest snapshot if that is earlier, but for the last keep entries of
// that as far as followers need them. It returns how far the core goes.
func (c *Cluster) Compact(id wire.NodeID, to, keep wire.Index) (i wire.Index) {
	n := c.nodes[id]
	to = min(to, c.Stored(id))
	c.guard(n, func() { i = n.core.Compact(to, to-min(to, keep)) })
	return i
}

// SendSnapshot has node n send its newest snapshot to a peer.
func (c *Cluster) SendSnapshot(id, to wire.NodeID) (t Transfer, err error) {
	n := c.nodes[id]
	if n.newest() == nil {
		return t, fmt.Errorf("%s has no snapshot", id)
	}
	c.guard(n, func() {
		t.Data = n.newest()
		t.Message, err = n.core.SendSnapshot(to, t.Data.Snapshot)
		if err == nil {
			c.emit(&Event{Kind: EventSend, Node: id, Message: t.Message})
		}
	})
	return t, err
}

// Receive hands the message of a transfer to its receiver and reports whether that wants the data.
func (c *Cluster) Receive(t Transfer) (wanted bool, err error) {
	if err := c.Deliver(t.Message); err != nil {
		return false, err
	}
	n := c.nodes[t.Message.To]
	c.guard(n, func() { wanted = n.core.WantsSnapshot(t.Message.Index) })
	return wanted, nil
}

// BeginInstall has the machine of a transfer's receiver begin to take the data over. What it was given before it
// finishes first, as it does one thing after the other.
func (c *Cluster) BeginInstall(t Transfer) (err error) {
	n := c.nodes[t.Message.To]
	if n.core == nil {
		return fmt.Errorf("%s is down", n.id)
	}
	for len(n.toApply) > 0 && c.err == nil {
		c.Apply(n.id, len(n.toApply))
	}
	c.guard(n, func() {
		if err = n.core.BeginInstall(t.Data.Snapshot); err != nil {
			return
		}
		n.installing = &Snapshot{Snapshot: t.Data.Snapshot, machine: t.Data.machine, announced: t.Message.Term}
		c.emit(&Event{Kind: EventInstall, Node: n.id, Snapshot: t.Data.Snapshot})
	})
	return err
}

// Installed says that the machine of node n holds the snapshot.
func (c *Cluster) Installed(id wire.NodeID) {
	n := c.nodes[id]
	if n.installing == nil {
		return
	}
	c.guard(n, func() {
		s := n.installing
		n.store(s)
		n.installing, n.machine = nil, slices.Clip(s.machine)
		n.core.Installed()
		c.emit(&Event{Kind: EventInstalled, Node: id, Snapshot: s.Snapshot, Sum: sumOf(n.machine)})
	})
}

// AbandonInstall says that it does not, and is what it was.
func (c *Cluster) AbandonInstall(id wire.NodeID) {
	n := c.nodes[id]
	if n.installing == nil {
		return
	}
	c.guard(n, func() {
		s := n.installing
		n.installing = nil
		n.core.AbandonInstall()
		c.emit(&Event{Kind: EventAbandoned, Node: id, Snapshot: s.Snapshot})
	})
}

// FinishInstall does for a node that is down what a host does at its start that finds a snapshot which its machine has
// taken over and its log has not: the log moves there. Without it, Restart lets go of that snapshot.
func (c *Cluster) FinishInstall(id wire.NodeID) bool {
	n := c.nodes[id]
	s := n.newest()
	if s == nil || s.announced == 0 || n.disk.fits(s) || s.Index <= n.disk.hard.Commit {
		return false
	}
	u := raft.MoveTo(Group, n.disk.hard, s.Snapshot, s.announced)
	n.disk.apply(&u)
	c.emit(&Event{Kind: EventDurable, Node: id, Update: u})
	return true
}

// ReportSnapshot tells node n how its transfer to a peer gets on.
func (c *Cluster) ReportSnapshot(id, to wire.NodeID, term wire.Term, r raft.SnapshotReport) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.ReportSnapshot(to, term, r) })
}
