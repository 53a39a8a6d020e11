package quictransport

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"flotilla/raft/wire"
)

// counter is a Handler that counts messages and echoes requests.
type counter struct {
	n    atomic.Int64
	want atomic.Int64
	hit  chan struct{}
}

func (c *counter) HandleMessages(_ wire.NodeID, msgs []wire.Message) {
	if n := c.n.Add(int64(len(msgs))); n >= c.want.Load() {
		signal(c.hit)
	}
}
func (c *counter) HandlePeer(wire.NodeID, wire.PeerEvent) {}
func (c *counter) HandleForward(_ context.Context, _ wire.NodeID, request []byte) ([]byte, error) {
	return request, nil
}

// benchPair connects two nodes on loopback.
func benchPair(b *testing.B) (x, y *Transport, at *counter) {
	w := real(b)
	at = &counter{hit: make(chan struct{}, 1)}
	x = boot(b, w.config(1, w.listen(1, "")), &counter{hit: make(chan struct{}, 1)})
	y = boot(b, w.config(2, w.listen(2, "")), at)
	if err := x.SetPeer(2, y.Addr().String()); err != nil {
		b.Fatal(err)
	}
	for x.Stats().Peers == 0 || y.Stats().Peers == 0 {
	}
	return x, y, at
}

// BenchmarkAppends sends turns of appends, 64 bytes of them per message and 128 bytes of data each, and waits for the last
// of a window of 16 turns.
func BenchmarkAppends(b *testing.B) {
	for _, groups := range []int{1, 64} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			x, _, at := benchPair(b)
			var batch []wire.Message
			for g := range groups {
				batch = append(batch, appendOf(1, 2, wire.GroupID(g), 0, make([]byte, 128))...)
			}
			b.ReportAllocs()
			sent := int64(0)
			const window = 16
			for b.Loop() {
				for range window {
					if err := x.Send(2, wire.LaneAppend, batch); err != nil {
						b.Fatal(err)
					}
				}
				sent += window * int64(groups)
				at.want.Store(sent)
				for at.n.Load() < sent {
					<-at.hit
				}
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msgs/s")
			s := x.Stats()
			b.ReportMetric(float64(s.Append.SentBytes)/float64(sent), "B/msg")
			b.ReportMetric(float64(sent)/float64(s.Append.SentFrames), "msgs/frame")
		})
	}
}

// BenchmarkControl sends one heartbeat and waits for it: one way, unloaded.
func BenchmarkControl(b *testing.B) {
	x, _, at := benchPair(b)
	msgs := heartbeat(1, 2, 1)
	b.ReportAllocs()
	for sent := int64(1); b.Loop(); sent++ {
		at.want.Store(sent)
		if err := x.Send(2, wire.LaneControl, msgs); err != nil {
			b.Fatal(err)
		}
		for at.n.Load() < sent {
			<-at.hit
		}
	}
}

// BenchmarkForward is one request and its reply at a time, then 64 at a time.
func BenchmarkForward(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		x, _, _ := benchPair(b)
		body := make([]byte, 128)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := x.Forward(b.Context(), 2, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		x, _, _ := benchPair(b)
		body := make([]byte, 128)
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := x.Forward(context.Background(), 2, body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
