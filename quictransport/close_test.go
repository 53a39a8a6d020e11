package quictransport

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/internal/leak"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// D69, P8: starting and stopping leaves no goroutine and no file behind, however it is stopped.
func TestStartStopLeavesNothing(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	w := real(t)
	certs := map[wire.NodeID]*pki.Source{1: w.credentials(1), 2: w.credentials(2)}
	round := func(i int) {
		var trs []*Transport
		var recs []*recorder
		for id := wire.NodeID(1); id <= 2; id++ {
			cfg := w.config(id, w.listen(id, ""))
			cfg.TLS = certs[id]
			tr, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			rec := newRecorder()
			if err := tr.Start(rec); err != nil {
				t.Fatal(err)
			}
			trs, recs = append(trs, tr), append(recs, rec)
		}
		if err := errors.Join(trs[0].SetPeer(2, trs[1].Addr().String()), trs[1].SetPeer(1, trs[0].Addr().String())); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // else: stopped in the middle of connecting
			recs[0].waitPeer(t, 2, wire.PeerUp)
			recs[1].waitPeer(t, 1, wire.PeerUp)
		}
		var wg sync.WaitGroup
		for n, tr := range trs {
			wg.Go(func() {
				if (i+n)%3 == 0 {
					tr.Kill()
				} else {
					// Short courtesy: the other one may have been killed.
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
					defer cancel()
					if err := tr.Close(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	round(0) // what is made once
	goroutines, files := leak.Running(), leak.Open(t)
	for i := range rounds {
		round(i)
	}
	goroutines.Check(t, 20*time.Second) // QUIC's own goroutines end a moment after its Close
	files.Check(t)
}

// P7, P8, F34, F35: Close is idempotent, callers wait for the first, and work that begins after it is refused.
func TestCloseIsIdempotentAndSeen(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		b.rec.setServe(func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		inFlight := make(chan error, 1)
		go func() { _, err := a.Forward(context.Background(), 2, nil); inFlight <- err }()
		after(10 * time.Millisecond)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := a.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		a.Kill()
		if err := <-inFlight; wire.CodeOf(err) != wire.CodeUnknownOutcome {
			t.Errorf("request in flight: %v", err)
		}
		if _, err := a.Forward(t.Context(), 2, nil); wire.CodeOf(err) != wire.CodeStopped {
			t.Errorf("request after Close: %v", err)
		}
		if err := a.Start(a.rec); err == nil {
			t.Error("a closed transport started")
		}
	})
}

// A peer that is cut off does not hold Close up.
func TestCloseDoesNotWaitForTheDead(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		w.sim.Cut(a.addr, b.addr)
		start := time.Now()
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > goodbyeTimeout+100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		start = time.Now()
		if err := b.Close(over); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("without courtesy it took %v", took)
		}
	})
}

// Never started, a transport can be closed; its socket is released.
func TestCloseBeforeStart(t *testing.T) {
	w := real(t)
	cfg := w.config(1, w.listen(1, ""))
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.listen(1, cfg.Conn.LocalAddr().String()).Close()
}

// Clients' connections are closed with the reason for shutdown, and their goroutines joined.
func TestCloseEndsClients(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		left := make(chan struct{})
		a := w.node(1, func(c *Config) {
			c.ClientConn = func(qc *quic.Conn) {
				<-qc.Context().Done()
				after(50 * time.Millisecond)
				close(left)
			}
		})
		qc, err := w.raw(9).dial(a, w.credentials(9).DialNode(pki.ClientProtocol, 1))
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the client", func() bool { return a.Stats().Clients == 1 })
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-left:
		default:
			t.Error("Close did not wait for the client's goroutine")
		}
		wantEnd(t, qc, ReasonShutdown)
	})
}

// D71: what the system grants is known, and too little is told with what to do.
func TestSmallBufferIsTold(t *testing.T) {
	w := real(t)
	var mu sync.Mutex
	var told []Event
	n := w.node(1, func(c *Config) {
		c.Events = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e)
		}
	})
	granted := n.Stats().ReceiveBuffer
	if granted == 0 {
		t.Skip("this system does not tell its buffers")
	}
	mu.Lock()
	defer mu.Unlock()
	if small := granted < wantBuffer; small != (len(told) == 1) {
		t.Fatalf("granted %d bytes, told %v", granted, told)
	}
	for _, e := range told {
		if e.Kind != EventSmallBuffer || !strings.Contains(e.Err.Error(), "net.core.rmem_max") {
			t.Fatalf("told %+v", e)
		}
	}
}
