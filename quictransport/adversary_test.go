package quictransport

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// dialWith connects like an honest node, but for its QUIC configuration.
func (r *raw) dialWith(to *node, change func(*quic.Config)) (*quic.Conn, error) {
	r.t.Helper()
	conf := quicConfig()
	change(conf)
	addr, err := net.ResolveUDPAddr("udp4", to.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	addr.IP = addr.IP.To4()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	return r.qt.Dial(ctx, addr, r.w.credentials(r.id).DialNode(pki.PeerProtocol, to.id), conf)
}

// P27: one node that lies about the epoch, step by plausible step, must not drive honest nodes apart: what one of them
// has come to observe, the others still find plausible.
func TestPoisonedEpochPartsNobody(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		r := w.raw(9)
		qc := r.mustDial(a)
		s := r.join(qc, a)
		for i := range epoch.Epoch(5) {
			_, _ = s.Write(frameOf(epoch.Stamp{Observed: (i + 1) * epoch.MaxJump}, 0, nil))
		}
		wantEnd(t, qc, ReasonStaleEpoch)
		waitFor(t, "a message of the poisoned node", reaches(a, b, 78))
		waitFor(t, "a message to the poisoned node", reaches(b, a, 79))
		if n := b.rec.count(1, wire.PeerDown); n != 0 {
			t.Errorf("the honest nodes were parted %d times", n)
		}
	})
}

// A peer that gives no credit for streams gets no lanes, and is refused; it has had a node call a stream that was never
// opened (P34).
func TestPeerWithoutStreamCredit(t *testing.T) {
	for _, streams := range []int64{-1, 1, 2, 3} {
		both(t, func(t *testing.T, w *world) {
			a := w.node(1, nil)
			for range 20 {
				r := w.raw(9)
				qc, err := r.dialWith(a, func(c *quic.Config) { c.MaxIncomingUniStreams = streams })
				if err != nil { // refused before the dial was done
					if end := closeErrorOf(err); !end.Remote || end.Reason != ReasonOverload {
						t.Fatal(err)
					}
					_ = r.qt.Close()
					_ = r.qt.Conn.Close()
					continue
				}
				for _, lane := range []framing.Lane{framing.LaneControl, framing.LaneForward, framing.LaneAppend} {
					p := r.preface(lane)
					if s, err := qc.OpenUniStream(); err == nil {
						_, _ = s.Write(append(p.Append(nil), frameOf(epoch.Stamp{}, 0, nil)...))
					}
				}
				if end := ended(t, qc); !end.Remote {
					t.Fatalf("ended with %v", end)
				}
				_ = r.qt.Close()
				_ = r.qt.Conn.Close()
			}
		})
	}
}

// A peer that sends requests and reads no replies is cut off before the refusals it provokes fill the memory (D73).
func TestUnreadRefusalsAreBounded(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		const lane = 64 << 10
		a := w.node(1, func(c *Config) { c.Limits.LaneBytes = lane })
		a.fence.Apply(1)
		r := w.raw(9)
		qc, err := r.dialWith(a, func(c *quic.Config) {
			c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = 16<<10, 16<<10
		})
		if err != nil {
			t.Fatal(err)
		}
		p := r.preface(framing.LaneControl)
		stamp := epoch.Stamp{Observed: 1} // heard of the epoch, not applied it: each request is refused
		r.write(qc, append(p.Append(nil), frameOf(stamp, 0, nil)...))
		a.rec.waitPeer(t, 9, wire.PeerUp)
		c := (*a.routes.Load())[9]
		requests := func(n int) []byte {
			var elements []byte
			for i := range n {
				elements = (&framing.Item{Kind: framing.ItemRequest, ID: uint64(i)}).Append(elements)
			}
			return frameOf(stamp, n, elements)
		}
		s := r.lane(qc, framing.LaneForward, nil)
		most := 0
		for range 200 {
			if _, err := s.Write(requests(1000)); err != nil {
				break
			}
			c.forward.mu.Lock()
			most = max(most, c.forward.bytes)
			c.forward.mu.Unlock()
		}
		if most > 3*lane {
			t.Errorf("%d bytes of refusals waited for a peer that does not read, lanes hold %d", most, lane)
		}
		wantEnd(t, qc, ReasonOverload)
	})
}

// P24: the fence loses no large frame either: a reply with the largest value is written again like any other.
func TestLargeRefusedFrameIsWrittenAgain(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		after(50 * time.Millisecond)
		b.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) {
			a.fence.Apply(5) // the caller's epoch rises while the request is served
			return make([]byte, 1<<20+64<<10), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if reply, err := a.Forward(ctx, 2, nil); err != nil {
			t.Fatalf("%d bytes, %v", len(reply), err)
		}
	})
}

// D73: above the limit, and only above it, an address has to be proved; the next second begins anew.
func TestRetryIsAskedAboveTheLimit(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, func(c *Config) { c.Limits.UnvalidatedPerSecond = 3 })
		for range 2 {
			asked := 0
			for range 10 {
				if a.qt.VerifySourceAddress(nil) {
					asked++
				}
			}
			if asked != 7 {
				t.Errorf("%d of 10 handshakes were asked for proof of their address, want 7", asked)
			}
			after(time.Second)
		}
	})
}
