package placement_test

import (
	"fmt"
	"strconv"
	"strings"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

type ids = []wire.NodeID

// states are the letters by which tests write nodes down: "1a 2d" is an active node and a draining one.
var states = map[byte]catalog.NodeState{
	'l': catalog.NodeListed, 'a': catalog.NodeActive, 'd': catalog.NodeDraining, 'v': catalog.NodeLeaving, 'r': catalog.NodeRemoved,
}

// city is a catalog of the nodes, with groups; each node but a listed one has registered.
func city(replication uint64, nodes string, groups ...catalog.Group) *catalog.Snapshot {
	v := &catalog.Snapshot{Born: true, Settings: catalog.Settings{Replication: replication}, Topology: catalog.Topology{Version: 10}, Groups: groups}
	for word := range strings.FieldsSeq(nodes) {
		id, err := strconv.ParseUint(word[:len(word)-1], 10, 64)
		if err != nil {
			panic(err)
		}
		n := catalog.Node{ID: wire.NodeID(id), Addr: "n:1", State: states[word[len(word)-1]]}
		if n.State != catalog.NodeListed {
			n.Generation = wire.Generation(id)
		}
		v.Topology.Nodes = append(v.Topology.Nodes, n)
	}
	return v
}

// group is one that has the members it wants.
func group(id wire.GroupID, leader wire.NodeID, voters ids, learners ...wire.NodeID) catalog.Group {
	return catalog.Group{ID: id, Voters: voters, Learners: learners, Leader: leader}.Founded()
}

// moving is a group that wants the voters and has others.
func moving(id wire.GroupID, leader wire.NodeID, voters ids, members wire.Membership) catalog.Group {
	g := group(id, leader, voters)
	g.Members = members
	return g
}

func text(list ids) string { return strings.Trim(fmt.Sprint(list), "[]") }

// changes writes down what Plan returned, a line each.
func changes(plan []catalog.Change) string {
	var out []string
	for _, c := range plan {
		switch c := c.(type) {
		case catalog.PlaceGroup:
			line := fmt.Sprintf("%d: %s", c.ID, text(c.Voters))
			if len(c.Learners) > 0 {
				line += " + " + text(c.Learners)
			}
			if c.Leader != wire.NoNode {
				line += fmt.Sprintf(" by %d", c.Leader)
			}
			out = append(out, fmt.Sprintf("%s @%d", line, c.IfVersion))
		case catalog.SetNodeState:
			out = append(out, fmt.Sprintf("node %d %v @%d", c.ID, c.State, c.IfVersion))
		default:
			out = append(out, fmt.Sprintf("%T", c))
		}
	}
	return strings.Join(out, "; ")
}

// words writes down what Next returned.
func words(s placement.Step) string {
	switch s.Kind {
	case placement.Transfer:
		return fmt.Sprintf("transfer to %d", s.To)
	case placement.Change:
		var out []string
		for _, c := range s.Changes.Changes {
			verb := map[wire.ChangeKind]string{
				wire.ChangeAddLearner: "learner", wire.ChangePromote: "promote", wire.ChangeRemove: "remove", wire.ChangeDemote: "demote",
			}[c.Kind]
			out = append(out, fmt.Sprintf("%s %d", verb, c.Node))
		}
		if s.Changes.SetBase {
			out = append(out, fmt.Sprintf("@%d", s.Changes.Base))
		}
		return strings.Join(out, " ")
	}
	return s.Kind.String()
}
