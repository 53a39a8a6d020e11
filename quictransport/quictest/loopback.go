package quictest

import (
	"net"
	"testing"
)

// Loopback opens a real UDP socket on 127.0.0.1 with a free port.
func Loopback(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatalf("open loopback socket: %v", err)
	}
	return c
}
