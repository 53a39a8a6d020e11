package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
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
	synctest.Test(t, func(t *testing.T) {
		c := &Client{}
		c.life, c.end = context.WithCancelCause(context.Background())
		c.mu.peers = make(map[string]*peer)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		p := c.peer("node.example:7400")
		if _, err := c.connection(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("connection: %v", err)
		}
		began := time.Now()
		c.end(ErrClosed)
		c.tasks.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("the client could be closed after %v", took)
		}
	})
}
