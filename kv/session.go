package kv

import (
	"slices"

	"flotilla/internal/assert"
)

// outcome is the kept result of one sequence; a zero status means that it has not been applied.
type outcome struct {
	revision Revision
	status   Status
}

// session holds the outcomes of the sequences [acked, acked+len(ring)); sequence s lies at s modulo
// len(ring), a power of two.
type session struct {
	id    SessionID
	acked Sequence
	ring  []outcome
	// era is the table's when the ring was made. A ring of an earlier era may be that of a frozen state, too: it is not written to.
	era        uint64
	prev, next *session
}

// sessions is the table of a group's sessions, in order of their last use: root.next is the most recent
// one. The map is only ever looked up, never iterated: its order is not deterministic.
type sessions struct {
	byID    map[SessionID]*session
	root    session
	last    SessionID
	results int
	// era counts how often the table was frozen.
	era uint64
}

func newSessions() *sessions {
	t := &sessions{byID: make(map[SessionID]*session)}
	t.root.next, t.root.prev = &t.root, &t.root
	return t
}

// open makes a session, evicting the least recently used one when there are too many.
func (t *sessions) open() *session {
	if len(t.byID) >= MaxSessions {
		t.drop(t.root.prev)
	}
	t.last++
	s := &session{id: t.last, acked: 1, era: t.era}
	t.byID[s.id] = s
	t.pushFront(s)
	return s
}

// use returns session id and makes it the most recently used one; nil if it is not known.
func (t *sessions) use(id SessionID) *session {
	s := t.byID[id]
	if s != nil && t.root.next != s {
		unlink(s)
		t.pushFront(s)
	}
	return s
}

// drop forgets s.
func (t *sessions) drop(s *session) {
	assert.That(s != &t.root, "the table's root is no session")
	unlink(s)
	t.results -= len(s.ring)
	delete(t.byID, s.id)
	assert.That(t.results >= 0, "session results counted below zero")
}

func (t *sessions) pushFront(s *session) {
	s.prev, s.next = &t.root, t.root.next
	s.next.prev, t.root.next = s, s
}

// pushBack adds a session that was restored as the least recently used one.
func (t *sessions) pushBack(s *session) {
	s.prev, s.next = t.root.prev, &t.root
	s.prev.next, t.root.prev = s, s
	t.byID[s.id] = s
	t.results += len(s.ring)
	assert.That(len(t.byID) <= MaxSessions && t.results <= MaxResults, "%d sessions with %d results", len(t.byID), t.results)
}

func unlink(s *session) {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

// fit makes room in s for sequence q, which lies within MaxWindow of the mark. Room for results is bounded
// over all sessions: the least recently used others give way.
func (t *sessions) fit(s *session, q Sequence) {
	need := int(q-s.acked) + 1
	if need <= len(s.ring) {
		return
	}
	size := max(firstResults, len(s.ring))
	for size < need {
		size *= 2
	}
	for t.results+size-len(s.ring) > MaxResults && t.root.prev != s {
		t.drop(t.root.prev)
	}
	ring := make([]outcome, size)
	for i := range Sequence(len(s.ring)) {
		at := s.acked + i
		ring[at&Sequence(size-1)] = s.ring[at&Sequence(len(s.ring)-1)]
	}
	t.results += size - len(s.ring)
	s.ring, s.era = ring, t.era
}

// own makes s's ring one that can be written to.
func (t *sessions) own(s *session) {
	if s.era != t.era {
		s.ring, s.era = slices.Clone(s.ring), t.era
	}
}

// acknowledge forgets the outcomes of all of s's sequences below mark.
func (t *sessions) acknowledge(s *session, mark Sequence) {
	if mark <= s.acked {
		return
	}
	t.own(s)
	for i := range min(mark-s.acked, Sequence(len(s.ring))) {
		*s.at(s.acked + i) = outcome{}
	}
	s.acked = mark
}

// at returns the place of sequence q, which the ring covers. Whoever writes there owns the ring.
func (s *session) at(q Sequence) *outcome { return &s.ring[q&Sequence(len(s.ring)-1)] }
