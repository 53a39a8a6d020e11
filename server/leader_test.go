package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// TestElectionsAreWaitedOut: a write that comes during an election, or while a node has yet to hear of a change of epoch, is
// answered after it, over HTTP and natively, and is applied once; one whose outcome is unknown is never tried again (P18, N7).
func TestElectionsAreWaitedOut(t *testing.T) {
	b := newBackend(1)
	var once atomic.Uint32 // the fault of the next try: elected, or healed, before the one after it
	var unknown atomic.Bool
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		if unknown.Load() {
			return faultUnknownNot
		}
		return fault(once.Swap(uint32(faultNone)))
	}
	c := newCluster(t, b, 1, defaultLimits())
	cl := c.dial(t)
	if _, err := cl.Put(t.Context(), key(1), nil); err != nil { // its session is open
		t.Fatal(err)
	}
	h := newWebOver(t, c.nodes[0].fakeHost)
	for _, put := range []func() error{
		func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // else the client would try for ever
			defer cancel()
			_, err := cl.Put(ctx, key(1), nil)
			return err
		},
		func() error {
			if status, body, _ := h.do(t, http.MethodPut, "/v1/kv/a", "x"); status != http.StatusOK {
				t.Errorf("%d %s", status, body)
			}
			return nil
		},
	} {
		for _, f := range []fault{faultNoLeader, faultStaleEpoch} {
			once.Store(uint32(f))
			before := b.proposals.Load()
			if err := put(); err != nil {
				t.Error(err)
			}
			if got := b.proposals.Load() - before; got != 2 {
				t.Errorf("proposed %d times after fault %d, want twice", got, f)
			}
		}
	}
	unknown.Store(true)
	before := b.proposals.Load()
	if status, _, _ := h.do(t, http.MethodPut, "/v1/kv/a", "x"); status != http.StatusServiceUnavailable || b.proposals.Load() != before+1 {
		t.Errorf("unknown outcome: %d after %d tries", status, b.proposals.Load()-before)
	}
	if got := b.stats(t, 1).Revision; got != 5 {
		t.Errorf("%d writes were applied, want 5", got)
	}
}

// A group that stays without a leader is refused when the patience is over.
func TestLeaderPatienceEnds(t *testing.T) {
	b := newBackend(1)
	b.fault = func(wire.NodeID, wire.GroupID) fault { return faultNoLeader }
	h := newWebOver(t, &fakeHost{id: 1, b: b})
	h.server.limits.leaderWait = 50 * time.Millisecond
	if status, body, _ := h.do(t, http.MethodPut, "/v1/kv/a", "x"); status != http.StatusServiceUnavailable || problem(t, body).Code != "no_leader" {
		t.Errorf("%d %s", status, body)
	}
	if b.proposals.Load() < 2 {
		t.Error("tried once")
	}
}
