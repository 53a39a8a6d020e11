package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// session is the client's session in one group. Many writes share it: each takes a sequence, and the mark below which
// all are finished rises as they finish, in whatever order.
type session struct {
	group wire.GroupID
	mu    struct {
		sync.Mutex
		id protocol.SessionID
		// The sequences in [low, next) have been given out; finished tells which of them are done with.
		low, next protocol.Sequence
		finished  [window]bool
		// opening is closed when the opening under way ends; moved when low has moved or the session is a new one.
		opening chan struct{}
		moved   chan struct{}
	}
}

// ticket is one write's place in a session; all sequences below low were finished when it was given out.
type ticket struct {
	id       protocol.SessionID
	seq, low protocol.Sequence
}

// session returns the client's session in group g, which may have to be opened yet.
func (c *Client) session(g wire.GroupID) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.sessions[g]
	if s == nil {
		s = &session{group: g}
		s.mu.moved = make(chan struct{})
		c.mu.sessions[g] = s
	}
	return s
}

// enter gives the caller a place in the session, opening it if need be and waiting while the window is full. A ticket
// must be finished.
func (c *Client) enter(ctx context.Context, s *session) (ticket, error) {
	for {
		s.mu.Lock()
		if s.mu.id != protocol.NoSession && s.mu.next-s.mu.low < window {
			t := ticket{id: s.mu.id, seq: s.mu.next, low: s.mu.low}
			s.mu.next++
			s.mu.Unlock()
			return t, nil
		}
		if s.mu.id == protocol.NoSession && s.mu.opening == nil {
			s.mu.opening = make(chan struct{})
			s.mu.Unlock()
			if err := c.open(ctx, s); err != nil {
				return ticket{}, err
			}
			continue
		}
		changed := s.mu.moved
		if s.mu.id == protocol.NoSession {
			changed = s.mu.opening
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ticket{}, context.Cause(ctx)
		case <-c.life.Done():
			return ticket{}, ErrClosed
		}
	}
}

// open opens the session on behalf of all who wait for it. An opening whose reply was lost leaves a session that
// nobody uses: it is the first to be evicted.
//
// Where its sequences begin is drawn. A cluster that was made anew from a backup gives ids out again which the one before it has given
// to others since, and those may be here still. Two that hold the same session are far apart then, so the group refuses the one that
// is behind; with the same sequences each would get the results of what the other has written.
func (c *Client) open(ctx context.Context, s *session) error {
	w := newCall()
	defer w.release()
	err := c.read(ctx, nil, &protocol.Request{Kind: protocol.KindOpenSession, Group: s.group}, w)
	if err == nil && (w.reply.Outcome != protocol.OutcomeOK || w.reply.Session == protocol.NoSession) {
		err = fmt.Errorf("open a session in group %d: %w", s.group, errUnexpected)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		first := 1 + protocol.Sequence(rand.Uint64N(maxFirstSequence))
		s.mu.id, s.mu.low, s.mu.next = w.reply.Session, first, first
		s.mu.finished = [window]bool{}
	}
	close(s.mu.opening)
	s.mu.opening = nil
	return err
}

// mark returns the sequence below which everything is finished, for a try of t.
func (s *session) mark(t ticket) protocol.Sequence {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.id != t.id {
		return t.low
	}
	return s.mu.low
}

// finish says that t will never be tried again.
func (s *session) finish(t ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.id != t.id {
		return
	}
	s.mu.finished[t.seq%window] = true
	low := s.mu.low
	for s.mu.finished[s.mu.low%window] {
		s.mu.finished[s.mu.low%window] = false
		s.mu.low++
	}
	if low != s.mu.low && s.mu.next-low >= window { // somebody may be waiting for room
		s.announce()
	}
}

// expire forgets the session t belongs to: the group does not know it any more, or knows it as another's.
func (s *session) expire(t ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.id == t.id {
		s.mu.id = protocol.NoSession
		s.announce()
	}
}

// announce wakes who waits for a change; s.mu is held.
func (s *session) announce() {
	close(s.mu.moved)
	s.mu.moved = make(chan struct{})
}

// closeSessions tells the groups that the client's sessions are not needed any more, as far as that takes little time.
func (c *Client) closeSessions() {
	ctx, cancel := context.WithTimeout(c.life, farewell)
	defer cancel()
	c.mu.Lock()
	sessions := c.mu.sessions
	c.mu.sessions = make(map[wire.GroupID]*session)
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range sessions {
		s.mu.Lock()
		id := s.mu.id
		s.mu.Unlock()
		p := c.leaderPeer(s.group)
		if id == protocol.NoSession || p == nil {
			continue
		}
		wg.Go(func() {
			w := newCall()
			defer w.release()
			// Unanswered, the session is evicted some day.
			_, _ = c.try(ctx, p, &protocol.Request{Kind: protocol.KindCloseSession, Group: s.group, Session: id}, w)
		})
	}
	wg.Wait()
}
