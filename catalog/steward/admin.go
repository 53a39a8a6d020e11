package steward

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/internal/mutant"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// Admin is what administrators ask of a cluster, at any node. A node that has heard of an epoch which it has not applied
// refuses all of it with *epoch.BehindError, worth a retry (P26); other errors are *wire.Error. What returned nil is
// in group 0's log: it happens, whatever becomes of this node. Doing it twice does no harm.
type Admin struct{ s *Steward }

// Admin returns what administrators ask of s's cluster.
func (s *Steward) Admin() *Admin { return &Admin{s} }

// AddNode makes a node known under an address before it joins. A node that joins makes itself known, too. One that is known under
// another address is MoveNode's; that is CodeConflict, as an address is at which another node is reached now.
func (a *Admin) AddNode(ctx context.Context, id wire.NodeID, addr string) error {
	if err := dialable(addr); err != nil {
		return err
	}
	return a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		if n, found := v.Topology.Find(id); found && n.State != catalog.NodeRemoved && n.Addr != addr {
			return nil, &wire.Error{Code: wire.CodeConflict, Detail: fmt.Sprintf("node %d is known at %s: replace its address instead", id, n.Addr)}
		}
		return catalog.ListNode{ID: id, Addr: addr}, cmp.Or(roomFor(v, id), a.vacant(v, id, addr))
	})
}

// RemoveNode takes a node out of the cluster for good: its id never comes back. Its replicas move away first, which
// goes on after this has returned and is seen in its state, "leaving", and in the number of its replicas; with Force it is out at
// once, and groups that have lost their majority by that stay without. Without Force it is refused with CodeUnsafe when
// a group would lose its majority.
func (a *Admin) RemoveNode(ctx context.Context, id wire.NodeID, how Removal) error {
	return a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		n, err := known(v, id)
		switch {
		case err != nil:
			return nil, err
		case how == Force || n.State == catalog.NodeListed:
			return catalog.SetNodeState{ID: id, State: catalog.NodeRemoved, IfVersion: v.Topology.Version}, nil
		case n.State == catalog.NodeRemoved:
			return nil, nil
		}
		if err := placement.CanRemove(v, id, a.s.alive()); err != nil {
			return nil, &wire.Error{Code: wire.CodeUnsafe, Cause: err}
		}
		return catalog.SetNodeState{ID: id, State: catalog.NodeLeaving, IfVersion: v.Topology.Version}, nil
	})
}

// Removal is how a node is removed.
type Removal uint8

// The ways to remove a node.
const (
	// Gently moves its replicas away first.
	Gently Removal = iota
	// Force does not, and asks for nothing.
	Force
)

// DrainNode moves leaderships and replicas away from a node, which stays a member. UndrainNode ends that, and calls off a removal
// that has not come to its end; DrainNode does not.
func (a *Admin) DrainNode(ctx context.Context, id wire.NodeID) error {
	return a.setState(ctx, id, catalog.NodeDraining)
}

// UndrainNode lets a node that was drained, or is leaving, take replicas again.
func (a *Admin) UndrainNode(ctx context.Context, id wire.NodeID) error {
	return a.setState(ctx, id, catalog.NodeActive)
}

func (a *Admin) setState(ctx context.Context, id wire.NodeID, state catalog.NodeState) error {
	return a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		n, err := known(v, id)
		if err == nil && n.State == catalog.NodeListed {
			err = &wire.Error{Code: wire.CodeConflict, Detail: fmt.Sprintf("node %d has never started", id)}
		}
		if err == nil && n.State == catalog.NodeLeaving && state == catalog.NodeDraining {
			err = &wire.Error{Code: wire.CodeConflict, Detail: fmt.Sprintf("node %d is being removed, which takes all from it: undo that first if it is to stay", id)}
		}
		others := slices.ContainsFunc(v.Topology.Nodes, func(n catalog.Node) bool { return n.ID != id && n.State == catalog.NodeActive })
		if err == nil && state == catalog.NodeDraining && !others {
			err = &wire.Error{Code: wire.CodeUnsafe, Detail: "no other node could take its replicas: let one join first"}
		}
		return catalog.SetNodeState{ID: id, State: state, IfVersion: v.Topology.Version}, err
	})
}

