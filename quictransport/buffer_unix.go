//go:build unix

package quictransport

import "syscall"

// receiveBuffer returns the size of a socket's receive buffer in bytes, 0 when it cannot be told.
func receiveBuffer(raw syscall.RawConn) int {
	size := 0
	err := raw.Control(func(fd uintptr) {
		if n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF); err == nil {
			size = n
		}
	})
	if err != nil {
		return 0
	}
	return size
}
