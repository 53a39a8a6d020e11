package catalog

import (
	"fmt"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// AppendShared appends group 0's part of s, which is the same on all nodes at the same Applied: everything but the file's format,
// the identity and the incarnation.
func (s *Snapshot) AppendShared(dst []byte) []byte {
	dst = wire.AppendArray(dst, 8)
	dst = wire.AppendUint(dst, uint64(len(ledger)))
	for _, part := range []func([]byte, *Snapshot) []byte{appendSettings, appendTopology, appendGroups, appendRouting, appendProgress, appendTokens, appendImports} {
		dst = part(dst, s)
	}
	return dst
}

// ReadShared reads what AppendShared appends, of this version's format, and validates it.
func ReadShared(b []byte) (Snapshot, error) {
	var s Snapshot
	r := wire.NewReader(b)
	if len(b) > maxShared {
		r.Fail("shared state", wire.ErrLimit)
	}
	r.Array(8)
	if v := r.Uint(); r.Err() == nil && v != uint64(len(ledger)) {
		return s, &FormatError{Found: v, Known: uint64(len(ledger))}
	}
	for _, part := range []func(*wire.Reader, *Snapshot){readSettings, readTopology, readGroups, readRouting, readProgress, readTokens, readImports} {
		part(r, &s)
	}
	if err := r.Done(); err != nil {
		return s, fmt.Errorf("shared state of a catalog: %w", err)
	}
	if err := s.validateShared(); err != nil {
		return s, fmt.Errorf("shared state of a catalog: %w", err)
	}
	return s, nil
}

// Join settles identity and group 0's state as of shared, in one transaction (P30, P31, F47). It refuses with ErrBorn if there is
// an identity (F46), and a shared state in which the node is not admitted by id's very generation: it is another directory's,
// or older than the admission, and nothing would be known of the replicas that this one lacks (N8).
func (c *Catalog) Join(id Identity, shared *Snapshot) error {
	s := *shared
	s.Born, s.Identity, s.Incarnation = true, id, 0
	if err := s.validate(); err != nil {
		return fmt.Errorf("join catalog: %w", err)
	}
	self, _ := s.Topology.Find(id.NodeID)
	if (self.Generation != id.Generation || self.State == NodeRemoved) && !mutant.Is(mutant.JoinUnadmitted) {
		return fmt.Errorf("join catalog: %w", ErrNotAdmitted)
	}
	return c.change("join catalog", func(was Snapshot) (Snapshot, error) {
		if was.Born {
			return was, ErrBorn
		}
		s.Format = was.Format
		return s, nil
	})
}
