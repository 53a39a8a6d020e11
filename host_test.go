package flotilla_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"flotilla"
	"flotilla/quictransport/pki"
	"flotilla/quictransport/quictest"
)

// counter adds up what it is given; its query returns the sum. Adding is not idempotent, so a command lost or
// applied twice shows.
type counter struct{ sum uint64 }

func (c *counter) Apply(batch []flotilla.Command) ([][]byte, error) {
	results := make([][]byte, len(batch))
	for i, cmd := range batch {
		n, err := strconv.ParseUint(string(cmd.Data), 10, 64)
		if err != nil {
			return nil, err
		}
		c.sum += n
		results[i] = binary.BigEndian.AppendUint64(nil, c.sum)
	}
	return results, nil
}

func (c *counter) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.sum), nil
}

// testCluster is a set of nodes on loopback sockets with data below one directory.
type testCluster struct {
	t     *testing.T
	dir   string
	ca    *pki.Authority
	addrs map[flotilla.NodeID]string
	conns map[flotilla.NodeID]net.PacketConn
	hosts map[flotilla.NodeID]*flotilla.Host
	// sim is nil on real sockets.
	sim  *quictest.Network
	logs bool
	// change edits a node's Config before it is opened.
	change func(*flotilla.Config)
}

func newCluster(t *testing.T, n int) *testCluster {
	t.Helper()
	ca, err := pki.CreateCA("test")
	check(t, err)
	c := &testCluster{
		t: t, dir: t.TempDir(), ca: ca, addrs: map[flotilla.NodeID]string{}, conns: map[flotilla.NodeID]net.PacketConn{},
		hosts: map[flotilla.NodeID]*flotilla.Host{},
	}
	for id := flotilla.NodeID(1); id <= flotilla.NodeID(n); id++ {
		conn := quictest.Loopback(t)
		c.conns[id], c.addrs[id] = conn, conn.LocalAddr().String()
	}
	t.Cleanup(c.closeAll)
	return c
}

// simulated runs f in a bubble of fake time, with n nodes on a simulated network.
func simulated(t *testing.T, n int, f func(t *testing.T, c *testCluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 0)
		c.sim = quictest.NewNetwork(time.Millisecond)
		defer c.sim.Close()
		defer c.closeAll()
		for id := flotilla.NodeID(1); id <= flotilla.NodeID(n); id++ {
			c.addrs[id] = fmt.Sprintf("10.0.0.%d:7400", id)
		}
		f(t, c)
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *testCluster) source(id flotilla.NodeID) *pki.Source {
	c.t.Helper()
	bundle, err := c.ca.IssueNode("test", id, []string{"127.0.0.1"}, time.Hour)
	check(c.t, err)
	credentials, err := bundle.Credentials()
	check(c.t, err)
	return pki.NewSource(credentials)
}

// config is what node id is opened with.
func (c *testCluster) config(id flotilla.NodeID) flotilla.Config {
	cfg := flotilla.Config{
		Dir: filepath.Join(c.dir, fmt.Sprintf("node-%d", id)), NodeID: id, Cluster: "test", Listen: c.addrs[id],
		InitialCluster: c.addrs, Groups: 2, TLS: c.source(id),
		Heartbeat: 50 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond,
		NewMachine: func(flotilla.GroupID) flotilla.StateMachine { return &counter{} },
	}
	if conn := c.conns[id]; conn != nil { // the first time, the socket that reserved the port
		cfg.Conn = conn
		delete(c.conns, id)
	}
	if c.sim != nil {
		cfg.Conn = c.sim.Listen(c.t, c.addrs[id])
	}
	if c.logs {
		cfg.Logger = slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
	}
	if c.change != nil {
		c.change(&cfg)
	}
	return cfg
}

func (c *testCluster) open(id flotilla.NodeID) *flotilla.Host {
	c.t.Helper()
	h, err := flotilla.Open(c.t.Context(), c.config(id))
	check(c.t, err)
	c.hosts[id] = h
	return h
}

func (c *testCluster) openAll() {
	c.t.Helper()
	for id := range c.addrs {
		c.open(id)
	}
	for id := range c.addrs {
		c.await(id)
	}
}

// await waits until node id is ready.
func (c *testCluster) await(id flotilla.NodeID) {
	c.t.Helper()
	h := c.hosts[id]
	select {
	case <-h.Ready():
	case <-h.Failed():
		c.t.Fatalf("node %d: %v", id, h.Err())
	case <-time.After(20 * time.Second):
		c.t.Fatalf("node %d is not ready: %+v", id, h.Status())
	}
}

func (c *testCluster) close(id flotilla.NodeID) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(c.t, c.hosts[id].Close(ctx))
	delete(c.hosts, id)
}

func (c *testCluster) closeAll() {
	for id := range c.hosts {
		c.close(id)
	}
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// add proposes n to a group until it is known to be applied; an unknown outcome fails the test.
func add(t testing.TB, h *flotilla.Host, group flotilla.GroupID, n uint64) uint64 {
	t.Helper()
	r, err := propose(h, group, strconv.FormatUint(n, 10))
	if err != nil {
		t.Fatalf("add to group %d: %v", group, err)
	}
	return binary.BigEndian.Uint64(r.Value)
}

// propose has a command applied; whatever refuses it for certain is asked again, as elections and epochs come and go. The
// error is CodeUnknownOutcome, or the last refusal.
func propose(h *flotilla.Host, group flotilla.GroupID, command string) (flotilla.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		r, err := h.Group(group).Propose(ctx, []byte(command))
		if err == nil || flotilla.CodeOf(err) == flotilla.CodeUnknownOutcome || ctx.Err() != nil {
			return r, err
		}
		pause(ctx)
	}
}

// pause lets a little time pass between tries.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sum reads a group's counter linearizably.
func sum(t testing.TB, h *flotilla.Host, group flotilla.GroupID) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		answer, err := h.Group(group).Query(ctx, nil)
		if err == nil {
			return binary.BigEndian.Uint64(answer)
		}
		if ctx.Err() != nil {
			t.Fatalf("read group %d: %v", group, err)
		}
		pause(ctx)
	}
}
