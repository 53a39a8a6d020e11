package server

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/client"
	"flotilla/raft/wire"
)

// cutConn is a client's socket that can be cut off from one address: to the client that node is dead, and nothing says so.
type cutConn struct {
	net.PacketConn
	cut atomic.Pointer[string]
}

func (c *cutConn) gone(addr net.Addr) bool {
	cut := c.cut.Load()
	return cut != nil && addr != nil && addr.String() == *cut
}

func (c *cutConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.gone(addr) {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, addr)
}

func (c *cutConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.PacketConn.ReadFrom(b)
		if err != nil || !c.gone(addr) {
			return n, addr, err
		}
	}
}

// TestSilentLeaderIsLeft: a leader that says nothing any more (killed, stopped, cut off), or that is there and cannot
// answer, is left for the next one as soon as another node knows who that is; nobody waits for QUIC to give the connection
// up, and each write still happens once (N7, D39, P18).
func TestSilentLeaderIsLeft(t *testing.T) {
	for name, silent := range map[string]bool{"silent": true, "hanging": false} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(1)
			b.strict = true
			var hang atomic.Uint64 // the node that does not answer
			b.fault = func(node wire.NodeID, _ wire.GroupID) fault {
				if uint64(node) == hang.Load() {
					return faultHang
				}
				return faultNone
			}
			c := newCluster(t, b, 3, defaultLimits())
			lead := func(n wire.NodeID) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.mu.leaders[1] = n
			}
			lead(1)
			socket := &cutConn{PacketConn: must[net.PacketConn](t)(net.ListenPacket("udp", "127.0.0.1:0"))}
			cfg := client.Config{TLS: clientTLS(t, c.ca, "test"), Conn: socket}
			for _, n := range c.nodes {
				cfg.Endpoints = append(cfg.Endpoints, n.addr)
			}
			cl := must[*client.Client](t)(client.Dial(t.Context(), cfg))
			defer func() { _ = cl.Close() }()
			var writes atomic.Int64
			const callers = 8
			for range 3 {
				for i := range callers { // the leader is known and connected
					if _, err := cl.Put(t.Context(), key(i), nil); err != nil {
						t.Fatal(err)
					}
					writes.Add(1)
				}
			}
			if silent {
				socket.cut.Store(&c.nodes[0].addr)
			} else {
				hang.Store(1)
			}
			elected := make(chan struct{})
			time.AfterFunc(400*time.Millisecond, func() { lead(2); close(elected) })
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					if _, err := cl.Put(t.Context(), key(i), nil); err != nil {
						t.Errorf("put: %v", err)
					}
					writes.Add(1)
					<-elected
				})
			}
			begin := time.Now()
			wg.Wait()
			if took := time.Since(begin); took > 1200*time.Millisecond {
				t.Errorf("writes took %v, with a new leader after 400 ms", took)
			}
			if _, err := cl.Get(t.Context(), key(1)); err != nil {
				t.Error(err)
			}
			if applied := int64(b.stats(t, 1).Revision); applied != writes.Load() {
				t.Errorf("%d writes were applied %d times", writes.Load(), applied)
			}
		})
	}
}
