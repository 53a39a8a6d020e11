package rafttest

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"flotilla/internal/assert"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// Group is the id of the one group that the laboratory runs.
const Group wire.GroupID = 1

// readyLimit bounds how often in a row a core may have something ready without being called: beyond it the
// core is spinning.
const readyLimit = 1000

// Driver decides what becomes of what cores hand out: when, or whether. Cluster calls it in the middle of a
// core's turn; it must only take notes and schedule, never call back.
type Driver interface {
	// Send takes over one message. The message and its entries are the driver's.
	Send(m wire.Message)
	// Queued says that node n has one more write queued on its disk.
	Queued(n wire.NodeID)
	// Committed says that node n has entries to apply.
	Committed(n wire.NodeID)
	// NeedSnapshot says that a follower of node n needs a snapshot.
	NeedSnapshot(n wire.NodeID, need raft.SnapshotNeed)
}

// Cluster is a group of cores with their disks and state machines. It carries out what the driver orders, one
// call at a time, and tells observers of everything that happens.
type Cluster struct {
	driver Driver
	config raft.Config // what all cores have in common
	birth  wire.Membership
	nodes  map[wire.NodeID]*node

	now       Time
	model     *Model
	checkers  []Checker
	observers []func(*Event)
	// err is the first violation; nothing moves after it.
	err error
}

// node is one replica: what survives a crash, and a core while it runs.
type node struct {
	id   wire.NodeID
	disk *Disk
	core *raft.Core // nil while the node is down
	rd   raft.Ready
	last State
	// membership is the one last reported in an EventState.
	membership wire.Membership
	toApply    []wire.Entry
	machine    []wire.Entry // the state: data entries applied
	snaps      []*Snapshot  // durable, oldest first
	installing *Snapshot    // being taken over
	asleep     bool         // as last reported
	promotable []wire.NodeID
	seed       uint64
}

// NewCluster returns a cluster without nodes. The config's Self, Log and restored state are filled in for each
// core. Checkers may be nil.
func NewCluster(driver Driver, config raft.Config, birth wire.Membership, checkers []Checker) *Cluster {
	config.Group = Group
	return &Cluster{
		driver: driver, config: config, birth: birth,
		nodes: map[wire.NodeID]*node{}, model: NewModel(), checkers: checkers,
	}
}

// Observe has f called with every event, in order. The event is valid during the call.
func (c *Cluster) Observe(f func(*Event)) { c.observers = append(c.observers, f) }

// Err returns the first *Violation, or nil.
func (c *Cluster) Err() error { return c.err }

// Model returns what is known of the replicas.
func (c *Cluster) Model() *Model { return c.model }

// Nodes returns the ids of all nodes, sorted.
func (c *Cluster) Nodes() []wire.NodeID { return slices.Sorted(maps.Keys(c.nodes)) }

// Up reports whether node n runs.
func (c *Cluster) Up(n wire.NodeID) bool { return c.nodes[n] != nil && c.nodes[n].core != nil }

// Disk returns the disk of node n, nil if there is no such node.
func (c *Cluster) Disk(n wire.NodeID) *Disk {
	if c.nodes[n] == nil {
		return nil
	}
	return c.nodes[n].disk
}

func (c *Cluster) emit(e *Event) {
	e.At = c.now
	c.model.Observe(e)
	for _, f := range c.observers {
		f(e)
	}
	for _, ch := range c.checkers {
		if c.err != nil {
			return
		}
		if err := ch.Observe(c.model, e); err != nil {
			c.fail(ch.Name(), err)
		}
	}
}

// Note puts a line into the trace.
func (c *Cluster) Note(format string, args ...any) {
	c.emit(&Event{Kind: EventNote, Text: fmt.Sprintf(format, args...)})
}

func (c *Cluster) fail(checker string, err error) {
	if c.err == nil {
		c.err = &Violation{Checker: checker, At: c.now, Err: err}
	}
}

