package integration

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

var stateMiB = flag.Int("state-mib", 24, "what is written while a node is down in TestCatchUpBySnapshot; 1024 is the long run, which checks the limits")

// TestCatchUpBySnapshot: a follower that was down while much was written gets a snapshot under load: nobody is elected, commits stay
// fast, and memory is taken by the state alone.
// P15 N6 F26
func TestCatchUpBySnapshot(t *testing.T) {
	long := *stateMiB >= 1024
	flags := []string{"--groups", "1"}
	if !long {
		flags = append(flags, "--snapshot-threshold", "1MiB")
	}
	c := startCluster(t, flags...)
	leader := c.leaderOf(t, 1)
	victim := leader%c.Size() + 1
	if err := c.Kill(victim); err != nil {
		t.Fatal(err)
	}
	stores := c.storesWithout(t, victim)
	began := time.Now()
	c.write(t, stores, *stateMiB<<10)
	t.Logf("%d MiB written in %v", *stateMiB, time.Since(began).Round(time.Second))
	began = time.Now()
	c.settleSnapshots(t, victim)
	t.Logf("snapshots settled after another %v", time.Since(began).Round(time.Second))

	before := c.status(t, leader)
	load := newSteadyLoad(t.Context(), stores)
	pause(t, 10*time.Second, long)
	quiet := load.take()
	leaderRSS := c.rss(t, leader)

	if err := c.Start(victim); err != nil {
		t.Fatal(err)
	}
	var sender, receiver peak
	part := filepath.Join(c.DataDir(victim), "recv", "*.part")
	began = time.Now()
	arrived := time.Duration(0)
	for deadline := time.Now().Add(10 * time.Minute); ; {
		if time.Now().After(deadline) {
			t.Fatal("no snapshot was installed in 10 minutes")
		}
		sender.add(c.rss(t, leader) - leaderRSS)
		if staged, _ := filepath.Glob(part); len(staged) > 0 {
			receiver.add(c.rss(t, victim))
			arrived = time.Since(began)
		}
		if n, err := c.Metric(victim, "flotilla_snapshot_installed_total"); err == nil && n >= 1 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	during := load.take()
	t.Logf("transfer of %v, installed after %v", arrived.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	load.stop()
	c.caughtUp(t, victim)
	after := c.status(t, leader)
	for i, g := range before.Groups {
		if after.Groups[i].Term != g.Term {
			t.Errorf("group %d: term %d, %d before: there was an election", g.ID, after.Groups[i].Term, g.Term)
		}
	}
	t.Logf("writes: p99 %v of %d before, %v of %d during; memory of the sender at most %d MiB more, of the receiver %d to %d MiB while receiving",
		quantile(quiet, 0.99), len(quiet), quantile(during, 0.99), len(during), sender.most>>20, receiver.least>>20, receiver.most>>20)
	if long {
		if quantile(during, 0.99) > 2*quantile(quiet, 0.99) {
			t.Errorf("p99 of writes more than doubled")
		}
		if sender.most > 64<<20 || receiver.most-receiver.least > 64<<20 {
			t.Errorf("a transfer takes more than 64 MiB")
		}
	}
}

// write writes n values of 1 KiB under as many keys.
func (c *testCluster) write(t *testing.T, stores []Store, n int) {
	t.Helper()
	value := make([]byte, 1000)
	var wg sync.WaitGroup
	const writers = 128
	failed := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				_, err := stores[w%len(stores)].Put(ctx, fmt.Sprintf("bulk-%012d", i), value, nil)
				cancel()
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// settleSnapshots waits until the nodes but one make no more snapshots.
func (c *testCluster) settleSnapshots(t *testing.T, but int) {
	t.Helper()
	last, still := -1.0, time.Now()
	for time.Since(still) < 3*time.Second {
		made := 0.0
		for id := 1; id <= c.Size(); id++ {
			if id == but {
				continue
			}
			n, err := c.Metric(id, "flotilla_snapshot_made_total")
			if err != nil {
				t.Fatal(err)
			}
			made += n
			if staged, _ := filepath.Glob(filepath.Join(c.DataDir(id), "snap", "*", "*.tmp")); len(staged) > 0 {
				still = time.Now() // one is being written
			}
		}
		if made != last {
			last, still = made, time.Now()
		}
		time.Sleep(100 * time.Millisecond)
	}
	if last < 2 {
		t.Fatalf("%v snapshots were made", last)
	}
}

func (c *testCluster) status(t *testing.T, id int) Status {
	t.Helper()
	st, err := c.Status(id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (c *testCluster) rss(t *testing.T, id int) int64 {
	t.Helper()
	n, err := c.RSS(id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pause lets a load run for d, or for a tenth of it in a short run.
func pause(t *testing.T, d time.Duration, long bool) {
	t.Helper()
	if !long {
		d /= 10
	}
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// steadyLoad writes at a rate that leaves the machine room, and keeps how long each write took.
type steadyLoad struct {
	end context.CancelFunc
	wg  sync.WaitGroup

	mu   sync.Mutex
	took []time.Duration
}

func newSteadyLoad(ctx context.Context, stores []Store) *steadyLoad {
	l := &steadyLoad{}
	ctx, l.end = context.WithCancel(ctx)
	value := make([]byte, 128)
	for w := range 8 {
		l.wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				began := time.Now()
				if _, err := stores[w%len(stores)].Put(ctx, fmt.Sprintf("steady-%d-%d", w, i%100), value, nil); err == nil {
					l.mu.Lock()
					l.took = append(l.took, time.Since(began))
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// take returns what was measured since the last call.
func (l *steadyLoad) take() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.took
	l.took = nil
	return took
}

func (l *steadyLoad) stop() {
	l.end()
	l.wg.Wait()
}

// quantile returns the q-quantile of what was measured, rounded.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))].Round(10 * time.Microsecond)
}

// peak keeps the least and the most of what it was given.
type peak struct {
	least, most int64
	seen        bool
}

func (p *peak) add(n int64) {
	if !p.seen || n < p.least {
		p.least = n
	}
	if !p.seen || n > p.most {
		p.most = n
	}
	p.seen = true
}
