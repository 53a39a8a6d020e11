package quictest

import (
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// pacer is the wire a socket sends on: it takes so many bytes a second, one datagram after the other. Who writes while it
// is busy waits, as with a real socket whose buffer is full, so what waits is ordered by the sender and not by a queue
// in the network.
type pacer struct {
	mu   sync.Mutex
	rate int       // bytes a second, 0 for no limit; guarded by mu
	free time.Time // when the wire has sent what it was given; guarded by mu
}

// wait returns when a datagram of size bytes has left.
func (p *pacer) wait(size int) {
	p.mu.Lock()
	if p.rate == 0 {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(size) * time.Second / time.Duration(p.rate))
	busy := p.free.Sub(now)
	p.mu.Unlock()
	<-time.NewTimer(busy).C
}

// Limit lets the socket at addr send rate bytes a second from now on, 0 for as many as it likes.
func (n *Network) Limit(addr string, rate int) {
	n.mu.Lock()
	e := n.endpoints[addr]
	n.mu.Unlock()
	e.pacer.mu.Lock()
	defer e.pacer.mu.Unlock()
	e.pacer.rate = rate
}

// uplink puts what a socket sends on the network, at once or as fast as its pacer allows: a datagram that was written
// before the socket is closed still arrives, as with a real one. What comes in takes the link, with its delay.
type uplink struct {
	router *router
	link   *simnet.SimulatedLink
	pacer  *pacer
}

// SendPacket implements simnet.Router.
func (u uplink) SendPacket(p simnet.Packet) error {
	u.pacer.wait(len(p.Data))
	return u.router.SendPacket(p)
}

// AddNode implements simnet.Router.
func (u uplink) AddNode(addr net.Addr, r simnet.PacketReceiver) { u.link.AddNode(addr, r) }
