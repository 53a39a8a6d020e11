package main

import (
	"context"
	"fmt"
	"slices"

	"flotilla/client"
	"flotilla/raft/wire"
)

// dare says what the removal of a node by force means, and asks whether it is meant unless yes says so. The context that it
// returns has the whole timeout: thinking takes none of it.
func (c connection) dare(ctx context.Context, sh *shell, id wire.NodeID, yes bool) (context.Context, context.CancelFunc, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, line := range losses(st, id) {
		fmt.Fprintln(sh.err, line)
	}
	if !yes {
		if err := sh.confirm(c.base, fmt.Sprintf("remove node %d by force?", id)); err != nil {
			return nil, nil, err
		}
	}
	ctx, cancel := context.WithTimeoutCause(c.base, c.timeout, noAnswer(c.timeout))
	return ctx, cancel, nil
}

// losses says, a line for each group, what the removal of a node by force costs it.
func losses(st client.Status, id wire.NodeID) (lines []string) {
	for _, g := range st.Groups {
		switch {
		case !holds(g, id):
			continue
		case slices.Contains(g.Voters, id) && 2*reachable(st, g, id) <= len(g.Voters):
			lines = append(lines, fmt.Sprintf("group %d loses its majority and stays without, and what only node %d had is lost", g.ID, id))
		default:
			lines = append(lines, fmt.Sprintf("group %d loses its replica on node %d at once, without another in its place", g.ID, id))
		}
	}
	return lines
}

// reachable counts the voters of a group beside one that are up, as far as the node that was asked can tell.
func reachable(st client.Status, g client.GroupStatus, beside wire.NodeID) (n int) {
	for _, member := range st.Nodes {
		if member.ID != beside && slices.Contains(g.Voters, member.ID) && member.State != "down" && member.State != "listed" && member.State != "removed" {
			n++
		}
	}
	return n
}
