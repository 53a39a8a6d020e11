package quictransport

import (
	"context"
	"errors"
	"testing"
	"time"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

// P24: a frame older than the receiver's applied epoch is refused whole; the sender observes the current one and is heard
// again within one round trip.
func TestStaleSenderHealsInOneRoundTrip(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) { // 1 ms each way
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		after(50 * time.Millisecond) // between two beacons
		b.fence.Apply(5)
		start := time.Now()
		mustSend(t, a, 2, wire.LaneControl, heartbeat(1, 2, 1))
		waitEpoch(t, a.fence, 5)
		if took := time.Since(start); took > 3*time.Millisecond {
			t.Errorf("observed after %v, the round trip takes 2 ms", took)
		}
		mustSend(t, a, 2, wire.LaneControl, heartbeat(1, 2, 2))
		b.rec.waitContext(t, 1, 2)
		if b.rec.saw(1, 1) {
			t.Error("a stale frame reached the handler")
		}
		if a.fence.Applied() != 0 {
			t.Error("observing moved the applied epoch")
		}
		if s := b.Stats(); s.FenceRefused != 1 {
			t.Errorf("refused %d frames, want 1", s.FenceRefused)
		}
		if s := a.Stats(); s.RefusalsHeard != 1 || s.Connected != 1 {
			t.Errorf("refusals heard %d, connections %d; want 1 and 1", s.RefusalsHeard, s.Connected)
		}
	})
}

// waitEpoch waits a fraction of a millisecond at a time until a fence has observed e.
func waitEpoch(t testing.TB, h *epoch.Holder, e epoch.Epoch) {
	t.Helper()
	for start := time.Now(); h.Observed() < e; after(100 * time.Microsecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("epoch %d not observed, still %d", e, h.Observed())
		}
	}
}

// P24: append lanes are fenced alike, and one refusal does not close anything.
func TestStaleAppendIsRefused(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		after(50 * time.Millisecond)
		b.fence.Apply(1)
		mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, 4, 1, []byte("x")))
		waitEpoch(t, a.fence, 1)
		mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, 4, 2, []byte("x")))
		b.rec.waitContext(t, 1, 2)
		if b.rec.saw(1, 1) {
			t.Error("a stale append reached the handler")
		}
	})
}

// P23: what waited in a lane while the epoch rose leaves with the new epoch.
func TestStampIsPutOnWhenWritten(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		w.sim.Cut(a.addr, b.addr)
		// A frame that cannot leave blocks the lane; the next one waits behind it.
		first := append(appendOf(1, 2, 4, 1, make([]byte, 3<<20)), appendOf(1, 2, 4, 3, []byte("behind, taken with it"))...)
		mustSend(t, a, 2, wire.LaneAppend, first)
		after(20 * time.Millisecond)
		mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, 4, 2, []byte("queued in epoch 0")))
		after(20 * time.Millisecond)
		a.fence.Apply(5)
		b.fence.Apply(5)
		after(100 * time.Millisecond)
		w.sim.Heal()
		b.rec.waitContext(t, 1, 2)
		b.rec.waitContext(t, 1, 3)
		if b.rec.saw(1, 1) {
			t.Error("a frame written in epoch 0 was admitted in epoch 5")
		}
		if s := a.Stats(); s.Connected != 1 {
			t.Errorf("the test needs one connection, had %d", s.Connected)
		}
	})
}

// P25: a forwarded request is refused while its sender has not applied the receiver's epoch, with a typed error that
// says it was not applied; then it passes.
func TestForwardNeedsAuthority(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		served := false
		b.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) { served = true; return nil, nil })
		after(50 * time.Millisecond)
		b.fence.Apply(5)
		start := time.Now()
		_, err := a.Forward(t.Context(), 2, []byte("x"))
		if !errors.Is(err, &wire.Error{Code: wire.CodeStaleEpoch}) {
			t.Fatalf("got %v", err)
		}
		// Refused whole once, written again with the epoch just heard, refused for want of authority: two round trips.
		if took := time.Since(start); took > 6*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if served {
			t.Error("a request without authority was served")
		}
		if s := a.Stats(); s.Resent != 1 {
			t.Errorf("resent %d frames, want 1", s.Resent)
		}
		a.fence.Apply(5)
		if _, err := a.Forward(t.Context(), 2, []byte("x")); err != nil || !served {
			t.Fatalf("with authority: %v", err)
		}
	})
}

// P23, P24: a reply in a refused frame is not lost: it is written again, stamped anew.
func TestRefusedReplyIsWrittenAgain(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		after(50 * time.Millisecond)
		b.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) {
			a.fence.Apply(5) // the caller's epoch rises while the request is served
			return []byte("done"), nil
		})
		reply, err := a.Forward(t.Context(), 2, nil)
		if err != nil || string(reply) != "done" {
			t.Fatalf("%q, %v", reply, err)
		}
		if s := b.Stats(); s.Resent != 1 || s.RefusalsHeard != 1 {
			t.Errorf("resent %d, heard %d refusals; want 1 and 1", s.Resent, s.RefusalsHeard)
		}
	})
}

// P27: an implausible epoch is refused and counted, and a plausible jump is followed.
func TestImplausibleEpoch(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		r := w.raw(9)
		qc := r.mustDial(a)
		s := r.join(qc, a)
		_, _ = s.Write(frameOf(epoch.Stamp{Observed: epoch.MaxJump / 2}, 0, nil))
		waitEpoch(t, a.fence, epoch.MaxJump/2)
		_, _ = s.Write(frameOf(epoch.Stamp{Observed: epoch.MaxJump + 1}, 0, nil))
		wantEnd(t, qc, ReasonStaleEpoch)
		if got := a.fence.Observed(); got != epoch.MaxJump/2 {
			t.Errorf("observed %d", got)
		}
		if s := a.Stats(); s.FenceImplausible != 1 {
			t.Errorf("counted %d", s.FenceImplausible)
		}
	})
}
