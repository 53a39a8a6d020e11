package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"flotilla/catalog/placement"
	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/epoch"
	"flotilla/internal/leak"
	"flotilla/kv"
	"flotilla/quictransport/pki"
	"flotilla/quictransport/quictest"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// backend is what the nodes of a fake cluster share: groups applied straight to kv machines, as if consensus took no
// time. fault decides what goes wrong with a command.
type backend struct {
	mu struct {
		sync.Mutex
		machines map[wire.GroupID]*kv.Machine
		index    wire.Index
		leaders  map[wire.GroupID]wire.NodeID
		late     []func() // commands whose outcome was unknown, to be applied some time later
		nodes    []protocol.NodeAddress
		shards   [wire.Shards]wire.GroupID
		version  uint64
		empty    map[wire.NodeID]bool // nodes that have no replica
	}
	fault func(node wire.NodeID, g wire.GroupID) fault
	// proposals and queries count calls of Propose and Query; strict makes followers refuse, with a hint.
	proposals, queries atomic.Int64
	strict             bool
}

// fault is what happens to a command.
type fault uint8

const (
	faultNone fault = iota
	faultNoLeader
	faultStaleEpoch
	faultOverload
	faultNotApplied
	faultUnknownApplied // applied, and nobody learns of it
	faultUnknownNot     // never applied, and nobody learns of it
	faultUnknownLater   // applied after some other commands, and nobody learns of it
	faultHang           // no answer until the caller gives up
	faultInternal       // a fault of the software, applied
	numFaults
)

func newBackend(groups int) *backend {
	b := &backend{}
	b.mu.machines = make(map[wire.GroupID]*kv.Machine)
	b.mu.leaders = make(map[wire.GroupID]wire.NodeID)
	b.mu.empty = make(map[wire.NodeID]bool)
	for g := range groups {
		b.mu.machines[wire.GroupID(g+1)] = kv.New()
	}
	for i := range b.mu.shards {
		b.mu.shards[i] = wire.GroupID(1 + i%groups)
	}
	return b
}

// apply applies one command; b.mu is held.
func (b *backend) apply(g wire.GroupID, command []byte) ([]byte, error) {
	b.mu.index++
	results, err := b.mu.machines[g].Apply([]multiraft.Command{{Index: b.mu.index, Term: 1, Data: command}})
	if err != nil {
		return nil, &wire.Error{Code: wire.CodeQuarantined, Group: g, Cause: err}
	}
	return results[0], nil
}

// release applies commands that were kept back; b.mu is held.
func (b *backend) release(atMost int) {
	for range min(atMost, len(b.mu.late)) {
		b.mu.late[0]()
		b.mu.late = b.mu.late[1:]
	}
}

