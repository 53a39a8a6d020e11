package client

import (
	"context"
	"errors"
	"fmt"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// Result is what a write came to.
type Result struct {
	// Revision is the key's new one; after a delete, the revision of the delete.
	Revision Revision
	// Group holds the key, Epoch is the epoch the answering node had applied.
	Group wire.GroupID
	Epoch uint64
}

// Item is a key's value.
type Item struct {
	Key      []byte
	Value    []byte
	Revision Revision
	Group    wire.GroupID
}

// Put sets key to value. Errors are *Error.
func (c *Client) Put(ctx context.Context, key, value []byte) (Result, error) {
	return c.write(ctx, "put", protocol.Request{Kind: protocol.KindPut, Key: key, Value: value})
}

// PutIf sets key to value if the key's revision is expected, 0 meaning that it must not exist. Otherwise it fails with
// ErrPrecondition and the present revision in the *Error.
func (c *Client) PutIf(ctx context.Context, key, value []byte, expected Revision) (Result, error) {
	return c.write(ctx, "put", protocol.Request{Kind: protocol.KindPut, Key: key, Value: value, Require: protocol.AtRevision(expected)})
}

// Delete removes key; ErrNotFound if it does not exist. Errors are *Error.
func (c *Client) Delete(ctx context.Context, key []byte) (Result, error) {
	return c.write(ctx, "delete", protocol.Request{Kind: protocol.KindDelete, Key: key})
}

// DeleteIf removes key if its revision is expected, like PutIf.
func (c *Client) DeleteIf(ctx context.Context, key []byte, expected Revision) (Result, error) {
	return c.write(ctx, "delete", protocol.Request{Kind: protocol.KindDelete, Key: key, Require: protocol.AtRevision(expected)})
}

// Get reads key linearizably: it sees every write acknowledged before the call. ErrNotFound if it does not exist.
func (c *Client) Get(ctx context.Context, key []byte) (Item, error) {
	return c.get(ctx, key, protocol.Linearizable)
}

// GetStale reads key from the state of whichever node answers, which may be behind.
func (c *Client) GetStale(ctx context.Context, key []byte) (Item, error) {
	return c.get(ctx, key, protocol.Stale)
}

func (c *Client) get(ctx context.Context, key []byte, consistency protocol.Consistency) (Item, error) {
	if err := checkKey("get", key); err != nil {
		return Item{}, err
	}
	w := newCall()
	defer w.release()
	if err := c.read(ctx, key, &protocol.Request{Kind: protocol.KindGet, Key: key, Consistency: consistency}, w); err != nil {
		return Item{}, certain("get", key, err)
	}
	switch {
	case w.reply.Kind != protocol.ReplyValue:
		return Item{}, certain("get", key, errUnexpected)
	case w.reply.Outcome != protocol.OutcomeOK:
		return Item{}, refused("get", key, w.reply.Outcome, 0, 0)
	}
	return Item{Key: key, Value: w.reply.Value, Revision: w.reply.Revision, Group: w.reply.Group}, nil
}

func checkKey(op string, key []byte) error {
	if len(key) == 0 || len(key) > protocol.MaxKeyBytes {
		return tooLarge(op, key, fmt.Sprintf("key of %d bytes", len(key)))
	}
	return nil
}

func tooLarge(op string, key []byte, detail string) *Error {
	p := protocol.ProblemOf(&wire.Error{Code: wire.CodeTooLarge})
	p.Message = detail
	return &Error{Op: op, Key: string(key[:min(len(key), 64)]), Problem: p}
}

// write makes one write happen exactly once, or says what is known of it.
func (c *Client) write(ctx context.Context, op string, q protocol.Request) (Result, error) {
	if err := checkKey(op, q.Key); err != nil {
		return Result{}, err
	}
	if len(q.Value) > protocol.MaxValueBytes {
		return Result{}, tooLarge(op, q.Key, fmt.Sprintf("value of %d bytes", len(q.Value)))
	}
	w := newCall()
	defer w.release()
	p := newPause()
	for {
		q.Group = c.groupOf(q.Key)
		s := c.session(q.Group)
		t, err := c.enter(ctx, s)
		if err != nil {
			return Result{}, certain(op, q.Key, err) // a write not sent had no effect
		}
		end, err := c.writeOnce(ctx, s, t, &p, &q, w)
		s.finish(t)
		switch {
		case end == writeUnknown:
			return Result{}, uncertain(op, q.Key, err)
		case end == writeNot:
			return Result{}, certain(op, q.Key, err)
		case end == writeElsewhere:
			continue
		case w.reply.Outcome != protocol.OutcomeOK:
			return Result{}, refused(op, q.Key, w.reply.Outcome, w.reply.Revision, q.Require)
		}
		return Result{Revision: w.reply.Revision, Group: w.reply.Group, Epoch: w.reply.Epoch}, nil
	}
}

// writeEnd is how the tries under one ticket ended.
type writeEnd uint8

const (
	// writeAnswered: the group's answer is in the call.
	writeAnswered writeEnd = iota
	// writeNot: it had no effect and will have none.
	writeNot
	// writeUnknown: it may have had an effect.
	writeUnknown
	// writeElsewhere: no effect under this ticket; another is needed, as session or group are not right any more.
	writeElsewhere
)

// writeOnce tries q under ticket t until the outcome is known or ctx ends. An unknown outcome of one try is repeated
// under the same sequence, which the group carries out once at most (N7, D39); as long as one try is in doubt,
// only the group's answer ends the doubt, never a later refusal.
func (c *Client) writeOnce(ctx context.Context, s *session, t ticket, p *pause, q *protocol.Request, w *call) (writeEnd, error) {
	doubt := writeNot
	for {
		q.Session, q.Sequence, q.Acked = t.id, t.seq, s.mark(t)
		w.group = q.Group
		sent, err := c.try(ctx, c.target(q.Group), q, w)
		if err == nil {
			switch {
			case w.reply.Kind != protocol.ReplyWrite:
				return writeUnknown, errUnexpected
			case w.reply.Outcome == protocol.OutcomeSessionExpired, w.reply.Outcome == protocol.OutcomeAcknowledged,
				w.reply.Outcome == protocol.OutcomeWindow: // the session is gone, or another's
				s.expire(t)
				if doubt == writeUnknown {
					return writeUnknown, errors.New("the session expired meanwhile")
				}
				return writeElsewhere, nil
			}
			return writeAnswered, nil
		}
		if ambiguous(sent, err) {
			doubt = writeUnknown
		}
		if wire.CodeOf(err) == wire.CodeUnknownGroup {
			c.wantRoutes()
			if doubt == writeNot && c.groupOf(q.Key) != q.Group {
				return writeElsewhere, nil
			}
		}
		if err := c.again(ctx, q.Group, p, err); err != nil {
			return doubt, err
		}
	}
}

// ambiguous reports whether a failed try may have been carried out.
func ambiguous(s sent, err error) bool {
	var w *wire.Error
	if errors.As(err, &w) {
		return w.Ambiguous() || w.Code == wire.CodeInternal // a fault says nothing about what came before it
	}
	return s == maybeSent
}
