package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Logs: two logs that agree on the term at an index agree on everything up to it (log matching, thesis section 3.6.3).
type Logs struct {
	groups [][][]mark
}

// mark is one entry as some disk held it: several at an index, one for each term.
type mark struct {
	term, before wire.Term // its own and that of the entry before it
	sum          uint64
}

// Stored is told that a node's disk has taken entries in, which follow one of term before.
func (c *Logs) Stored(node wire.NodeID, g wire.GroupID, before wire.Term, entries []wire.Entry) error {
	marks := at(&c.groups, g)
	for i := range entries {
		e := &entries[i]
		*marks = grow(*marks, int(e.Index)+1)
		m := mark{e.Term, before, Sum(e.Data) ^ uint64(e.Kind)}
		if e.Term < before {
			return fmt.Errorf("node %d, group %d: entry %d of term %d follows one of term %d", node, g, e.Index, e.Term, before)
		}
		if err := m.join(&(*marks)[e.Index]); err != nil {
			return fmt.Errorf("node %d, group %d, entry %d of term %d: %w", node, g, e.Index, e.Term, err)
		}
		before = e.Term
	}
	return nil
}

// join adds m to what is known of its index, and compares it with an entry of the same term.
func (m mark) join(known *[]mark) error {
	for _, k := range *known {
		if k.term == m.term {
			switch {
			case k.sum != m.sum:
				return fmt.Errorf("another node holds other data")
			case k.before != m.before:
				return fmt.Errorf("it follows term %d here and term %d elsewhere", m.before, k.before)
			}
			return nil
		}
	}
	*known = append(*known, m)
	return nil
}