// stats returns the state of group g's machine.
func (b *backend) stats(t testing.TB, g wire.GroupID) kv.Stats {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	raw, err := b.mu.machines[g].Query(kv.AppendStats(nil))
	if err != nil {
		t.Fatal(err)
	}
	s, err := kv.DecodeStats(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeHost is one node of the fake cluster.
type fakeHost struct {
	id      wire.NodeID
	b       *backend
	refusal atomic.Pointer[wire.Error] // why it does not serve; nil if it does
	health  atomic.Pointer[Health]
	asked   atomic.Pointer[protocol.Admin]
	moves   atomic.Pointer[[]protocol.TransferStatus]                    // the snapshots on their way; nil for none
	exports func(ctx context.Context, g wire.GroupID, w io.Writer) error // nil exports nothing
	behind  atomic.Pointer[protocol.Routes]                              // what it last heard of, when it hears nothing any more
}

func (h *fakeHost) GroupOf(s wire.Shard) wire.GroupID {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	return h.b.mu.shards[s]
}

func (h *fakeHost) Propose(ctx context.Context, g wire.GroupID, command []byte) ([]byte, error) {
	h.b.proposals.Add(1)
	if err := context.Cause(ctx); err != nil {
		return nil, &wire.Error{Code: wire.CodeTimeout, Group: g, Cause: err}
	}
	f := faultNone
	if h.b.fault != nil {
		f = h.b.fault(h.id, g)
	}
	b := h.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.machines[g] == nil || b.mu.empty[h.id] {
		return nil, &wire.Error{Code: wire.CodeUnknownGroup, Group: g}
	}
	if leader := b.mu.leaders[g]; b.strict && leader != h.id {
		return nil, &wire.Error{Code: wire.CodeNotLeader, Group: g, Leader: leader}
	}
	unknown := &wire.Error{Code: wire.CodeUnknownOutcome, Group: g}
	switch f {
	case faultNoLeader:
		return nil, &wire.Error{Code: wire.CodeNoLeader, Group: g}
	case faultStaleEpoch:
		return nil, &wire.Error{Code: wire.CodeStaleEpoch, Group: g}
	case faultOverload:
		return nil, &wire.Error{Code: wire.CodeOverloaded, Group: g}
	case faultNotApplied:
		return nil, &wire.Error{Code: wire.CodeNotApplied, Group: g}
	case faultUnknownNot:
		return nil, unknown
	case faultUnknownLater:
		b.mu.late = append(b.mu.late, func() { _, _ = b.apply(g, command) })
		return nil, unknown
	case faultHang:
		b.mu.Unlock()
		<-ctx.Done()
		b.mu.Lock()
		return nil, context.Cause(ctx)
	}
	answer, err := b.apply(g, command)
	b.release(1)
	switch {
	case f == faultUnknownApplied:
		return nil, unknown
	case f == faultInternal:
		return nil, &wire.Error{Code: wire.CodeInternal, Group: g}
	}
	return answer, err
}

func (h *fakeHost) Query(ctx context.Context, g wire.GroupID, request []byte, _ protocol.Consistency) ([]byte, error) {
	h.b.queries.Add(1)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	m := h.b.mu.machines[g]
	if m == nil || h.b.mu.empty[h.id] {
		return nil, &wire.Error{Code: wire.CodeUnknownGroup, Group: g}
	}
	return m.Query(request)
}

func (h *fakeHost) Serving() error {
	if e := h.refusal.Load(); e != nil {
		return e
	}
	return nil
}

func (h *fakeHost) Epoch() uint64 { return 7 }

func (h *fakeHost) Health() Health {
	if p := h.health.Load(); p != nil {
		return *p
	}
	return Health{}
}

// Administer notes what it was asked; some operations fail in ways of their own.
func (h *fakeHost) Export(ctx context.Context, g wire.GroupID, w io.Writer) error {
	h.b.mu.Lock()
	leader, export := h.b.mu.leaders[g], h.exports
	h.b.mu.Unlock()
	switch {
	case leader == wire.NoNode || export == nil:
		return &wire.Error{Code: wire.CodeBadRequest, Group: g, Detail: "makes no snapshots"}
	case leader != h.id:
		return &wire.Error{Code: wire.CodeNotLeader, Group: g, Leader: leader}
	}
	return export(ctx, g, w)
}

func (h *fakeHost) Administer(_ context.Context, a protocol.Admin) (wire.GroupID, string, error) {
	h.asked.Store(&a)
	switch {
	case a.Op == protocol.OpRemoveNode && a.Node == 1:
		return 0, "", &wire.Error{Code: wire.CodeUnsafe, Cause: &placement.QuorumError{Node: a.Node, Groups: []wire.GroupID{1}}}
	case a.Op == protocol.OpDrainNode && a.Node == 1:
		return 0, "", &epoch.BehindError{}
	}
	return 7, "secret", nil
}

func (h *fakeHost) Status() *protocol.Status {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	s := &protocol.Status{Cluster: "test", ClusterID: strings.Repeat("0", 32), Epoch: 7, Node: h.id}
	if moves := h.moves.Load(); moves != nil {
		s.Transfers = slices.Clone(*moves)
	}
	s.Groups = append(s.Groups, protocol.GroupStatus{ID: 0, Term: 1, Voters: []wire.NodeID{1}})
	for _, n := range h.b.mu.nodes {
		s.Nodes = append(s.Nodes, protocol.NodeStatus{ID: n.Node, Address: n.Address, State: "up"})
	}
	for g := range wire.GroupID(len(h.b.mu.machines)) {
		s.Groups = append(s.Groups, protocol.GroupStatus{ID: g + 1, Leader: h.b.mu.leaders[g+1], Term: 1, Voters: []wire.NodeID{1}})
	}
	return s
}

func (h *fakeHost) Routes() *protocol.Routes {
	if r := h.behind.Load(); r != nil {
		return r
	}
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	r := &protocol.Routes{Version: h.b.mu.version, Shards: h.b.mu.shards, Nodes: slices.Clone(h.b.mu.nodes)}
	for g, n := range h.b.mu.leaders {
		r.Leaders = append(r.Leaders, protocol.GroupLeader{Group: g, Node: n})
	}
	return r
}

// fakeNode is a fakeHost with a Server on a real UDP socket.
type fakeNode struct {
	*fakeHost
	server *Server
	addr   string
	stop   func() // closes server and socket; idempotent
}

// fakeCluster is some nodes over one backend, with certificates of their own.
type fakeCluster struct {
	*backend
	ca    *pki.Authority
	nodes []*fakeNode
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newCluster starts n nodes over b and checks at the end of the test that no goroutine is left (P8, D80).
func newCluster(t testing.TB, b *backend, n int, l limits) *fakeCluster {
	t.Helper()
	before := leak.Running()
	t.Cleanup(func() { before.Check(t, 20*time.Second) }) // QUIC's own goroutines end a moment after its Close
	c := &fakeCluster{backend: b, ca: must[*pki.Authority](t)(pki.CreateCA("test"))}
	for i := range n {
		c.start(t, wire.NodeID(i+1), "", l)
	}
	b.mu.Lock()
	for g := range b.mu.machines {
		b.mu.leaders[g] = wire.NodeID(1 + int(g)%n)
	}
	b.mu.Unlock()
	return c
}

// start runs a node at addr, where it was before, or "" for anywhere.
func (c *fakeCluster) start(t testing.TB, id wire.NodeID, addr string, l limits) *fakeNode {
	t.Helper()
	var udp net.PacketConn
	if addr == "" {
		udp = quictest.Loopback(t)
	} else {
		udp = must[net.PacketConn](t)(net.ListenPacket("udp", addr))
	}
	bundle := must[*pki.Bundle](t)(c.ca.IssueNode("test", id, []string{"127.0.0.1"}, time.Hour))
	creds := must[*pki.Credentials](t)(bundle.Credentials())
	transport := &quic.Transport{Conn: udp}
	listener := must[*quic.Listener](t)(transport.Listen(pki.NewSource(creds).ServerConfig(), &quic.Config{MaxIncomingStreams: 4, MaxIdleTimeout: 10 * time.Second}))
	n := &fakeNode{fakeHost: &fakeHost{id: id, b: c.backend}, addr: udp.LocalAddr().String()}
	n.server = newServer(n.fakeHost, Config{}, l)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			qc, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			conns.Go(func() { n.server.ServeClientConn(qc) })
		}
	})
	n.stop = sync.OnceFunc(func() {
		if err := n.server.Close(context.Background()); err != nil {
			t.Errorf("close node %d: %v", id, err)
		}
		_ = listener.Close()
		_ = transport.Close()
		conns.Wait()
		_ = udp.Close()
	})
	t.Cleanup(n.stop)
	c.nodes = append(c.nodes, n)
	c.mu.Lock()
	c.mu.nodes = append(c.mu.nodes, protocol.NodeAddress{Node: id, Address: n.addr})
	c.mu.Unlock()
	return n
}

// answered returns how many requests n has answered, with whatever outcome.
func (n *fakeNode) answered(t testing.TB) (sum float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(n.server.metrics.requests)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum
}

// clientTLS returns the configuration of a client of cluster name, issued by ca.
func clientTLS(t testing.TB, ca *pki.Authority, name string) *tls.Config {
	t.Helper()
	bundle := must[*pki.Bundle](t)(ca.IssueClient(name, time.Hour))
	creds := must[*pki.Credentials](t)(bundle.Credentials())
	return pki.NewSource(creds).DialNode(protocol.ALPN, wire.NoNode)
}

// dial returns a client that knows the given nodes, all if none is given.
func (c *fakeCluster) dial(t testing.TB, known ...*fakeNode) *client.Client {
	t.Helper()
	if len(known) == 0 {
		known = c.nodes
	}
	cfg := client.Config{TLS: clientTLS(t, c.ca, "test")}
	for _, n := range known {
		cfg.Endpoints = append(cfg.Endpoints, n.addr)
	}
	cl := must[*client.Client](t)(client.Dial(t.Context(), cfg))
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	return cl
}

func key(i int) []byte { return fmt.Appendf(nil, "key-%04d", i) }
