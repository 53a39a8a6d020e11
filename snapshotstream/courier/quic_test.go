package courier

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/epoch"
	"flotilla/internal/leak"
	"flotilla/quictransport"
	"flotilla/quictransport/pki"
	"flotilla/quictransport/quictest"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

// member is a node whose streams go over QUIC, on real sockets. Its disk is in memory.
type member struct {
	*node
	c    *cluster
	tls  *pki.Source
	addr string

	incarnation wire.Incarnation
	transport   *quictransport.Transport
	// spoil, when not nil, is given each stream that is opened from here.
	spoil func(Stream) Stream
	// serve, when one is set, has incoming streams instead of the Courier.
	serve atomic.Pointer[func(context.Context, Stream)]

	up chan struct{} // told of each peer that is connected
}

// cluster is the members of one test.
type cluster struct {
	t       *testing.T
	members []*member
}

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	running := leak.Running()
	t.Cleanup(func() { running.Check(t, 5*time.Second) })
	ca, err := pki.CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t}
	w := &world{t: t}
	for i := range n {
		id := wire.NodeID(i + 1)
		b, err := ca.IssueNode("alpha", id, nil, pki.NodeValidity)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := b.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		m := &member{node: &node{w: w, id: id, disk: snapshottest.NewDisk(), fence: epoch.NewHolder(5)}, c: c, tls: pki.NewSource(cred), up: make(chan struct{}, 1)}
		c.members = append(c.members, m)
		m.boot(quictest.Loopback(t))
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			m.Close()
			if err := m.transport.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for _, m := range c.members {
		m.meet()
	}
	return c
}

// boot starts courier and transport on conn.
func (m *member) boot(conn net.PacketConn) {
	m.c.t.Helper()
	m.start(func(cfg *Config) { cfg.Open, cfg.Rate = m.dial, 0 })
	m.connect(conn)
}

// connect starts a transport on conn.
func (m *member) connect(conn net.PacketConn) {
	m.c.t.Helper()
	m.incarnation++
	m.addr = conn.LocalAddr().String()
	serving := m.Courier
	tr, err := quictransport.New(quictransport.Config{
		Cluster: wire.ClusterID{1}, ClusterName: "alpha", Self: m.id, Incarnation: m.incarnation, Generation: 1, Conn: conn, TLS: m.tls, Fence: m.fence,
		ResetKey: [32]byte{byte(m.id)},
		Snapshot: func(ctx context.Context, from wire.NodeID, s *quictransport.Stream) {
			if serve := m.serve.Load(); serve != nil {
				(*serve)(ctx, s)
				return
			}
			serving.Serve(ctx, from, s)
		},
	})
	if err == nil {
		err = tr.Start(m)
	}
	if err != nil {
		m.c.t.Fatal(err)
	}
	m.transport = tr
}

// meet makes the others known to m.
func (m *member) meet() {
	m.c.t.Helper()
	for _, o := range m.c.members {
		if o == m {
			continue
		}
		if err := m.transport.SetPeer(o.id, o.addr); err != nil {
			m.c.t.Fatal(err)
		}
	}
}

// cut takes the transport away without a word; another one takes its place.
func (m *member) cut() {
	m.c.t.Helper()
	m.transport.Kill()
	m.connect(m.listen())
	m.meet()
}

// kill takes the process away; another one finds what was on the disk.
func (m *member) kill() {
	m.c.t.Helper()
	m.transport.Kill()
	m.Close()
	m.disk = m.disk.Restart(func() bool { return true })
	m.boot(m.listen())
	m.meet()
}

