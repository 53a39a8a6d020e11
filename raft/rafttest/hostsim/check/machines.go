package check

import (
	"fmt"
	"slices"

	"flotilla/raft/wire"
)

// Applied is one command as a machine was given it, and its result.
type Applied struct {
	Index wire.Index
	Term  wire.Term
	// Command and Result are Sums.
	Command, Result uint64
}

// Machines: the machines of a group are given the same commands in the same order and answer alike (state machine
// safety, P10, F31), and whoever leads later holds what any machine has been given (leader completeness): so nothing
// that was acknowledged is lost.
type Machines struct {
	groups []history
}

type history struct {
	applied []Applied
	// knownIn[n] is a term by which command n and those before it were committed.
	knownIn []wire.Term
}

// Apply is told the n-th command that a node's machine of group g is given, counted from 0, and the node's term.
// fresh says that no other machine has been that far.
func (c *Machines) Apply(node wire.NodeID, g wire.GroupID, n int, a Applied, term wire.Term) (fresh bool, err error) {
	h := at(&c.groups, g)
	switch {
	case n > len(h.applied):
		return false, fmt.Errorf("node %d applies command %d of group %d, of which only %d are known", node, n, g, len(h.applied))
	case n == len(h.applied):
		if n > 0 {
			last := h.applied[n-1]
			if a.Index < last.Index || a.Term < last.Term {
				return false, fmt.Errorf("node %d applies %d@%d of group %d after %d@%d", node, a.Index, a.Term, g, last.Index, last.Term)
			}
			term = max(term, h.knownIn[n-1])
		}
		h.applied, h.knownIn = append(h.applied, a), append(h.knownIn, term)
		return true, nil
	}
	was := h.applied[n]
	if was.Index != a.Index || was.Term != a.Term || was.Command != a.Command {
		return false, fmt.Errorf("node %d applies %d@%d as command %d of group %d, another node had applied %d@%d there (same command: %t)",
			node, a.Index, a.Term, n, g, was.Index, was.Term, was.Command == a.Command)
	}
	if was.Result != a.Result {
		return false, fmt.Errorf("node %d has another result for command %d of group %d at %d@%d", node, n, g, a.Index, a.Term)
	}
	return false, nil
}

// Acknowledged is told that somebody was told of the success of a command at index.
func (c *Machines) Acknowledged(g wire.GroupID, index wire.Index, command uint64) error {
	h := at(&c.groups, g)
	i, _ := slices.BinarySearchFunc(h.applied, index, func(a Applied, i wire.Index) int { return int(a.Index) - int(i) })
	for ; i < len(h.applied) && h.applied[i].Index == index; i++ {
		if h.applied[i].Command == command {
			return nil
		}
	}
	return fmt.Errorf("a command of group %d was acknowledged at %d, where no machine has been given it", g, index)
}

// Elected is told that node leads group g in term; termAt reads its log, on disk or not, and is 0 where it has nothing.
func (c *Machines) Elected(node wire.NodeID, g wire.GroupID, term wire.Term, termAt func(wire.Index) wire.Term) error {
	h := at(&c.groups, g)
	n, _ := slices.BinarySearch(h.knownIn, term) // those before it were committed in earlier terms
	if n == 0 {
		return nil
	}
	if a := h.applied[n-1]; termAt(a.Index) != a.Term {
		return fmt.Errorf("node %d leads group %d in term %d and has term %d at %d, where a command of term %d was applied",
			node, g, term, termAt(a.Index), a.Index, a.Term)
	}
	return nil
}

// Count returns how many commands of group g are known to have been applied.
func (c *Machines) Count(g wire.GroupID) int { return len(at(&c.groups, g).applied) }

// CountTo returns how many of them have an index up to one.
func (c *Machines) CountTo(g wire.GroupID, index wire.Index) int {
	n, _ := slices.BinarySearchFunc(at(&c.groups, g).applied, index+1, func(a Applied, i wire.Index) int { return int(a.Index) - int(i) })
	return n
}

// Term returns the term of the command of group g that was applied at index, 0 for none.
func (c *Machines) Term(g wire.GroupID, index wire.Index) wire.Term {
	h := at(&c.groups, g)
	i, found := slices.BinarySearchFunc(h.applied, index, func(a Applied, i wire.Index) int { return int(a.Index) - int(i) })
	if !found {
		return 0
	}
	return h.applied[i].Term
}
