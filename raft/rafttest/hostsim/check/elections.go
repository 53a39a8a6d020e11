package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Elections: a term of a group has one leader (thesis section 3.6.3), whoever says so.
type Elections struct {
	groups []map[wire.Term]wire.NodeID
}

// Led is told that some node takes leader for group g's in term.
func (c *Elections) Led(g wire.GroupID, term wire.Term, leader wire.NodeID) error {
	terms := at(&c.groups, g)
	if *terms == nil {
		*terms = map[wire.Term]wire.NodeID{}
	}
	if was, known := (*terms)[term]; known && was != leader {
		return fmt.Errorf("node %d leads group %d in term %d, which node %d has led", leader, g, term, was)
	}
	(*terms)[term] = leader
	return nil
}

// Leader returns who led group g in term, NoNode when nobody is known to have.
func (c *Elections) Leader(g wire.GroupID, term wire.Term) wire.NodeID {
	return (*at(&c.groups, g))[term]
}
