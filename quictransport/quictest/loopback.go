package quictest

import (
	"math/rand/v2"
	"net"
	"testing"
)

// Ports of nodes lie below those the kernel gives to sockets that ask for any (net.ipv4.ip_local_port_range), so that
// nobody who runs beside a test takes a node's port between two lives of the node.
const (
	FirstPort = 20000
	LastPort  = 32000
)

// AnyPort returns some port for a node. Whether it is free shows when somebody listens on it.
func AnyPort() int { return FirstPort + rand.IntN(LastPort-FirstPort) }

// Loopback opens a real UDP socket on 127.0.0.1 with a free port.
func Loopback(t testing.TB) *net.UDPConn {
	t.Helper()
	var err error
	for range 100 {
		var c *net.UDPConn
		if c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: AnyPort()}); err == nil {
			return c
		}
	}
	t.Fatalf("open loopback socket: %v", err)
	return nil
}
