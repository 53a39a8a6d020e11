package fencemodel

import (
	"cmp"
	"slices"

	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/raft/wire"
)

const (
	nodes      = 3
	maxEntries = 4
)

// Fence is what is asked of a node's epoch.Holder.
type Fence interface {
	Stamp() epoch.Stamp
	Apply(epoch.Epoch)
	Admit(epoch.Stamp) error
	AdmitAuthority(epoch.Stamp) error
	Administrable() error
}

// Code is what is explored. Tests plant faults in it.
type Code struct {
	// Restart makes the fence of a node that starts with the saved epoch.
	Restart func(saved epoch.Epoch) Fence
	// Save applies one committed command and returns what a crash at its end, or, where torn, at its worst moment leaves
	// on disk.
	Save func(disk Disk, c catalog.Command, torn bool) Disk
	// FenceFirst raises the fence before Save and not after it.
	FenceFirst bool
}

// Real is the code as it is.
var Real = Code{
	Restart: func(saved epoch.Epoch) Fence { return epoch.NewHolder(saved) },
	Save: func(disk Disk, c catalog.Command, torn bool) Disk {
		if torn {
			return disk // one transaction: nothing of it
		}
		return apply(disk, c)
	},
}

// Disk is the part of a catalog that group 0's bumps move.
type Disk struct {
	Applied wire.Index
	Epoch   epoch.Epoch
	Term    wire.Term
}

// apply lets the catalog apply c.
func apply(d Disk, c catalog.Command) Disk {
	s := catalog.Snapshot{Born: true, Applied: d.Applied, Epoch: d.Epoch, EpochTerm: d.Term}
	next, _, err := s.After(c.Index, []catalog.Command{c})
	if err != nil {
		panic(err) // every command here is a good one
	}
	return Disk{Applied: next.Applied, Epoch: next.Epoch, Term: next.EpochTerm}
}

// entry is one of group 0's log: the term of its leader, and the bump it holds, 0 for none.
type entry struct{ term, bump wire.Term }

// node is one node: its disk and what its fence says.
type node struct {
	disk  Disk
	fence epoch.Stamp
}

// state is one state of the world. It is comparable; nodes are interchangeable and kept sorted.
type state struct {
	log     [maxEntries]entry
	last    int
	term    wire.Term
	nodes   [nodes]node
	old     epoch.Stamp // a frame under way, however old
	crashes int
}

func (s *state) sort() {
	slices.SortFunc(s.nodes[:], func(a, b node) int {
		return cmp.Or(cmp.Compare(a.disk.Applied, b.disk.Applied), cmp.Compare(a.disk.Epoch, b.disk.Epoch), cmp.Compare(a.disk.Term, b.disk.Term),
			cmp.Compare(a.fence.Applied, b.fence.Applied), cmp.Compare(a.fence.Observed, b.fence.Observed))
	})
}

// truth is the epoch after the first n entries: the number of terms that have counted their own bump.
func (s *state) truth(n wire.Index) epoch.Epoch {
	counted := map[wire.Term]bool{}
	for _, e := range s.log[:n] {
		if e.bump != 0 && e.bump == e.term {
			counted[e.term] = true
		}
	}
	return epoch.Epoch(len(counted))
}

// next is the command that node n applies next.
func (s *state) next(n int) catalog.Command {
	i := s.nodes[n].disk.Applied
	return catalog.Command{Index: i + 1, Term: s.log[i].term, Data: catalog.EpochBump{Term: s.log[i].bump}.Append(nil)}
}

// fence rebuilds node n's fence.
func (s *state) fence(code *Code, n int) Fence {
	was := s.nodes[n].fence
	f := code.Restart(was.Applied)
	if was.Observed > was.Applied {
		_ = f.Admit(epoch.Stamp{Observed: was.Observed, Applied: was.Applied})
	}
	return f
}
