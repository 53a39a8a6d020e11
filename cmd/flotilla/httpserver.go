package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"time"

	"flotilla/quictransport/pki"
)

// httpOptions say how the HTTP side listens.
type httpOptions struct {
	addr      string
	tls       bool
	tokenFile string
	debug     bool
}

// Limits of the HTTP side, with the reason of each.
const (
	maxHTTPConns      = 1024             // a flood of connections stays below the file limit
	maxHeaderBytes    = 64 << 10         // the key is in the path: 4 KiB of it, percent-encoded
	readHeaderTimeout = 5 * time.Second  // slow headers hold no connection
	readTimeout       = 30 * time.Second // 1 MiB at 35 kB/s
	writeTimeout      = 60 * time.Second // a profile of 30 s, a large answer to a slow reader
	idleTimeout       = 2 * time.Minute
	maxTokenBytes     = 4 << 10
)

// httpServer is a node's listening HTTP side.
type httpServer struct {
	listener net.Listener
	server   http.Server
	done     chan error
}

// listenHTTP binds the address at once, so that a busy port is found before the node starts; serve follows.
func listenHTTP(o httpOptions) (*httpServer, error) {
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP on %s: %w", o.addr, err)
	}
	return &httpServer{listener: l, done: make(chan error, 1)}, nil
}

// addr is the address bound, with its real port.
func (h *httpServer) addr() string { return h.listener.Addr().String() }

// serve starts answering with handler.
func (h *httpServer) serve(o httpOptions, source *pki.Source, handler http.Handler) error {
	if o.debug {
		handler = withProfiles(handler)
	}
	if o.tokenFile != "" {
		guarded, err := requireToken(o.tokenFile, handler)
		if err != nil {
			return err
		}
		handler = guarded
	}
	var l net.Listener = newLimitedListener(h.listener, maxHTTPConns)
	if o.tls {
		l = tls.NewListener(l, source.HTTPConfig())
	}
	h.server = http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	go func() { h.done <- h.server.Serve(l) }()
	return nil
}

// close finishes what is under way until ctx ends, and joins the serving goroutine.
func (h *httpServer) close(ctx context.Context) error {
	if h.server.Handler == nil { // bound, never served
		return h.listener.Close()
	}
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, h.server.Close())
	}
	if e := <-h.done; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// requireToken answers 401 to requests without the bearer token of file, but for the health checks.
func requireToken(file string, next http.Handler) (http.Handler, error) {
	token, err := readToken(file)
	if err != nil {
		return nil, err
	}
	want := sha256.Sum256([]byte("Bearer " + token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		open := r.URL.Path == "/livez" || r.URL.Path == "/readyz"
		if !open && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="flotilla"`)
			http.Error(w, `{"code":6,"class":"authentication","message":"missing or wrong bearer token"}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

func readToken(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fail(exitAuth, fmt.Errorf("HTTP token: %w", err), "check --http-token-file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fail(exitAuth, fmt.Errorf("HTTP token %s: mode %04o lets others read it", file, info.Mode().Perm()), "run chmod 600 on it")
	}
	raw, err := os.ReadFile(file)
	token := strings.TrimSpace(string(raw))
	if err == nil && (token == "" || len(token) > maxTokenBytes) {
		err = fmt.Errorf("the token has %d bytes, 1 to %d wanted", len(token), maxTokenBytes)
	}
	if err != nil {
		return "", fail(exitAuth, fmt.Errorf("HTTP token %s: %w", file, err), "write a random token into it: openssl rand -hex 32")
	}
	return token, nil
}

func withProfiles(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
