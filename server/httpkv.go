package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"flotilla/client/protocol"
	"flotilla/kv"
	"flotilla/raft/wire"
)

// revisionHeader carries a key's revision.
const revisionHeader = "X-Flotilla-Revision"

// kv serves one key. Its time begins when all of the request is here; how long that may take is the listener's.
func (s *Server) kv(w http.ResponseWriter, r *http.Request) {
	key, query, refusal := parseKey(r)
	if refusal != nil {
		s.writeError(w, refusal)
		return
	}
	if err := s.host.Serving(); err != nil { // P13
		s.writeError(w, notServing(err))
		return
	}
	var value []byte
	if r.Method == http.MethodPut {
		var err error
		if value, err = io.ReadAll(r.Body); err != nil { // bounded by MaxBytesReader
			s.writeError(w, bodyError(err))
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), httpTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.httpGet(ctx, w, key, query)
	case http.MethodPut:
		s.httpWrite(ctx, w, kv.Command{Op: kv.OpPut, Key: key, Value: value}, query)
	case http.MethodDelete:
		s.httpWrite(ctx, w, kv.Command{Op: kv.OpDelete, Key: key}, query)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT, DELETE")
		writeProblem(w, http.StatusMethodNotAllowed, protocol.Problem{Code: "method", Class: protocol.ClassUsage, Message: "use GET, PUT or DELETE"})
	}
}

// parseKey takes key and query apart; the key may hold any byte, percent-encoded where it must be.
func parseKey(r *http.Request) ([]byte, url.Values, *wire.Error) {
	escaped := r.URL.EscapedPath()[len(kvPrefix):]
	if len(escaped) > maxPath {
		return nil, nil, checkKey(make([]byte, protocol.MaxKeyBytes+1))
	}
	key, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, nil, &wire.Error{Code: wire.CodeBadRequest, Detail: "key: " + err.Error()}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, &wire.Error{Code: wire.CodeBadRequest, Detail: "query: " + err.Error()}
	}
	return []byte(key), query, checkKey([]byte(key))
}

func bodyError(err error) *wire.Error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return checkValue(maxBody + 1)
	}
	return &wire.Error{Code: wire.CodeBadRequest, Detail: "body cut short", Cause: err}
}

// only refuses query parameters other than name (unknown ones are errors).
func only(query url.Values, name string) *wire.Error {
	for k, v := range query {
		if k != name || len(v) != 1 {
			return &wire.Error{Code: wire.CodeBadRequest, Detail: fmt.Sprintf("query parameter %q not understood here", k)}
		}
	}
	return nil
}

func (s *Server) httpGet(ctx context.Context, w http.ResponseWriter, key []byte, query url.Values) {
	if err := only(query, "consistency"); err != nil {
		s.writeError(w, err)
		return
	}
	consistency := protocol.Linearizable
	switch c := query.Get("consistency"); c {
	case "", "linearizable":
	case "stale":
		consistency = protocol.Stale
	default:
		s.writeError(w, &wire.Error{Code: wire.CodeBadRequest, Detail: "consistency is linearizable or stale"})
		return
	}
	g := s.groupOf(key)
	it, ok, err := s.get(ctx, g, redirectsWaited, kv.AppendGet(nil, key), consistency)
	if err != nil {
		s.writeError(w, queryError(g, err))
		return
	}
	s.metrics.request(nil)
	if !ok {
		writeProblem(w, http.StatusNotFound, protocol.Problem{Code: "not_found", Class: protocol.ClassPrecondition, Message: "no such key"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(it.Value)))
	w.Header().Set(revisionHeader, strconv.FormatUint(uint64(it.Revision), 10))
	_, _ = w.Write(it.Value) // a client that is gone is the only error
}

// httpWritten is the answer to a write.
type httpWritten struct {
	Key         string       `json:"key"`
	KeyEncoding string       `json:"key_encoding,omitempty"`
	Deleted     bool         `json:"deleted,omitempty"`
	Revision    kv.Revision  `json:"revision"`
	Group       wire.GroupID `json:"group"`
	Epoch       uint64       `json:"epoch"`
}

// httpWrite carries out a write outside of any session: when its outcome is unknown the caller has to look.
func (s *Server) httpWrite(ctx context.Context, w http.ResponseWriter, c kv.Command, query url.Values) {
	if err := only(query, "expect_revision"); err != nil {
		s.writeError(w, err)
		return
	}
	if query.Has("expect_revision") {
		revision, err := strconv.ParseUint(query.Get("expect_revision"), 10, 64)
		if err != nil {
			s.writeError(w, &wire.Error{Code: wire.CodeBadRequest, Detail: "expect_revision is a number, 0 for a key that must not exist"})
			return
		}
		c.Require = kv.AtRevision(kv.Revision(revision))
	}
	g := s.groupOf(c.Key)
	result, err := s.propose(ctx, g, redirectsWaited, kv.AppendCommand(nil, &c))
	if err != nil {
		s.writeError(w, commandError(g, err))
		return
	}
	s.metrics.request(nil)
	switch result.Status {
	case kv.StatusOK:
		w.Header().Set(revisionHeader, strconv.FormatUint(uint64(result.Revision), 10))
		writeJSON(w, http.StatusOK, httpWritten{
			protocol.AsText(c.Key), protocol.EncodingOf(c.Key), c.Op == kv.OpDelete, result.Revision, g, s.host.Epoch(),
		})
	case kv.StatusConflict:
		w.Header().Set(revisionHeader, strconv.FormatUint(uint64(result.Revision), 10))
		writeProblem(w, http.StatusPreconditionFailed, protocol.Problem{
			Code: "conflict", Class: protocol.ClassPrecondition,
			Message: fmt.Sprintf("the key's revision is %d", result.Revision), Hint: "read the key and decide anew",
		})
	case kv.StatusNotFound:
		writeProblem(w, http.StatusNotFound, protocol.Problem{Code: "not_found", Class: protocol.ClassPrecondition, Message: "no such key"})
	default:
		s.writeError(w, &wire.Error{Code: wire.CodeBadRequest, Group: g, Detail: fmt.Sprintf("refused by the state machine (%d)", result.Status)})
	}
}
