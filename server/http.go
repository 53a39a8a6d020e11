package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// kvPrefix is where keys begin in a path.
const kvPrefix = "/v1/kv/"

// Handler returns the HTTP side: key-value API, status, health, metrics, live page. Limits of headers, times and
// connections are the http.Server's.
func (s *Server) Handler() http.Handler { return s.handler }

// routes puts the handlers together.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.cfg.Version) })
	mux.HandleFunc("GET /v1/status", s.status)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{}))
	}
	if s.cfg.Debug {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusNotFound, protocol.Problem{Code: "no_such_path", Class: protocol.ClassUsage, Message: "no such path", Hint: "keys are at /v1/kv/KEY, the cluster at /v1/status"})
	})
	keys, rest := s.authorize(http.HandlerFunc(s.kv)), s.authorize(mux)
	root := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case strings.HasPrefix(r.URL.EscapedPath(), kvPrefix):
			keys.ServeHTTP(w, r) // before the mux, which would clean the path: keys may hold "//" and ".." too
		case open(r):
			mux.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	return http.NewCrossOriginProtection().Handler(root) // a web page elsewhere must not write through a browser
}

// open reports whether r needs no token: health checks as long as they name nothing inside, and the page, which
// holds nothing.
func open(r *http.Request) bool {
	switch r.URL.Path {
	case "/", "/livez":
		return true
	case "/readyz":
		return !r.URL.Query().Has("verbose")
	}
	return false
}

// authorize demands what the configuration says: the bearer token, a certificate, or that the caller knows where it is.
func (s *Server) authorize(next http.Handler) http.Handler {
	want := sha256.Sum256(s.cfg.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refusal protocol.Problem
		switch {
		case len(s.cfg.Token) > 0:
			if bearer(r, want) {
				break
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="flotilla"`)
			refusal = protocol.Problem{
				Code: "unauthorized", Message: "missing or wrong bearer token", Hint: "send the header: Authorization: Bearer TOKEN",
			}
		case s.cfg.ClientCerts:
			if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
				refusal = protocol.Problem{
					Code: "unauthorized", Message: "no client certificate", Hint: "show one: curl --cacert ca.crt --cert client.crt --key client.key",
				}
			}
		case s.cfg.LocalNames && !plainHost(r.Host):
			refusal = protocol.Problem{
				Code: "unauthorized", Message: "without a token only an address or localhost is served, not " + strconv.Quote(r.Host),
				Hint: "ask by address, or start the node with --http-token-file",
			}
		}
		if refusal.Code == "" {
			next.ServeHTTP(w, r)
			return
		}
		refusal.Class = protocol.ClassAuth
		writeProblem(w, http.StatusUnauthorized, refusal)
	})
}

// bearer reports whether r carries the token of this hash. Hashes make the comparison constant in time whatever the
// lengths are (D77).
func bearer(r *http.Request, want [sha256.Size]byte) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok
}

// plainHost reports whether a Host header names a machine without any name service.
func plainHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return host == "" || strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil
}

// status answers with what the node knows of the cluster, ready or not.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st := s.host.Status()
	st.Normalize()
	writeJSON(w, http.StatusOK, st)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is the only error
}

// writeProblem answers with a JSON error. Who is told when to try again does so without a thought, so nobody is whose write may have
// happened.
func writeProblem(w http.ResponseWriter, code int, p protocol.Problem) {
	if p.Class == protocol.ClassUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, code, p)
}

// writeError answers with what went wrong in a group or on the way to it.
func (s *Server) writeError(w http.ResponseWriter, e *wire.Error) {
	s.metrics.request(e)
	p := protocol.ProblemOf(e)
	code := http.StatusServiceUnavailable
	switch {
	case e.Code == wire.CodeTooLarge:
		code = http.StatusRequestEntityTooLarge
	case p.Class == protocol.ClassUsage:
		code = http.StatusBadRequest
	case p.Class == protocol.ClassFenced:
		code = http.StatusConflict
	case p.Class == protocol.ClassInternal:
		code = http.StatusInternalServerError
	}
	writeProblem(w, code, p)
}
