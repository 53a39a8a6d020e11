package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Tombstones: a node that has ended its replica of a deleted group never serves the group again, in no later life (D54).
type Tombstones struct {
	nodes [][]bool
}

// Ended is told that node, whose catalog has g as deleted, has no replica of it.
func (c *Tombstones) Ended(node wire.NodeID, g wire.GroupID) {
	c.nodes = grow(c.nodes, int(node)+1)
	*at(&c.nodes[node], g) = true
}

// Served is told that node says something for g to another, has its machine apply something, or makes a replica. That it hands on an
// answer of a node that has not heard yet is no service of its own.
func (c *Tombstones) Served(node wire.NodeID, g wire.GroupID) error {
	c.nodes = grow(c.nodes, int(node)+1)
	if *at(&c.nodes[node], g) {
		return fmt.Errorf("node %d serves group %d, which was deleted and had ended there", node, g)
	}
	return nil
}
