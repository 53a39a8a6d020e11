package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/catalog/steward"
	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/kv"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

func TestPutGetDeleteOverQUIC(t *testing.T) {
	c := newCluster(t, newBackend(4), 3, defaultLimits())
	cl := c.dial(t, c.nodes[0])
	ctx := t.Context()
	for i := range 40 {
		r, err := cl.Put(ctx, key(i), fmt.Appendf(nil, "v%d", i))
		if err != nil || r.Revision == 0 || r.Epoch != 7 || r.Group != c.nodes[0].GroupOf(wire.ShardOf(key(i))) {
			t.Fatalf("put %d: %+v, %v", i, r, err)
		}
		for name, get := range map[string]func(context.Context, []byte) (client.Item, error){"get": cl.Get, "stale": cl.GetStale} {
			it, err := get(ctx, key(i))
			if err != nil || string(it.Value) != fmt.Sprintf("v%d", i) || it.Revision != r.Revision {
				t.Fatalf("%s %d: %+v, %v", name, i, it, err)
			}
		}
	}
	r, err := cl.Put(ctx, key(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	var e *client.Error
	if _, err := cl.PutIf(ctx, key(0), []byte("x"), r.Revision+1); !errors.Is(err, client.ErrPrecondition) || !errors.As(err, &e) || e.Revision != r.Revision || e.ExitCode() != 4 {
		t.Errorf("precondition: %v", err)
	}
	if _, err := cl.PutIf(ctx, key(0), []byte("x"), r.Revision); err != nil {
		t.Errorf("precondition that holds: %v", err)
	}
	if _, err := cl.PutIf(ctx, key(0), []byte("x"), 0); !errors.Is(err, client.ErrPrecondition) {
		t.Errorf("must not exist: %v", err)
	}
	if _, err := cl.DeleteIf(ctx, key(0), 1<<40); !errors.Is(err, client.ErrPrecondition) {
		t.Errorf("delete with a precondition: %v", err)
	}
	if _, err := cl.Delete(ctx, key(0)); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := cl.Delete(ctx, key(0)); !errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrPrecondition) {
		t.Errorf("delete again: %v", err)
	}
	if _, err := cl.Get(ctx, key(0)); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("get deleted: %v", err)
	}
	st, err := cl.Status(ctx)
	if err != nil || st.Cluster != "test" || len(st.Nodes) != 3 || len(st.Groups) != 5 || st.Groups[0].ID != 0 {
		t.Errorf("status: %+v, %v", st, err)
	}
}

func TestLimitsAreUsageErrors(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	cl := c.dial(t)
	ctx := t.Context()
	long := make([]byte, protocol.MaxKeyBytes+1)
	_, err1 := cl.Put(ctx, nil, nil)
	_, err2 := cl.Put(ctx, long, nil)
	_, err3 := cl.Put(ctx, []byte("k"), make([]byte, protocol.MaxValueBytes+1))
	_, err4 := cl.Get(ctx, long)
	for i, err := range []error{err1, err2, err3, err4} {
		var e *client.Error
		if !errors.As(err, &e) || !errors.Is(err, client.ErrUsage) || e.ExitCode() != 2 {
			t.Errorf("%d: %v", i+1, err)
		}
	}
	big := make([]byte, protocol.MaxValueBytes)
	if _, err := cl.Put(ctx, long[:protocol.MaxKeyBytes], big); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	if it, err := cl.Get(ctx, long[:protocol.MaxKeyBytes]); err != nil || len(it.Value) != len(big) {
		t.Errorf("at the limits: %d bytes, %v", len(it.Value), err)
	}
}