// guard runs one call into the core of n and what follows from it. A panic in it is a violation.
func (c *Cluster) guard(n *node, call func()) {
	if c.err != nil || n == nil || n.core == nil {
		return
	}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		var broken *assert.Violation
		if err, ok := p.(error); ok && errors.As(err, &broken) {
			c.fail("core", fmt.Errorf("node %s: %w", n.id, err))
			return
		}
		c.fail("core", fmt.Errorf("node %s: panic: %v\n%s", n.id, p, debug.Stack()))
	}()
	call()
	c.poll(n)
	if err := n.core.Err(); err != nil && n.disk.broken == nil {
		c.fail("core", fmt.Errorf("node %s stops: %w", n.id, err))
	}
}

// Add makes node n with an empty disk and starts it.
func (c *Cluster) Add(n wire.NodeID, seed uint64) {
	assert.That(c.nodes[n] == nil, "node %d exists", n)
	c.nodes[n] = &node{id: n, disk: NewDisk(c.birth), seed: seed}
	c.Restart(n)
}

// Restart starts node n from its disk.
func (c *Cluster) Restart(id wire.NodeID) {
	n := c.nodes[id]
	assert.That(n.core == nil, "node %d runs already", id)
	n.seed++
	cfg := c.config
	cfg.Self, cfg.Log, cfg.Seed = id, n.disk, n.seed
	cfg.HardState, cfg.Membership = n.disk.Restore()
	n.machine, n.installing, n.asleep = nil, nil, false
	if s := n.restorable(); s != nil {
		cfg.Applied, n.machine = s.Index, slices.Clip(s.machine)
	}
	core, err := raft.New(cfg)
	if err != nil {
		c.fail("core", fmt.Errorf("node %s does not start: %w", id, err))
		return
	}
	n.core, n.rd, n.toApply, n.promotable = core, raft.Ready{}, nil, nil
	n.last = State{Term: cfg.HardState.Term, Commit: cfg.HardState.Commit}
	n.membership = cfg.Membership
	c.emit(&Event{Kind: EventStart, Node: id, HardState: cfg.HardState, Membership: cfg.Membership, Index: cfg.Applied, Sum: sumOf(n.machine)})
	c.guard(n, func() {})
}

// Crash stops node n as a power cut would: queued writes are lost.
func (c *Cluster) Crash(id wire.NodeID) {
	n := c.nodes[id]
	if n == nil || n.core == nil {
		return
	}
	n.core, n.toApply = nil, nil
	c.emit(&Event{Kind: EventCrash, Node: id, Count: n.disk.Crash()})
}

// Tick advances the core of n by one tick.
func (c *Cluster) Tick(id wire.NodeID) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.Tick() })
}

// TickN advances the core of n by so many ticks at once.
func (c *Cluster) TickN(id wire.NodeID, ticks int) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.TickN(ticks) })
}

// Sleep puts the group of node n to sleep, if its core finds that it may.
func (c *Cluster) Sleep(id wire.NodeID) (ok bool) {
	n := c.nodes[id]
	c.guard(n, func() { ok = n.core.Sleep() })
	return ok
}

// Wake ends the sleep of node n's core.
func (c *Cluster) Wake(id wire.NodeID) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.Wake() })
}

// Asleep reports whether the core of node n sleeps.
func (c *Cluster) Asleep(id wire.NodeID) bool { return c.Up(id) && c.nodes[id].core.Asleep() }

// PeerLost tells node id that a peer has not been heard for long, for any group.
func (c *Cluster) PeerLost(id, peer wire.NodeID) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.PeerLost(peer) })
}

// Deliver hands m to the node it is meant for; a node that is down loses it.
func (c *Cluster) Deliver(m wire.Message) error {
	n := c.nodes[m.To]
	if n == nil || n.core == nil {
		c.Drop(m)
		return nil
	}
	var err error
	c.emit(&Event{Kind: EventDeliver, Node: m.To, Message: m})
	c.guard(n, func() { err = n.core.Step(m) })
	return err
}

