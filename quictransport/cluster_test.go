package quictransport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/epoch"
	"flotilla/quictransport/pki"
	"flotilla/quictransport/quictest"
	"flotilla/raft/wire"
)

var testCluster = wire.ClusterID{1, 2, 3}

// world is what the nodes of one test share.
type world struct {
	t       testing.TB
	ca      *pki.Authority
	cluster wire.ClusterID
	// sim is nil on real sockets.
	sim *quictest.Network
}

// node is one transport with a recording handler. Restart keeps identity and address.
type node struct {
	*Transport
	w           *world
	id          wire.NodeID
	addr        string
	incarnation wire.Incarnation
	fence       *epoch.Holder
	rec         *recorder
}

func newCA(t testing.TB) *pki.Authority {
	t.Helper()
	ca, err := pki.CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// real returns a world of loopback sockets.
func real(t testing.TB) *world { return &world{t: t, ca: newCA(t), cluster: testCluster} }

// simulated runs f in a bubble with a simulated network.
func simulated(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := quictest.NewNetwork(time.Millisecond)
		t.Cleanup(sim.Close)
		f(t, &world{t: t, ca: newCA(t), cluster: testCluster, sim: sim})
	})
}

func simAddr(id wire.NodeID) string { return "10.0.0." + id.String() + ":7400" }

// credentials issues a node's certificate.
func (w *world) credentials(id wire.NodeID) *pki.Source {
	w.t.Helper()
	b, err := w.ca.IssueNode("alpha", id, nil, pki.NodeValidity)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := b.Credentials()
	if err != nil {
		w.t.Fatal(err)
	}
	return pki.NewSource(c)
}

func (w *world) listen(id wire.NodeID, addr string) net.PacketConn {
	w.t.Helper()
	if w.sim != nil {
		return w.sim.Listen(w.t, addr)
	}
	if addr == "" {
		return quictest.Loopback(w.t)
	}
	udp, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := net.ListenUDP("udp4", udp)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// config returns the configuration of a node; tests change it before boot.
func (w *world) config(id wire.NodeID, conn net.PacketConn) Config {
	return Config{
		Cluster: w.cluster, ClusterName: "alpha", Self: id, Incarnation: 1, Generation: wire.Generation(100 + id),
		Conn: conn, TLS: w.credentials(id), Fence: epoch.NewHolder(0), ResetKey: [32]byte{byte(id), 1},
	}
}

// node starts one node; change may be nil.
func (w *world) node(id wire.NodeID, change func(*Config)) *node {
	w.t.Helper()
	addr := ""
	if w.sim != nil {
		addr = simAddr(id)
	}
	conn := w.listen(id, addr)
	cfg := w.config(id, conn)
	if change != nil {
		change(&cfg)
	}
	n := &node{w: w, id: id, addr: conn.LocalAddr().String(), incarnation: cfg.Incarnation, fence: cfg.Fence, rec: newRecorder()}
	n.Transport = boot(w.t, cfg, n.rec)
	return n
}

// boot starts a transport that the test's end closes.
func boot(t testing.TB, cfg Config, h Handler) *Transport {
	t.Helper()
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(context.Background()); err != nil {
			t.Errorf("close node %d: %v", cfg.Self, err)
		}
	})
	return tr
}

// again starts the node anew at the same address with the next incarnation.
func (n *node) again(change func(*Config)) *node {
	n.w.t.Helper()
	cfg := n.w.config(n.id, n.w.listen(n.id, n.addr))
	cfg.Incarnation = n.incarnation + 1
	if change != nil {
		change(&cfg)
	}
	m := &node{w: n.w, id: n.id, addr: n.addr, incarnation: cfg.Incarnation, fence: cfg.Fence, rec: newRecorder()}
	m.Transport = boot(n.w.t, cfg, m.rec)
	return m
}

// meet makes the nodes known to each other and waits until all are connected.
func meet(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				if err := a.SetPeer(b.id, b.addr); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				a.rec.waitPeer(t, b.id, wire.PeerUp)
			}
		}
	}
}

// received is one call of HandleMessages.
type received struct {
	from wire.NodeID
	msgs []wire.Message
}

// recorder is a Handler that keeps what it is given. serve answers forwards; nil echoes.
type recorder struct {
	mu     sync.Mutex
	cond   *sync.Cond
	got    []received
	news   []peerNews
	serve  func(ctx context.Context, from wire.NodeID, request []byte) ([]byte, error)
	closed bool
}

func newRecorder() *recorder {
	r := &recorder{}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) HandleMessages(from wire.NodeID, msgs []wire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, received{from, append([]wire.Message(nil), msgs...)})
	r.cond.Broadcast()
}

func (r *recorder) HandlePeer(id wire.NodeID, event wire.PeerEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news = append(r.news, peerNews{id, event})
	r.cond.Broadcast()
}

