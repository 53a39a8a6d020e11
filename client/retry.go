package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// errUnexpected says that a node answered with a reply of another kind than asked for.
var errUnexpected = errors.New("the node answered something else than asked")

// quickTries is how many leader hints a request follows without a pause.
const quickTries = 2

// pause is the growing pause between the tries of one request.
type pause struct {
	next  time.Duration
	quick int
}

func newPause() pause { return pause{next: firstBackoff, quick: quickTries} }

// wait pauses, jittered; the next pause is twice as long.
func (p *pause) wait(ctx context.Context) error {
	d := p.next
	p.next = min(2*d, maxBackoff)
	return wait(ctx, jitter(d))
}

// try makes one attempt at one peer. A typed refusal of the server is an error too: a *wire.Error.
func (c *Client) try(ctx context.Context, p *peer, q *protocol.Request, w *call) (sent, error) {
	if p == nil {
		return notSent, errors.New("no address to try")
	}
	if err := ctx.Err(); err != nil {
		return notSent, context.Cause(ctx)
	}
	cn, err := c.connection(ctx, p)
	if err != nil {
		return notSent, err
	}
	q.Timeout = attemptTimeout
	if deadline, ok := ctx.Deadline(); ok {
		q.Timeout = min(q.Timeout, max(time.Until(deadline), time.Millisecond))
	}
	s, err := cn.ask(ctx, q, w)
	if err == nil && w.reply.Kind == protocol.ReplyError {
		return s, w.reply.Err
	}
	return s, err
}

// target chooses where to send the attempt: the leader where it is known, anyone otherwise. Any node answers for any
// group, with one more hop.
func (c *Client) target(g wire.GroupID) *peer {
	if p := c.leaderPeer(g); p != nil {
		return p
	}
	return c.anyPeer()
}

// again decides after a failed attempt whether to try once more, having waited as long as is due. It returns nil to
// try, or the error to give up with.
func (c *Client) again(ctx context.Context, g wire.GroupID, p *pause, err error) error {
	if c.life.Err() != nil {
		return ErrClosed
	}
	if errors.Is(err, errMoved) {
		return nil // where to is known, and the wait is over already
	}
	var w *wire.Error
	if errors.As(err, &w) {
		if !w.Retryable() && w.Code != wire.CodeUnknownGroup {
			return err
		}
		if w.Code == wire.CodeNotLeader && c.reaches(w.Leader) && p.quick > 0 {
			p.quick--
			c.learnLeader(g, w.Leader)
			return nil
		}
	}
	if w == nil || w.Code != wire.CodeOverloaded {
		c.learnLeader(g, wire.NoNode) // whoever it was, it did not help: anyone may know better
		c.wantRoutes()
	}
	return wrapEnd(ctx, p.wait(ctx), err)
}

// wrapEnd joins the end of the caller's patience with what went wrong last.
func wrapEnd(ctx context.Context, ended, last error) error {
	switch {
	case ended == nil:
		return nil
	case errors.Is(last, context.Cause(ctx)):
		return last
	}
	return fmt.Errorf("%w; last error: %w", ended, last)
}

// noAnswer is context.DeadlineExceeded of one attempt. It says how long that waited.
type noAnswer time.Duration

func (d noAnswer) Error() string { return fmt.Sprintf("no answer within %v", time.Duration(d)) }

// Is matches context.DeadlineExceeded.
func (noAnswer) Is(target error) bool { return target == context.DeadlineExceeded }

// read carries q out until it succeeds; nothing is changed by it, so any outcome may be repeated. shard, when not nil,
// is the key whose group to ask, anew with each try as routes change.
func (c *Client) read(ctx context.Context, key []byte, q *protocol.Request, w *call) error {
	p := newPause()
	for tries := 0; ; tries++ {
		g := q.Group
		if key != nil {
			g = c.groupOf(key)
		}
		peer := c.target(g)
		if q.Consistency == protocol.Stale && tries == 0 {
			peer = c.anyPeer() // spreads the load
		}
		w.group = g
		_, err := c.try(ctx, peer, q, w)
		if err == nil {
			return nil
		}
		if err := c.again(ctx, g, &p, err); err != nil {
			return err
		}
	}
}
