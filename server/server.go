package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"golang.org/x/sync/semaphore"

	"flotilla/client/protocol"
)

// Config says how a Server behaves. The zero value is fine.
type Config struct {
	// Metrics are served at /metrics; nil serves none.
	Metrics prometheus.Gatherer
	// Registerer gets the Server's own metrics; nil for none.
	Registerer prometheus.Registerer
	// Token, when not empty, is demanded as a bearer token of every HTTP request but health checks and the page, which
	// holds nothing. For listeners that are not on loopback.
	Token []byte
	// ClientCerts demands a certificate of the cluster, which the listener has verified, of every HTTP request but those
	// that need no token either. For HTTPS that is not on loopback and has no Token.
	ClientCerts bool
	// LocalNames serves those requests only when their Host header is an address or localhost. For plain HTTP on loopback
	// without a Token: a web page may have its own name point there, and is of the same origin then (DNS rebinding).
	LocalNames bool
	// LeaderWait bounds how long a request waits for its group to have a leader: three election timeouts. Zero means 3 s.
	LeaderWait time.Duration
	// Debug serves the profiles of net/http/pprof.
	Debug bool
	// Version is what GET /version says, beside the versions of the protocols.
	Version Version
}

// Version is the answer to GET /version.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	WireMin int    `json:"wire_min"`
	WireMax int    `json:"wire_max"`
}

// errClosed is why requests end when the server closes.
var errClosed = errors.New("server closed")

// Server serves the clients of one node. All methods are safe for concurrent use.
type Server struct {
	host    Host
	cfg     Config
	limits  limits
	pool    pool
	exports *semaphore.Weighted // snapshots on their way to clients
	metrics metrics
	handler http.Handler

	// life ends when the server closes; tasks are the goroutines that Close joins.
	life  context.Context
	end   context.CancelCauseFunc
	tasks sync.WaitGroup
	mu    struct {
		sync.Mutex
		closed bool
		conns  map[*quic.Conn]struct{}
	}
}

// Over returns a Server in front of any Host. New does so for a node.
func Over(host Host, cfg Config) *Server { return newServer(host, cfg, defaultLimits()) }

func newServer(host Host, cfg Config, l limits) *Server {
	s := &Server{host: host, cfg: cfg, limits: l, metrics: newMetrics(cfg.Registerer)}
	s.limits.leaderWait = cmp.Or(cfg.LeaderWait, l.leaderWait)
	s.life, s.end = context.WithCancelCause(context.Background())
	s.mu.conns = make(map[*quic.Conn]struct{})
	s.exports = semaphore.NewWeighted(l.exports)
	s.pool = newPool(l.workers, s.life.Done())
	s.handler = s.routes()
	return s
}

// enter admits a native connection; leave must follow if it returns true.
func (s *Server) enter(qc *quic.Conn) (protocol.CloseCode, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mu.closed:
		return protocol.CloseShutdown, false
	case len(s.mu.conns) >= s.limits.conns:
		return protocol.CloseOverload, false
	}
	s.mu.conns[qc] = struct{}{}
	s.tasks.Add(1)
	s.metrics.conns.Inc()
	return 0, true
}

func (s *Server) leave(qc *quic.Conn) {
	s.mu.Lock()
	delete(s.mu.conns, qc)
	s.mu.Unlock()
	s.metrics.conns.Dec()
	s.tasks.Done()
}

// Close refuses new work, closes the native connections with the shutdown code, ends the requests under way, and
// joins everything the server started, or returns ctx's error if that takes longer. It is idempotent.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.mu.closed = true
	conns := s.mu.conns
	s.mu.conns = make(map[*quic.Conn]struct{})
	s.mu.Unlock()
	s.end(errClosed)
	for qc := range conns {
		_ = qc.CloseWithError(quic.ApplicationErrorCode(protocol.CloseShutdown), "node is stopping") // closed either way
	}
	joined := make(chan struct{})
	go func() {
		s.tasks.Wait()
		s.pool.wait()
		close(joined)
	}()
	select {
	case <-joined:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
