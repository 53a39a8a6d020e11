package flotilla_test

import (
	"context"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"flotilla"
	"flotilla/internal/leak"
	"flotilla/raft/wire"
)

var (
	leaders  = flag.Int("leaders", 100, "changes of metadata leadership in TestForcedMetadataLeaders; the promise is shown with 1000")
	restarts = flag.Int("restarts", 30, "restarts in TestRandomRestarts; the promise is shown with 200")
)

// TestForcedMetadataLeaders forces the leadership of group 0 from node to node: the epoch grows by exactly one each time, on every
// node, and what each node has applied only rises (P20, P22).
func TestForcedMetadataLeaders(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		c.lead(1, 2, 3)
		acquired := func() (n uint64) {
			for _, h := range c.hosts {
				n += h.Stats().Engine.Acquisitions
			}
			return n
		}
		first, before := c.hosts[1].Epoch(), acquired()
		for i := range *leaders {
			to := flotilla.NodeID(2 + i%3)
			if to == 4 {
				to = 1
			}
			c.lead(to, 1, 2, 3)
			for id, h := range c.hosts {
				if got, want := h.Epoch(), first+flotilla.Epoch(i)+1; got != want {
					t.Fatalf("change %d: node %d has epoch %d, want %d", i+1, id, got, want)
				}
			}
		}
		if got := acquired() - before; got != uint64(*leaders) {
			t.Errorf("%d acquisitions for %d changes", got, *leaders)
		}
	})
}

// account is what writers know of one group: between what was acknowledged and that with all unknown outcomes is what it adds up to.
type account struct {
	mu             sync.Mutex
	acked, unknown uint64
}

// TestRandomRestarts restarts random nodes of five, gently or as by kill -9, under load: nothing acknowledged is lost or counted
// twice, no lock stays held, nothing is left behind (P8, P11, D16, D80).
func TestRandomRestarts(t *testing.T) {
	files, running := leak.Open(t), leak.Running()
	defer func() {
		files.Check(t)
		running.CheckJoined(t)
	}()
	simulated(t, 5, func(t *testing.T, c *testCluster) {
		c.openAll()
		ctx, stop := context.WithCancel(t.Context())
		var accounts [3]account // by group; 0 stays empty
		var mu sync.RWMutex     // hosts
		var wg sync.WaitGroup
		for id := flotilla.NodeID(1); id <= 5; id++ {
			for g := flotilla.GroupID(1); g <= 2; g++ {
				wg.Go(func() {
					for ctx.Err() == nil {
						mu.RLock()
						h := c.hosts[id]
						mu.RUnlock()
						if h != nil {
							addOnce(ctx, h, g, &accounts[g])
						}
						pause(ctx)
					}
				})
			}
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range *restarts {
			id := flotilla.NodeID(1 + rng.IntN(5))
			mu.Lock()
			h := c.hosts[id]
			delete(c.hosts, id)
			mu.Unlock()
			if i%2 == 0 {
				check(t, h.Kill())
			} else {
				closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				check(t, h.Close(closing))
				cancel()
			}
			h, err := flotilla.Open(t.Context(), c.config(id))
			check(t, err)
			mu.Lock()
			c.hosts[id] = h
			mu.Unlock()
			c.await(id)
		}
		stop()
		wg.Wait()
		for g := flotilla.GroupID(1); g <= 2; g++ {
			got := sum(t, c.hosts[1], g)
			if low, high := accounts[g].acked, accounts[g].acked+accounts[g].unknown; got < low || got > high || low < uint64(*restarts) {
				t.Errorf("group %d adds up to %d; acknowledged %d, unknown %d, restarts %d", g, got, low, high-low, *restarts)
			}
		}
	})
}

// addOnce adds one and notes what came of it.
func addOnce(ctx context.Context, h *flotilla.Host, g flotilla.GroupID, t *account) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := h.Group(g).Propose(ctx, []byte("1"))
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.acked++
	case flotilla.CodeOf(err) == flotilla.CodeUnknownOutcome:
		t.unknown++
	}
}

// TestGroupsComeAndGo makes and deletes groups while the cluster runs, of a kind of its own among them, ten a second and more (D54).
func TestGroupsComeAndGo(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.change = func(cfg *flotilla.Config) {
			cfg.Kinds = map[string]flotilla.Kind{"doubling": {New: func(flotilla.GroupID) flotilla.StateMachine { return &doubling{} }}}
		}
		c.openAll()
		add(t, c.hosts[1], 1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		admin := c.hosts[2].Admin()
		var made []flotilla.GroupID
		began := time.Now()
		for i := range 40 {
			id, err := admin.CreateGroup(ctx, []string{"", "doubling"}[i%2], nil)
			check(t, err)
			made = append(made, id)
		}
		for i, id := range made {
			want := uint64(3)
			if i%2 == 1 {
				want = 6
			}
			if got := add(t, c.hosts[flotilla.NodeID(1+i%3)], id, 3); got != want {
				t.Errorf("group %d: %d, want %d", id, got, want)
			}
		}
		if took := time.Since(began); took > 4*time.Second { // of the bubble's time
			t.Errorf("40 groups took %v", took)
		}
		for _, id := range made {
			check(t, admin.DeleteGroup(ctx, id))
		}
		eventually(t, "no replica is left", func() bool {
			for _, h := range c.hosts {
				if len(h.Replicas()) != 3 {
					return false
				}
			}
			return true
		})
		_, err := c.hosts[1].Group(made[0]).Propose(ctx, []byte("1"))
		if code := flotilla.CodeOf(err); code != flotilla.CodeUnknownGroup {
			t.Errorf("a deleted group answers %v", err)
		}
		again, err := admin.CreateGroup(ctx, "", nil)
		check(t, err)
		if again <= made[len(made)-1] {
			t.Errorf("group id %d came back", again)
		}
		if err := admin.DeleteGroup(ctx, 1); wire.CodeOf(err) != wire.CodeConflict {
			t.Errorf("a group with keys: %v", err)
		}
	})
}

// doubling is a counter that counts double.
type doubling struct{ counter }

func (d *doubling) Apply(batch []flotilla.Command) ([][]byte, error) {
	results, err := d.counter.Apply(batch)
	for i := range results {
		results[i] = binary.BigEndian.AppendUint64(nil, 2*binary.BigEndian.Uint64(results[i]))
	}
	return results, err
}
