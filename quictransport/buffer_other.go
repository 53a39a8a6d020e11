//go:build !unix

package quictransport

import "syscall"

// receiveBuffer returns 0: there is no portable way to ask.
func receiveBuffer(syscall.RawConn) int { return 0 }
