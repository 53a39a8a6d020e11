package courier

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"flotilla/epoch"
	"flotilla/internal/leak"
	"flotilla/quictransport"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// host is one node's part of a transfer.
type host struct {
	t     *testing.T
	id    wire.NodeID
	dir   string
	store *snapshotstream.Store
	fence *epoch.Holder
	c     *Courier
	peers map[wire.NodeID]*host
	l     net.Listener
	// spoil, when not nil, is given every stream that is opened from here.
	spoil func(net.Conn) net.Conn

	mu        sync.Mutex
	offered   []wire.Message
	refuse    error
	installed []wire.Snapshot
	failed    []error
}

func newHosts(t *testing.T, n int) map[wire.NodeID]*host {
	before := leak.Running()
	t.Cleanup(func() { before.Check(t, 5*time.Second) })
	hosts := map[wire.NodeID]*host{}
	for id := range wire.NodeID(n) {
		h := &host{t: t, id: id + 1, dir: t.TempDir(), fence: epoch.NewHolder(5), peers: hosts}
		hosts[h.id] = h
		h.open()
	}
	t.Cleanup(func() {
		for _, h := range hosts {
			h.close()
		}
	})
	return hosts
}

// open starts a host, which may have run before.
func (h *host) open() {
	var err error
	if h.store, err = snapshotstream.Open(snapshotstream.Config{Dir: h.dir, ChunkSize: 4 << 10, Free: plenty}); err != nil {
		h.t.Fatal(err)
	}
	if h.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		h.t.Fatal(err)
	}
	h.c = New(Config{
		Store: h.store, Fence: h.fence, Rate: 1 << 40, Patience: 5 * time.Second,
		Open: func(_ context.Context, to wire.NodeID) (Stream, error) {
			conn, err := net.Dial("tcp", h.peers[to].l.Addr().String())
			if err == nil && h.spoil != nil {
				conn = h.spoil(conn)
			}
			return tcp{conn}, err
		},
		Offer: func(_ context.Context, m wire.Message) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.offered = append(h.offered, m)
			return h.refuse
		},
		Install: func(_ context.Context, _ wire.GroupID, s wire.Snapshot) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.installed = append(h.installed, s)
			return nil
		},
		Events: func(e Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			switch e := e.(type) {
			case TransferEnded:
				if e.Direction == In && e.Err != nil {
					h.failed = append(h.failed, e.Err)
				}
			case NotInstalled:
				h.failed = append(h.failed, e.Err)
			}
		},
	})
	go h.accept(h.l, h.c)
}

// accept serves streams; all of them are node 1's.
func (h *host) accept(l net.Listener, c *Courier) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go c.Serve(context.Background(), 1, tcp{conn})
	}
}

// tcp is a connection as a Stream, but that it does not say why it is reset.
type tcp struct{ net.Conn }

func (c tcp) Reset(quictransport.Reason) { _ = c.Close() }

func (h *host) close() {
	_ = h.l.Close()
	h.c.Close()
}

func plenty(string) (int64, error) { return 1 << 40, nil }

