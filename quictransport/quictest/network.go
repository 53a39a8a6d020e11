package quictest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// Network is a simulated network. Addresses are written as IP:PORT. Safe for concurrent use.
type Network struct {
	router router
	delay  time.Duration

	mu        sync.Mutex
	endpoints map[string]*Endpoint
}

// NewNetwork returns a network on which a datagram takes delay to arrive.
func NewNetwork(delay time.Duration) *Network {
	return &Network{delay: delay, router: router{cut: map[way]bool{}}, endpoints: map[string]*Endpoint{}}
}

// Endpoint is one socket on a Network. Close it as a real one; its address can be listened on again then.
type Endpoint struct {
	net.PacketConn
	net   *Network
	addr  *net.UDPAddr
	link  *simnet.SimulatedLink
	pacer pacer
	once  sync.Once
}

// Listen opens a socket on the network.
func (n *Network) Listen(t testing.TB, addr string) *Endpoint {
	t.Helper()
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatalf("listen on simulated %s: %v", addr, err)
	}
	// The short form of IPv4, as diallers have it: the router compares bytes.
	udp := net.UDPAddrFromAddrPort(parsed)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[addr] != nil {
		t.Fatalf("listen on simulated %s: address in use", addr)
	}
	link := &simnet.SimulatedLink{Latency: n.delay}
	e := &Endpoint{net: n, addr: udp, link: link}
	e.PacketConn = simnet.NewBlockingSimConn(udp, uplink{router: &n.router, link: link, pacer: &e.pacer})
	link.Start()
	n.router.AddNode(udp, link)
	n.endpoints[addr] = e
	return e
}

// Close takes the socket off the network.
func (e *Endpoint) Close() error {
	err := e.PacketConn.Close()
	e.once.Do(func() {
		e.net.router.RemoveNode(e.addr)
		_ = e.link.Close()
		e.net.mu.Lock()
		defer e.net.mu.Unlock()
		delete(e.net.endpoints, e.addr.String())
	})
	return err
}

// SetReadBuffer and SetWriteBuffer exist because QUIC asks for them.
func (e *Endpoint) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing.
func (e *Endpoint) SetWriteBuffer(int) error { return nil }

// Close closes every socket.
func (n *Network) Close() {
	n.mu.Lock()
	all := make([]*Endpoint, 0, len(n.endpoints))
	for _, e := range n.endpoints {
		all = append(all, e)
	}
	n.mu.Unlock()
	for _, e := range all {
		_ = e.Close()
	}
}

// Cut drops every datagram between a and b, CutOneWay those from one to the other.
func (n *Network) Cut(a, b string) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay drops every datagram from one to the other.
func (n *Network) CutOneWay(from, to string) {
	n.router.set(func(r *router) { r.cut[way{from, to}] = true })
}

// Heal ends every cut and all loss.
func (n *Network) Heal() {
	n.router.set(func(r *router) {
		clear(r.cut)
		r.loss = 0
	})
}

// Lose drops each datagram with probability p, drawn from seed.
func (n *Network) Lose(p float64, seed uint64) {
	n.router.set(func(r *router) { r.loss, r.rng = p, rand.New(rand.NewPCG(seed, 1)) })
}

// Sent returns how many datagrams reached the network, dropped ones included.
func (n *Network) Sent() int {
	n.router.mu.Lock()
	defer n.router.mu.Unlock()
	return n.router.sent
}

// way is one direction between two sockets.
type way struct{ from, to string }

// router delivers datagrams, or does not. Drops happen at the receiver, as they do in real networks: the sender
// sees no error.
type router struct {
	simnet.PerfectRouter
	mu   sync.Mutex
	cut  map[way]bool
	loss float64
	rng  *rand.Rand
	sent int
}

func (r *router) set(change func(*router)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// SendPacket implements simnet.Router.
func (r *router) SendPacket(p simnet.Packet) error {
	if r.drops(p) {
		return nil
	}
	_ = r.PerfectRouter.SendPacket(p) // an address nobody listens on swallows datagrams
	return nil
}

func (r *router) drops(p simnet.Packet) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	return r.cut[way{p.From.String(), p.To.String()}] || r.loss > 0 && r.rng.Float64() < r.loss
}
