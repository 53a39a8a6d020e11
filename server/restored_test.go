package server

import (
	"bytes"
	"testing"

	"flotilla/client"
	"flotilla/kv"
)

// TestSessionsOfAnEarlierCluster: clients live on while a cluster is made anew from a backup, which gives the ids of sessions out again
// that were opened after the backup was made. Two clients that hold the same one notice: what was acknowledged to either is there,
// and both go on (N7).
func TestSessionsOfAnEarlierCluster(t *testing.T) {
	b := newBackend(1)
	c := newCluster(t, b, 1, defaultLimits())
	written := 0
	put := func(cl *client.Client) {
		t.Helper()
		written++
		value := key(written)
		r, err := cl.Put(t.Context(), value, value)
		if err != nil {
			t.Fatalf("write %d: %v", written, err)
		}
		it, err := cl.Get(t.Context(), value)
		if err != nil || !bytes.Equal(it.Value, value) || it.Revision != r.Revision {
			t.Fatalf("write %d was acknowledged at revision %d, and is not there: %q at %d, %v", written, r.Revision, it.Value, it.Revision, err)
		}
	}
	for range 8 { // who is ahead of whom is drawn
		before, after := c.dial(t), c.dial(t)
		put(before)
		b.mu.Lock()
		b.mu.machines[1] = kv.New() // the backup is of before the session was opened
		b.mu.Unlock()
		put(after)
		if n := b.stats(t, 1).Sessions; n != 1 {
			t.Fatalf("%d sessions: the two do not share one", n)
		}
		for range 4 {
			put(before)
			put(after)
		}
	}
}
