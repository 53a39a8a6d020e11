package server

import (
	"context"
	"errors"
	"time"

	"flotilla/client/protocol"
	"flotilla/epoch"
	"flotilla/kv"
	"flotilla/raft/wire"
)

// task is one request on its way through the pool. It holds nothing of the frame it came in.
type task struct {
	conn        *session
	kind        protocol.Kind
	id          uint64
	group       wire.GroupID
	timeout     time.Duration
	consistency protocol.Consistency
	admin       protocol.Admin
	// payload is the command or the query for the group's machine.
	payload []byte
	cost    int64
}

// prepare checks q and turns it into a task, in the byte form of the group's machine.
func (c *session) prepare(q *protocol.Request) (task, *wire.Error) {
	t := task{conn: c, kind: q.Kind, id: q.ID, group: q.Group, timeout: q.Timeout, consistency: q.Consistency}
	if t.timeout <= 0 {
		t.timeout = protocol.MaxTimeout
	}
	switch q.Kind {
	case protocol.KindPut, protocol.KindDelete:
		refusal := c.prepareWrite(&t, q)
		return t, refusal
	case protocol.KindGet:
		if err := checkKey(q.Key); err != nil {
			return t, err
		}
		t.group = c.server.groupOf(q.Key)
		t.payload = kv.AppendGet(make([]byte, 0, len(q.Key)+8), q.Key)
	case protocol.KindScan:
		if len(q.Key) > protocol.MaxKeyBytes || len(q.After) > protocol.MaxKeyBytes {
			return t, &wire.Error{Code: wire.CodeTooLarge, Detail: "prefix or position longer than a key"}
		}
		t.payload = kv.AppendScan(nil, kv.Scan{Prefix: q.Key, After: q.After, Limit: q.Limit})
	case protocol.KindOpenSession:
		t.payload = kv.AppendCommand(nil, &kv.Command{Op: kv.OpOpen})
	case protocol.KindCloseSession:
		t.payload = kv.AppendCommand(nil, &kv.Command{Op: kv.OpClose, Session: kv.SessionID(q.Session)})
	case protocol.KindAdmin:
		t.admin, t.group = q.Admin, q.Admin.Group
		return t, nil
	case protocol.KindStatus, protocol.KindRoutes, protocol.KindExport:
		return t, nil
	}
	if q.Kind != protocol.KindGet && !c.server.holdsKeys(t.group) {
		return t, &wire.Error{Code: wire.CodeUnknownGroup, Group: t.group, Detail: "no keys are routed to it"}
	}
	return t, nil
}

func (c *session) prepareWrite(t *task, q *protocol.Request) *wire.Error {
	if err := checkKey(q.Key); err != nil {
		return err
	}
	if err := checkValue(len(q.Value)); err != nil {
		return err
	}
	t.group = c.server.groupOf(q.Key)
	if q.Session != protocol.NoSession && q.Group != t.group {
		// The session lives in q.Group: in another group its sequence would mean nothing.
		return &wire.Error{Code: wire.CodeUnknownGroup, Group: q.Group, Detail: "the key is in group " + t.group.String()}
	}
	command := kv.Command{
		Op: kv.OpPut, Session: kv.SessionID(q.Session), Sequence: kv.Sequence(q.Sequence), Acked: kv.Sequence(q.Acked),
		Key: q.Key, Value: q.Value,
	}
	if q.Kind == protocol.KindDelete {
		command.Op = kv.OpDelete
	}
	if revision, ok := q.Require.Revision(); ok {
		command.Require = kv.AtRevision(kv.Revision(revision))
	}
	t.payload = kv.AppendCommand(make([]byte, 0, len(q.Key)+len(q.Value)+56), &command)
	return nil
}

// run carries the task out and replies.
func (t task) run() {
	c := t.conn
	defer func() {
		c.inFlight.Add(-1)
		c.bytes.Release(t.cost)
	}()
	if t.kind == protocol.KindExport {
		t.export()
		return
	}
	var reply protocol.Reply
	err := t.unread() // before the group is asked: it has others to serve
	if err == nil {
		ctx, cancel := context.WithTimeout(c.ctx, t.timeout)
		reply, err = t.execute(ctx)
		cancel()
	}
	if err == nil {
		err = t.unread() // many that came at once passed the first look together
	}
	reply.ID = t.id
	if err != nil {
		reply = protocol.Reply{Kind: protocol.ReplyError, ID: t.id, Err: err}
	}
	_ = c.reply(&reply) // it closes the connection itself; there is nobody else to tell
	c.server.metrics.request(err)
}

