package multiraft

import (
	"context"
	"errors"

	"flotilla/raft/wire"
)

// forwardOp is what a forwarded request asks for. Numbers are part of the wire format.
type forwardOp uint8

const (
	opPropose    forwardOp = 1 // data is a command; reply [index, term, value]
	opQuery      forwardOp = 2 // data is a request; reply [0, 0, answer]
	opQueryStale forwardOp = 3 // the same
	opChange     forwardOp = 4 // data is a change; reply [index, term, nil]
	opTransfer   forwardOp = 5 // data is [node]; reply [0, 0, nil]

	maxForwardOp = opTransfer
)

// forwardRequest is [group, op, data].
type forwardRequest struct {
	group wire.GroupID
	op    forwardOp
	data  []byte
}

func (r *forwardRequest) append(dst []byte) []byte {
	dst = wire.AppendArray(dst, 3)
	dst = wire.AppendUint(dst, uint64(r.group))
	dst = wire.AppendUint(dst, uint64(r.op))
	return appendCommand(dst, r.data)
}

// readForwardRequest decodes what a peer sent. Data aliases b.
func readForwardRequest(b []byte) (forwardRequest, error) {
	r := wire.NewReader(b)
	r.Array(3)
	req := forwardRequest{group: wire.GroupID(r.UintMax(wire.MaxNumber)), op: forwardOp(r.UintMax(uint64(maxForwardOp))), data: r.Bytes()}
	if r.Err() == nil && req.op == 0 {
		r.Fail("forward op", wire.ErrInvalid)
	}
	if r.Err() == nil && len(req.data) > maxForwardBytes {
		r.Fail("forward data", wire.ErrLimit)
	}
	return req, r.Done()
}

// appendForwardReply appends [index, term, value].
func appendForwardReply(dst []byte, res Result) []byte {
	dst = wire.AppendArray(dst, 3)
	dst = wire.AppendUint(dst, uint64(res.Index))
	dst = wire.AppendUint(dst, uint64(res.Term))
	return wire.AppendBytes(dst, res.Value)
}

// readForwardReply decodes what the peer answered. Value aliases b.
func readForwardReply(b []byte) (Result, error) {
	r := wire.NewReader(b)
	r.Array(3)
	res := Result{Index: wire.Index(r.UintMax(wire.MaxNumber)), Term: wire.Term(r.UintMax(wire.MaxNumber)), Value: r.Bytes()}
	return res, r.Done()
}

// ProposeAt is Propose at node to, which need not lead the group; it does not forward again (D40).
func (e *Engine) ProposeAt(ctx context.Context, to wire.NodeID, id wire.GroupID, data []byte) (Result, error) {
	if len(data) > MaxCommandBytes {
		return Result{}, e.failed(&wire.Error{Code: wire.CodeTooLarge, Group: id})
	}
	return e.forward(ctx, to, forwardRequest{group: id, op: opPropose, data: data})
}

// QueryAt is Query with the machine of node to, which must hold a replica.
func (e *Engine) QueryAt(ctx context.Context, to wire.NodeID, id wire.GroupID, request []byte) ([]byte, error) {
	res, err := e.forward(ctx, to, forwardRequest{group: id, op: opQuery, data: request})
	return res.Value, readOnly(err)
}

// QueryStaleAt is QueryStale with the machine of node to, which must hold a replica.
func (e *Engine) QueryStaleAt(ctx context.Context, to wire.NodeID, id wire.GroupID, request []byte) ([]byte, error) {
	res, err := e.forward(ctx, to, forwardRequest{group: id, op: opQueryStale, data: request})
	return res.Value, readOnly(err)
}

// readOnly corrects what a lost reply says: a request that changes nothing has no unknown outcome.
func readOnly(err error) error {
	var w *wire.Error
	if errors.As(err, &w) && w.Code == wire.CodeUnknownOutcome {
		c := *w
		c.Code = wire.CodeUnreachable
		return &c
	}
	return err
}

// forward sends req to another node and returns its answer. The wait ends with ctx or with the engine.
func (e *Engine) forward(ctx context.Context, to wire.NodeID, req forwardRequest) (Result, error) {
	if err := e.beginForward(&req); err != nil {
		return Result{}, e.failed(err)
	}
	defer e.bytes.Add(-req.cost())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.life, func() { cancel(context.Cause(e.life)) })()

	reply, err := e.cfg.Transport.Forward(ctx, to, req.append(make([]byte, 0, len(req.data)+16)))
	return e.endForward(req.group, reply, err)
}

// cost is the room that the request takes while it is under way.
func (r *forwardRequest) cost() int64 { return int64(len(r.data) + commandOverhead) }

// beginForward takes room for req, which the caller gives back, or says why there is none.
func (e *Engine) beginForward(req *forwardRequest) error {
	if e.closing.Load() {
		return &wire.Error{Code: wire.CodeStopped, Group: req.group}
	}
	if e.bytes.Add(req.cost()) > int64(e.cfg.NodeBytes) {
		e.bytes.Add(-req.cost())
		return &wire.Error{Code: wire.CodeOverloaded, Group: req.group}
	}
	e.stats.forwarded.Add(1)
	return nil
}

// endForward reads what became of a forwarded request.
func (e *Engine) endForward(id wire.GroupID, reply []byte, err error) (Result, error) {
	if err != nil {
		return Result{}, e.failed(typed(id, err, wire.CodeUnknownOutcome))
	}
	res, err := readForwardReply(reply)
	if err != nil {
		return Result{}, e.failed(&wire.Error{Code: wire.CodeUnknownOutcome, Group: id, Cause: err})
	}
	return res, nil
}

// HandleForward serves a request that another node forwarded, from here: it never takes a second hop, and
// answers CodeNotLeader with the leader's name instead (D40). The transport bounds how many run at once.
func (e *Engine) HandleForward(ctx context.Context, from wire.NodeID, request []byte) ([]byte, error) {
	req, g, err := e.forwarded(from, request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	var res Result
	switch req.op {
	case opPropose:
		res, err = e.proposeHere(ctx, g, req.data, nil)
	case opQuery:
		res.Value, err = e.query(ctx, req.group, req.data, readLinear)
	case opQueryStale:
		res.Value, err = e.query(ctx, req.group, req.data, readStale)
	case opChange:
		res, err = e.handleChange(ctx, g, req.data)
	case opTransfer:
		err = e.handleTransfer(ctx, g, req.data)
	}
	if err != nil {
		return nil, typed(req.group, err, wire.CodeInternal)
	}
	return appendForwardReply(make([]byte, 0, len(res.Value)+32), res), nil
}

// forwarded reads what another node asks for and finds the group that it is for.
func (e *Engine) forwarded(from wire.NodeID, request []byte) (forwardRequest, *group, error) {
	req, err := readForwardRequest(request)
	if err != nil {
		return req, nil, e.failed(&wire.Error{Code: wire.CodeBadRequest, Cause: err, Detail: "forwarded by node " + from.String()})
	}
	g, err := e.group(req.group)
	return req, g, err
}

// typed returns err as a *wire.Error, with code if it is none.
func typed(id wire.GroupID, err error, code wire.Code) *wire.Error {
	var w *wire.Error
	if errors.As(err, &w) {
		return w
	}
	return &wire.Error{Code: code, Group: id, Detail: err.Error(), Cause: err}
}

// typed returns a core's refusal as a *wire.Error of g.
func (g *group) typed(err error) *wire.Error { return typed(g.id, err, wire.CodeInternal) }
