package server

import (
	"context"
	"errors"
	"fmt"

	"flotilla/client/protocol"
	"flotilla/kv"
	"flotilla/raft/wire"
)

// propose has group g apply an encoded command. Errors are *wire.Error.
func (s *Server) propose(ctx context.Context, g wire.GroupID, r redirects, command []byte) (kv.Result, error) {
	answer, err := s.led(ctx, r, func() ([]byte, error) { return s.host.Propose(ctx, g, command) })
	if err != nil {
		return kv.Result{}, commandError(g, err)
	}
	result, err := kv.DecodeResult(answer)
	if err != nil { // applied, but nobody can say with what result
		return kv.Result{}, &wire.Error{Code: wire.CodeUnknownOutcome, Group: g, Detail: "the machine's result is not one of kv", Cause: err}
	}
	return result, nil
}

// get reads a key. Errors are *wire.Error.
func (s *Server) get(ctx context.Context, g wire.GroupID, r redirects, query []byte, c protocol.Consistency) (kv.Item, bool, error) {
	answer, err := s.led(ctx, r, func() ([]byte, error) { return s.host.Query(ctx, g, query, c) })
	if err != nil {
		return kv.Item{}, false, queryError(g, err)
	}
	it, ok, err := kv.DecodeValue(answer)
	if err != nil {
		return kv.Item{}, false, queryError(g, err)
	}
	return it, ok, nil
}

// scan reads a page. Errors are *wire.Error.
func (s *Server) scan(ctx context.Context, g wire.GroupID, r redirects, query []byte, c protocol.Consistency) (kv.Page, error) {
	answer, err := s.led(ctx, r, func() ([]byte, error) { return s.host.Query(ctx, g, query, c) })
	if err != nil {
		return kv.Page{}, queryError(g, err)
	}
	page, err := kv.DecodePage(answer)
	if err != nil {
		return kv.Page{}, queryError(g, err)
	}
	return page, nil
}

// commandError types the error of a command; one that says nothing of the outcome leaves it unknown (N7).
func commandError(g wire.GroupID, err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	return &wire.Error{Code: wire.CodeUnknownOutcome, Group: g, Detail: "no answer in time", Cause: err}
}

// queryError types the error of a query, which changed nothing whatever went wrong.
func queryError(g wire.GroupID, err error) *wire.Error {
	var e *wire.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, errClosed):
		return &wire.Error{Code: wire.CodeTimeout, Group: g, Detail: "no answer in time", Cause: err}
	}
	return &wire.Error{Code: wire.CodeInternal, Group: g, Cause: err}
}

// notServing types the reason why the node does not serve (P13).
func notServing(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	return &wire.Error{Code: wire.CodeNoLeader, Detail: "the node does not serve yet", Cause: err}
}

// checkKey refuses keys over their limits before anything is replicated.
func checkKey(key []byte) *wire.Error {
	if len(key) == 0 {
		return &wire.Error{Code: wire.CodeBadRequest, Detail: "the key is empty"}
	}
	if len(key) > protocol.MaxKeyBytes {
		return &wire.Error{Code: wire.CodeTooLarge, Detail: fmt.Sprintf("key of %d bytes, 1 to %d are allowed", len(key), protocol.MaxKeyBytes)}
	}
	return nil
}

// checkValue refuses values over their limit.
func checkValue(n int) *wire.Error {
	if n > protocol.MaxValueBytes {
		return &wire.Error{Code: wire.CodeTooLarge, Detail: fmt.Sprintf("value of %d bytes, %d at most", n, protocol.MaxValueBytes)}
	}
	return nil
}

// groupOf returns the group of a key.
func (s *Server) groupOf(key []byte) wire.GroupID { return s.host.GroupOf(wire.ShardOf(key)) }

// holdsKeys reports whether keys are routed to group g. Those of another kind do not understand what is meant for keys, and a machine that fails
// on it is out of service on all nodes.
func (s *Server) holdsKeys(g wire.GroupID) bool {
	for shard := range wire.Shard(wire.Shards) {
		if s.host.GroupOf(shard) == g {
			return true
		}
	}
	return false
}
