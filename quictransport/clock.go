package quictransport

import "time"

// clock is coarse time: nanoseconds since the transport was made, as of the last tick. Reading it costs one load.
type clock int64

// never is before every time.
const never clock = 0

func (c clock) since(earlier clock) time.Duration { return time.Duration(c - earlier) }

// now returns the coarse time.
func (t *Transport) now() clock { return clock(t.coarse.Load()) }

// tick is the transport's one ticker: it moves the coarse time and tends every connection in use.
func (t *Transport) tick() {
	ticker := time.NewTicker(t.limits.Beacon)
	defer ticker.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-ticker.C:
		}
		before := t.now()
		now := clock(time.Since(t.born)) + 1 // never 0, which means "not set"
		t.coarse.Store(int64(now))
		// After a pause of the whole process (SIGSTOP, a busy machine) it is not the peers that were silent: what
		// they sent waits in the socket.
		paused := now.since(before) > t.limits.Silence/2
		for _, c := range *t.routes.Load() {
			if paused {
				c.heard()
			}
			c.tend(now)
		}
	}
}
