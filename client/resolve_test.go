package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestSilentNameService: who waits for an address waits no longer than it would for the node, and Close for neither: a name service
// that does not answer is given up by the system after ten seconds and more.
func TestSilentNameService(t *testing.T) {
	system := net.DefaultResolver
	defer func() { net.DefaultResolver = system }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := &Client{}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.mu.peers = make(map[string]*peer)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.connection(ctx, c.peer("node.example:7400")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("connection: %v", err)
	}
	began := time.Now()
	c.end(ErrClosed)
	c.tasks.Wait()
	if took := time.Since(began); took > dialTimeout/2 {
		t.Errorf("the client could be closed after %v", took)
	}
}

// TestResolvesAsTheSystemDoes: an address means what it means to net.ResolveUDPAddr, which takes no context: of several the first of IPv4,
// as nodes listen on 127.0.0.1 where nothing else is said.
func TestResolvesAsTheSystemDoes(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:7400", "[::1]:7400", "[::ffff:127.0.0.1]:7400", "localhost:7400", "localhost:https", ":7400"} {
		want, none := net.ResolveUDPAddr("udp", addr)
		got, err := resolve(t.Context(), addr)
		if none != nil && err != nil {
			continue // this system does not know the name
		}
		if none != nil || err != nil || got.Port != want.Port || !got.IP.Equal(want.IP) && !(got.IP.IsUnspecified() && want.IP == nil) {
			t.Errorf("%s is %v, want %v: %v", addr, got, want, err)
		}
	}
	for _, addr := range []string{"", "localhost", "127.0.0.1:nothing", "127.0.0.1:70000"} {
		if got, err := resolve(t.Context(), addr); err == nil {
			t.Errorf("%q is %v", addr, got)
		}
	}
	both := []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	if got := preferred(both); got != both[1] {
		t.Errorf("preferred %v", got)
	}
}