// make has the host hold a snapshot of group 7.
func (h *host) make(index wire.Index, state []byte) {
	h.t.Helper()
	w, err := h.store.Create(snapshotstream.State{Group: 7, Index: index, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}})
	if err == nil {
		_, err = w.Write(state)
	}
	if err == nil {
		_, err = w.Commit()
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// send sends the snapshot at index from node 1's identity to node 2, and returns what came of it.
func (h *host) send(index, least wire.Index) error {
	done := make(chan error, 1)
	m := wire.Message{Type: wire.MsgSnapshot, Group: 7, From: 1, To: 2, Term: 4, Index: index, LogTerm: 3}
	h.c.Send(context.Background(), m, least, func() {}, func(err error) { done <- err })
	return <-done
}

func state(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// wait waits until the receiver has been told to install the snapshot at index.
func (h *host) wait(index wire.Index) {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		h.mu.Lock()
		n := len(h.installed)
		ok := n > 0 && h.installed[n-1].Index == index && !h.c.isInstalling(7) // until then it wants no other
		h.mu.Unlock()
		if ok {
			return
		}
	}
	h.t.Fatalf("snapshot %d was not installed: %v, failed %v", index, h.installed, h.failed)
}

// P15: a snapshot gets there whole, behind its announcement, and is installed once it is durable.
func TestSend(t *testing.T) {
	hosts := newHosts(t, 2)
	hosts[1].make(10, state(300_000))
	if err := hosts[1].send(10, 1); err != nil {
		t.Fatal(err)
	}
	hosts[2].wait(10)
	if h, ok := hosts[2].store.Newest(7); !ok || h.Index != 10 || h.Term != 3 || len(h.Membership.Voters) != 3 {
		t.Errorf("%+v %v", h, ok)
	}
	if len(hosts[2].offered) != 1 || hosts[2].offered[0].Index != 10 {
		t.Errorf("offered %v", hosts[2].offered)
	}
	if err := hosts[1].send(10, 1); err != nil { // it is there: said at once
		t.Error(err)
	}
	if s := hosts[2].c.Stats(); s.ReceivedBytes != 300_000 {
		t.Errorf("%+v", s)
	}
	hosts[2].c.Close() // the receiver may be behind the sender
	if n := len(hosts[1].c.Transfers()) + len(hosts[2].c.Transfers()); n != 0 {
		t.Errorf("%d transfers stay in the table", n)
	}
}

// P25: a sender that has not applied the receiver's epoch is refused before anything is looked at, and hears of the epoch.
func TestStaleSenderIsRefused(t *testing.T) {
	hosts := newHosts(t, 2)
	hosts[1].make(10, state(1000))
	hosts[2].fence.Apply(6)
	if err := hosts[1].send(10, 1); wire.CodeOf(err) != wire.CodeStaleEpoch {
		t.Fatalf("got %v", err)
	}
	if len(hosts[2].offered) != 0 || hosts[1].fence.Observed() != 6 {
		t.Errorf("offered %v; the sender has observed %d", hosts[2].offered, hosts[1].fence.Observed())
	}
	hosts[1].fence.Apply(6)
	if err := hosts[1].send(10, 1); err != nil {
		t.Error(err)
	}
}

// A refusal by the receiver's core travels as what it is.
func TestRefusal(t *testing.T) {
	hosts := newHosts(t, 2)
	hosts[1].make(10, state(1000))
	hosts[2].refuse = &wire.Error{Code: wire.CodeNotApplied, Group: 7, Detail: "no need"}
	if err := hosts[1].send(10, 1); wire.CodeOf(err) != wire.CodeNotApplied {
		t.Errorf("got %v", err)
	}
	if err := hosts[1].send(9, 1); !errors.Is(err, snapshotstream.ErrNotHeld) {
		t.Errorf("got %v", err)
	}
}

// cutting ends a stream after so many bytes of writing.
type cutting struct {
	net.Conn
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// N5, F27: connections that break at random points, restarts of the receiver, and other senders of the same snapshot cost what was in
// flight: all in all less than a fifth more than the snapshot is sent.
func TestTransferGoesOn(t *testing.T) {
	const size = 2 << 20
	for name, between := range map[string]func(hosts map[wire.NodeID]*host) *host{
		"connection cut": func(hosts map[wire.NodeID]*host) *host { return hosts[1] },
		"receiver restarted": func(hosts map[wire.NodeID]*host) *host {
			hosts[2].close()
			hosts[2].open()
			return hosts[1]
		},
		"another sender": func(hosts map[wire.NodeID]*host) *host {
			hosts[1], hosts[3] = hosts[3], hosts[1]
			return hosts[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := newHosts(t, 3)
			for _, id := range []wire.NodeID{1, 3} {
				hosts[id].make(10, state(size))
				hosts[id].make(20, state(size+1)) // a newer one is offered, and the part is what counts
			}
			rng := rand.New(rand.NewPCG(1, 2))
			sender := hosts[1]
			sent := uint64(0)
			for range 20 {
				sender.spoil = func(c net.Conn) net.Conn { return &cutting{Conn: c, left: rng.IntN(size / 8)} }
				if err := sender.send(20, 10); err == nil {
					break
				}
				sender = between(hosts)
			}
			sender.spoil = nil
			if err := sender.send(20, 10); err != nil {
				t.Fatal(err)
			}
			hosts[2].wait(20)
			for _, id := range []wire.NodeID{1, 3} {
				sent += hosts[id].c.Stats().SentBytes
			}
			if sent > size*12/10 {
				t.Errorf("%d bytes were sent of a snapshot of %d", sent, size)
			}
		})
	}
}

// N5: the receiver has a part of an older one than the newest, which serves: it goes on with that.
func TestPartOfAnOlderOne(t *testing.T) {
	hosts := newHosts(t, 2)
	hosts[1].make(10, state(1<<20))
	hosts[1].spoil = func(c net.Conn) net.Conn { return &cutting{Conn: c, left: 700_000} }
	if err := hosts[1].send(10, 5); err == nil {
		t.Fatal("nothing was cut")
	}
	hosts[1].spoil = nil
	hosts[1].make(20, state(1<<20+1))
	if err := hosts[1].send(20, 5); err != nil {
		t.Fatal(err)
	}
	hosts[2].wait(10)
	if err := hosts[1].send(20, 11); err != nil { // from 11 on, the older one is of no use
		t.Fatal(err)
	}
	hosts[2].wait(20)
}

// P7, D72: Close ends what is under way, on either side, with a peer that does not move.
func TestCloseEndsTransfers(t *testing.T) {
	hosts := newHosts(t, 2)
	hosts[1].make(10, state(1<<20))
	stuck := make(chan struct{})
	hosts[1].spoil = func(c net.Conn) net.Conn { return &stalling{Conn: c, stuck: stuck} }
	done := make(chan error, 1)
	m := wire.Message{Type: wire.MsgSnapshot, Group: 7, From: 1, To: 2, Term: 4, Index: 10, LogTerm: 3}
	hosts[1].c.Send(context.Background(), m, 1, func() {}, func(err error) { done <- err })
	<-stuck
	began := time.Now()
	hosts[1].c.Close()
	hosts[2].c.Close()
	if err := <-done; err == nil {
		t.Error("a transfer that was cut off ended well")
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("Close took %v", d)
	}
	if err := hosts[1].send(10, 1); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// stalling stops in the middle, as a peer does whose machine hangs.
type stalling struct {
	net.Conn
	stuck chan struct{}
	sent  int
	once  sync.Once
}

func (c *stalling) Write(p []byte) (int, error) {
	if c.sent += len(p); c.sent > 100_000 {
		c.once.Do(func() { close(c.stuck) })
		return len(p), nil // it never arrives
	}
	return c.Conn.Write(p)
}

// D58, P25: what a sender says is checked before anything is done.
func TestHostileCalls(t *testing.T) {
	good := call{m: wire.Message{Type: wire.MsgSnapshot, Group: 7, From: 1, To: 2, Term: 4, Index: 10, LogTerm: 3}, offers: []offer{{index: 10}}}
	for name, b := range map[string][]byte{
		"nothing":  nil,
		"garbage":  []byte("garbage"),
		"no offer": appendCall(nil, &call{m: good.m}),
		"too many": appendCall(nil, &call{m: good.m, offers: make([]offer, maxOffers+1)}),
		"another message": appendCall(nil, &call{
			m: wire.Message{Type: wire.MsgHeartbeat, Group: 7, From: 1, To: 2}, offers: good.offers,
		}),
		"cut": appendCall(nil, &good)[:20],
	} {
		if _, err := parseCall(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if c, err := parseCall(appendCall(nil, &good)); err != nil || c.m.Index != 10 || len(c.offers) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := readFrame(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff})); !errors.Is(err, errFrame) {
		t.Error(err)
	}
}

// FuzzCall and FuzzReply: whatever comes, nothing panics, and what is read is what would be written.
func FuzzCall(f *testing.F) {
	f.Add(appendCall(nil, &call{m: wire.Message{Type: wire.MsgSnapshot, Group: 7, From: 1, To: 2, Index: 10}, offers: []offer{{index: 10}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCall(b); err == nil {
			if again, err := parseCall(appendCall(nil, &c)); err != nil || again.m.Index != c.m.Index {
				t.Errorf("%+v became %+v, %v", c, again, err)
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add(appendReply(nil, &reply{index: 4}))
	f.Add(appendReply(nil, &reply{no: &wire.Error{Code: wire.CodeStaleEpoch}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseReply(b); err == nil {
			if again, err := parseReply(appendReply(nil, &p)); err != nil || again.index != p.index {
				t.Errorf("%+v became %+v, %v", p, again, err)
			}
		}
	})
}
