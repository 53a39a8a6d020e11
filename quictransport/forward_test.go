package quictransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// D67: 10,000 requests that are refused early leave nothing behind; the next one passes.
func TestManyEarlyErrors(t *testing.T) {
	w := real(t)
	a, b := w.node(1, nil), w.node(2, nil)
	meet(t, a, b)
	b.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) {
		return nil, &wire.Error{Code: wire.CodeNotLeader, Leader: 3}
	})
	body := make([]byte, 3000)
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for range 50 {
		wg.Go(func() {
			for range 200 {
				if _, err := a.Forward(t.Context(), 2, body); wire.CodeOf(err) != wire.CodeNotLeader {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if wrong.Load() != 0 {
		t.Fatalf("%d of 10,000 came back wrong", wrong.Load())
	}
	b.rec.setServe(nil)
	if reply, err := a.Forward(t.Context(), 2, []byte("x")); err != nil || string(reply) != "echo x" {
		t.Fatalf("%q, %v", reply, err)
	}
	if s := a.Stats(); s.ForwardsOut != 0 || s.Connected != 1 {
		t.Fatalf("left behind: %+v", s)
	}
}

// D68: a storm of cancelled requests, at the limit of those under way, blocks nobody and is heard by the handlers.
func TestCancelStorm(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, func(c *Config) { c.Limits.Forwards = 64 }), w.node(2, nil)
		meet(t, a, b)
		var cancelled atomic.Int64
		b.rec.setServe(func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			cancelled.Add(1)
			return nil, ctx.Err()
		})
		var overloaded, unknown atomic.Int64
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					_, err := a.Forward(ctx, 2, []byte("never answered"))
					switch wire.CodeOf(err) {
					case wire.CodeOverloaded:
						overloaded.Add(1)
					case wire.CodeUnknownOutcome:
						unknown.Add(1)
						if !errors.Is(err, context.Canceled) {
							t.Errorf("cause lost: %v", err)
						}
					}
				})
			}
			after(10 * time.Millisecond)
			cancel()
			wg.Wait()
			after(10 * time.Millisecond)
		}
		if unknown.Load() != 20*64 || overloaded.Load() != 20*36 {
			t.Errorf("%d unknown, %d overloaded; want 1280 and 720", unknown.Load(), overloaded.Load())
		}
		if cancelled.Load() != unknown.Load() {
			t.Errorf("%d handlers heard of it, want %d", cancelled.Load(), unknown.Load())
		}
		b.rec.setServe(nil)
		if _, err := a.Forward(t.Context(), 2, nil); err != nil {
			t.Fatal(err)
		}
		if s := b.Stats(); s.ForwardsIn != 0 {
			t.Errorf("still serving %d", s.ForwardsIn)
		}
	})
}

// Deadlines travel; what is over before it is sent is told apart from what may have happened.
func TestForwardOutcomes(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		if _, err := a.Forward(t.Context(), 2, nil); wire.CodeOf(err) != wire.CodeUnreachable {
			t.Errorf("without a connection: %v", err)
		}
		meet(t, a, b)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.Forward(over, 2, nil); wire.CodeOf(err) != wire.CodeTimeout {
			t.Errorf("context over before: %v", err)
		}
		if _, err := a.Forward(t.Context(), 2, make([]byte, framing.MaxBody+1)); wire.CodeOf(err) != wire.CodeTooLarge {
			t.Errorf("too large: %v", err)
		}
		left := make(chan time.Duration, 1)
		b.rec.setServe(func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
			deadline, _ := ctx.Deadline()
			left <- time.Until(deadline)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := a.Forward(short, 2, nil); wire.CodeOf(err) != wire.CodeUnknownOutcome || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no reply in time: %v", err)
		}
		if d := <-left; d > 300*time.Millisecond || d < 200*time.Millisecond {
			t.Errorf("the handler had %v left", d)
		}
		b.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) { return nil, errors.New("untyped") })
		if _, err := a.Forward(t.Context(), 2, nil); wire.CodeOf(err) != wire.CodeUnknownOutcome {
			t.Errorf("an untyped error: %v", err)
		}
		b.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) {
			return make([]byte, framing.MaxBody+1), nil
		})
		if _, err := a.Forward(t.Context(), 2, nil); wire.CodeOf(err) != wire.CodeUnknownOutcome {
			t.Errorf("a reply too large: %v", err)
		}
		b.rec.setServe(func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ended := make(chan error, 1)
		go func() { _, err := a.Forward(t.Context(), 2, nil); ended <- err }()
		after(10 * time.Millisecond)
		b.Kill()
		if err := <-ended; wire.CodeOf(err) != wire.CodeUnknownOutcome {
			t.Errorf("the peer died: %v", err)
		}
	})
}

// A nil and an empty reply differ, and a megabyte passes each way.
func TestForwardBodies(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		b.rec.setServe(func(_ context.Context, from wire.NodeID, request []byte) ([]byte, error) {
			if from != 1 {
				return nil, fmt.Errorf("request from node %d", from)
			}
			return request, nil
		})
		for _, body := range [][]byte{nil, {}, []byte("x"), bytes.Repeat([]byte("y"), 2<<20)} {
			got, err := a.Forward(t.Context(), 2, body)
			if err != nil || !bytes.Equal(got, body) || (got == nil) != (body == nil) {
				t.Errorf("%d bytes came back as %d (nil %v), %v", len(body), len(got), got == nil, err)
			}
		}
	})
}

// The number of requests served for one peer is bounded, whatever it believes.
func TestServingIsBounded(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, func(c *Config) { c.Limits.Forwards = 3 })
		meet(t, a, b)
		var most, now atomic.Int64
		b.rec.setServe(func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var overloaded atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := a.Forward(ctx, 2, nil); wire.CodeOf(err) == wire.CodeOverloaded {
					overloaded.Add(1)
				}
			})
		}
		wg.Wait()
		if most.Load() != 3 || overloaded.Load() != 7 {
			t.Fatalf("%d served at a time, %d refused; want 3 and 7", most.Load(), overloaded.Load())
		}
	})
}

// Bytes under way are bounded on the side that asks and on the side that serves.
func TestForwardBytesAreBounded(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		b := w.node(2, func(c *Config) { c.Limits.ForwardBytes = 2500 })
		meet(t, a, b)
		stuck := func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		a.rec.setServe(stuck)
		b.rec.setServe(stuck)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var overloaded, other atomic.Int64
		ask := func(n *node, to wire.NodeID) {
			_, err := n.Forward(ctx, to, make([]byte, 1000))
			if wire.CodeOf(err) == wire.CodeOverloaded {
				overloaded.Add(1)
			} else {
				other.Add(1)
			}
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { ask(a, 2) }) // refused by the server
			wg.Go(func() { ask(b, 1) }) // refused before they leave
		}
		wg.Wait()
		if overloaded.Load() != 6 || other.Load() != 4 {
			t.Fatalf("%d overloaded, %d taken; want 6 and 4", overloaded.Load(), other.Load())
		}
	})
}
