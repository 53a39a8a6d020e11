package check

import (
	"fmt"
	"slices"

	"flotilla/raft/wire"
)

// Rebirths: a replica of a node that had one before, and lost it, is made only when the group was without the node in between:
// whoever counted on what the first one had voted for and acknowledged has been told (N8, ADR 0006). What groups are is taken
// from what took effect in their logs, not from what the catalog says.
type Rebirths struct {
	groups []kin
}

// kin is a group.
type kin struct {
	latest wire.Membership
	// lost are nodes that are members and have no replica of what they were members for.
	lost []wire.NodeID
}

// Effect is told of a membership that took effect somewhere; that of index 0 is the group's origin.
func (c *Rebirths) Effect(g wire.GroupID, m *wire.Membership) {
	k := at(&c.groups, g)
	if m.Index < k.latest.Index || len(k.latest.Voters) > 0 && m.Index == k.latest.Index {
		return
	}
	k.latest = *m
	var lost []wire.NodeID
	for _, n := range k.lost {
		if m.Contains(n) {
			lost = append(lost, n)
		}
	}
	k.lost = lost
}

// Lost is told that node's replica of g, if it had one, is no more.
func (c *Rebirths) Lost(node wire.NodeID, g wire.GroupID) {
	if k := at(&c.groups, g); k.latest.Contains(node) && !k.misses(node) {
		k.lost = append(k.lost, node)
	}
}

// Made is told that node makes a replica of g.
func (c *Rebirths) Made(node wire.NodeID, g wire.GroupID) error {
	if at(&c.groups, g).misses(node) {
		return fmt.Errorf("node %d makes a replica of group %d, of which it has lost one since it became a member", node, g)
	}
	return nil // a node may hear of its membership so late that it is no more
}

func (k *kin) misses(node wire.NodeID) bool {
	return slices.Contains(k.lost, node)
}
