package catalog

import (
	"slices"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Command is one committed command of group 0's log.
type Command struct {
	// Index and Term are those of the entry that carried it. Commands of one entry share an index.
	Index wire.Index
	Term  wire.Term
	// Data is what Change.Append wrote.
	Data []byte
}

// Apply applies commands in log order and moves the applied index to through, at least the last one's index, all
// in one transaction (P11, P22, D2). It returns one Result in bytes for each. Commands at or below the applied
// index have been applied before: they are skipped with a nil result, so replay is harmless; all
// commands of one entry must come in one call.
//
// One command that cannot be understood fails the whole call with a *CommandError, and nothing of it is applied
// (F17). So does wire.ErrNoSpace, after which the same call may be made again. After ErrFenced the outcome is unknown.
func (c *Catalog) Apply(through wire.Index, cmds []Command) ([][]byte, error) {
	var results [][]byte
	err := c.change("apply metadata", func(s Snapshot) (next Snapshot, err error) {
		if !s.Born {
			return s, ErrUnborn
		}
		next, results, err = s.After(through, cmds)
		if err == nil && next.Applied == s.Applied {
			err = errUnchanged
		}
		return next, err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// After returns what Apply makes of s, and the results; s stays as it is. It is the state machine of group 0 without
// the file.
func (s *Snapshot) After(through wire.Index, cmds []Command) (Snapshot, [][]byte, error) {
	next, results := *s, make([][]byte, len(cmds))
	if through <= s.Applied {
		return next, results, nil
	}
	last := wire.Index(0)
	for i, cmd := range cmds {
		assert.That(last <= cmd.Index && cmd.Index <= through, "catalog: command at %d after %d, through %d", cmd.Index, last, through)
		last = cmd.Index
		if cmd.Index <= s.Applied && !mutant.Is(mutant.ApplyAgain) {
			continue
		}
		change, err := ParseChange(cmd.Data)
		if err != nil {
			return *s, nil, &CommandError{Index: cmd.Index, Cause: err}
		}
		results[i] = change.apply(&next, cmd.Term).Append(nil)
	}
	next.Applied = through
	return next, results, nil
}

// apply counts a term once, and only in an entry of that term: a bump that was held up and reached the
// log under a later leader counts nothing (P20, P21, D37).
func (c EpochBump) apply(s *Snapshot, term wire.Term) Result {
	if c.Term != term {
		return Result{RefusedTerm, uint64(term)}
	}
	if c.Term <= s.EpochTerm && !mutant.Is(mutant.CountTermTwice) {
		return Result{Unchanged, uint64(s.Epoch)}
	}
	s.EpochTerm = c.Term
	s.Epoch++
	return Result{Done, uint64(s.Epoch)}
}

func (c RegisterNode) apply(s *Snapshot, _ wire.Term) Result {
	n, found := s.Topology.Find(c.ID)
	switch {
	case c.Generation == 0 || !validText(c.Addr) || len(c.HTTP) > maxText || !ValidVersion(c.Version):
		return Result{RefusedInvalid, uint64(c.Generation)}
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case n.State == NodeRemoved && !mutant.Is(mutant.RegisterRemoved):
		return Result{RefusedRemoved, uint64(c.ID)}
	case n.Generation != 0 && n.Generation != c.Generation:
		return Result{RefusedGeneration, uint64(n.Generation)}
	}
	was := n
	n.Generation, n.Addr, n.HTTP, n.Version = c.Generation, c.Addr, c.HTTP, c.Version
	if n.State == NodeListed { // a restart does not end a drain (F44)
		n.State = NodeActive
	}
	if n == was {
		return Result{Unchanged, uint64(n.Generation)}
	}
	s.Topology.put(n)
	return Result{Done, uint64(n.Generation)}
}

func (c ListNode) apply(s *Snapshot, _ wire.Term) Result {
	n, found := s.Topology.Find(c.ID)
	switch {
	case c.ID == wire.NoNode || !validText(c.Addr):
		return Result{RefusedInvalid, s.Topology.Version}
	case found && n.State == NodeRemoved:
		return Result{RefusedRemoved, uint64(c.ID)}
	case found: // a join that failed half way may be repeated (P31)
		return Result{Unchanged, s.Topology.Version}
	case len(s.Topology.Nodes) >= maxNodes:
		return Result{RefusedInvalid, maxNodes}
	}
	s.Topology.put(Node{ID: c.ID, Addr: c.Addr, State: NodeListed})
	return Result{Done, s.Topology.Version}
}

func (c SetNodeState) apply(s *Snapshot, _ wire.Term) Result {
	n, found := s.Topology.Find(c.ID)
	switch {
	case c.IfVersion != 0 && c.IfVersion != s.Topology.Version:
		return Result{RefusedVersion, s.Topology.Version}
	case !found:
		return Result{RefusedUnknown, uint64(c.ID)}
	case n.State == c.State:
		return Result{Unchanged, s.Topology.Version}
	case n.State == NodeRemoved:
		return Result{RefusedRemoved, uint64(c.ID)}
	case !c.State.Valid() || c.State == NodeListed || n.State == NodeListed && c.State != NodeRemoved:
		return Result{RefusedInvalid, uint64(n.State)}
	}
	if n.State = c.State; n.State == NodeRemoved { // it never comes back
		s.endReplicas(n.ID)
		s.endImports(n.ID)
	}
	s.Topology.put(n)
	return Result{Done, s.Topology.Version}
}

func (c PutGroup) apply(s *Snapshot, _ wire.Term) Result {
	if c.IfVersion != 0 && c.IfVersion != s.Topology.Version {
		return Result{RefusedVersion, s.Topology.Version}
	}
	if _, found := s.searchGroup(c.Group.ID); found {
		return PlaceGroup{ID: c.Group.ID, Voters: c.Group.Voters, Learners: c.Group.Learners}.apply(s, 0)
	}
	r := CreateGroup{ID: c.Group.ID, Voters: c.Group.Voters, Learners: c.Group.Learners}.apply(s, 0)
	if !r.Outcome.Refused() {
		r.Value = s.Topology.Version
	}
	return r
}

func (c AssignShards) apply(s *Snapshot, _ wire.Term) Result {
	if c.IfVersion != 0 && c.IfVersion != s.Routing.Version {
		return Result{RefusedVersion, s.Routing.Version}
	}
	next := s.Routing // an array: a copy
	for _, claim := range c.Claims {
		if i, found := s.searchGroup(claim.Group); !found || claim.Group == wire.MetadataGroup || s.Groups[i].Deleted {
			return Result{RefusedUnknown, uint64(claim.Group)}
		}
		if claim.From >= claim.To || claim.To > wire.Shards {
			return Result{RefusedInvalid, uint64(claim.From)}
		}
		for shard := claim.From; shard < claim.To; shard++ {
			next.Shards[shard] = claim.Group
		}
	}
	if next == s.Routing {
		return Result{Unchanged, s.Routing.Version}
	}
	next.Version++
	s.Routing = next
	return Result{Done, s.Routing.Version}
}

// put adds n or replaces it, in a new slice, and raises the version.
func (t *Topology) put(n Node) {
	t.Nodes = slices.Clone(t.Nodes)
	if i, found := t.search(n.ID); found {
		t.Nodes[i] = n
	} else {
		t.Nodes = slices.Insert(t.Nodes, i, n)
	}
	t.Version++
}
