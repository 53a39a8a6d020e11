package rafttest

import (
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// poll takes everything that the core of n has ready. An update is put on its way to the disk before messages are
// sent, so that the model knows a log at least as long as what is said of it; that it is queued makes nothing durable.
func (c *Cluster) poll(n *node) {
	for range readyLimit {
		if c.err != nil {
			return
		}
		if !n.core.HasReady() {
			c.report(n)
			if n.core.Asleep() && !n.asleep {
				n.asleep = true
				c.emit(&Event{Kind: EventAsleep, Node: n.id, Index: n.last.Commit})
			}
			return
		}
		n.core.Ready(&n.rd)
		c.takeUpdate(n, &n.rd)
		c.report(n)
		c.take(n, &n.rd)
	}
	c.fail("core", fmt.Errorf("node %s still has something ready after %d turns", n.id, readyLimit))
}

// report emits an EventState when the core's state is not the one last reported.
func (c *Cluster) report(n *node) {
	if n.asleep && !n.core.Asleep() {
		n.asleep = false
		c.emit(&Event{Kind: EventAwake, Node: n.id, Index: n.last.Commit})
	}
	s := n.core.Status()
	now := State{Role: s.Role, Term: s.Term, Leader: s.Leader, Commit: s.Commit}
	if now == n.last && s.Membership.Index == n.membership.Index {
		return
	}
	n.last, n.membership = now, cloneMembership(s.Membership)
	c.emit(&Event{
		Kind: EventState, Node: n.id, Role: s.Role, Term: s.Term, Leader: s.Leader, Index: s.Commit,
		Membership: n.membership,
	})
}

// take carries out what a Ready says besides its update, and spoils its buffers so that a core that goes on using them is found out.
func (c *Cluster) take(n *node, rd *raft.Ready) {
	for i := range rd.Messages {
		m := rd.Messages[i]
		m.Entries = slices.Clone(m.Entries)
		rd.Messages[i] = wire.Message{Type: 255}
		if m.From != n.id || m.To == n.id || m.To == wire.NoNode || m.Group != Group || !m.Type.Valid() {
			c.fail("core", fmt.Errorf("node %s sends what it must not: %s", n.id, FormatMessage(&m)))
			return
		}
		c.emit(&Event{Kind: EventSend, Node: n.id, Message: m})
		c.driver.Send(m)
	}
	for _, r := range rd.Reads {
		c.emit(&Event{Kind: EventReadDone, Node: n.id, Context: r.Context, Index: r.Index, Err: r.Err})
	}
	clear(rd.Reads)
	for _, need := range rd.NeedSnapshot {
		c.emit(&Event{Kind: EventNeed, Node: n.id, Peer: need.Node, Term: need.Term, Index: need.Index})
		c.driver.NeedSnapshot(n.id, need)
	}
	clear(rd.NeedSnapshot)
	n.promotable = append(n.promotable[:0], rd.Promotable...)
	if len(rd.Committed) > 0 {
		n.toApply = append(n.toApply, rd.Committed...)
		clear(rd.Committed)
		c.driver.Committed(n.id)
	}
}

func (c *Cluster) takeUpdate(n *node, rd *raft.Ready) {
	u := rd.Update
	if rd.Token == 0 {
		if u.SetHardState || len(u.Entries) > 0 {
			c.fail("core", fmt.Errorf("node %s hands out a write without a token: %s", n.id, FormatUpdate(&u)))
		}
		return
	}
	if u.Group != Group {
		c.fail("core", fmt.Errorf("node %s writes for group %s", n.id, u.Group))
	}
	if err := n.disk.Write(rd.Token, u); err != nil {
		c.fail("disk", fmt.Errorf("node %s: %w", n.id, err))
	}
	c.emit(&Event{Kind: EventWrite, Node: n.id, Token: rd.Token, Update: cloneUpdate(u)})
	c.driver.Queued(n.id)
}

// Apply gives up to limit entries that wait on node n to its state machine and tells the core.
func (c *Cluster) Apply(id wire.NodeID, limit int) int {
	n := c.nodes[id]
	if n == nil || n.core == nil {
		return 0
	}
	k := min(limit, len(n.toApply))
	batch := n.toApply[:k]
	n.toApply = n.toApply[k:]
	for i := range batch {
		e := batch[i]
		if e.Kind == wire.EntryChange {
			c.guard(n, func() { c.applyChange(n, e) })
		}
		if e.Kind == wire.EntryData {
			n.machine = append(n.machine, e)
		}
		c.emit(&Event{Kind: EventApply, Node: id, Entry: e})
	}
	if k > 0 {
		c.guard(n, func() { n.core.Applied(batch[k-1].Index) })
	}
	return k
}

func (c *Cluster) applyChange(n *node, e wire.Entry) {
	m, err := n.core.ApplyChange(e)
	c.emit(&Event{Kind: EventMembership, Node: n.id, Membership: cloneMembership(m), Err: err})
}
