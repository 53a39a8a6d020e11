package placement

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// ErrLastNode says that nobody else could take over what the node has.
var ErrLastNode = errors.New("no other node could take over: add one first, or undrain one")

// QuorumError says that groups would be without a quorum if a node left now.
type QuorumError struct {
	Node wire.NodeID
	// Groups are those groups, by rising ids; never empty.
	Groups []wire.GroupID
}

// namedGroups bounds the groups that the text names.
const namedGroups = 8

// Error names the groups and the next step.
func (e *QuorumError) Error() string {
	var names []string
	for _, g := range e.Groups[:min(len(e.Groups), namedGroups)] {
		names = append(names, g.String())
	}
	more := ""
	if n := len(e.Groups) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("without node %d too few voters would be alive in groups %s%s: start their other nodes, or wait until they have caught up",
		e.Node, strings.Join(names, ", "), more)
}

// CanRemove says why node n must not leave now: a *QuorumError if in some group the alive ones of the other voters are no
// majority of those, ErrLastNode if no other node is eligible; nil if it may. Who votes alone may leave while it is
// alive, as it hands its replica over first. alive reports whether a node was heard lately.
func CanRemove(v *catalog.Snapshot, n wire.NodeID, alive func(wire.NodeID) bool) error {
	var endangered []wire.GroupID
	for i := range v.Groups {
		g := &v.Groups[i]
		if !g.Deleted && g.Members.IsVoter(n) && !decidesWithout(v, g, n, alive) {
			endangered = append(endangered, g.ID)
		}
	}
	if len(endangered) > 0 {
		return &QuorumError{Node: n, Groups: endangered}
	}
	r := newRoster(v)
	if !slices.ContainsFunc(r, func(s seat) bool { return s.eligible && s.id != n }) {
		return ErrLastNode
	}
	return nil
}

// decidesWithout reports whether the voters of g other than n are enough.
func decidesWithout(v *catalog.Snapshot, g *catalog.Group, n wire.NodeID, alive func(wire.NodeID) bool) bool {
	votes := func(x wire.NodeID) bool {
		node, _ := v.Topology.Find(x)
		return alive(x) && node.State != catalog.NodeRemoved && !slices.Contains(g.Lost, x)
	}
	others := without(g.Members.AllVoters(), n)
	if len(others) == 0 {
		return votes(n)
	}
	return 2*len(filter(others, votes)) > len(others)
}
