package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/client/protocol"
)

// errBackoff says that an address failed a moment ago and is not tried yet again.
var errBackoff = errors.New("not tried again yet")

// errForgotten says that an address was given up between being chosen and being dialled.
var errForgotten = errors.New("no node of the cluster has this address any more")

// peer is one address: its connection, or the pause before the next attempt.
type peer struct {
	addr string
	mu   struct {
		sync.Mutex
		conn    *conn
		dialing chan struct{} // closed when the attempt under way ends
		failed  error         // how the last attempt ended
		pause   time.Duration
		again   time.Time
		gone    bool // no longer the client's: never dialled again
	}
}

// standing says how promising it is to ask a peer; less is better.
type standing uint8

const (
	standsConnected standing = iota
	standsFree               // to be dialled
	standsDialing            // somebody waits already
	standsSilent             // connected, and does not answer
	standsPausing            // asking would fail at once
)

func (p *peer) standing(now time.Time) standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	cn := p.live()
	switch {
	case cn != nil && cn.silent.Load():
		return standsSilent
	case cn != nil:
		return standsConnected
	case p.mu.dialing != nil:
		return standsDialing
	case now.Before(p.mu.again):
		return standsPausing
	}
	return standsFree
}

// failure is how the last attempt to connect ended, nil if that succeeded or there was none.
func (p *peer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.failed
}

// live returns the connection if it stands; p.mu is held.
func (p *peer) live() *conn {
	if p.mu.conn == nil {
		return nil
	}
	select {
	case <-p.mu.conn.done:
		p.mu.conn = nil
	default:
	}
	return p.mu.conn
}

// connection returns a connection to p, waiting for an attempt to make one. The attempt is not the caller's: it goes
// on when ctx ends, for those who come next.
func (c *Client) connection(ctx context.Context, p *peer) (*conn, error) {
	p.mu.Lock()
	if cn := p.live(); cn != nil {
		p.mu.Unlock()
		return cn, nil
	}
	if err := c.startDial(p); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	ended := p.mu.dialing
	p.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", p.addr, context.Cause(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if cn := p.live(); cn != nil {
		return cn, nil
	}
	if p.mu.failed != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.addr, p.mu.failed)
	}
	return nil, fmt.Errorf("connect to %s: %w", p.addr, errLost)
}

// startDial sees to it that an attempt is under way, unless the last one failed a moment ago; p.mu is held.
func (c *Client) startDial(p *peer) error {
	if p.mu.dialing != nil {
		return nil
	}
	if p.mu.gone {
		return fmt.Errorf("%s: %w", p.addr, errForgotten)
	}
	if time.Now().Before(p.mu.again) {
		return fmt.Errorf("%s: %w: %w", p.addr, errBackoff, p.mu.failed)
	}
	p.mu.dialing = make(chan struct{})
	if !c.spawn(func() { c.dial(p) }) {
		p.mu.dialing = nil
		return ErrClosed
	}
	return nil
}

// dial makes one attempt to connect to p.
func (c *Client) dial(p *peer) {
	cn, err := c.establish(p.addr)
	defer func() {
		if cn != nil && c.life.Err() != nil {
			cn.fail(ErrClosed) // Close has looked before the connection was there to be seen
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.conn, p.mu.failed = cn, err
	if err == nil {
		p.mu.pause = 0
	} else {
		p.mu.pause = min(max(2*p.mu.pause, firstRedial), maxRedial)
		p.mu.again = time.Now().Add(jitter(p.mu.pause))
	}
	close(p.mu.dialing)
	p.mu.dialing = nil
}

// establish dials addr and starts the goroutines of the connection.
func (c *Client) establish(addr string) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(c.life, dialTimeout, noAnswer(dialTimeout))
	defer cancel()
	udp, err := resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	l, err := c.connect(ctx, udp)
	if err != nil {
		return nil, err
	}
	cn := newConn(addr, l.qc)
	if !c.spawn(func() { cn.read(l.frames) }) || !c.spawn(func() { cn.write(l.stream) }) {
		cn.fail(ErrClosed)
		return nil, ErrClosed
	}
	return cn, nil
}

// resolve is net.ResolveUDPAddr within ctx: nobody waits for a name service longer than for a node. It is asked at each attempt, as
// names move.
func resolve(ctx context.Context, addr string) (*net.UDPAddr, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips := []netip.Addr{netip.IPv4Unspecified()}
	if host != "" {
		if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(preferred(ips), uint16(port))), nil
}

// preferred is the first address of IPv4, which is where nodes listen that were told of a port only, else the first one.
func preferred(ips []netip.Addr) netip.Addr {
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			return ip.Unmap()
		}
	}
	return ips[0]
}

// link is a fresh connection on which the hellos have been exchanged.
type link struct {
	qc     *quic.Conn
	stream *quic.Stream
	frames *protocol.FrameReader
}

// close ends the connection; nothing more comes of it either way.
func (l *link) close() { _ = l.qc.CloseWithError(quic.ApplicationErrorCode(protocol.CloseDone), "") }

// connect makes one connection, within ctx.
func (c *Client) connect(ctx context.Context, addr net.Addr) (*link, error) {
	qc, err := c.transport.Dial(ctx, addr, c.tls, &quic.Config{
		MaxIdleTimeout: idleTimeout, KeepAlivePeriod: keepAlive, HandshakeIdleTimeout: dialTimeout,
		MaxIncomingStreams: -1, MaxIncomingUniStreams: -1,
	})
	if err != nil {
		return nil, err
	}
	l := &link{qc: qc}
	if l.stream, l.frames, err = handshake(ctx, qc); err != nil {
		if cause := context.Cause(qc.Context()); cause != nil {
			err = cause // a refused certificate shows only now: TLS 1.3 clients finish first
		}
		l.close()
		return nil, err
	}
	return l, nil
}

// clientTLS returns conf for this protocol.
func clientTLS(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.NextProtos = []string{protocol.ALPN}
	return conf
}

// jitter returns a duration between half of d and d, so that clients that failed together do not return together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
