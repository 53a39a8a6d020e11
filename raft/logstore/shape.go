package logstore

import (
	"fmt"
	"math"

	"flotilla/raft/wire"
)

// Shape is what the rules of wire.LogUpdate depend on. Every LogStore checks a batch with it before anything is
// written, and this one also checks what it reads back: a record that breaks the rules was not written by us.
type Shape struct {
	Held bool
	// First, Last and Hard are those of a held group.
	First, Last wire.Index
	Hard        wire.HardState
}

// ShapeOf returns the shape of a held group.
func ShapeOf(s wire.GroupState) Shape {
	return Shape{Held: true, First: s.First, Last: s.Last, Hard: s.HardState}
}

// Apply checks u against s and advances s to what it is after u. The error is an *UpdateError; s is then undefined.
func (s *Shape) Apply(u *wire.LogUpdate) error {
	fault := s.apply(u)
	if fault == "" {
		return nil
	}
	return &UpdateError{Group: u.Group, What: fault}
}

func (s *Shape) apply(u *wire.LogUpdate) string {
	if uint64(u.Group) > wire.MaxNumber {
		return "group id over the limit"
	}
	if u.Drop {
		return s.drop(u)
	}
	switch {
	case u.Create && s.Held:
		return "create of a group that is held"
	case !u.Create && !s.Held:
		return "group is not held"
	case u.Create:
		*s = Shape{Held: true, First: 1}
	}
	if u.Create || u.SetMembership {
		if fault := membershipFault(&u.Membership); fault != "" {
			return fault
		}
	}
	known := max(s.Hard.Commit, s.First-1)
	if fault := s.hardState(u); fault != "" {
		return fault
	}
	if fault := s.reset(u, known); fault != "" {
		return fault
	}
	if fault := s.entries(u); fault != "" {
		return fault
	}
	switch {
	case s.Hard.Commit > s.Last:
		return fmt.Sprintf("commit index %d beyond the last index %d", s.Hard.Commit, s.Last)
	case u.CompactTo > s.Last:
		return fmt.Sprintf("compaction to %d beyond the last index %d", u.CompactTo, s.Last)
	}
	s.First = max(s.First, u.CompactTo+1)
	return ""
}

func (s *Shape) drop(u *wire.LogUpdate) string {
	switch {
	case !s.Held:
		return "drop of a group that is not held"
	case u.Create || u.SetHardState || u.SetMembership || u.ResetTo != 0 || len(u.Entries) != 0 || u.CompactTo != 0:
		return "drop together with something else"
	}
	*s = Shape{}
	return ""
}

// hardState checks F1's other half: a term never goes back, a vote given in a term never changes.
func (s *Shape) hardState(u *wire.LogUpdate) string {
	h := u.HardState
	switch {
	case !u.SetHardState && len(u.Entries) != 0:
		return "entries without a hard state"
	case !u.SetHardState:
		return ""
	case h.Term < s.Hard.Term:
		return fmt.Sprintf("term goes back from %d to %d", s.Hard.Term, h.Term)
	case h.Term == s.Hard.Term && s.Hard.Vote != wire.NoNode && h.Vote != s.Hard.Vote:
		return fmt.Sprintf("vote in term %d changes from %d to %d", h.Term, s.Hard.Vote, h.Vote)
	case h.Term == 0 && h.Vote != wire.NoNode:
		return "vote without a term"
	case uint64(h.Term) > wire.MaxNumber || uint64(h.Commit) > wire.MaxNumber || h.Vote > wire.MaxNodeID:
		return "hard state over the limit"
	}
	h.Commit = max(h.Commit, s.Hard.Commit)
	s.Hard = h
	return ""
}

// reset checks that a log moves to a snapshot together with what belongs to it, and forward; known is the highest index
// that the group knew to be committed before.
func (s *Shape) reset(u *wire.LogUpdate, known wire.Index) string {
	switch {
	case u.ResetTo == 0:
		return ""
	case uint64(u.ResetTo) >= wire.MaxNumber:
		return "index over the limit"
	case !u.SetHardState || !u.Create && !u.SetMembership:
		return "reset without hard state or membership"
	case u.ResetTo <= known:
		return fmt.Sprintf("reset to %d, and %d is committed", u.ResetTo, known)
	case u.ResetTerm == 0 || u.ResetTerm > s.Hard.Term:
		return fmt.Sprintf("reset to an entry of term %d in term %d", u.ResetTerm, s.Hard.Term)
	case s.Hard.Commit < u.ResetTo:
		return fmt.Sprintf("reset to %d with commit index %d", u.ResetTo, s.Hard.Commit)
	case u.Membership.Index > u.ResetTo:
		return fmt.Sprintf("reset to %d with a membership of %d", u.ResetTo, u.Membership.Index)
	}
	s.First, s.Last = u.ResetTo+1, u.ResetTo
	return ""
}

// entries checks continuity (F9, D29) and that each entry can be read back.
func (s *Shape) entries(u *wire.LogUpdate) string {
	if len(u.Entries) == 0 {
		return ""
	}
	if len(u.Entries) > math.MaxUint32 {
		return "too many entries"
	}
	first := u.Entries[0].Index
	if first < s.First || first > s.Last+1 {
		return fmt.Sprintf("entries from %d on do not fit a log of [%d,%d]", first, s.First, s.Last)
	}
	for i := range u.Entries {
		e := &u.Entries[i]
		switch {
		case e.Index != first+wire.Index(i):
			return fmt.Sprintf("entry %d stands where %d should", e.Index, first+wire.Index(i))
		case e.Term == 0 || e.Term > s.Hard.Term:
			return fmt.Sprintf("entry %d of term %d in term %d", e.Index, e.Term, s.Hard.Term)
		case i > 0 && e.Term < u.Entries[i-1].Term:
			return fmt.Sprintf("term goes back at entry %d", e.Index)
		case !e.Kind.Valid() || e.Kind == wire.EntryEmpty && len(e.Data) != 0:
			return fmt.Sprintf("entry %d of kind %d with %d bytes", e.Index, e.Kind, len(e.Data))
		case len(e.Data) > wire.MaxEntryData:
			return fmt.Sprintf("entry %d has %d bytes, %d at most", e.Index, len(e.Data), wire.MaxEntryData)
		case uint64(e.Index) >= wire.MaxNumber:
			return "index over the limit"
		}
	}
	s.Last = u.Entries[len(u.Entries)-1].Index
	return ""
}

func membershipFault(m *wire.Membership) string {
	if !m.WellFormed() || uint64(m.Index) > wire.MaxNumber {
		return "membership is not well formed"
	}
	return ""
}