// MoveNode tells the cluster that a node is dialled elsewhere from now on, where no other node is reached now.
func (a *Admin) MoveNode(ctx context.Context, id wire.NodeID, addr string) error {
	if err := dialable(addr); err != nil {
		return err
	}
	return a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		return catalog.MoveNode{ID: id, Addr: addr}, a.vacant(v, id, addr)
	})
}

// vacant refuses an address for a node where another one is reached now. That of a node that is down may be given to the one
// that takes its place.
func (a *Admin) vacant(v *catalog.Snapshot, id wire.NodeID, addr string) error {
	alive := a.s.alive()
	for _, n := range v.Topology.Nodes {
		if n.ID != id && n.Addr == addr && n.State != catalog.NodeRemoved && alive(n.ID) {
			return &wire.Error{Code: wire.CodeConflict, Detail: fmt.Sprintf("node %d is running at %s", n.ID, addr)}
		}
	}
	return nil
}

// CreateGroup makes a group of the machine kind that the nodes know by that name, "" for the default one, and returns its
// id once it is in the log. Its first voters are voters, or as many nodes as replication says, those with the fewest
// replicas, when voters is empty; placement goes on from there. A kind that this program does not know is CodeBadRequest.
func (a *Admin) CreateGroup(ctx context.Context, kind string, voters []wire.NodeID) (wire.GroupID, error) {
	if err := a.s.cfg.Imports.Knows(kind); err != nil {
		return 0, &wire.Error{Code: wire.CodeBadRequest, Cause: err}
	}
	var made wire.GroupID
	err := a.carryResult(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		wanted := slices.Clone(voters)
		if len(wanted) == 0 {
			wanted = placement.Choose(v)
		}
		slices.Sort(wanted)
		for _, id := range wanted {
			if _, err := known(v, id); err != nil {
				return nil, err
			}
		}
		return catalog.CreateGroup{Kind: kind, Voters: wanted}, nil
	}, func(r catalog.Result) { made = wire.GroupID(r.Value) })
	return made, err
}

// DeleteGroup ends a data group and lets go of its data on all nodes; its id never comes back (D54). Refused while keys
// are routed to it.
func (a *Admin) DeleteGroup(ctx context.Context, id wire.GroupID) error {
	return a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		_, found := v.FindGroup(id)
		_, begun := v.FindImport(id)
		switch {
		case id == wire.MetadataGroup:
			return nil, &wire.Error{Code: wire.CodeConflict, Group: id, Detail: "it is the cluster's own"}
		case !found && !begun:
			return nil, &wire.Error{Code: wire.CodeConflict, Group: id, Detail: "the cluster has no such group"}
		case slices.Contains(v.Routing.Shards[:], id):
			return nil, &wire.Error{Code: wire.CodeConflict, Group: id, Detail: "keys are routed to it"}
		}
		return catalog.DeleteGroup{ID: id}, nil
	})
}

// PlaceGroup says where a group's voters and learners are to be. version, when not 0, is that of the topology it was decided on:
// CodeConflict when that has changed. The planner moves replicas away from nodes that must not have any, and none back.
func (a *Admin) PlaceGroup(ctx context.Context, id wire.GroupID, voters, learners []wire.NodeID, version uint64) error {
	return a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		if version != 0 && version != v.Topology.Version {
			return nil, &wire.Error{Code: wire.CodeConflict, Group: id, Detail: fmt.Sprintf("the topology has version %d", v.Topology.Version)}
		}
		g, found := v.FindGroup(id)
		if !found || g.Deleted {
			return nil, &wire.Error{Code: wire.CodeUnknownGroup, Group: id, Detail: "the cluster has no such group"}
		}
		leader := g.Leader
		if !slices.Contains(voters, leader) {
			leader = wire.NoNode
		}
		return catalog.PlaceGroup{ID: id, Voters: voters, Learners: learners, Leader: leader, IfVersion: v.Topology.Version}, nil
	})
}