func TestScanMergesGroupsInOrder(t *testing.T) {
	c := newCluster(t, newBackend(4), 2, defaultLimits())
	cl := c.dial(t)
	ctx := t.Context()
	value := make([]byte, 8<<10) // so that a group's keys do not fit one page
	const n = 700
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < n; i += 10 {
				if _, err := cl.Put(ctx, key(i), value); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := cl.Put(ctx, []byte("other"), nil); err != nil {
		t.Fatal(err)
	}
	scan := func(prefix string, o client.ScanOptions) (keys []string) {
		for it, err := range cl.Scan(ctx, []byte(prefix), o) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, string(it.Key))
		}
		return keys
	}
	all := scan("key-", client.ScanOptions{})
	if len(all) != n || !slices.IsSorted(all) || all[0] != "key-0000" {
		t.Errorf("%d keys, sorted %v", len(all), slices.IsSorted(all))
	}
	if got := scan("", client.ScanOptions{}); len(got) != n+1 {
		t.Errorf("everything: %d keys", len(got))
	}
	if got := scan("key-", client.ScanOptions{Limit: 3, After: key(10), Consistency: protocol.Stale}); !slices.Equal(got, []string{"key-0011", "key-0012", "key-0013"}) {
		t.Errorf("limited: %v", got)
	}
	if got := scan("none", client.ScanOptions{}); len(got) != 0 {
		t.Errorf("nothing: %v", got)
	}
	for range cl.Scan(ctx, nil, client.ScanOptions{}) {
		break // an abandoned scan leaves nothing behind
	}
}

// TestRequestsGoToLeaders: after the routes are known each write goes straight to its group's leader, and a hint is
// followed when the leader has moved.
func TestRequestsGoToLeaders(t *testing.T) {
	b := newBackend(3)
	b.strict = true
	var refused atomic.Int64
	b.fault = func(node wire.NodeID, g wire.GroupID) fault {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.mu.leaders[g] != node {
			refused.Add(1)
		}
		return faultNone
	}
	c := newCluster(t, b, 3, defaultLimits())
	cl := c.dial(t, c.nodes[0])
	put := func() {
		for i := range 30 {
			if _, err := cl.Put(t.Context(), key(i), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	put()
	refused.Store(0)
	put()
	if n := refused.Load(); n != 0 {
		t.Errorf("%d of 30 writes were sent to a node that does not lead, with leaders known", n)
	}
	b.mu.Lock()
	for g, n := range b.mu.leaders {
		b.mu.leaders[g] = 1 + n%3
	}
	b.mu.Unlock()
	put()
	if n := refused.Load(); n == 0 || n > 12 {
		t.Errorf("%d refusals after 3 leaders moved", n)
	}
}

// TestWritesHappenExactlyOnce: whatever goes wrong with a command, and however often it is sent again, each write that
// succeeded raised the revision by one (N7, D39).
func TestWritesHappenExactlyOnce(t *testing.T) {
	b := newBackend(2)
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(7, 7))
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(3) > 0 {
			return faultNone
		}
		return fault(1 + rng.IntN(int(faultHang)-1)) // none that hangs
	}
	c := newCluster(t, b, 2, defaultLimits())
	var writes atomic.Uint64
	var wg sync.WaitGroup
	clients := []*client.Client{c.dial(t), c.dial(t), c.dial(t)}
	for w := range 18 { // several callers share a client's sessions
		cl := clients[w%len(clients)]
		wg.Go(func() {
			for i := range 25 {
				if _, err := cl.Put(t.Context(), key(w*100+i), nil); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				writes.Add(1)
			}
		})
	}
	wg.Wait()
	b.mu.Lock()
	b.release(1 << 30)
	b.mu.Unlock()
	if applied := uint64(b.stats(t, 1).Revision + b.stats(t, 2).Revision); applied != writes.Load() {
		t.Errorf("%d writes were applied %d times", writes.Load(), applied)
	}
	if sent := uint64(b.proposals.Load()); sent < writes.Load()*11/10 {
		t.Errorf("%d proposals for %d writes: the test injected nothing", sent, writes.Load())
	}
}

// TestOutcomes: what a caller learns when its patience ends says whether the write may have happened (N7).
func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		fault fault
		want  error
		exit  int
	}{
		"no leader":           {faultNoLeader, client.ErrUnavailable, 3},
		"overload":            {faultOverload, client.ErrUnavailable, 3},
		"superseded":          {faultNotApplied, client.ErrUnavailable, 3},
		"unknown, applied":    {faultUnknownApplied, client.ErrOutcomeUnknown, 7},
		"unknown, not":        {faultUnknownNot, client.ErrOutcomeUnknown, 7},
		"no answer":           {faultHang, client.ErrOutcomeUnknown, 7},
		"fault of the server": {faultInternal, client.ErrOutcomeUnknown, 7},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(1)
			var broken atomic.Bool
			b.fault = func(wire.NodeID, wire.GroupID) fault {
				if broken.Load() {
					return test.fault
				}
				return faultNone
			}
			cl := newCluster(t, b, 1, defaultLimits()).dial(t)
			if _, err := cl.Put(t.Context(), key(1), nil); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			err := impatientPut(t, cl, 100*time.Millisecond, test.want)
			var e *client.Error
			if !errors.Is(err, test.want) || !errors.As(err, &e) || e.ExitCode() != test.exit || e.Ambiguous() != (test.exit == 7) || !e.Retryable() {
				t.Errorf("got %v", err)
			}
			broken.Store(false)
			if _, err := cl.Put(t.Context(), key(3), nil); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// impatientPut puts with a deadline and returns how that failed. When the deadline strikes while a try is on its way the
// client rightly says that it does not know, whatever the answer would have been, and when it strikes before one was sent
// that nothing happened: then it tries again with more patience, a few times.
func impatientPut(t *testing.T, cl *client.Client, patience time.Duration, want error) (err error) {
	for range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = cl.Put(ctx, key(2), nil)
		cancel()
		if errors.Is(err, want) {
			break
		}
		patience *= 2
	}
	return err
}

