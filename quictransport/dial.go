package quictransport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/pki"
)

// start starts the dialling goroutine, unless it runs; the transport's mutex is held.
func (p *peer) start() {
	if p.cancel != nil || p.addr == "" {
		return
	}
	ctx, cancel := context.WithCancel(p.t.ctx)
	wake := make(chan struct{}, 1)
	p.cancel, p.wake = cancel, wake
	p.t.wg.Go(func() { p.keepConnected(ctx, wake) })
}

// stop ends the dialling goroutine; the transport's mutex is held.
func (p *peer) stop() {
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
}

// keepConnected is the peer's dialling goroutine. The node with the lower id dials at once, the other one only after it
// has waited for that.
func (p *peer) keepConnected(ctx context.Context, wake <-chan struct{}) {
	var (
		backoff time.Duration
		up      time.Time // since when connected; zero when not
	)
	for ctx.Err() == nil {
		addr, connected := p.target()
		if connected {
			if up.IsZero() {
				up = time.Now()
			}
			rest(ctx, wake, 0)
			continue
		}
		// A connection that did not last is no reason to hurry.
		if !up.IsZero() && time.Since(up) >= p.t.limits.Silence {
			backoff = 0
		}
		up = time.Time{}
		if backoff > 0 {
			pause(ctx, backoff)
		}
		if p.t.cfg.Self > p.id && rest(ctx, wake, dialPatience) {
			continue
		}
		c, err := p.dial(ctx, addr)
		if ctx.Err() != nil {
			return // whatever came of it; a connection that was begun is ended by who cancelled
		}
		if err == nil {
			select {
			case <-c.ready:
			case <-c.ctx.Done(): // why is told where the connection is dropped
			case <-ctx.Done():
			}
		} else {
			p.t.counters.dialsFailed.Add(1)
			if p.failed(err) {
				p.t.emit(Event{Kind: EventDialFailed, Peer: p.id, Addr: addr, Err: err})
			}
		}
		backoff = p.t.nextBackoff(backoff)
	}
}

// rest waits for a signal (true), the end of the time, or that of ctx; 0 is for ever.
func rest(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-wake:
		return true
	case <-over:
	case <-ctx.Done():
	}
	return false
}

// pause waits for the end of the time or of ctx.
func pause(ctx context.Context, d time.Duration) { rest(ctx, nil, d) }

// nextBackoff doubles the pause within its bounds and draws it anew, half to whole.
func (t *Transport) nextBackoff(last time.Duration) time.Duration {
	next := min(max(2*last, t.limits.BackoffMin), t.limits.BackoffMax)
	return next/2 + rand.N(next/2+1)
}

func (p *peer) target() (addr string, connected bool) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.addr, p.conn != nil
}

// failed notes why an attempt failed and reports whether that is worth telling.
func (p *peer) failed(err error) bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.lastErr = err
	return p.t.newsLocked(p.id, err)
}

// dial makes one attempt. Without an error the other side is authenticated and being introduced.
func (p *peer) dial(ctx context.Context, addr string) (*conn, error) {
	t := p.t
	t.counters.dials.Add(1)
	ctx, cancel := context.WithTimeout(ctx, t.limits.Dial)
	defer cancel()
	udp, err := resolve(ctx, t.Addr(), addr)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", addr, err)
	}
	t.exempt(udp.AddrPort())
	qc, err := t.qt.Dial(ctx, udp, t.cfg.TLS.DialNode(pki.PeerProtocol, p.id), quicConfig())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, dialError(err))
	}
	c := newConn(t, qc, p.id, true)
	if err := t.begin(c); err != nil {
		refuse(qc, err)
		return nil, err
	}
	return c, nil
}

// dialError makes QUIC's errors readable.
func dialError(err error) error {
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		return closeErrorOf(err)
	}
	return err
}

// splitAddr parses HOST:PORT.
func splitAddr(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("address %q: want HOST:PORT with a port from 1 to 65535", addr)
	}
	return host, uint16(n), nil
}

// resolve finds the UDP address, anew at each attempt: names move. An IPv4 socket can reach IPv4 addresses only.
func resolve(ctx context.Context, from net.Addr, addr string) (*net.UDPAddr, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)), nil
	}
	network := "ip"
	if local, ok := from.(*net.UDPAddr); ok && local.IP.To4() != nil && !local.IP.IsUnspecified() {
		network = "ip4"
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ips[0].Unmap(), port)), nil
}

// exempt frees a peer's address from the limit on handshakes under way: a node dials from the socket it listens on.
func (t *Transport) exempt(addr netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exemptLocked(addr)
}

func (t *Transport) exemptLocked(addr netip.AddrPort) {
	key := plain(addr)
	known := *t.peerAddrs.Load()
	if known[key] {
		return
	}
	addrs := map[netip.AddrPort]bool{key: true}
	if len(known) <= 2*t.limits.Peers { // else peers have moved often: begin anew
		maps.Copy(addrs, known)
	}
	t.peerAddrs.Store(&addrs)
}

// plain returns addr with an IPv4 address in its short form.
func plain(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
