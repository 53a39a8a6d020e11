package wire

import "unicode/utf8"

// Number of fields of each array; docs/format.md has them one by one.
const (
	messageFields    = 13
	entryFields      = 4
	hardStateFields  = 3
	membershipFields = 5
	changeSetFields  = 2
	changeFields     = 2
	errorFields      = 4

	// minEntryBytes is the smallest encoding of an entry: array header and four values of a byte.
	minEntryBytes = 5
)

// AppendEntry appends e as [term, index, kind, data].
func AppendEntry(dst []byte, e *Entry) []byte {
	dst = AppendArray(dst, entryFields)
	dst = AppendUint(dst, uint64(e.Term))
	dst = AppendUint(dst, uint64(e.Index))
	dst = AppendUint(dst, uint64(e.Kind))
	return AppendBytes(dst, e.Data)
}

// ReadEntry reads what AppendEntry appends; the data aliases the input. Term and index are at least 1, the
// kind is known, an empty entry has no data.
func ReadEntry(r *Reader) Entry {
	off := r.off
	r.Array(entryFields)
	e := Entry{
		Term:  Term(r.UintMax(MaxNumber)),
		Index: Index(r.UintMax(MaxNumber)),
		Kind:  EntryKind(r.UintMax(0xff)),
		Data:  r.Bytes(),
	}
	switch {
	case r.err != nil:
		return Entry{}
	case len(e.Data) > MaxEntryData:
		r.failAt(off, "entry data", ErrLimit)
	case e.Term == 0 || e.Index == 0 || !e.Kind.Valid():
		r.failAt(off, "entry", ErrInvalid)
	case e.Kind == EntryEmpty && len(e.Data) != 0:
		r.failAt(off, "empty entry", ErrInvalid)
	default:
		return e
	}
	return Entry{}
}

// AppendHardState appends h as [term, vote, commit].
func AppendHardState(dst []byte, h HardState) []byte {
	dst = AppendArray(dst, hardStateFields)
	dst = AppendUint(dst, uint64(h.Term))
	dst = AppendUint(dst, uint64(h.Vote))
	return AppendUint(dst, uint64(h.Commit))
}

// ReadHardState reads what AppendHardState appends. A vote needs a term.
func ReadHardState(r *Reader) HardState {
	off := r.off
	r.Array(hardStateFields)
	h := HardState{
		Term:   Term(r.UintMax(MaxNumber)),
		Vote:   NodeID(r.UintMax(uint64(MaxNodeID))),
		Commit: Index(r.UintMax(MaxNumber)),
	}
	if r.err == nil && h.Term == 0 && h.Vote != NoNode {
		r.failAt(off, "hard state", ErrInvalid)
	}
	if r.err != nil {
		return HardState{}
	}
	return h
}

// AppendMembership appends m as [index, [voters], [learners], [outgoing], [demoted]].
func AppendMembership(dst []byte, m *Membership) []byte {
	dst = AppendArray(dst, membershipFields)
	dst = AppendUint(dst, uint64(m.Index))
	dst = AppendNodes(dst, m.Voters)
	dst = AppendNodes(dst, m.Learners)
	dst = AppendNodes(dst, m.Outgoing)
	return AppendNodes(dst, m.Demoted)
}

// ReadMembership reads what AppendMembership appends, if it is well formed.
func ReadMembership(r *Reader) Membership {
	off := r.off
	r.Array(membershipFields)
	m := Membership{
		Index: Index(r.UintMax(MaxNumber)), Voters: ReadNodes(r), Learners: ReadNodes(r),
		Outgoing: ReadNodes(r), Demoted: ReadNodes(r),
	}
	if r.err == nil && !m.WellFormed() {
		r.failAt(off, "membership", ErrInvalid)
	}
	if r.err != nil {
		return Membership{}
	}
	return m
}