func (r *recorder) HandleForward(ctx context.Context, from wire.NodeID, request []byte) ([]byte, error) {
	r.mu.Lock()
	serve := r.serve
	r.mu.Unlock()
	if serve != nil {
		return serve(ctx, from, request)
	}
	return append([]byte("echo "), request...), nil
}

func (r *recorder) setServe(f func(ctx context.Context, from wire.NodeID, request []byte) ([]byte, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve = f
}

// wait blocks until cond is true; it is asked again after each call of the handler, with r.mu held.
func (r *recorder) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed = true
		r.cond.Broadcast()
	})
	defer late.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = false
	for !cond() {
		if r.closed {
			t.Fatalf("waited 20 s for %s; messages %d, news %v", what, len(r.got), r.news)
		}
		r.cond.Wait()
	}
}

// waitPeer waits until the last word about a peer is event.
func (r *recorder) waitPeer(t testing.TB, id wire.NodeID, event wire.PeerEvent) {
	t.Helper()
	r.wait(t, "peer "+id.String(), func() bool { return r.last(id) == event })
}

// last returns the last event of a peer, 0 for none; mu is held.
func (r *recorder) last(id wire.NodeID) wire.PeerEvent {
	for i := len(r.news) - 1; i >= 0; i-- {
		if r.news[i].id == id {
			return r.news[i].event
		}
	}
	return 0
}

// count returns how often a peer's event was told.
func (r *recorder) count(id wire.NodeID, event wire.PeerEvent) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.news {
		if p == (peerNews{id, event}) {
			n++
		}
	}
	return n
}

// waitContext waits for a message with the given context number from a node.
func (r *recorder) waitContext(t testing.TB, from wire.NodeID, number uint64) {
	t.Helper()
	r.wait(t, "a message", func() bool { return r.hasContext(from, number) })
}

func (r *recorder) hasContext(from wire.NodeID, number uint64) bool {
	for _, g := range r.got {
		for i := range g.msgs {
			if g.from == from && g.msgs[i].Context == number {
				return true
			}
		}
	}
	return false
}

func (r *recorder) saw(from wire.NodeID, number uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hasContext(from, number)
}

// heartbeat returns one control message.
func heartbeat(from, to wire.NodeID, number uint64) []wire.Message {
	return []wire.Message{{Type: wire.MsgHeartbeat, Group: 7, From: from, To: to, Term: 3, Context: number}}
}

// appendOf returns one append with one entry of the given data. Context is free for tests to tell messages apart.
func appendOf(from, to wire.NodeID, group wire.GroupID, number uint64, data []byte) []wire.Message {
	return []wire.Message{{
		Type: wire.MsgAppend, Group: group, From: from, To: to, Term: 3, Context: number,
		Entries: []wire.Entry{{Term: 1, Index: 1, Kind: wire.EntryData, Data: data}},
	}}
}

func mustSend(t testing.TB, n *node, to wire.NodeID, lane wire.Lane, msgs []wire.Message) {
	t.Helper()
	if err := n.Send(to, lane, msgs); err != nil {
		t.Fatalf("send from %d to %d: %v", n.id, to, err)
	}
}

// both runs f on real sockets and in a bubble.
func both(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("real", func(t *testing.T) { f(t, real(t)) })
	t.Run("simulated", func(t *testing.T) { simulated(t, f) })
}

func TestMessagesAndForwards(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		mustSend(t, a, 2, wire.LaneControl, heartbeat(1, 2, 11))
		mustSend(t, b, 1, wire.LaneControl, heartbeat(2, 1, 12))
		b.rec.waitContext(t, 1, 11)
		a.rec.waitContext(t, 2, 12)

		data := bytes.Repeat([]byte("x"), 3<<20) // several read and write steps
		mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, 5, 13, data))
		b.rec.waitContext(t, 1, 13)
		b.rec.wait(t, "the data", func() bool {
			last := b.rec.got[len(b.rec.got)-1].msgs
			return bytes.Equal(last[0].Entries[0].Data, data)
		})

		reply, err := b.Forward(t.Context(), 1, []byte("hello"))
		if err != nil || string(reply) != "echo hello" {
			t.Fatalf("forward = %q, %v", reply, err)
		}
		a.rec.setServe(func(context.Context, wire.NodeID, []byte) ([]byte, error) {
			return nil, &wire.Error{Code: wire.CodeNotLeader, Group: 4, Leader: 9, Detail: "ask nine"}
		})
		_, err = b.Forward(t.Context(), 1, nil)
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != wire.CodeNotLeader || e.Group != 4 || e.Leader != 9 || e.Detail != "ask nine" {
			t.Fatalf("typed error came back as %v", err)
		}
	})
}

// slowNetwork returns a network with the given one-way delay.
func slowNetwork(t *testing.T, delay time.Duration) *quictest.Network {
	n := quictest.NewNetwork(delay)
	t.Cleanup(n.Close)
	return n
}
