// Package integration runs clusters of real flotilla processes on loopback: real sockets, real bbolt
// files, kill -9 and SIGSTOP. It hides how a process is started, found ready and killed; the tests
// say what must come of it. Everything a cluster makes lives in one directory that the caller owns.
//
// Each test has a small size for `go test ./...` and takes flags for the long runs:
//
//	go test ./integration -run TestKillAllAtOnce -rounds 50 -timeout 1h -v
package integration
