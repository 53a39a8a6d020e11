package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/catalog"
	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/archive"
)

// snapshotOf returns a snapshot of group g with n bytes of state.
func snapshotOf(t testing.TB, g wire.GroupID, n int) (file, state []byte) {
	t.Helper()
	state = make([]byte, n)
	for i := range state {
		state[i] = byte(rand.Uint32())
	}
	return encodedOf(t, g, state), state
}

// encodedOf is a snapshot of group g with that state.
func encodedOf(t testing.TB, g wire.GroupID, state []byte) []byte {
	t.Helper()
	at := snapshotstream.State{Group: g, Index: 9, Term: 2, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}, Epoch: 7}
	h := must[snapshotstream.Header](t)(snapshotstream.HeaderOf(at, bytes.NewReader(state), 64<<10))
	var b bytes.Buffer
	enc := must[*snapshotstream.Encoder](t)(snapshotstream.NewEncoder(&b, h))
	if _, err := enc.Write(state); err != nil {
		t.Fatal(err)
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// exporting has every node of c export what export writes.
func (c *fakeCluster) exporting(export func(ctx context.Context, g wire.GroupID, w io.Writer) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		n.exports = export
	}
}

// exported fetches a group and returns its state.
func exported(ctx context.Context, cl *client.Client, g wire.GroupID) (state []byte, err error) {
	err = cl.Export(ctx, g, func(r io.Reader) error {
		d, err := snapshotstream.NewDecoder(r)
		if err == nil {
			state, err = io.ReadAll(d)
		}
		return err
	})
	return state, err
}

// TestExport: a client gets a group's whole state, whoever leads the group, from the empty one to many pieces.
func TestExport(t *testing.T) {
	c := newCluster(t, newBackend(4), 3, defaultLimits())
	files, states := map[wire.GroupID][]byte{}, map[wire.GroupID][]byte{}
	for g, n := range map[wire.GroupID]int{1: 0, 2: 100, 3: protocol.MaxPieceBytes, 4: 9<<20 + 5} {
		files[g], states[g] = snapshotOf(t, g, n)
	}
	c.exporting(func(_ context.Context, g wire.GroupID, w io.Writer) error {
		_, err := w.Write(files[g])
		return err
	})
	cl := c.dial(t, c.nodes[0])
	for g, want := range states {
		if got, err := exported(t.Context(), cl, g); err != nil || !bytes.Equal(got, want) {
			t.Errorf("group %d: %d bytes of %d, %v", g, len(got), len(want), err)
		}
	}
}

// TestExportBreaksOff: an export that fails in the middle, comes damaged, is cut off or is refused for the moment begins anew; a failure
// of the taker, and one that lasts, is told.
func TestExportBreaksOff(t *testing.T) {
	c := newCluster(t, newBackend(1), 3, defaultLimits())
	file, state := snapshotOf(t, 1, 3<<20)
	var tries atomic.Int64
	broken := func(how func(try int64, w io.Writer) error) {
		tries.Store(0)
		c.exporting(func(_ context.Context, _ wire.GroupID, w io.Writer) error { return how(tries.Add(1), w) })
	}
	write := func(w io.Writer, b []byte) error { _, err := w.Write(b); return err }
	cl := c.dial(t)
	for name, how := range map[string]func(try int64, w io.Writer) error{
		"error in the middle": func(try int64, w io.Writer) error {
			if try < 3 {
				return errors.Join(&wire.Error{Code: wire.CodeStorage}, write(w, file[:1<<20]))
			}
			return write(w, file)
		},
		"a bit flips": func(try int64, w io.Writer) error {
			if try < 3 {
				bad := bytes.Clone(file)
				bad[2<<20] ^= 4
				return write(w, bad)
			}
			return write(w, file)
		},
		"cut off": func(try int64, w io.Writer) error {
			if try < 3 {
				return write(w, file[:len(file)-1])
			}
			return write(w, file)
		},
		"refused for the moment": func(try int64, w io.Writer) error {
			if try < 3 {
				return &wire.Error{Code: wire.CodeOverloaded}
			}
			return write(w, file)
		},
	} {
		broken(how)
		if got, err := exported(t.Context(), cl, 1); err != nil || !bytes.Equal(got, state) || tries.Load() != 3 {
			t.Errorf("%s: %d bytes of %d after %d tries, %v", name, len(got), len(state), tries.Load(), err)
		}
	}
	broken(func(_ int64, w io.Writer) error { return write(w, file[:2<<20]) })
	var e *client.Error
	if _, err := exported(t.Context(), cl, 1); !errors.As(err, &e) || tries.Load() != 10 {
		t.Errorf("always cut off: %d tries, %v", tries.Load(), err)
	}
	broken(func(_ int64, w io.Writer) error { return write(w, file) })
	full := errors.New("disk full")
	takes := func(r io.Reader) error {
		_, _ = io.ReadFull(r, make([]byte, 1)) // its own failure counts, not the reader's
		return full
	}
	if err := cl.Export(t.Context(), 1, takes); err != full || tries.Load() != 1 {
		t.Errorf("the taker's own: %d tries, %v", tries.Load(), err)
	}
	broken(func(int64, io.Writer) error { return &wire.Error{Code: wire.CodeBadRequest, Detail: "none"} })
	if _, err := exported(t.Context(), cl, 1); !errors.Is(err, client.ErrUsage) || tries.Load() != 1 {
		t.Errorf("refused for good: %d tries, %v", tries.Load(), err)
	}
}