// Drop loses m.
func (c *Cluster) Drop(m wire.Message) { c.emit(&Event{Kind: EventDrop, Node: m.To, Message: m}) }

// Duplicate tells observers that m will arrive once more.
func (c *Cluster) Duplicate(m wire.Message) {
	c.emit(&Event{Kind: EventDuplicate, Node: m.To, Message: m})
}

// Propose asks node n to take data in.
func (c *Cluster) Propose(id wire.NodeID, data []byte) (i wire.Index, t wire.Term, err error) {
	n := c.nodes[id]
	c.guard(n, func() {
		i, t, err = n.core.Propose(data)
		c.emit(&Event{Kind: EventPropose, Node: id, Index: i, Term: t, Err: err})
	})
	return i, t, err
}

// Change asks node n to change the membership.
func (c *Cluster) Change(id wire.NodeID, set wire.ChangeSet) (i wire.Index, t wire.Term, err error) {
	n := c.nodes[id]
	c.guard(n, func() {
		i, t, err = n.core.ProposeChange(set)
		c.emit(&Event{Kind: EventPropose, Node: id, Index: i, Term: t, Err: err})
	})
	return i, t, err
}

// Read asks node n for a read index.
func (c *Cluster) Read(id wire.NodeID, context uint64) {
	n := c.nodes[id]
	c.guard(n, func() {
		c.emit(&Event{Kind: EventRead, Node: id, Context: context})
		n.core.ReadIndex(context)
	})
}

// Campaign has node n start an election.
func (c *Cluster) Campaign(id wire.NodeID) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.Campaign() })
}

// Transfer has node n hand its leadership to another one.
func (c *Cluster) Transfer(id, to wire.NodeID) (err error) {
	n := c.nodes[id]
	c.guard(n, func() { err = n.core.TransferTo(to) })
	return err
}

// Unreachable tells node n that a send to peer failed.
func (c *Cluster) Unreachable(id, peer wire.NodeID) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.Unreachable(peer) })
}

// LeaderGone tells node n that peer has stopped on purpose.
func (c *Cluster) LeaderGone(id, peer wire.NodeID) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.LeaderGone(peer) })
}

// Status returns the status of node n's core. The node must be up.
func (c *Cluster) Status(id wire.NodeID) raft.Status { return c.nodes[id].core.Status() }

// Sync makes the oldest queued write of node n durable; Persisted tells its core. Both in one is Persist.
func (c *Cluster) Sync(id wire.NodeID) (raft.Token, bool) {
	n := c.nodes[id]
	if c.err != nil || n == nil || n.disk.Pending() == 0 {
		return 0, false
	}
	token, u, err := n.disk.Sync()
	if err != nil {
		c.fail("disk", fmt.Errorf("node %s: %w", id, err))
	}
	c.emit(&Event{Kind: EventDurable, Node: id, Token: token, Update: u})
	return token, true
}

// Persisted tells the core of node n that everything up to token is durable.
func (c *Cluster) Persisted(id wire.NodeID, token raft.Token) {
	n := c.nodes[id]
	c.guard(n, func() { n.core.Persisted(token) })
}

// Persist makes the oldest queued write of node n durable and tells its core.
func (c *Cluster) Persist(id wire.NodeID) bool {
	token, ok := c.Sync(id)
	if ok {
		c.Persisted(id, token)
	}
	return ok
}

// Promotable returns the learners that node n last reported as caught up.
func (c *Cluster) Promotable(id wire.NodeID) []wire.NodeID { return c.nodes[id].promotable }

// Machine returns the state of node n's machine: the data entries it has applied, itself or by way of a snapshot.
func (c *Cluster) Machine(id wire.NodeID) []wire.Entry { return c.nodes[id].machine }

// ToApply returns how many entries wait for the state machine of node n.
func (c *Cluster) ToApply(id wire.NodeID) int { return len(c.nodes[id].toApply) }
