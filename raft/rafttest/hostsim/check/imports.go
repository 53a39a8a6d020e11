package check

import (
	"fmt"
	"slices"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Imports: a group that is made of an export is there as a whole or not at all: its id means one group; group 0 makes it one only when its
// first replica has the state; no machine is given a command before it has, nobody hears of success before it is a group; who was told
// that there is none will never see it; and of what was taken back nothing stays (D53, D54, ADR 0008).
type Imports struct {
	groups []imported
}

// imported is a group of which a part came from outside.
type imported struct {
	stage importStage
	node  wire.NodeID
	index wire.Index
	// has are the nodes whose machine has taken the state over, at least once; sum is of what it holds of it for good.
	has     []wire.NodeID
	sum     uint64
	refused bool
}

type importStage uint8

const (
	importNone importStage = iota
	importBegun
	importMade
	importTakenBack
	importDeleted // after it was a group
)

// Created is told that g is a group in the common way.
func (c *Imports) Created(g wire.GroupID) error {
	if at(&c.groups, g).stage != importNone {
		return fmt.Errorf("group %d is created, and its id was given out for an import", g)
	}
	return nil
}

// Begun is told that id g was given out, for an import by node of a state at index, of which sum stays for good; taken says that there is
// or was a group with that id.
func (c *Imports) Begun(g wire.GroupID, node wire.NodeID, index wire.Index, sum uint64, taken bool) error {
	i := at(&c.groups, g)
	if i.stage != importNone || taken {
		return fmt.Errorf("id %d is given out to node %d for an import, and was given out before", g, node)
	}
	*i = imported{stage: importBegun, node: node, index: index, sum: sum}
	return nil
}

// Adopted is told that node keeps the state as that of group g with members.
func (c *Imports) Adopted(node wire.NodeID, g wire.GroupID, members *wire.Membership) error {
	if !members.Equal(&wire.Membership{Voters: []wire.NodeID{node}}) {
		return fmt.Errorf("node %d imports group %d with members %+v", node, g, *members)
	}
	return nil
}

// Restored is told that node's machine of g has taken over a state at index.
func (c *Imports) Restored(node wire.NodeID, g wire.GroupID, index wire.Index) {
	if i := at(&c.groups, g); index >= i.index && !slices.Contains(i.has, node) {
		i.has = append(i.has, node)
	}
}

// Applies is told that node's machine of g, which had got to was, is given a command.
func (c *Imports) Applies(node wire.NodeID, g wire.GroupID, was wire.Index) error {
	if i := at(&c.groups, g); was < i.index {
		return fmt.Errorf("node %d's machine of group %d is at %d and is given a command, and the group begins with a state at %d", node, g, was, i.index)
	}
	return nil
}

// Made is told that g is a group from now on; first is where the log of it begins on its node's disk, 0 for none.
func (c *Imports) Made(g wire.GroupID, first wire.Index) error {
	i := at(&c.groups, g)
	switch {
	case i.stage != importBegun:
		return fmt.Errorf("group %d is made of an import that is not under way", g)
	case i.refused:
		return fmt.Errorf("group %d is there, and who imported it was told that it is not", g)
	case first <= i.index || !slices.Contains(i.has, i.node):
		return fmt.Errorf("group %d is announced before node %d has its state at %d: its log begins at %d", g, i.node, i.index, first)
	}
	i.stage = importMade
	return nil
}

// Ended is told that g was deleted, or its import taken back, by the node itself or with it; working says that a process there works on
// it and that it was that node that has taken it back.
func (c *Imports) Ended(g wire.GroupID, working bool) error {
	i := at(&c.groups, g)
	if working {
		return fmt.Errorf("node %d takes back the import of group %d, on which it works", i.node, g)
	}
	switch i.stage {
	case importBegun:
		i.stage = importTakenBack
	case importMade:
		i.stage = importDeleted
	}
	return nil
}

// Refused is told that who imports g is told that it will not be there.
func (c *Imports) Refused(g wire.GroupID) error {
	i := at(&c.groups, g)
	if i.refused = true; i.stage == importMade {
		return fmt.Errorf("who imported group %d is told that it is not there, and it is", g)
	}
	return nil
}

// Acknowledged is told that somebody was told of the success of a command of g, or of the import.
func (c *Imports) Acknowledged(g wire.GroupID) error {
	if i := at(&c.groups, g); i.stage == importBegun || i.stage == importTakenBack {
		return fmt.Errorf("something of group %d is acknowledged, which is no group yet", g)
	}
	return nil
}

// Holds is told what node's machine of g holds, of that which stays for good.
func (c *Imports) Holds(node wire.NodeID, g wire.GroupID, sum uint64) error {
	if i := at(&c.groups, g); i.stage == importMade && i.sum != sum {
		return fmt.Errorf("node %d's machine of group %d has not got the state that was imported", node, g)
	}
	return nil
}

// Healed is told the catalog of a node that was left in peace, and what it has of groups of which it has no replica, and of none.
func (Imports) Healed(v *catalog.Snapshot, strays []wire.GroupID, staged []string) error {
	switch {
	case len(v.Imports) > 0:
		return fmt.Errorf("imports are under way still: %+v", v.Imports)
	case len(strays)+len(staged) > 0:
		return fmt.Errorf("node %d has something of groups %v without a replica, and %v", v.Identity.NodeID, strays, staged)
	}
	return nil
}
