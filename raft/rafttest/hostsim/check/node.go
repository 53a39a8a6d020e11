package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Readiness: the latch flips once in a life, when group 0 has applied an entry of the present leader's term (P13).
type Readiness struct {
	lives []int
}

// Flipped is told that node says it is ready, in which term, and of which term the last entry is that group 0 has
// applied there.
func (c *Readiness) Flipped(node wire.NodeID, life int, term, applied wire.Term) error {
	c.lives = grow(c.lives, int(node)+1)
	if c.lives[node] == life {
		return fmt.Errorf("node %d is ready twice in life %d", node, life)
	}
	c.lives[node] = life
	if applied != term {
		return fmt.Errorf("node %d is ready in term %d and has applied an entry of term %d", node, term, applied)
	}
	return nil
}

// Watchers: what a watcher says of a machine never falls, and the machine is never behind it (P12, F30).
type Watchers struct {
	nodes [][]seen
}

type seen struct {
	life    int
	applied wire.Index
}

// Saw is told what a watcher says in a life of a node, and that the machine's next command has index next: 0 for one
// that is not known.
func (c *Watchers) Saw(node wire.NodeID, life int, g wire.GroupID, applied, next wire.Index) error {
	c.nodes = grow(c.nodes, int(node)+1)
	s := at(&c.nodes[node], g)
	if s.life == life && applied < s.applied {
		return fmt.Errorf("node %d's watcher of group %d falls from %d to %d", node, g, s.applied, applied)
	}
	if next != 0 && applied >= next {
		return fmt.Errorf("node %d's watcher of group %d says %d before the machine has been given %d", node, g, applied, next)
	}
	*s = seen{life, applied}
	return nil
}

// Ended is told that node's replica of g is no more: one that is made again begins anew.
func (c *Watchers) Ended(node wire.NodeID, g wire.GroupID) {
	c.nodes = grow(c.nodes, int(node)+1)
	*at(&c.nodes[node], g) = seen{}
}
