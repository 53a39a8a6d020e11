package integration

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	operations = flag.Int64("ops", 8000, "operations of TestLinearizableUnderKills; 100000 is the long run")
	staleReads = flag.Int64("stale-ops", 4000, "operations of TestStaleReadsAreFound")
)

// opsPerKey bounds how much of a history falls on one key; the checker's cost is in the length of a key's history.
const opsPerKey = 300

// TestLinearizableUnderKills runs concurrent clients against the cluster while its nodes are killed and
// restarted at random, and asks porcupine whether what they saw is linearizable.
// N7 D30 D33 D41
func TestLinearizableUnderKills(t *testing.T) {
	c := startCluster(t)
	h := NewHistory()
	load, stop := context.WithCancel(t.Context())
	defer stop()
	stores := c.stores(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runHistory(load, h, stores, *operations, func(ctx context.Context, s Store, key string) ([]byte, bool, error) {
			value, _, found, err := s.Get(ctx, key)
			return value, found, err
		})
	}()
	kills := 0
	for alive := true; alive; {
		victim := 1 + rand.IntN(c.Size())
		if err := c.Kill(victim); err != nil {
			t.Fatalf("kill -9 of node %d: %v", victim, err)
		}
		kills++
		c.startAll(t)
		select {
		case <-done:
			alive = false
		case <-time.After(time.Duration(1+rand.IntN(3)) * time.Second): // the pace of the chaos, nothing waits for it
		}
	}
	recorded, unsure, failed := h.Counts()
	t.Logf("%d operations, %d writes unknown, %d failed for certain, %d kills", recorded, unsure, failed, kills)
	if recorded < int(*operations)*9/10 {
		t.Errorf("only %d of %d operations succeeded: this was no load", recorded, *operations)
	}
	if unsure*50 > recorded {
		t.Errorf("%d of %d outcomes unknown: more than two in a hundred", unsure, recorded)
	}
	if got := h.Check(5 * time.Minute); got != porcupine.Ok {
		t.Fatalf("verdict %v, want Ok", got)
	}
}

// TestStaleReadsAreFound shows that the check bites: with reads served from whatever a node happens to have in
// memory the history is found not to be linearizable.
func TestStaleReadsAreFound(t *testing.T) {
	c := startCluster(t)
	h := NewHistory()
	runHistory(t.Context(), h, c.stores(t), *staleReads, func(ctx context.Context, s Store, key string) ([]byte, bool, error) {
		return s.(staleReader).GetStale(ctx, key)
	})
	if recorded, _, _ := h.Counts(); recorded < int(*staleReads)*9/10 {
		t.Fatalf("only %d of %d operations succeeded: this was no load", recorded, *staleReads)
	}
	if got := h.Check(5 * time.Minute); got != porcupine.Illegal {
		t.Fatalf("verdict %v on stale reads, want Illegal", got)
	}
}

// staleReader reads from one node's memory without asking anybody.
type staleReader interface {
	GetStale(ctx context.Context, key string) (value []byte, found bool, err error)
}

// runHistory has clients do n operations between them, half of them writes, on a few keys at a time.
func runHistory(ctx context.Context, h *History, stores []Store, n int64,
	read func(context.Context, Store, string) ([]byte, bool, error),
) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range *workers {
		wg.Go(func() {
			store := stores[worker%len(stores)]
			client := worker // a client whose outcome is unknown ends, and another one begins
			for ctx.Err() == nil {
				i := next.Add(1)
				if i > n {
					return
				}
				// Four keys at a time, each for a stretch of the history.
				key := fmt.Sprintf("h-%d-%d", i/(4*opsPerKey), rand.IntN(4))
				attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
				call := h.Now()
				if rand.IntN(2) == 0 {
					value := fmt.Sprintf("v%d", i)
					_, err := store.Put(attempt, key, []byte(value), nil)
					o := outcomeOf(err)
					h.Wrote(client, call, key, value, o)
					if o == unknown {
						client += *workers
					}
				} else if value, _, err := read(attempt, store, key); err != nil {
					h.Failed()
				} else {
					h.Saw(client, call, key, string(value))
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
