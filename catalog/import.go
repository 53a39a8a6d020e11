package catalog

import (
	"cmp"
	"fmt"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Import is a group that does not exist yet: Node makes a replica of it from a state that left its machine. Nothing is placed, routed or
// told to anybody before that is done; if it never is, a tombstone is left.
type Import struct {
	ID   wire.GroupID
	Kind string
	Node wire.NodeID
	// Token is who works on it: a process that does not know it is a later one, and ends it.
	Token uint64
}

// BeginImport reserves a group's id for an import by an active node. Said twice, with the same Token, it is Unchanged. Result.Value is the id.
type BeginImport struct {
	Kind  string
	Node  wire.NodeID
	Token uint64
}

// EndImport ends an import, once: Made says that the replica on its node is durable and begins with the whole state, so that the group is
// there from now on, with that node as its only voter. Otherwise a tombstone is left. Result.Value is the topology's version.
type EndImport struct {
	ID    wire.GroupID
	Token uint64
	Made  bool
}

// Append implements Change.
func (c BeginImport) Append(dst []byte) []byte {
	dst = wire.AppendString(header(dst, 3, kindBeginImport), c.Kind)
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.Node)), c.Token)
}

// Append implements Change.
func (c EndImport) Append(dst []byte) []byte {
	dst = wire.AppendUint(wire.AppendUint(header(dst, 3, kindEndImport), uint64(c.ID)), c.Token)
	return wire.AppendBool(dst, c.Made)
}

func readImportChange(r *wire.Reader, kind uint64) (Change, int) {
	if kind == kindBeginImport {
		return BeginImport{Kind: r.String(wire.MaxEntryData), Node: wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))), Token: r.Uint()}, 3
	}
	return EndImport{ID: wire.GroupID(r.UintMax(wire.MaxNumber)), Token: r.Uint(), Made: r.Bool()}, 3
}

func (c BeginImport) apply(s *Snapshot, _ wire.Term) Result {
	n, found := s.Topology.Find(c.Node)
	id := s.freeGroup()
	begun := Import{ID: id, Kind: c.Kind, Node: c.Node, Token: c.Token}
	same := slices.IndexFunc(s.Imports, func(i Import) bool { return i.Node == c.Node && i.Token == c.Token })
	switch {
	case !found:
		return Result{RefusedUnknown, uint64(c.Node)}
	case same >= 0:
		return Result{Unchanged, uint64(s.Imports[same].ID)}
	case n.State != NodeActive || validImport(&begun) != nil:
		return Result{RefusedInvalid, uint64(c.Node)}
	case len(s.Groups)+len(s.Imports) >= maxGroups || len(s.Imports) >= maxImports:
		return Result{RefusedInvalid, uint64(len(s.Imports))}
	}
	at, _ := s.searchImport(id)
	s.Imports = slices.Insert(slices.Clone(s.Imports), at, begun)
	s.Topology.Version++
	return Result{Done, uint64(id)}
}

func (c EndImport) apply(s *Snapshot, _ wire.Term) Result {
	i, found := s.FindImport(c.ID)
	if !found || i.Token != c.Token {
		return Result{RefusedUnknown, uint64(c.ID)}
	}
	s.endImport(i, c.Made)
	return Result{Done, s.Topology.Version}
}

// endImport makes a group of i, or a tombstone.
func (s *Snapshot) endImport(i Import, made bool) {
	at, _ := s.searchImport(i.ID)
	if s.Imports = slices.Delete(slices.Clone(s.Imports), at, at+1); len(s.Imports) == 0 {
		s.Imports = nil
	}
	g := Group{ID: i.ID, Deleted: true}
	if !made && mutant.Is(mutant.ForgetImport) {
		s.Topology.Version++
		return
	}
	if made {
		g = Group{ID: i.ID, Kind: i.Kind, Voters: []wire.NodeID{i.Node}}.Founded()
	}
	s.putGroup(g)
}

// endImports ends those of a node whose disk is gone, or which is.
func (s *Snapshot) endImports(n wire.NodeID) {
	for _, i := range s.Imports {
		if i.Node == n && !mutant.Is(mutant.AdmitWithReplicas) {
			s.endImport(i, false)
		}
	}
}

// FindImport returns the import under way that has reserved id.
func (s *Snapshot) FindImport(id wire.GroupID) (Import, bool) {
	i, found := s.searchImport(id)
	if !found {
		return Import{}, false
	}
	return s.Imports[i], true
}

func (s *Snapshot) searchImport(id wire.GroupID) (int, bool) {
	return slices.BinarySearchFunc(s.Imports, id, func(i Import, id wire.GroupID) int { return cmp.Compare(i.ID, id) })
}

func validImport(i *Import) error {
	if i.ID == wire.MetadataGroup || i.ID > wire.MaxNumber || len(i.Kind) > maxKind || !ValidVersion(i.Kind) || i.Node == wire.NoNode || i.Node > wire.MaxNodeID || i.Token == 0 {
		return fmt.Errorf("import of group %d of kind %q by node %d makes no sense", i.ID, i.Kind, i.Node)
	}
	return nil
}

// validImports checks that imports are sorted, and that no group has what they have reserved.
func validImports(s *Snapshot) error {
	if len(s.Imports) > maxImports {
		return fmt.Errorf("%d imports, %d at most", len(s.Imports), maxImports)
	}
	last := wire.MetadataGroup
	for k := range s.Imports {
		i := &s.Imports[k]
		if err := validImport(i); err != nil {
			return err
		}
		if _, found := s.searchGroup(i.ID); found || i.ID <= last {
			return fmt.Errorf("import of group %d after %d, or of a group that there is", i.ID, last)
		}
		last = i.ID
	}
	return nil
}

func appendImports(b []byte, s *Snapshot) []byte {
	b = wire.AppendArray(b, len(s.Imports))
	for _, i := range s.Imports {
		b = wire.AppendString(wire.AppendUint(wire.AppendArray(b, 4), uint64(i.ID)), i.Kind)
		b = wire.AppendUint(wire.AppendUint(b, uint64(i.Node)), i.Token)
	}
	return b
}

func readImports(r *wire.Reader, s *Snapshot) {
	for range r.ArrayLen(maxImports) {
		r.Array(4)
		i := Import{ID: wire.GroupID(r.UintMax(wire.MaxNumber)), Kind: r.String(maxKind), Node: wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))), Token: r.Uint()}
		if r.Err() != nil {
			return
		}
		s.Imports = append(s.Imports, i)
	}
}