// TransferLeader hands a group's leadership to another of its voters, and has that preferred from now on, as long as leaderships stay
// spread evenly enough.
func (a *Admin) TransferLeader(ctx context.Context, id wire.GroupID, to wire.NodeID) error {
	err := a.carry(ctx, func(v *catalog.Snapshot) (catalog.Change, error) {
		g, found := v.FindGroup(id)
		if !found || id == wire.MetadataGroup || g.Leader == to || !slices.Contains(g.Voters, to) {
			return nil, nil
		}
		return catalog.PlaceGroup{ID: id, Voters: g.Voters, Learners: g.Learners, Leader: to, IfVersion: v.Topology.Version}, nil
	})
	if err != nil {
		return err
	}
	return a.s.cfg.Engine.Transfer(ctx, id, to)
}

// JoinToken returns a secret by which a node without a certificate may join within ten minutes, once. It is refused when no
// node here keeps the authority's key.
func (a *Admin) JoinToken(ctx context.Context) (string, error) {
	ca, err := a.s.authority()
	if err != nil {
		return "", err
	}
	token, err := pki.NewJoinToken(a.s.cfg.TLS.Current())
	if err != nil {
		return "", &wire.Error{Code: wire.CodeInternal, Cause: err}
	}
	if !token.Names(ca.Certificate) { // the joiner would trust one and be certified by the other
		return "", &wire.Error{Code: wire.CodeBadRequest, Detail: "this node's certificate is not signed by the key kept beside it: renew it with 'flotilla cert node' first"}
	}
	now := time.Now()
	put := catalog.PutToken{Hash: token.Hash(), Expires: now.Add(tokenLife).Unix(), Now: now.Unix()}
	err = a.carry(ctx, func(*catalog.Snapshot) (catalog.Change, error) { return put, nil })
	return token.Text(), err
}

// carry has what decide makes of the present state carried out, decided anew when the state has changed meanwhile. No
// change and no error is a success.
func (a *Admin) carry(ctx context.Context, decide func(*catalog.Snapshot) (catalog.Change, error)) error {
	return a.carryResult(ctx, decide, func(catalog.Result) {})
}

func (a *Admin) carryResult(ctx context.Context, decide func(*catalog.Snapshot) (catalog.Change, error), use func(catalog.Result)) error {
	if err := a.s.cfg.Administrable(); err != nil && !mutant.Is(mutant.AdministerBehind) {
		return err
	}
	var result catalog.Result
	for range attempts {
		change, err := decide(a.s.cfg.Meta.View())
		if err != nil || change == nil {
			return err
		}
		if result, err = a.s.propose(ctx, change); err != nil {
			return err
		}
		if result.Outcome != catalog.RefusedVersion {
			break
		}
	}
	if result.Outcome.Refused() {
		return &wire.Error{Code: wire.CodeConflict, Detail: result.Outcome.String()}
	}
	use(result)
	a.s.Wake()
	return nil
}

// known returns node id, or an error that says that there is none.
func known(v *catalog.Snapshot, id wire.NodeID) (catalog.Node, error) {
	n, found := v.Topology.Find(id)
	if !found {
		return n, &wire.Error{Code: wire.CodeConflict, Detail: fmt.Sprintf("the cluster has no node %d", id)}
	}
	return n, nil
}

// alive tells which nodes are connected right now, and this one.
func (s *Steward) alive() func(wire.NodeID) bool {
	peers := s.cfg.Peers()
	return func(n wire.NodeID) bool {
		_, connected := peers[n]
		return connected || n == s.cfg.Self
	}
}
