package quictransport

import (
	"fmt"
	"syscall"
)

// checkBuffers asks the system for the UDP buffers QUIC wants and tells when it grants less (D71).
func (t *Transport) checkBuffers() {
	sock, ok := t.cfg.Conn.(interface {
		SyscallConn() (syscall.RawConn, error)
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	})
	if !ok {
		return // a simulated network
	}
	// Errors do not matter: what was granted is asked for below.
	_ = sock.SetReadBuffer(wantBuffer)
	_ = sock.SetWriteBuffer(wantBuffer)
	raw, err := sock.SyscallConn()
	if err != nil {
		return
	}
	t.receiveBuffer = receiveBuffer(raw)
	if t.receiveBuffer > 0 && t.receiveBuffer < wantBuffer {
		t.emit(Event{Kind: EventSmallBuffer, Peer: t.cfg.Self, Addr: t.Addr().String(), Err: fmt.Errorf(
			"the system grants a UDP receive buffer of %d bytes, QUIC wants %d: sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d",
			t.receiveBuffer, wantBuffer, wantBuffer, wantBuffer)})
	}
}
