package raft

import "flotilla/raft/wire"

// Core is one replica's consensus.
type Core struct{}

// New returns a core.
func New(cfg Config) (*Core, error) { panic("being written") }

// Tick advances the core's time by one tick.
func (c *Core) Tick() {}

// Step takes in a message of a peer.
func (c *Core) Step(m wire.Message) error { return nil }

// Propose appends data to the leader's log.
func (c *Core) Propose(data []byte) (wire.Index, wire.Term, error) { return 0, 0, nil }

// ProposeChange appends a change of the membership to the leader's log.
func (c *Core) ProposeChange(ch wire.Change) (wire.Index, wire.Term, error) { return 0, 0, nil }

// ReadIndex asks for a read index; the answer comes in Ready.Reads.
func (c *Core) ReadIndex(context uint64) {}

// Campaign starts a (pre-)election now.
func (c *Core) Campaign() {}

// TransferTo hands leadership to a voter.
func (c *Core) TransferTo(to wire.NodeID) error { return nil }

// Unreachable says that sends to peer failed.
func (c *Core) Unreachable(peer wire.NodeID) {}

// LeaderGone says that peer has stopped on purpose: if it is the leader here, its lease ends at once and the
// election timer is shortened.
func (c *Core) LeaderGone(peer wire.NodeID) {}

// HasReady reports whether Ready would hand out anything.
func (c *Core) HasReady() bool { return false }

// Ready fills rd.
func (c *Core) Ready(rd *Ready) {}

// Persisted says that everything up to and including t is durable.
func (c *Core) Persisted(t Token) {}

// Applied says that the state machine has applied everything up to and including i.
func (c *Core) Applied(i wire.Index) {}

// ApplyChange makes the change in e take effect; idempotent on replay.
func (c *Core) ApplyChange(e wire.Entry) (wire.Membership, error) { return wire.Membership{}, nil }

// Status returns a copy of what the core knows.
func (c *Core) Status() Status { return Status{} }

// Err is not nil once the core cannot trust its log; it does nothing from then on (quarantine).
func (c *Core) Err() error { return nil }
