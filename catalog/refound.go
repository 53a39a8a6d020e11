package catalog

import (
	"fmt"
)

// Refound settles identity and group 0's state as of shared, in one transaction (P30, F47): how a cluster that begins with the contents
// of another one begins on a node. It refuses with ErrBorn if there is an identity (F46), and a shared state in which a node has
// registered or that has no epoch: it is still the other cluster's.
func (c *Catalog) Refound(id Identity, shared *Snapshot) error {
	s := *shared
	s.Born, s.Identity, s.Incarnation = true, id, 0
	if err := s.validate(); err != nil {
		return fmt.Errorf("refound catalog: %w", err)
	}
	for _, n := range s.Topology.Nodes {
		if n.State != NodeListed {
			return fmt.Errorf("refound catalog: node %d is %s", n.ID, n.State)
		}
	}
	if s.Epoch == 0 {
		return fmt.Errorf("refound catalog: no epoch")
	}
	return c.change("refound catalog", func(was Snapshot) (Snapshot, error) {
		if was.Born {
			return was, ErrBorn
		}
		s.Format = was.Format
		return s, nil
	})
}
