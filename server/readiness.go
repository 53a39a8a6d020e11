package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"flotilla"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// leadersKnown is the check that this node is in touch with the cluster: of some group that it has a replica of it knows
// the leader. A leader that has lost its majority steps down within an election timeout, so a node on its own
// fails, and one group in the middle of an election does not take a node out that serves others (N13).
func leadersKnown(replicas []flotilla.GroupStatus) Check {
	c := Check{Name: "leaders"}
	var unknown []wire.GroupID
	known := 0
	for _, g := range replicas {
		switch {
		case g.Err != nil: // out of service, whoever leads it
		case g.Leader == wire.NoNode:
			unknown = append(unknown, g.ID)
		default:
			known++
		}
	}
	switch {
	case len(unknown) == 0:
	case known == 0:
		c.Err = errors.New("none known of " + groupNames(unknown))
	default:
		c.Note = "none known of " + groupNames(unknown)
	}
	return c
}

// ledProgress is the check that every group led here commits, or could: its majority is heard, or it would not be led any
// more, what is in its log gets applied, and commands are taken (N13).
func ledProgress(replicas []flotilla.GroupStatus) Check {
	c := Check{Name: "progress"}
	var stuck []wire.GroupID
	led := 0
	for _, g := range replicas {
		if g.Role == raft.Leader {
			led++
		}
		if g.Stuck != nil {
			if len(stuck) == 0 {
				c.Err = g.Stuck
			}
			stuck = append(stuck, g.ID)
		}
	}
	if len(stuck) > 1 {
		c.Err = fmt.Errorf("%w; so %s", c.Err, groupNames(stuck[1:]))
	}
	if c.Note = fmt.Sprintf("%d groups led here", led); led == 1 {
		c.Note = "1 group led here"
	}
	return c
}

// maxGroupNames bounds how many groups a check names.
const maxGroupNames = 16

// groupNames lists groups for people.
func groupNames(ids []wire.GroupID) string {
	slices.Sort(ids)
	names := make([]string, 0, maxGroupNames)
	for _, id := range ids[:min(len(ids), maxGroupNames)] {
		names = append(names, id.String())
	}
	list := strings.Join(names, ", ")
	if more := len(ids) - maxGroupNames; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	if len(ids) == 1 {
		return "group " + list
	}
	return "groups " + list
}