// TestExportWaitsForItsReader: what the client does not take stays with the host, but for a few pieces and what QUIC has on its way; a
// client that takes nothing at all is cut off, and the place is free for others (D75).
func TestExportWaitsForItsReader(t *testing.T) {
	l := defaultLimits()
	l.exports, l.writeTimeout = 1, 500*time.Millisecond
	c := newCluster(t, newBackend(1), 1, l)
	file, _ := snapshotOf(t, 1, 100<<20)
	var written atomic.Int64
	ended := make(chan error, 1)
	c.exporting(func(_ context.Context, _ wire.GroupID, w io.Writer) (err error) {
		defer func() { ended <- err }()
		for b := file; len(b) > 0; b = b[min(len(b), 64<<10):] {
			n, err := w.Write(b[:min(len(b), 64<<10)])
			written.Add(int64(n))
			if err != nil {
				return err
			}
		}
		return nil
	})
	cl := c.dial(t)
	stuck := errors.New("stuck")
	err := cl.Export(t.Context(), 1, func(r io.Reader) error {
		select { // r is not read
		case err := <-ended:
			if err == nil {
				t.Error("all of it was taken from the host")
			}
			return stuck
		case <-time.After(20 * time.Second):
			return errors.New("the host is held up for ever")
		}
	})
	if err != stuck {
		t.Error(err)
	}
	// quic-go's windows: 6 MiB of a stream, growing from 512 KiB.
	if n := written.Load(); n > 16<<20 {
		t.Errorf("%d bytes were taken from the host for a client that reads nothing", n)
	}
	small, state := snapshotOf(t, 1, 10)
	c.exporting(func(_ context.Context, _ wire.GroupID, w io.Writer) error { _, err := w.Write(small); return err })
	if got, err := exported(t.Context(), cl, 1); err != nil || !bytes.Equal(got, state) {
		t.Errorf("the next one: %v", err)
	}
}

// TestExportGivesSignsOfLife: while a snapshot is being made, the client hears that the node is at work; and it ends the work by
// leaving.
func TestExportGivesSignsOfLife(t *testing.T) {
	l := defaultLimits()
	l.exportBeat = time.Millisecond
	c := newCluster(t, newBackend(1), 1, l)
	left := make(chan struct{})
	c.exporting(func(ctx context.Context, _ wire.GroupID, _ io.Writer) error {
		<-ctx.Done()
		close(left)
		return context.Cause(ctx)
	})
	r := c.raw(t, c.nodes[0])
	r.hello(t, anyVersion)
	r.send(t, request(protocol.Request{Kind: protocol.KindExport, ID: 5, Group: 1}))
	for range 3 {
		var p protocol.Reply
		body, err := r.frames.Next()
		if err == nil {
			err = protocol.DecodeReply(body, &p)
		}
		if err != nil || p.Kind != protocol.ReplyExport || p.ID != 5 || len(p.Value) != 0 || !p.More {
			t.Fatalf("%+v %v", p, err)
		}
	}
	_ = r.qc.CloseWithError(0, "")
	<-left
}

