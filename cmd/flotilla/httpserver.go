package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
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
func (h *httpServer) serve(o httpOptions, source *pki.Source, handler http.Handler) {
	var l net.Listener = newLimitedListener(h.listener, maxHTTPConns)
	if o.tls {
		l = tls.NewListener(l, source.HTTPConfig())
	}
	h.server = http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	go func() { h.done <- h.server.Serve(l) }()
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

// readToken returns the token that file holds, by the name of what it is; no file, no token.
func readToken(what, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fail(exitAuth, fmt.Errorf("%s: %w", what, err), "check --http-token-file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fail(exitAuth, fmt.Errorf("%s %s: mode %04o lets others read it", what, file, info.Mode().Perm()), "run chmod 600 on it")
	}
	raw, err := os.ReadFile(file)
	token := strings.TrimSpace(string(raw))
	if err == nil && (token == "" || len(token) > maxTokenBytes) {
		err = fmt.Errorf("the token has %d bytes, 1 to %d wanted", len(token), maxTokenBytes)
	}
	if err != nil {
		return nil, fail(exitAuth, fmt.Errorf("%s %s: %w", what, file, err), "write a random token into it: openssl rand -hex 32")
	}
	return []byte(token), nil
}

// limitedListener admits so many connections at a time; others wait in the system's queue.
type limitedListener struct {
	net.Listener
	slots chan struct{}
}

func newLimitedListener(l net.Listener, n int) net.Listener {
	return &limitedListener{l, make(chan struct{}, n)}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, free: func() { <-l.slots }}, nil
}

// limitedConn gives its slot back when it is closed.
type limitedConn struct {
	net.Conn
	once sync.Once
	free func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.free)
	return err
}
