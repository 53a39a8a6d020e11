package multiraft

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// sink is a machine that costs nothing.
type sink struct{}

func (sink) Apply(batch []Command) ([][]byte, error) { return nil, nil }
func (sink) Query([]byte) ([]byte, error)            { return nil, nil }

// BenchmarkPropose: three engines in one process, logs in memory, commands of 128 bytes from closed-loop clients.
// An operation is one command, proposed to applied; allocations are those of all three nodes.
func BenchmarkPropose(b *testing.B) {
	for _, tc := range []struct{ groups, clients int }{{1, 1}, {1, 16}, {1, 256}, {1, 1024}, {64, 1024}, {1000, 1024}} {
		b.Run(fmt.Sprintf("groups=%d/clients=%d", tc.groups, tc.clients), func(b *testing.B) {
			benchmarkPropose(b, tc.groups, tc.clients, 0)
		})
	}
}

// BenchmarkProposeSlowDisk is the same with a commit that takes half a millisecond, as on a real disk.
func BenchmarkProposeSlowDisk(b *testing.B) {
	for _, tc := range []struct{ groups, clients int }{{1, 1}, {1, 256}, {1, 1024}, {64, 1024}, {1000, 1024}} {
		b.Run(fmt.Sprintf("groups=%d/clients=%d", tc.groups, tc.clients), func(b *testing.B) {
			benchmarkPropose(b, tc.groups, tc.clients, 500*time.Microsecond)
		})
	}
}

func benchmarkPropose(b *testing.B, groups, clients int, commit time.Duration) {
	c := benchCluster(b, groups, commit)
	defer c.killAll()
	data := make([]byte, 128)
	var next atomic.Int64
	var wait sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	for range clients {
		wait.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				g := wire.GroupID(n % int64(groups))
				if _, err := c.nodes[1].engine.Propose(context.Background(), g, data); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	took := time.Since(began)
	b.StopTimer()
	s := c.nodes[1].engine.Stats()
	b.ReportMetric(float64(b.N)/took.Seconds(), "ops/s")
	b.ReportMetric(float64(b.N)/float64(max(s.Commits, 1)), "ops/commit")
	b.ReportMetric(float64(s.Sends)/float64(b.N), "sends/op")
}

// benchCluster starts three engines whose groups are all led by node 1.
func benchCluster(b *testing.B, groups int, commit time.Duration) *cluster {
	var ids []wire.GroupID
	for g := range wire.GroupID(groups) {
		ids = append(ids, g)
	}
	c := newCluster(b, 3, ids...)
	c.config = func(cfg *Config) { cfg.Workers, cfg.ApplyWorkers = 0, 0 }
	c.machines = func(wire.NodeID, wire.GroupID) StateMachine { return sink{} }
	c.startAll()
	for _, g := range ids {
		for {
			_ = c.nodes[1].engine.TransferLeader(within(time.Second), g, 1)
			if s, _ := c.nodes[1].engine.GroupStatus(g); s.Leader == 1 {
				break
			}
			<-within(10 * time.Millisecond).Done()
		}
	}
	if commit > 0 {
		for _, n := range c.nodes {
			n.log.hook(func([]wire.LogUpdate) error { <-within(commit).Done(); return nil })
		}
	}
	return c
}

// BenchmarkQuery: linearizable reads on the leader.
func BenchmarkQuery(b *testing.B) {
	c := benchCluster(b, 1, 0)
	defer c.killAll()
	b.ReportAllocs()
	b.ResetTimer()
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.nodes[1].engine.Query(context.Background(), 0, nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkIdleTick: what a tick costs a node that leads ten thousand groups with nothing to do.
func BenchmarkIdleTick(b *testing.B) {
	var ids []wire.GroupID
	for g := range wire.GroupID(10_000) {
		ids = append(ids, g)
	}
	c := newCluster(b, 1, ids...)
	c.config = func(cfg *Config) { cfg.Workers = 1 }
	h := newHand(c)
	h.lead(c.nodes[1])
	b.ReportAllocs()
	for b.Loop() {
		c.nodes[1].engine.tick()
		h.turn(c.nodes[1])
	}
}