// unread refuses a read while too much of earlier replies waits for a client that does not take them.
func (t *task) unread() *wire.Error {
	c := t.conn
	if t.kind != protocol.KindGet && t.kind != protocol.KindScan || c.out.Backlog() <= c.server.limits.replyBytes {
		return nil
	}
	return &wire.Error{Code: wire.CodeOverloaded, Group: t.group, Detail: "earlier replies are not read yet"}
}

// execute asks the host. The error, when not nil, is what to reply.
func (t *task) execute(ctx context.Context) (protocol.Reply, *wire.Error) {
	s := t.conn.server
	switch t.kind {
	case protocol.KindPut, protocol.KindDelete:
		r, err := s.propose(ctx, t.group, redirectsReturned, t.payload)
		if err != nil {
			return protocol.Reply{}, commandError(t.group, err)
		}
		return protocol.Reply{
			Kind: protocol.ReplyWrite, Outcome: protocol.Outcome(r.Status), Revision: protocol.Revision(r.Revision),
			Group: t.group, Epoch: s.host.Epoch(),
		}, nil
	case protocol.KindOpenSession, protocol.KindCloseSession:
		r, err := s.propose(ctx, t.group, redirectsReturned, t.payload)
		if err != nil {
			return protocol.Reply{}, commandError(t.group, err)
		}
		return protocol.Reply{Kind: protocol.ReplySession, Outcome: protocol.Outcome(r.Status), Session: protocol.SessionID(r.Session)}, nil
	case protocol.KindGet:
		return t.get(ctx)
	case protocol.KindScan:
		return t.scan(ctx)
	case protocol.KindAdmin:
		return t.administer(ctx)
	case protocol.KindStatus:
		st := s.host.Status()
		if st.Normalize(); t.conn.version < protocol.VersionTransfers {
			st.Transfers = nil
		}
		return protocol.Reply{Kind: protocol.ReplyStatus, Status: st}, nil
	default:
		return protocol.Reply{Kind: protocol.ReplyRoutes, Routes: s.host.Routes()}, nil
	}
}

func (t *task) get(ctx context.Context) (protocol.Reply, *wire.Error) {
	it, ok, err := t.conn.server.get(ctx, t.group, redirectsReturned, t.payload, t.consistency)
	if err != nil {
		return protocol.Reply{}, queryError(t.group, err)
	}
	reply := protocol.Reply{Kind: protocol.ReplyValue, Outcome: protocol.OutcomeNotFound, Group: t.group}
	if ok {
		reply.Outcome, reply.Revision, reply.Value = protocol.OutcomeOK, protocol.Revision(it.Revision), it.Value
	}
	return reply, nil
}

func (t *task) scan(ctx context.Context) (protocol.Reply, *wire.Error) {
	page, err := t.conn.server.scan(ctx, t.group, redirectsReturned, t.payload, t.consistency)
	if err != nil {
		return protocol.Reply{}, queryError(t.group, err)
	}
	reply := protocol.Reply{Kind: protocol.ReplyPage, More: page.More, Items: make([]protocol.Item, len(page.Items))}
	for i, it := range page.Items {
		reply.Items[i] = protocol.Item{Key: it.Key, Value: it.Value, Revision: protocol.Revision(it.Revision)}
	}
	return reply, nil
}

// administer passes on what an administrator asks, and waits elections out.
func (t *task) administer(ctx context.Context) (protocol.Reply, *wire.Error) {
	s := t.conn.server
	reply := protocol.Reply{Kind: protocol.ReplyAdmin}
	_, err := s.led(ctx, redirectsWaited, func() (_ []byte, err error) {
		reply.Group, reply.Text, err = s.host.Administer(ctx, t.admin)
		return nil, err
	})
	var behind *epoch.BehindError
	if errors.As(err, &behind) {
		return protocol.Reply{}, &wire.Error{Code: wire.CodeStaleEpoch, Detail: behind.Error()}
	}
	if err != nil {
		return protocol.Reply{}, explained(commandError(t.group, err))
	}
	return reply, nil
}

// explained has the reason of a refusal travel: causes do not.
func explained(e *wire.Error) *wire.Error {
	if e.Detail != "" || e.Cause == nil {
		return e
	}
	said := *e
	said.Detail, said.Cause = e.Cause.Error(), nil
	return &said
}
