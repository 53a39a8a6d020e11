package courier

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/epoch"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

const chunk = snapshotstream.MinChunk

// world is what the nodes of one test share: lines between them, which a test can cut.
type world struct {
	t     *testing.T
	nodes map[wire.NodeID]*node
	// limit is how many bytes may pass from who opens a stream before it is cut; 0 for any number.
	limit int
	// line, when not nil, sees the sender's end of a stream before anybody uses it; serve, when not nil, has the other one instead of the
	// receiver's Courier.
	line   func(sender *pipe)
	serve  func(receiver *pipe)
	served sync.WaitGroup
}

// node is a Courier, what it works on, and an engine that takes everything.
type node struct {
	*Courier
	w     *world
	id    wire.NodeID
	disk  *snapshottest.Disk
	store *snapshotstream.Store
	fence *epoch.Holder

	mu        sync.Mutex
	offered   []wire.Message
	installed []wire.Snapshot
	failed    []error
	events    []Event
	// offer and install, when not nil, answer in the engine's place.
	offer   func(ctx context.Context, m wire.Message) error
	install func(ctx context.Context, s wire.Snapshot) error
}

// bubble runs f in fake time, with two nodes; everything has ended when it returns.
func bubble(t *testing.T, change func(*Config), f func(t *testing.T, w *world, a, b *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, nodes: map[wire.NodeID]*node{}}
		f(t, w, w.node(1, change), w.node(2, change))
		for _, n := range w.nodes {
			n.Close()
		}
		w.served.Wait()
	})
}

func (w *world) node(id wire.NodeID, change func(*Config)) *node {
	w.t.Helper()
	n := &node{w: w, id: id, disk: snapshottest.NewDisk(), fence: epoch.NewHolder(5)}
	n.start(change)
	w.nodes[id] = n
	return n
}

// start opens what is on the disk.
func (n *node) start(change func(*Config)) {
	n.w.t.Helper()
	var err error
	n.store, err = snapshotstream.Open(snapshotstream.Config{Dir: "/", Files: n.disk, Free: n.disk.Free, ReserveBytes: 1 << 10, ChunkSize: chunk})
	if err != nil {
		n.w.t.Fatal(err)
	}
	cfg := Config{
		Store: n.store, Open: n.open, Fence: n.fence, Offer: n.takeOffer, Install: n.takeInstall, Rate: 1 << 40,
		Events: func(e Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e)
			switch e := e.(type) {
			case TransferEnded:
				if e.Direction == In && e.Err != nil {
					n.failed = append(n.failed, e.Err)
				}
			case NotInstalled:
				n.failed = append(n.failed, e.Err)
			}
		},
	}
	if change != nil {
		change(&cfg)
	}
	n.Courier = New(cfg)
}

// kill takes the process away: what was not synced may be there or not.
func (n *node) kill(change func(*Config)) {
	n.w.t.Helper()
	n.Close()
	n.disk = n.disk.Restart(func() bool { return true })
	n.start(change)
}

func (n *node) open(_ context.Context, to wire.NodeID) (Stream, error) {
	other := n.w.nodes[to]
	if other == nil {
		return nil, &wire.Error{Code: wire.CodeUnreachable}
	}
	a, b := newPipe()
	a.limit = n.w.limit
	if n.w.line != nil {
		n.w.line(a)
	}
	c, serve := other.Courier, n.w.serve
	n.w.served.Go(func() {
		if serve != nil {
			serve(b)
			return
		}
		c.Serve(context.Background(), n.id, b)
	})
	return a, nil
}

func (n *node) takeOffer(ctx context.Context, m wire.Message) error {
	n.mu.Lock()
	n.offered = append(n.offered, m)
	n.mu.Unlock()
	if n.offer != nil {
		return n.offer(ctx, m)
	}
	return nil
}

func (n *node) takeInstall(ctx context.Context, _ wire.GroupID, s wire.Snapshot) error {
	n.mu.Lock()
	n.installed = append(n.installed, s)
	n.mu.Unlock()
	if n.install != nil {
		return n.install(ctx, s)
	}
	return nil
}

// installs returns the indexes of the snapshots that the engine was told of.
func (n *node) installs() (all []wire.Index) {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.installed {
		all = append(all, s.Index)
	}
	return all
}

// bodyOf are size bytes that belong to index i.
func bodyOf(i wire.Index, size int) []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

const group = wire.GroupID(7)

// make makes a snapshot of the group at i on a node's disk, makeOf one of any group.
func (n *node) make(i wire.Index, size int) snapshotstream.Header {
	n.w.t.Helper()
	return n.makeOf(group, i, size)
}

func (n *node) makeOf(g wire.GroupID, i wire.Index, size int) snapshotstream.Header {
	n.w.t.Helper()
	w, err := n.store.Create(snapshotstream.State{Group: g, Index: i, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{1, 2}}})
	if err == nil {
		_, err = w.Write(bodyOf(i, size))
	}
	if err != nil {
		n.w.t.Fatal(err)
	}
	h, err := w.Commit()
	if err != nil {
		n.w.t.Fatal(err)
	}
	return h
}

// check compares what a node holds at i with what was made.
func (n *node) check(i wire.Index, size int) {
	n.w.t.Helper()
	x, err := n.store.Open(group, i)
	if err != nil {
		n.w.t.Fatalf("node %d: %v", n.id, err)
	}
	defer x.Close()
	body, err := x.Body()
	if err != nil {
		n.w.t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, bodyOf(i, size)) {
		n.w.t.Fatalf("node %d holds %d bytes at %d, %d were made: %v", n.id, len(got), i, size, err)
	}
}

func announce(from, to wire.NodeID, i wire.Index) wire.Message {
	return wire.Message{Type: wire.MsgSnapshot, Group: group, From: from, To: to, Term: 4, Index: i, LogTerm: 3}
}

// ticket is a transfer as its sender's engine sees it.
type ticket struct {
	ended chan error
	moved int
	end   context.CancelFunc
}

// send begins a transfer.
func (n *node) send(to wire.NodeID, i, least wire.Index) *ticket {
	ctx, cancel := context.WithCancel(context.Background())
	t := &ticket{ended: make(chan error, 2), end: cancel}
	n.Send(ctx, announce(n.id, to, i), least, func() { t.moved++ }, func(err error) { t.ended <- err })
	return t
}

// deliver carries a snapshot and returns how that ended.
func (n *node) deliver(to wire.NodeID, i, least wire.Index) error {
	t := n.send(to, i, least)
	defer t.end()
	return <-t.ended
}

// waitFor lets fake time pass until cond holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 10_000 {
		synctest.Wait()
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