// TestExportMemory: neither side holds the snapshot.
func TestExportMemory(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	file, _ := snapshotOf(t, 1, 64<<20)
	c.exporting(func(_ context.Context, _ wire.GroupID, w io.Writer) error { _, err := w.Write(file); return err })
	cl := c.dial(t)
	var before, most runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	err := cl.Export(t.Context(), 1, func(r io.Reader) error {
		buf := make([]byte, 4<<20)
		for {
			_, err := io.ReadFull(r, buf)
			var now runtime.MemStats
			runtime.GC()
			if runtime.ReadMemStats(&now); now.HeapAlloc > most.HeapAlloc {
				most = now
			}
			if err != nil {
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if grown := int64(most.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d bytes of heap for a snapshot of %d", grown, len(file))
	}
}

// catalogOf is the state of a group 0 that knows groups 1 to n, of index 9 as its snapshot.
func catalogOf(t testing.TB, n int) []byte {
	t.Helper()
	c := &catalog.Snapshot{
		Settings: catalog.Settings{Groups: uint64(n), Replication: 3}, Topology: catalog.Topology{Version: 1}, Routing: catalog.Routing{Version: 1}, Applied: 9, Epoch: 7, EpochTerm: 2,
	}
	for id := range wire.NodeID(3) {
		c.Topology.Nodes = append(c.Topology.Nodes, catalog.Node{ID: id + 1, Addr: fmt.Sprintf("n%d:1", id), State: catalog.NodeListed})
	}
	for g := range wire.GroupID(n + 1) {
		c.Groups = append(c.Groups, catalog.Group{ID: g, Voters: []wire.NodeID{1, 2, 3}}.Founded())
	}
	for i := range c.Routing.Shards {
		c.Routing.Shards[i] = 1
	}
	var b bytes.Buffer
	if _, err := c.WriteState(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSave: a cluster comes into one file although every snapshot breaks off once in the middle; what is told of it adds up; a file that
// cannot be written is told as it is.
func TestSave(t *testing.T) {
	c := newCluster(t, newBackend(4), 3, defaultLimits())
	files, states := map[wire.GroupID][]byte{}, map[wire.GroupID][]byte{}
	for g := range wire.GroupID(5) {
		files[g], states[g] = snapshotOf(t, g, 1+int(g)<<20)
	}
	files[0], states[0] = encodedOf(t, 0, catalogOf(t, 4)), catalogOf(t, 4)
	c.mu.Lock()
	c.mu.leaders[0] = 2
	c.mu.Unlock()
	tries := map[wire.GroupID]int{}
	var mu sync.Mutex
	c.exporting(func(_ context.Context, g wire.GroupID, w io.Writer) error {
		mu.Lock()
		tries[g]++
		file := files[g]
		if tries[g] == 1 {
			file = file[:len(file)/2]
		}
		mu.Unlock()
		_, err := w.Write(file)
		return err
	})
	path := filepath.Join(t.TempDir(), "file")
	m := archive.Manifest{ClusterID: wire.ClusterID{1}, Cluster: "test", Saved: time.Unix(1, 0).UTC()}
	f := must[*archive.File](t)(archive.Create(path, m, archive.Fresh))
	var saved int
	var last client.Saving
	headers, err := c.dial(t).Save(t.Context(), f, func(now client.Saving) {
		if now.Saved {
			saved++
		}
		last = now
	})
	if err != nil || len(headers) != 5 || saved != 5 || last.Nth != 5 || last.Of != 5 || last.Done != last.Total {
		t.Fatalf("%d groups, %d told, %+v, %v", len(headers), saved, last, err)
	}
	r := must[*archive.Reader](t)(archive.NewReader(must[*os.File](t)(os.Open(path))))
	for g, err := r.Next(); err != io.EOF; g, err = r.Next() {
		if err != nil {
			t.Fatal(err)
		}
		if state, err := io.ReadAll(g); err != nil || !bytes.Equal(state, states[g.Group]) || tries[g.Group] != 2 {
			t.Errorf("group %d: %d bytes of %d after %d tries, %v", g.Group, len(state), len(states[g.Group]), tries[g.Group], err)
		}
	}
	f = must[*archive.File](t)(archive.Create(path, m, archive.Replace))
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.dial(t).Save(t.Context(), f, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a file that is closed: %v", err)
	}
}
