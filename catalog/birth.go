package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"flotilla/raft/wire"
)

// Birth is what a node is told at its first start: who it is and the cluster's state as it joins it. For a
// new cluster every node must be given the same Settings, Topology, Groups and Routing, as group 0's log begins
// on top of them.
type Birth struct {
	Identity Identity
	Settings Settings
	// Topology and Routing keep the versions they come with, at least 1 (F43).
	Topology Topology
	Groups   []Group
	Routing  Routing
}

// Validate reports every fault, joined.
func (b *Birth) Validate() error {
	s := b.snapshot()
	return s.validate()
}

// validate reports every fault of a state as it stands, joined: whatever is written, read or taken from a peer.
func (s *Snapshot) validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	id := s.Identity
	if id.ClusterID == (wire.ClusterID{}) || id.Generation == 0 {
		fault("cluster id and generation must not be zero")
	}
	if !validText(id.ClusterName) {
		fault("cluster name must have 1 to %d bytes", maxText)
	}
	if id.NodeID == wire.NoNode || id.NodeID > wire.MaxNodeID {
		fault("node id must be 1 to %d", wire.MaxNodeID)
	}
	if _, found := s.Topology.Find(id.NodeID); !found {
		fault("node %d is not in the topology it is born with", id.NodeID)
	}
	return errors.Join(append(errs, s.validateShared())...)
}

// validateShared is validate for what all nodes share.
func (s *Snapshot) validateShared() error {
	return errors.Join(validSettings(s.Settings), validTopology(&s.Topology), validGroups(s.Groups), validRouting(s), validTokens(s.Tokens), validImports(s))
}

// snapshot is the state right after birth. It shares nothing with b.
func (b *Birth) snapshot() Snapshot {
	s := Snapshot{
		Born: true, Identity: b.Identity, Settings: b.Settings, Groups: slices.Clone(b.Groups), Routing: b.Routing,
		Topology: Topology{Version: b.Topology.Version, Nodes: slices.Clone(b.Topology.Nodes)},
	}
	for i, g := range s.Groups {
		s.Groups[i].Voters, s.Groups[i].Learners = slices.Clone(g.Voters), slices.Clone(g.Learners)
		if !g.Deleted && len(g.Origin.Voters) == 0 {
			s.Groups[i] = s.Groups[i].Founded()
		}
	}
	return s
}

// The validators below hold for every state the catalog writes or reads.

func validText(s string) bool { return s != "" && len(s) <= maxText }

// ValidVersion reports whether v may be the version of a node's program: up to 64 visible ASCII characters, so that
// what one node says of itself upsets nobody's terminal.
func ValidVersion(v string) bool { return len(v) <= maxVersion && Visible(v) }

// Visible reports whether s is of visible ASCII characters alone.
func Visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func validSettings(s Settings) error {
	if s.Groups == 0 || s.Groups >= maxGroups || s.Replication == 0 || s.Replication > wire.MaxMembers {
		return fmt.Errorf("groups must be 1 to %d and replication 1 to %d", maxGroups-1, wire.MaxMembers)
	}
	return nil
}

func validTopology(t *Topology) error {
	if t.Version == 0 || t.Version > wire.MaxNumber || len(t.Nodes) > maxNodes {
		return fmt.Errorf("topology version %d with %d nodes", t.Version, len(t.Nodes))
	}
	last := wire.NoNode
	for _, n := range t.Nodes {
		if n.ID <= last || n.ID > wire.MaxNodeID {
			return fmt.Errorf("topology: node %d after node %d", n.ID, last)
		}
		if !n.State.Valid() || !validText(n.Addr) || len(n.HTTP) > maxText || !ValidVersion(n.Version) || (n.Generation == 0) != (n.State == NodeListed) && n.State != NodeRemoved {
			return fmt.Errorf("topology: node %d at %q is %s with generation %d", n.ID, n.Addr, n.State, n.Generation)
		}
		last = n.ID
	}
	return nil
}

func validGroups(groups []Group) error {
	if len(groups) > maxGroups {
		return fmt.Errorf("%d groups, %d at most", len(groups), maxGroups)
	}
	if len(groups) == 0 || groups[0].ID != wire.MetadataGroup {
		return errors.New("group 0 is missing")
	}
	for i := range groups {
		if i > 0 && groups[i].ID <= groups[i-1].ID {
			return fmt.Errorf("group %d after group %d", groups[i].ID, groups[i-1].ID)
		}
		if err := validGroup(&groups[i]); err != nil {
			return err
		}
	}
	return nil
}

