package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// Client talks to one cluster. See the package comment; Dial makes one.
type Client struct {
	endpoints []string
	tls       *tls.Config
	socket    net.PacketConn
	transport *quic.Transport

	// life ends when the client closes; tasks are the goroutines that Close joins.
	life  context.Context
	end   context.CancelCauseFunc
	tasks sync.WaitGroup

	routes atomic.Pointer[routes]
	turn   atomic.Uint64
	stale  chan struct{}

	mu struct {
		sync.Mutex
		closed   bool
		peers    map[string]*peer
		sessions map[wire.GroupID]*session
	}
	once sync.Once
	err  error
}

// Dial connects to a cluster and learns its routes, trying the endpoints in turn until ctx ends. Errors are *Error.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		if cfg.Conn != nil {
			err = errors.Join(err, ignoreClosed(cfg.Conn.Close()))
		}
		return nil, &Error{Op: "dial", Err: err, Problem: protocol.Problem{Code: "usage", Class: protocol.ClassUsage, Message: err.Error()}}
	}
	socket := cfg.Conn
	if socket == nil {
		var err error
		if socket, err = net.ListenUDP("udp", nil); err != nil {
			return nil, certain("dial", nil, err)
		}
	}
	c := &Client{
		endpoints: cfg.Endpoints, tls: clientTLS(cfg.TLS), socket: socket, transport: &quic.Transport{Conn: socket},
		stale: make(chan struct{}, 1),
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.mu.peers = make(map[string]*peer)
	c.mu.sessions = make(map[wire.GroupID]*session)
	c.routes.Store(newRoutes(&protocol.Routes{}, cfg.Endpoints))
	if err := c.firstRoutes(ctx); err != nil {
		_ = c.Close() // what failed first is what matters
		return nil, certain("dial", nil, err)
	}
	c.spawn(c.keepRoutes)
	c.spawn(c.watch)
	return c, nil
}

// firstRoutes asks the endpoints in turn until one knows the routes. Refused certificates end it once all refuse.
func (c *Client) firstRoutes(ctx context.Context) error {
	pause := newPause()
	for patience := firstPatience; ; patience = min(2*patience, attemptTimeout) {
		attempt, cancel := context.WithTimeoutCause(ctx, patience, noAnswer(patience))
		err := c.refresh(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if isAuth(err) && c.refusedByAll() {
			return err
		}
		if w := wrapEnd(ctx, pause.wait(ctx), err); w != nil {
			return c.blame(w)
		}
	}
}

// blame is w, by which the wait for an endpoint ended, and beside it the refusal of certificates that one of them answered with: it
// tells more than the silence of the others. Where a node has heard us, its answer is what matters.
func (c *Client) blame(w error) error {
	if !errors.Is(w, context.DeadlineExceeded) || isAuth(w) || wire.CodeOf(w) != 0 {
		return w
	}
	for _, addr := range c.endpoints {
		if p := c.peer(addr); p != nil && isAuth(p.failure()) {
			return fmt.Errorf("%w; %s refused: %w", w, addr, p.failure())
		}
	}
	return w
}

// refusedByAll reports whether certificates were what the last attempt at each endpoint failed for.
func (c *Client) refusedByAll() bool {
	return !slices.ContainsFunc(c.endpoints, func(addr string) bool {
		p := c.peer(addr)
		return p == nil || !isAuth(p.failure())
	})
}

// spawn runs fn in a goroutine that Close joins; it refuses when the client is closed.
func (c *Client) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return false
	}
	c.tasks.Go(fn)
	return true
}

// Close ends the client: its sessions are closed as far as that takes little time, what is under way fails, all
// goroutines are joined, the socket is closed. It is idempotent.
func (c *Client) Close() error {
	c.once.Do(func() {
		c.closeSessions()
		c.mu.Lock()
		c.mu.closed = true
		peers := c.mu.peers
		c.mu.peers = nil
		c.mu.Unlock()
		c.end(ErrClosed)
		for _, p := range peers {
			p.mu.Lock()
			cn := p.live()
			p.mu.Unlock()
			if cn != nil {
				cn.fail(ErrClosed)
			}
		}
		c.tasks.Wait() // a dial under way ends with life, and finds closed when it wants to start a connection
		c.err = errors.Join(c.transport.Close(), ignoreClosed(c.socket.Close()))
	})
	return c.err
}

// ignoreClosed returns err unless it says that the socket is closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Status asks one node how the cluster is. Errors are *Error.
func (c *Client) Status(ctx context.Context) (Status, error) {
	w := newCall()
	defer w.release()
	if err := c.read(ctx, nil, &protocol.Request{Kind: protocol.KindStatus}, w); err != nil {
		return Status{}, certain("status", nil, err)
	}
	if w.reply.Status == nil {
		return Status{}, certain("status", nil, errUnexpected)
	}
	return *w.reply.Status, nil
}

// wait blocks for d or until ctx ends, and returns why it ended.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
