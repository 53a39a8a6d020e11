package server

import (
	"context"
	"errors"
	"time"

	"flotilla/raft/wire"
)

// redirects says what becomes of an answer that names another node as leader.
type redirects uint8

const (
	// redirectsReturned: the client finds its way, a native one.
	redirectsReturned redirects = iota
	// redirectsWaited: it cannot. The node follows by itself once it knows better.
	redirectsWaited
)

// led has ask carried out, and again for as long as it is refused because its group has no leader: an election is worth
// waiting for, within ctx and the patience of three election timeouts (P18 leaves that to the engine's callers). What may have
// had an effect is never repeated.
func (s *Server) led(ctx context.Context, r redirects, ask func() ([]byte, error)) ([]byte, error) {
	wait := s.limits.leaderWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)*3/4) // a refusal that comes too late is an unknown outcome to who asked
	}
	over, pause := time.Now().Add(wait), firstLeaderPause
	for {
		answer, err := ask()
		left := time.Until(over)
		if !leaderless(err, r) || left <= 0 {
			return answer, err
		}
		if rest(ctx, min(pause, left)) != nil {
			return answer, err
		}
		pause = min(2*pause, maxLeaderPause)
	}
}

// leaderless reports whether a request had no effect because its group had no leader that could be reached.
func leaderless(err error, r redirects) bool {
	var e *wire.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case wire.CodeNoLeader:
		return true
	case wire.CodeNotLeader:
		return r == redirectsWaited || e.Leader == wire.NoNode
	case wire.CodeUnreachable, wire.CodeStaleEpoch: // heals within a round trip
		return r == redirectsWaited
	}
	return false
}

// rest waits for d, or fails when ctx ends first.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