func validGroup(g *Group) error {
	if g.Deleted {
		if g.ID == wire.MetadataGroup || g.ID > wire.MaxNumber || !g.bare() {
			return fmt.Errorf("group %d is deleted and more than a tombstone", g.ID)
		}
		return nil
	}
	if err := validWanted(g); err != nil {
		return err
	}
	if !settled(&g.Origin) || g.Origin.Index != 0 || !settled(&g.Members) {
		return fmt.Errorf("group %d: origin or members make no sense", g.ID)
	}
	last := wire.NoNode
	for _, s := range g.Since {
		if s.Node <= last || !g.Members.Contains(s.Node) || s.Index == 0 || s.Index > g.Members.Index {
			return fmt.Errorf("group %d: node %d since %d", g.ID, s.Node, s.Index)
		}
		last = s.Node
	}
	last = wire.NoNode
	for _, s := range g.Left {
		if s.Node <= last || s.Index == 0 || s.Index > max(g.Members.Index, 1) || g.ID == wire.MetadataGroup || g.Hosted(s.Node) {
			return fmt.Errorf("group %d: node %d left at %d", g.ID, s.Node, s.Index)
		}
		last = s.Node
	}
	for _, n := range g.Members.Members() {
		if g.SinceOf(n) == 0 && !g.Origin.Contains(n) {
			return fmt.Errorf("group %d: nobody knows since when node %d is a member", g.ID, n)
		}
	}
	for i, n := range g.Lost {
		if i > 0 && n <= g.Lost[i-1] || !g.Members.Contains(n) {
			return fmt.Errorf("group %d: node %d is lost and no member", g.ID, n)
		}
	}
	return nil
}

// bare reports whether g is an id and nothing else but perhaps a tombstone.
func (g *Group) bare() bool {
	nobody := func(m *wire.Membership) bool { return m.Index == 0 && len(m.Members())+len(m.Demoted) == 0 }
	return g.Kind == "" && g.Leader == wire.NoNode && len(g.Voters)+len(g.Learners)+len(g.Since)+len(g.Lost)+len(g.Left) == 0 &&
		nobody(&g.Origin) && nobody(&g.Members)
}

// settled reports whether m can decide, and is no joint configuration: groups begin with such, and report no other.
func settled(m *wire.Membership) bool { return m.WellFormed() && !m.Joint() && len(m.Voters) > 0 }

// validWanted checks what placement says of a group.
func validWanted(g *Group) error {
	if g.ID > wire.MaxNumber || len(g.Voters) == 0 || len(g.Voters)+len(g.Learners) > wire.MaxMembers || len(g.Kind) > maxKind || !ValidVersion(g.Kind) {
		return fmt.Errorf("group %d of kind %q with %d voters and %d learners", g.ID, g.Kind, len(g.Voters), len(g.Learners))
	}
	if g.Leader != wire.NoNode && !slices.Contains(g.Voters, g.Leader) {
		return fmt.Errorf("group %d: node %d is to lead and no voter", g.ID, g.Leader)
	}
	for _, list := range [][]wire.NodeID{g.Voters, g.Learners} {
		last := wire.NoNode
		for _, id := range list {
			if id <= last || id > wire.MaxNodeID {
				return fmt.Errorf("group %d: member %d after %d", g.ID, id, last)
			}
			last = id
		}
	}
	for _, id := range g.Learners {
		if slices.Contains(g.Voters, id) {
			return fmt.Errorf("group %d: node %d is voter and learner", g.ID, id)
		}
	}
	return nil
}

// validRouting checks that every shard goes to a data group of the table.
func validRouting(s *Snapshot) error {
	if s.Routing.Version == 0 || s.Routing.Version > wire.MaxNumber {
		return fmt.Errorf("routing version %d", s.Routing.Version)
	}
	known := wire.MetadataGroup
	for shard, g := range s.Routing.Shards {
		if g == known && g != wire.MetadataGroup {
			continue
		}
		if i, found := s.searchGroup(g); !found || g == wire.MetadataGroup || s.Groups[i].Deleted {
			return fmt.Errorf("routing: shard %d goes to group %d, which is no data group", shard, g)
		}
		known = g
	}
	return nil
}