// AppendNodes appends ids as an array.
func AppendNodes(dst []byte, ids []NodeID) []byte {
	dst = AppendArray(dst, len(ids))
	for _, id := range ids {
		dst = AppendUint(dst, uint64(id))
	}
	return dst
}

// ReadNodes reads an array of at most MaxMembers node ids, strictly rising from 1 on. An empty one is nil.
func ReadNodes(r *Reader) []NodeID {
	n := r.ArrayLen(MaxMembers)
	if n == 0 {
		return nil
	}
	ids := make([]NodeID, 0, n)
	for last := NoNode; len(ids) < n; {
		off := r.off
		id := NodeID(r.UintMax(uint64(MaxNodeID)))
		if r.err == nil && id <= last {
			r.failAt(off, "node ids", ErrInvalid)
		}
		if r.err != nil {
			return nil
		}
		ids, last = append(ids, id), id
	}
	return ids
}

// AppendChangeSet appends s as [base or nil, [[kind, node]...]].
func AppendChangeSet(dst []byte, s *ChangeSet) []byte {
	dst = AppendArray(dst, changeSetFields)
	if s.SetBase {
		dst = AppendUint(dst, uint64(s.Base))
	} else {
		dst = AppendNil(dst)
	}
	dst = AppendArray(dst, len(s.Changes))
	for _, c := range s.Changes {
		dst = AppendArray(dst, changeFields)
		dst = AppendUint(dst, uint64(c.Kind))
		dst = AppendUint(dst, uint64(c.Node))
	}
	return dst
}

// ReadChangeSet reads what AppendChangeSet appends: at most MaxChanges of known kinds, each of another node. No
// changes are nil.
func ReadChangeSet(r *Reader) ChangeSet {
	off := r.off
	r.Array(changeSetFields)
	var s ChangeSet
	if s.SetBase = !r.Nil(); s.SetBase {
		s.Base = Index(r.UintMax(MaxNumber))
	}
	for range r.ArrayLen(MaxChanges) {
		s.Changes = append(s.Changes, readChange(r))
	}
	if r.err == nil && !s.distinct() {
		r.failAt(off, "changes of one node", ErrInvalid)
	}
	if r.err != nil {
		return ChangeSet{}
	}
	return s
}

func readChange(r *Reader) Change {
	off := r.off
	r.Array(changeFields)
	c := Change{Kind: ChangeKind(r.UintMax(0xff)), Node: NodeID(r.UintMax(uint64(MaxNodeID)))}
	if r.err == nil && (!c.Kind.Valid() || c.Node == NoNode) {
		r.failAt(off, "change", ErrInvalid)
	}
	return c
}

// AppendError appends e as [code, group, leader, detail]. The cause stays here; a detail of more than
// MaxDetail bytes is cut at a rune.
func AppendError(dst []byte, e *Error) []byte {
	dst = AppendArray(dst, errorFields)
	dst = AppendUint(dst, uint64(e.Code))
	dst = AppendUint(dst, uint64(e.Group))
	dst = AppendUint(dst, uint64(e.Leader))
	return AppendString(dst, cut(e.Detail, MaxDetail))
}

// cut shortens s to at most limit bytes without cutting a rune in two.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// ReadError reads what AppendError appends; nil after a failure. A code that this version does not know
// says nothing about the outcome, so it becomes CodeUnknownOutcome.
func ReadError(r *Reader) *Error {
	off := r.off
	r.Array(errorFields)
	e := Error{
		Code:   Code(r.UintMax(0xff)),
		Group:  GroupID(r.UintMax(MaxNumber)),
		Leader: NodeID(r.UintMax(uint64(MaxNodeID))),
		Detail: r.String(MaxDetail),
	}
	if r.err == nil && e.Code == 0 {
		r.failAt(off, "error code", ErrInvalid)
	}
	if r.err != nil {
		return nil
	}
	if e.Code > maxCode {
		e.Code = CodeUnknownOutcome
	}
	return &e
}