// TestExpiredSession: a write without doubt goes on in a new session; one in doubt is reported as unknown, never sent
// again under another identity (N7).
func TestExpiredSession(t *testing.T) {
	b := newBackend(1)
	evict := func() { // as many other sessions as it takes
		open := kv.AppendCommand(nil, &kv.Command{Op: kv.OpOpen})
		b.mu.Lock()
		defer b.mu.Unlock()
		for range kv.MaxSessions {
			if _, err := b.apply(1, open); err != nil {
				t.Error(err)
			}
		}
	}
	var doubt atomic.Bool
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		if doubt.CompareAndSwap(true, false) {
			evict()
			return faultUnknownLater
		}
		return faultNone
	}
	cl := newCluster(t, b, 1, defaultLimits()).dial(t)
	put := func() error {
		_, err := cl.Put(t.Context(), key(1), nil)
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	evict()
	if err := put(); err != nil {
		t.Errorf("evicted without doubt: %v", err)
	}
	doubt.Store(true)
	if err := put(); !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("evicted in doubt: %v", err)
	}
	if err := put(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if r := b.stats(t, 1).Revision; r != 3 {
		t.Errorf("revision %d after 3 writes that succeeded and one that was not applied", r)
	}
}

// TestNotServedBeforeReady: nothing is served before the latch; a client waits for it (P13).
func TestNotServedBeforeReady(t *testing.T) {
	b := newBackend(1)
	c := newCluster(t, b, 1, defaultLimits())
	c.nodes[0].refusal.Store(&wire.Error{Code: wire.CodeNoLeader, Detail: "not ready"})
	cfg := client.Config{Endpoints: []string{c.nodes[0].addr}, TLS: clientTLS(t, c.ca, "test")}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := client.Dial(short, cfg); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("dial before ready: %v", err)
	}
	type dialled struct {
		cl  *client.Client
		err error
	}
	done := make(chan dialled)
	go func() {
		cl, err := client.Dial(t.Context(), cfg)
		done <- dialled{cl, err}
	}()
	c.nodes[0].refusal.Store(nil)
	d := <-done
	if d.err != nil {
		t.Fatal(d.err)
	}
	defer d.cl.Close()
	if _, err := d.cl.Put(t.Context(), key(1), nil); err != nil {
		t.Error(err)
	}
	c.nodes[0].refusal.Store(&wire.Error{Code: wire.CodeStopped})
	before := b.proposals.Load()
	if err := impatientPut(t, d.cl, 50*time.Millisecond, client.ErrUnavailable); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("while draining: %v", err)
	}
	if b.proposals.Load() != before {
		t.Error("a request reached the groups of a node that does not serve")
	}
}

