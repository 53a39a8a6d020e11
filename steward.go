package flotilla

import (
	"context"
	"fmt"
	"io"

	"flotilla/catalog"
	"flotilla/catalog/steward"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// Admin is what administrators ask of a cluster: AddNode, DrainNode, UndrainNode, RemoveNode, MoveNode, JoinToken; CreateGroup, ImportGroup, DeleteGroup,
// PlaceGroup, TransferLeader. What each does and returns: go doc flotilla/catalog/steward Admin.
type Admin = steward.Admin

// How a node is removed by Admin.RemoveNode.
const (
	Gently = steward.Gently
	Force  = steward.Force
)

// Admin returns what administrators may ask of the cluster through this node.
func (h *Host) Admin() *Admin { return h.steward.Admin() }

func (h *Host) newSteward() *steward.Steward {
	return steward.New(steward.Config{
		Self: h.identity.NodeID, Engine: loop{h}, Meta: h.meta, Peers: h.connected, Administrable: h.fence.Administrable,
		Base: h.base, TLS: h.tls, Replace: h.replaceDisk, Authority: h.authority, Imports: loop{h}, Events: h.stepEvent,
	})
}

// loop is the engine as the steward sees it.
type loop struct{ *Host }

func (l loop) Replicas() []steward.Replica {
	all := l.engine.Status()
	out := make([]steward.Replica, len(all))
	for i := range all {
		s := &all[i]
		out[i] = steward.Replica{
			Group: s.ID, Leads: s.Leader == l.identity.NodeID, Members: s.Members, Out: s.Err != nil, Damaged: damaged(s.Err), Refusing: s.Refusing,
			Settled: s.SteadyTicks > settledElections*int(l.cfg.ElectionTimeout/l.cfg.Heartbeat),
		}
	}
	return out
}

// settledElections is for how many election timeouts a leader must have led before it is asked to hand over: leaderships follow
// preferences slowly, and never during an election.
const settledElections = 3

// Create implements steward.Engine.
func (l loop) Create(ctx context.Context, g *catalog.Group) error {
	c, err := l.fresh(g)
	if err != nil {
		return err
	}
	return l.engine.CreateGroup(ctx, c, g.Origin)
}

// fresh begins without what a machine has kept of an earlier replica: its log is gone, and only both together make sense.
func (l loop) fresh(g *catalog.Group) (multiraft.GroupConfig, error) {
	c := l.groupConfig(g)
	if _, held := l.store.State(g.ID); !held && c.Applied > 0 {
		if m, ok := c.Machine.(io.Closer); ok {
			if err := m.Close(); err != nil {
				return c, fmt.Errorf("make a replica of group %d: take away what its machine has kept of an earlier one: %w", g.ID, err)
			}
			c = l.groupConfig(g)
		}
		if c.Applied > 0 {
			return c, fmt.Errorf("make a replica of group %d: its machine has kept the state at %d of an earlier one, whose log is gone: remove that, "+
				"and have Close remove it when a replica ends", g.ID, c.Applied)
		}
	}
	return c, nil
}

func (l loop) Remove(ctx context.Context, g GroupID) error { return l.engine.RemoveGroup(ctx, g) }

func (l loop) Change(ctx context.Context, g GroupID, set wire.ChangeSet) error {
	return l.engine.Change(ctx, g, set)
}

func (l loop) Barrier(ctx context.Context, g GroupID) error {
	_, err := l.engine.Barrier(ctx, g)
	return err
}

// Transfer asks a member where no replica here serves: administrators ask any node.
func (l loop) Transfer(ctx context.Context, g GroupID, to NodeID) error {
	if group := l.Group(g); !group.serves() {
		_, err := elsewhere(group, func(at NodeID) (struct{}, error) { return struct{}{}, l.engine.TransferLeaderAt(ctx, at, g, to) })
		return err
	}
	return l.engine.TransferLeader(ctx, g, to)
}

// groupConfig is what the engine is told of a group as the catalog has it.
func (h *Host) groupConfig(g *catalog.Group) multiraft.GroupConfig {
	c := multiraft.GroupConfig{ID: g.ID, Since: g.ReplicaSince(h.identity.NodeID)}
	kind, known := h.cfg.Kinds[g.Kind]
	switch {
	case g.ID == wire.MetadataGroup:
		c.Machine, c.Vet = h.meta, catalog.VetChange
	case g.Kind == "":
		c.Machine, c.Vet = h.cfg.NewMachine(g.ID), h.cfg.Vet
	case known:
		c.Machine, c.Vet = kind.New(g.ID), kind.Vet
	default:
		c.Machine = unknownKind(g.Kind)
	}
	if d, durable := c.Machine.(Durable); durable {
		c.Applied = d.Applied()
	}
	if g.ID != wire.MetadataGroup && len(g.Members.Voters) == 0 {
		c.Vet = h.steward.Gate(g.ID, c.Vet) // it is no group yet
	}
	return c
}

// unknownKind stands for a machine that this program does not have: its replica is out of service here with the first
// command, until the program has it (P4). It is no Snapshotter: what it cannot read it cannot write either, and its log stays.
type unknownKind string

func (k unknownKind) err() error {
	return fmt.Errorf("this program has no state machine of kind %q: add it to Config.Kinds", string(k))
}

func (k unknownKind) Apply([]Command) ([][]byte, error) { return nil, k.err() }

func (k unknownKind) Query([]byte) ([]byte, error) { return nil, k.err() }

// connected returns the peers that are connected, with the generation each came with.
func (h *Host) connected() map[NodeID]wire.Generation {
	up := map[NodeID]wire.Generation{}
	for _, p := range h.transport.Peers() {
		if p.Connected {
			up[p.ID] = p.Generation
		}
	}
	return up
}
