package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Snapshots: replicas that make one at the same index make the same; it is the state that the log has led to, with the membership of
// that index and not of today (D53, D59); a machine takes over none but these, and only forward (P37, I7).
type Snapshots struct {
	groups []states
}

// states are those of a group.
type states struct {
	// memberships took effect, by rising index.
	memberships []wire.Membership
	made        map[wire.Index]*made
}

type made struct {
	node wire.NodeID
	s    wire.Snapshot
	sum  uint64
}

// Effect is told of a membership that took effect somewhere; that of index 0 is the group's origin.
func (c *Snapshots) Effect(g wire.GroupID, m *wire.Membership) {
	k := at(&c.groups, g)
	i := len(k.memberships)
	for i > 0 && k.memberships[i-1].Index > m.Index {
		i--
	}
	if i > 0 && k.memberships[i-1].Index == m.Index {
		return
	}
	k.memberships = append(k.memberships, wire.Membership{})
	copy(k.memberships[i+1:], k.memberships[i:])
	k.memberships[i] = *m
}

// Held is told from which index on a node's disk holds the log of a group, and the membership of which change: the disk knows what the
// log has led to that is gone (D53).
func (c *Snapshots) Held(node wire.NodeID, g wire.GroupID, change, first wire.Index) error {
	k := at(&c.groups, g).memberships
	for i := len(k) - 1; i >= 0 && k[i].Index > change; i-- {
		if k[i].Index < first {
			return fmt.Errorf("node %d holds group %d's log from %d on and the membership of %d, but that of %d took effect", node, g, first, change, k[i].Index)
		}
	}
	return nil
}

// Made is told that node has made a snapshot of group g, whose state has a sum, after which commands of the group had been applied;
// known is how many commands any machine was given up to its index.
func (c *Snapshots) Made(node wire.NodeID, g wire.GroupID, s *wire.Snapshot, sum uint64, commands, known int) error {
	k := at(&c.groups, g)
	if k.made == nil {
		k.made = map[wire.Index]*made{}
	}
	if commands != known {
		return fmt.Errorf("node %d's snapshot of group %d at %d holds %d commands, the log has %d up to there", node, g, s.Index, commands, known)
	}
	was := k.made[s.Index]
	switch {
	case was == nil:
		k.made[s.Index] = &made{node: node, s: *s, sum: sum}
	case was.s.Term != s.Term || was.sum != sum:
		return fmt.Errorf("node %d's snapshot of group %d at %d of term %d is another one than node %d's of term %d", node, g, s.Index, s.Term, was.node, was.s.Term)
	}
	for i := len(k.memberships) - 1; i >= 0; i-- {
		if m := &k.memberships[i]; m.Index <= s.Index {
			if !m.Equal(&s.Membership) {
				return fmt.Errorf("node %d's snapshot of group %d at %d has membership %+v, in effect there was %+v", node, g, s.Index, s.Membership, *m)
			}
			break
		}
	}
	return nil
}

// Restored is told that node's machine of group g, which had got to was, has taken over a state with a sum that is to be the one at index.
func (c *Snapshots) Restored(node wire.NodeID, g wire.GroupID, was, index wire.Index, sum uint64) error {
	if index <= was {
		return fmt.Errorf("node %d's machine of group %d goes back from %d to %d", node, g, was, index)
	}
	if m := at(&c.groups, g).made[index]; m == nil || m.sum != sum {
		return fmt.Errorf("node %d's machine of group %d takes over a state at %d that nobody has made", node, g, index)
	}
	return nil
}

// Applies is told that node's machine of group g, which had got to was, is given a command of index.
func (c *Snapshots) Applies(node wire.NodeID, g wire.GroupID, was, index wire.Index) error {
	if index <= was {
		return fmt.Errorf("node %d's machine of group %d is at %d and is given %d", node, g, was, index)
	}
	return nil
}

// Bounded is told how many bytes of a group's log a node holds after it was left in peace, and what is the most (F25).
func (c *Snapshots) Bounded(node wire.NodeID, g wire.GroupID, bytes, most int64) error {
	if bytes > most {
		return fmt.Errorf("node %d holds %d bytes of group %d's log, %d at most", node, bytes, g, most)
	}
	return nil
}