// TestStrangersAreRefused: no certificate, another cluster's, a foreign CA: authentication errors, exit code 6 (D77).
func TestStrangersAreRefused(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	other := must[*pki.Authority](t)(pki.CreateCA("test"))
	none := clientTLS(t, c.ca, "test")
	none.Certificates = nil
	foreign := clientTLS(t, c.ca, "test")
	foreign.Certificates = clientTLS(t, other, "test").Certificates
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, conf := range map[string]client.Config{
		"no certificate":            {TLS: none},
		"certificate of another CA": {TLS: foreign},
		"does not trust this CA":    {TLS: clientTLS(t, other, "test")},
	} {
		conf.Endpoints = []string{c.nodes[0].addr}
		cl, err := client.Dial(ctx, conf)
		var e *client.Error
		if !errors.Is(err, client.ErrAuth) || !errors.As(err, &e) || e.ExitCode() != 6 {
			t.Errorf("%s: %v", name, err)
		}
		if cl != nil {
			_ = cl.Close()
		}
	}
	var e *client.Error
	if _, err := client.Dial(ctx, client.Config{Endpoints: []string{"nonsense"}}); !errors.Is(err, client.ErrUsage) || !errors.As(err, &e) {
		t.Errorf("bad config: %v", err)
	}
}

// TestNodeGoesAwayAndComesBack: requests go on at the other nodes, and the restarted one is used again; no write is
// lost or done twice (N7).
func TestNodeGoesAwayAndComesBack(t *testing.T) {
	b := newBackend(3)
	c := newCluster(t, b, 3, defaultLimits())
	cl := c.dial(t)
	var stop atomic.Bool
	var writes atomic.Uint64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if _, err := cl.Put(t.Context(), key(w), nil); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				writes.Add(1)
			}
		})
	}
	waitFor := func(n uint64) {
		for target := writes.Load() + n; writes.Load() < target && !t.Failed(); {
			wait(t, time.Millisecond)
		}
	}
	for range 3 {
		waitFor(50)
		old := c.nodes[0]
		old.stop()
		waitFor(50)
		c.nodes = c.nodes[1:]
		c.mu.Lock()
		c.mu.nodes = slices.DeleteFunc(c.mu.nodes, func(n protocol.NodeAddress) bool { return n.Node == old.id })
		c.mu.Unlock()
		c.start(t, old.id, old.addr, defaultLimits())
	}
	waitFor(50)
	stop.Store(true)
	wg.Wait()
	if applied := uint64(b.stats(t, 1).Revision + b.stats(t, 2).Revision + b.stats(t, 3).Revision); applied != writes.Load() {
		t.Errorf("%d writes were applied %d times", writes.Load(), applied)
	}
}

// wait blocks for d of real time: sockets and QUIC's timers have no fake one here.
func wait(t testing.TB, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// TestClosedClient: Close ends what waits, and afterwards everything fails at once (P7, P8).
func TestClosedClient(t *testing.T) {
	b := newBackend(1)
	hung := make(chan struct{}, 10)
	var hang atomic.Bool
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		if !hang.Load() {
			return faultNone
		}
		hung <- struct{}{}
		return faultHang
	}
	cl := newCluster(t, b, 1, defaultLimits()).dial(t)
	if _, err := cl.Put(t.Context(), key(1), nil); err != nil {
		t.Fatal(err)
	}
	hang.Store(true)
	ended := make(chan error)
	go func() {
		_, err := cl.Put(t.Context(), key(2), nil)
		ended <- err
	}()
	<-hung
	if err := cl.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("put under way: %v", err)
	}
	if _, err := cl.Put(t.Context(), key(3), nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("put after Close: %v", err)
	}
	if _, err := cl.Get(t.Context(), key(3)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("get after Close: %v", err)
	}
	if err := cl.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestOneDeadEndpoint: an endpoint that never answers costs a fraction of what one attempt may take, wherever it stands in
