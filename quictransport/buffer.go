package quictransport

import (
	"fmt"
	"syscall"
)

// checkBuffers tells when the system grants smaller UDP buffers than QUIC has asked for (D71).
func (t *Transport) checkBuffers() {
	sock, ok := t.cfg.Conn.(interface {
		SyscallConn() (syscall.RawConn, error)
	})
	if !ok {
		return // a simulated network
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return
	}
	granted := receiveBuffer(raw)
	t.receiveBuffer.Store(int64(granted))
	if granted > 0 && granted < wantBuffer {
		t.emit(Event{Kind: EventSmallBuffer, Peer: t.cfg.Self, Addr: t.Addr().String(), Err: fmt.Errorf(
			"the system grants a UDP receive buffer of %d bytes, QUIC wants %d: sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d",
			granted, wantBuffer, wantBuffer, wantBuffer)})
	}
}