func (m *member) listen() net.PacketConn {
	m.c.t.Helper()
	addr, err := net.ResolveUDPAddr("udp4", m.addr)
	if err != nil {
		m.c.t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp4", addr)
	if err != nil {
		m.c.t.Fatal(err)
	}
	return conn
}

// dial opens a stream, as soon as there is a connection.
func (m *member) dial(ctx context.Context, to wire.NodeID) (Stream, error) {
	for {
		s, err := m.transport.OpenSnapshot(ctx, to)
		switch {
		case wire.CodeOf(err) == wire.CodeUnreachable:
		case err != nil:
			return nil, err
		case m.spoil != nil:
			return m.spoil(s), nil
		default:
			return s, nil
		}
		select {
		case <-m.up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// HandlePeer implements quictransport.Handler.
func (m *member) HandlePeer(_ wire.NodeID, e wire.PeerEvent) {
	if e == wire.PeerUp {
		select {
		case m.up <- struct{}{}:
		default:
		}
	}
}

// HandleMessages has nothing to do.
func (m *member) HandleMessages(wire.NodeID, []wire.Message) {}

// HandleForward has nothing to serve.
func (m *member) HandleForward(context.Context, wire.NodeID, []byte) ([]byte, error) { return nil, nil }

// counting calls then once, when so many bytes have been written.
type counting struct {
	Stream
	left int
	then func()
}

func (s *counting) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 && s.then != nil {
		s.then()
		s.then = nil
	}
	return s.Stream.Write(p)
}

// waitInstalled waits until the engine was told of the snapshot at i, and of nothing after it.
func (m *member) waitInstalled(i wire.Index) {
	m.c.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		m.mu.Lock()
		n := len(m.installed)
		ok := n > 0 && m.installed[n-1].Index == i
		m.mu.Unlock()
		if ok {
			return
		}
	}
	m.c.t.Fatalf("snapshot %d was not installed; failed %v", i, m.failed)
}

// N5: over real connections that are cut at 20 random points, with receivers that are killed there, with senders that take turns: what is sent
// in all is less than a fifth above the snapshot.
func TestOverQUIC(t *testing.T) {
	const size = 4000 * chunk
	for name, cut := range map[string]func(c *cluster, sender, receiver *member){
		"connection cut":  func(_ *cluster, sender, _ *member) { sender.cut() },
		"receiver killed": func(_ *cluster, _, receiver *member) { receiver.kill() },
		"another sender": func(c *cluster, sender, _ *member) {
			sender.cut()
			c.members[0], c.members[2] = c.members[2], c.members[0]
		},
		"receiver's silence": func(_ *cluster, _, receiver *member) { receiver.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			receiver := c.members[1]
			for _, m := range []*member{c.members[0], c.members[2]} {
				m.make(10, size)
				m.make(20, size) // a newer one is offered later: the part is what counts
			}
			rng := rand.New(rand.NewPCG(11, uint64(len(name))))
			cuts := 0
			for range 20 {
				sender := c.members[0]
				sender.spoil = func(s Stream) Stream {
					return &counting{Stream: s, left: 200 + rng.IntN(size/22), then: func() { cuts++; cut(c, sender, receiver) }}
				}
				if err := sender.deliver(receiver.id, 10, 5); err == nil {
					t.Fatal("it got there although it was cut")
				}
				sender.spoil = nil
			}
			if err := c.members[0].deliver(receiver.id, 20, 5); err != nil {
				t.Fatal(err)
			}
			receiver.waitInstalled(10)
			receiver.check(10, size)
			sent := c.members[0].Stats().SentBytes + c.members[2].Stats().SentBytes
			t.Logf("%d cuts, %d bytes sent for %d", cuts, sent, size)
			if cuts != 20 || sent > size*12/10 || sent < size {
				t.Errorf("%d cuts, %d bytes sent for a snapshot of %d", cuts, sent, size)
			}
		})
	}
}

// P7, D72: a node that stops waits for no peer that stalls, whichever of courier and transport goes first, and the peer hears that it stops.
func TestCloseOverQUIC(t *testing.T) {
	for name, stop := range map[string]func(m *member){
		"courier first":   func(m *member) { m.Close(); _ = m.transport.Close(context.Background()) },
		"transport first": func(m *member) { _ = m.transport.Close(context.Background()); m.Close() },
	} {
		for _, receives := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				c := newCluster(t, 2)
				sender, receiver := c.members[0], c.members[1]
				sender.make(10, 8<<20)
				var once sync.Once
				under := make(chan struct{})
				heard := make(chan error, 1)
				stopping := sender
				if receives { // from a sender that stalls
					stopping = receiver
					sender.spoil = func(s Stream) Stream {
						return &counting{Stream: s, left: 1 << 20, then: func() {
							close(under)
							_, err := s.Read(make([]byte, 1<<20)) // answers, and then why there are no more
							for err == nil {
								_, err = s.Read(make([]byte, 1<<20))
							}
							heard <- err
						}}
					}
				} else { // to a receiver that reads no more
					serve := func(ctx context.Context, s Stream) {
						if b, err := readFrame(s); err != nil || len(b) == 0 {
							t.Error(err)
						}
						says(s, &reply{stamp: receiver.fence.Stamp(), index: 10})
						once.Do(func() { close(under) })
						<-ctx.Done()
						_, err := s.Read(make([]byte, 1))
						for err == nil {
							_, err = s.Read(make([]byte, 1<<20))
						}
						heard <- err
					}
					receiver.serve.Store(&serve)
				}
				x := sender.send(receiver.id, 10, 1)
				<-under
				began := time.Now()
				stop(stopping)
				if d := time.Since(began); d > 3*time.Second {
					t.Errorf("it took %v", d)
				}
				if err := <-x.ended; err == nil {
					t.Error("it ended well")
				}
				var reset *quictransport.ResetError
				var closed *quictransport.CloseError
				switch err := <-heard; {
				case errors.As(err, &reset) && reset.Reason == quictransport.ReasonShutdown:
				case errors.As(err, &closed) && closed.Reason == quictransport.ReasonShutdown:
				default:
					t.Errorf("the peer heard %v", err)
				}
			})
		}
	}
}

// A refusal amid the data reaches the sender, though it is writing.
func TestRefusedAmidOverQUIC(t *testing.T) {
	c := newCluster(t, 2)
	sender, receiver := c.members[0], c.members[1]
	sender.make(10, 1<<20)
	sender.spoil = func(s Stream) Stream {
		return &counting{Stream: s, left: 1 << 19, then: func() { receiver.fence.Apply(6) }}
	}
	var refused *snapshotstream.RefusedError
	if err := sender.deliver(2, 10, 1); !errors.As(err, &refused) || refused.Reason != snapshotstream.ReasonStale {
		t.Error(err)
	}
	sender.spoil = nil
	sender.fence.Apply(6)
	if err := sender.deliver(2, 10, 1); err != nil || sender.Stats().Resumed != 1 {
		t.Errorf("%v, %+v", err, sender.Stats())
	}
	receiver.waitInstalled(10)
	receiver.check(10, 1<<20)
}
