package check

import (
	"fmt"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

// Epochs: an epoch belongs to one term of group 0, so to one holder; each acquisition raises it by exactly one (P20);
// nobody says, or has applied, an epoch that was not allocated (P22, P27).
type Epochs struct {
	terms []wire.Term // by epoch; that of epoch 0 is 0
}

// Applied is told a node's epoch, and the term it was allocated in, each time its metadata has taken a command in.
func (c *Epochs) Applied(node wire.NodeID, e epoch.Epoch, term wire.Term) error {
	if len(c.terms) == 0 {
		c.terms = []wire.Term{0}
	}
	last := epoch.Epoch(len(c.terms) - 1)
	switch {
	case e > last+1:
		return fmt.Errorf("node %d applies epoch %d, the last one allocated is %d", node, e, last)
	case e == last+1 && term <= c.terms[last]:
		return fmt.Errorf("node %d applies epoch %d of term %d, epoch %d was allocated in term %d", node, e, term, last, c.terms[last])
	case e == last+1:
		c.terms = append(c.terms, term)
	case c.terms[e] != term:
		return fmt.Errorf("node %d has epoch %d of term %d, it was allocated in term %d", node, e, term, c.terms[e])
	}
	return nil
}

// Stamped is told of a stamp that leaves a node.
func (c *Epochs) Stamped(node wire.NodeID, s epoch.Stamp) error {
	last := c.Allocated()
	if s.Applied > s.Observed || s.Observed > last {
		return fmt.Errorf("node %d stamps a frame with applied epoch %d, observed %d; the last one allocated is %d", node, s.Applied, s.Observed, last)
	}
	return nil
}

// Allocated returns the last epoch allocated.
func (c *Epochs) Allocated() epoch.Epoch { return epoch.Epoch(max(len(c.terms), 1) - 1) }

// Fence: nothing of a frame older than what its receiver has applied reaches a group (P24), and nothing that acts with
// authority does unless its sender has applied as much (P25).
type Fence struct{}

// Reached is told of a frame's stamp when its messages are handed to groups, or its request to a handler.
func (Fence) Reached(node wire.NodeID, applied epoch.Epoch, s epoch.Stamp, authority bool) error {
	if s.Observed < applied || authority && s.Applied < applied {
		return fmt.Errorf("a frame of epoch %d, authority %d, reaches a group on node %d, which has applied epoch %d", s.Observed, s.Applied, node, applied)
	}
	return nil
}
