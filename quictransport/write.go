package quictransport

import (
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// stallWatch tells whether a lane's writer is stuck. The writer notes when it begins a piece; the transport's
// clock goroutine looks. So a write has a deadline without a timer per write (F38).
type stallWatch struct {
	since atomic.Int64 // clock at which the piece under way began; 0 when none is
}

// stuck reports whether the piece under way began before limit.
func (w *stallWatch) stuck(limit clock) bool {
	since := clock(w.since.Load())
	return since != 0 && since < limit
}

// write writes b in pieces to a lane and reports whether all of it was taken.
func (c *conn) write(s *quic.SendStream, w *stallWatch, b []byte) bool {
	defer w.since.Store(0)
	for len(b) > 0 {
		w.since.Store(int64(c.t.now()))
		n, err := s.Write(b[:min(len(b), writeStep)])
		if err != nil {
			return false // the connection is ending; its context says why
		}
		b = b[n:]
	}
	return true
}

// await waits for a signal and reports false when the connection ends first.
func (c *conn) await(wake <-chan struct{}) bool {
	select {
	case <-wake:
		return true
	case <-c.ctx.Done():
		return false
	}
}