// the list.
func TestOneDeadEndpoint(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	mute := must[net.PacketConn](t)(net.ListenPacket("udp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = mute.Close() })
	live, dead := c.nodes[0].addr, mute.LocalAddr().String()
	for _, endpoints := range [][]string{{live, dead}, {dead, live}} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // an attempt at a dead address takes three
		cl, err := client.Dial(ctx, client.Config{TLS: clientTLS(t, c.ca, "test"), Endpoints: endpoints})
		cancel()
		if err != nil {
			t.Errorf("endpoints %v, the dead one is %s: %v", endpoints, dead, err)
			continue
		}
		if err := cl.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// TestStrangerAmongEndpoints: one endpoint that is another cluster's, however often it refuses, does not keep a client from waiting for
// those that are down, and from finding them as they come up; when none does, the refusal is what is told.
func TestStrangerAmongEndpoints(t *testing.T) {
	c, other := newCluster(t, newBackend(1), 1, defaultLimits()), newCluster(t, newBackend(1), 1, defaultLimits())
	addr := c.nodes[0].addr
	c.nodes[0].stop()
	cfg := client.Config{TLS: clientTLS(t, c.ca, "test"), Endpoints: []string{addr, other.nodes[0].addr}}
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := client.Dial(short, cfg); err == nil || short.Err() == nil || !errors.Is(err, client.ErrAuth) {
		t.Errorf("gave up although one endpoint has not answered, or said nothing of the one that refused: %v", err)
	}
	c.start(t, 1, addr, defaultLimits())
	cl, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Close(); err != nil {
		t.Error(err)
	}
}

// What is meant for keys goes to groups that have some: another group's machine may fail on what it does not know, on all nodes (P34).
func TestGroupsWithoutKeys(t *testing.T) {
	b := newBackend(2)
	for shard := range b.mu.shards {
		b.mu.shards[shard] = 1
	}
	c := newCluster(t, b, 1, defaultLimits())
	r := c.raw(t, c.nodes[0])
	r.hello(t, anyVersion)
	for _, kind := range []protocol.Kind{protocol.KindOpenSession, protocol.KindCloseSession, protocol.KindScan} {
		for g, want := range map[wire.GroupID]wire.Code{0: wire.CodeUnknownGroup, 1: 0, 2: wire.CodeUnknownGroup, 3: wire.CodeUnknownGroup} {
			before := b.proposals.Load() + b.queries.Load()
			r.send(t, request(protocol.Request{Kind: kind, ID: 1, Group: g, Session: 1, Limit: 1, Timeout: time.Second}))
			body, err := r.frames.Next()
			if err != nil {
				t.Fatal(err)
			}
			var reply protocol.Reply
			if err := protocol.DecodeReply(body, &reply); err != nil {
				t.Fatal(err)
			}
			var code wire.Code
			if reply.Err != nil {
				code = reply.Err.Code
			}
			if asked := b.proposals.Load() + b.queries.Load() - before; code != want || (asked > 0) != (want == 0) {
				t.Errorf("kind %d in group %d: %v, and the group was asked %d times", kind, g, reply.Err, asked)
			}
		}
	}
}

// Clients can be told of every node that a cluster can have.
func TestClientsHearOfEveryNode(t *testing.T) {
	if steward.MaxNodes > protocol.MaxNodes {
		t.Errorf("a cluster has %d nodes at most, a status %d", steward.MaxNodes, protocol.MaxNodes)
	}
}
