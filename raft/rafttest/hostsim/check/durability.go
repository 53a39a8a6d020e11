package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Durability: what a message asserts of its sender's disk is on that disk when it leaves (P2, F1, F4, D9).
type Durability struct {
	nodes [][]onDisk
}

type onDisk struct {
	hard wire.HardState
	last wire.Index
}

func (c *Durability) of(node wire.NodeID, g wire.GroupID) *onDisk {
	c.nodes = grow(c.nodes, int(node)+1)
	return at(&c.nodes[node], g)
}

// Synced is told what node's disk holds of group g for good.
func (c *Durability) Synced(node wire.NodeID, g wire.GroupID, hard wire.HardState, last wire.Index) {
	*c.of(node, g) = onDisk{hard, last}
}

// Sent is told of a message that leaves.
func (c *Durability) Sent(m *wire.Message) error {
	switch m.Type {
	case wire.MsgAppendReply:
		if d := c.of(m.From, m.Group); !m.Reject && m.Index > d.last {
			return fmt.Errorf("node %d acknowledges group %d up to %d and has %d on disk", m.From, m.Group, m.Index, d.last)
		}
	case wire.MsgVoteReply:
		d := c.of(m.From, m.Group)
		if !m.Reject && (d.hard.Term != m.Term || d.hard.Vote != m.To) && d.hard.Term <= m.Term {
			return fmt.Errorf("node %d votes for %d in term %d of group %d, its disk says %d in term %d", m.From, m.To, m.Term, m.Group, d.hard.Vote, d.hard.Term)
		}
	case wire.MsgVote:
		if d := c.of(m.From, m.Group); d.hard.Term == m.Term && d.hard.Vote != m.From || d.hard.Term < m.Term {
			return fmt.Errorf("node %d asks for votes in term %d of group %d, its disk says %d in term %d", m.From, m.Term, m.Group, d.hard.Vote, d.hard.Term)
		}
	}
	return nil
}
