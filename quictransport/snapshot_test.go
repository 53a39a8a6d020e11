package quictransport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// serves returns a change of a node's configuration that serves snapshots with f.
func serves(f func(ctx context.Context, from wire.NodeID, s *Stream)) func(*Config) {
	return func(c *Config) { c.Snapshot = f }
}

// stalls serves snapshots by reading nothing until ctx ends.
func stalls(ctx context.Context, _ wire.NodeID, _ *Stream) { <-ctx.Done() }

func mustOpen(t testing.TB, n *node, to wire.NodeID) *Stream {
	t.Helper()
	s, err := n.OpenSnapshot(t.Context(), to)
	if err != nil {
		t.Fatalf("open a stream from %d to %d: %v", n.id, to, err)
	}
	return s
}

// wantReset checks how a stream was ended.
func wantReset(t testing.TB, what string, err error, want ResetError) {
	t.Helper()
	var got *ResetError
	if !errors.As(err, &got) || *got != want {
		t.Errorf("%s: %v, want %v", what, err, &want)
	}
}

// wantShutdown checks that a stream's end says that a node stops: by its reset, or by the end of the connection that a peer closes as it
// hears goodbye.
func wantShutdown(t testing.TB, what string, err error) {
	t.Helper()
	var (
		reset *ResetError
		end   *CloseError
	)
	if !(errors.As(err, &reset) && reset.Reason == ReasonShutdown) && !(errors.As(err, &end) && end.Reason == ReasonShutdown) {
		t.Errorf("%s ended with %v, want the reason for shutdown", what, err)
	}
}

// A stream carries bytes both ways, ends with io.EOF, and is counted.
func TestSnapshotStream(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		b := w.node(2, serves(func(_ context.Context, from wire.NodeID, s *Stream) {
			got, err := io.ReadAll(io.LimitReader(s, 5<<20))
			if err == nil {
				_, err = s.Write(append([]byte("from node "+from.String()+": "), got[:4]...))
			}
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		}))
		meet(t, a, b)
		s := mustOpen(t, a, 2)
		if _, err := s.Write(bytes.Repeat([]byte("snap"), 5<<18)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s); err != nil || string(got) != "from node 1: snap" {
			t.Fatalf("answer %q, %v", got, err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the books", func() bool { return a.Stats().SnapshotsOut+b.Stats().SnapshotsIn == 0 })
		if out, in := a.Stats().Snapshot, b.Stats().Snapshot; out != (LaneStats{SentFrames: 1, SentBytes: 5 << 20, ReceivedBytes: 17}) ||
			in != (LaneStats{ReceivedFrames: 1, ReceivedBytes: 5 << 20, SentBytes: 17}) {
			t.Errorf("counted %+v and %+v", out, in)
		}
		if _, err := a.OpenSnapshot(t.Context(), 9); wire.CodeOf(err) != wire.CodeUnreachable {
			t.Errorf("opened to nobody: %v", err)
		}
	})
}

// D73: a node takes few snapshots at a time, of one peer and of all, or none, and says so.
func TestSnapshotsAreFew(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, serves(stalls))
		none := w.node(2, nil)
		others := []*node{w.node(3, nil), w.node(4, nil)}
		meet(t, a, none)
		for _, o := range others {
			meet(t, a, o)
		}
		s := mustOpen(t, a, 2)
		_, err := s.Read(make([]byte, 1))
		wantReset(t, "a node that takes none", err, ResetError{ReasonRefused, true})
		s.Reset(ReasonNone)
		var held []*Stream
		for _, o := range others {
			for range maxSnapshotsOfPeer {
				held = append(held, mustOpen(t, o, 1))
			}
		}
		waitFor(t, "streams served", func() bool { return a.Stats().SnapshotsIn == maxSnapshots })
		refused := func(n *node) {
			t.Helper()
			s := mustOpen(t, n, 1)
			_, err := s.Read(make([]byte, 1))
			wantReset(t, "one too many", err, ResetError{ReasonOverload, true})
			after(time.Millisecond) // the other half's end comes behind
			_, err = s.Write([]byte("x"))
			wantReset(t, "one too many", err, ResetError{ReasonOverload, true})
			s.Reset(ReasonNone)
		}
		refused(none) // its first, but the fifth of all
		held[0].Reset(ReasonNone)
		after(time.Second)
		refused(none) // the place is free when nobody serves it any more, not when its opener says so
		others[1].Kill()
		waitFor(t, "the places of a dead node", func() bool { return a.Stats().SnapshotsIn == maxSnapshotsOfPeer })
		refused(others[0]) // its third
		if n := a.Stats().Snapshot.Dropped; n != 3 {
			t.Errorf("%d counted as turned away, want 3", n)
		}
	})
}

// P7, D72: who stops says so on every stream, in both directions, and waits for no peer that does not move. What begins afterwards does not miss it.
func TestCloseEndsSnapshots(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		causes := make(chan error, 2)
		serve := serves(func(ctx context.Context, _ wire.NodeID, s *Stream) {
			if _, err := s.Read(make([]byte, 1)); err != nil {
				t.Errorf("read: %v", err)
			}
			<-ctx.Done() // a receiver that stalls
			causes <- context.Cause(ctx)
		})
		a, b := w.node(1, serve), w.node(2, serve)
		meet(t, a, b)
		out, in := mustOpen(t, a, 2), mustOpen(t, b, 1)
		ends := make(chan error, 2)
		for _, s := range []*Stream{out, in} {
			go func() { // blocks when the windows are full
				_, err := s.Write(make([]byte, 2*connWindow))
				ends <- err
			}()
		}
		after(time.Second)
		start := time.Now()
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("closing took %v", took)
		}
		var here, told int
		for range 2 {
			var reset *ResetError
			err := <-ends
			wantShutdown(t, "a writer", err)
			if errors.As(err, &reset) && !reset.Remote {
				here++
			}
			if reset = nil; errors.As(<-causes, &reset) && reset.Reason == ReasonShutdown { // at node 1
				told++
			}
		}
		if told != 1 {
			t.Errorf("%d servers were told by their contexts that this node stops, want 1", told)
		}
		if here != 1 {
			t.Errorf("%d writers ended by their own side, want 1", here)
		}
		if _, err := a.OpenSnapshot(t.Context(), 2); wire.CodeOf(err) != wire.CodeStopped {
			t.Errorf("opened on a closed transport: %v", err)
		}
		if s := b.Stats(); s.SnapshotsIn+s.SnapshotsOut != 0 {
			t.Errorf("left in the books: %+v", s)
		}
	})
}

// P7: streams in flight are reset with the code for shutdown, in both directions, before the connection ends; those that begin while the
// node takes leave of its peers do not miss it.
func TestStreamsAreResetForShutdown(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		var served atomic.Int64
		a := w.node(1, serves(func(ctx context.Context, from wire.NodeID, s *Stream) {
			served.Add(1)
			stalls(ctx, from, s)
		}))
		r := w.raw(9)
		qc := r.mustDial(a) // it does not take leave in turn
		r.join(qc, a)
		p := r.preface(framing.LaneSnapshot)
		in, err := qc.OpenStream()
		if err == nil {
			_, err = in.Write(p.Append(nil))
		}
		if err != nil {
			t.Fatal(err)
		}
		mustOpen(t, a, 9)
		out, err := qc.AcceptStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := framing.ReadPreface(out); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the stream", func() bool { return a.Stats().SnapshotsIn == 1 })
		closed := make(chan error, 1)
		go func() { closed <- a.Close(t.Context()) }()
		after(goodbyeTimeout / 2)
		for what, s := range map[string]*quic.Stream{"opened by the peer": in, "opened by the node": out} {
			_, err := s.Read(make([]byte, 1))
			wantReset(t, what+": read", streamError(err), ResetError{ReasonShutdown, true})
			_, err = s.Write(make([]byte, 1))
			wantReset(t, what+": write", streamError(err), ResetError{ReasonShutdown, true})
		}
		if _, err := a.OpenSnapshot(t.Context(), 9); wire.CodeOf(err) != wire.CodeStopped {
			t.Errorf("opened by a node that stops: %v", err)
		}
		s, err := qc.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Write(p.Append(nil)); err == nil {
			_, err = s.Read(make([]byte, 1))
		}
		wantReset(t, "opened to a node that stops", streamError(err), ResetError{ReasonShutdown, true})
		if err := <-closed; err != nil || served.Load() != 1 {
			t.Errorf("%d served, %v", served.Load(), err)
		}
	})
}

// P7: a reader learns of the shutdown; of a killed peer by the end of the connection. Who serves a stream
// hears both by its context.
func TestReadersLearnOfShutdown(t *testing.T) {
	for name, stop := range map[string]func(*node){
		"close": func(n *node) { _ = n.Close(context.Background()) }, "kill": func(n *node) { n.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				read := make(chan error, 1)
				a := w.node(1, nil)
				b := w.node(2, serves(func(ctx context.Context, _ wire.NodeID, s *Stream) {
					_, err := io.Copy(io.Discard, s)
					<-ctx.Done()
					read <- err
				}))
				meet(t, a, b)
				mustOpen(t, a, 2)
				waitFor(t, "the stream", func() bool { return b.Stats().SnapshotsIn == 1 })
				stop(a)
				err := <-read
				var end *CloseError
				if name == "kill" {
					if !errors.As(err, &end) || end.Reason != ReasonSilence {
						t.Errorf("killed: %v", err)
					}
					return
				}
				wantShutdown(t, "closed", err)
			})
		})
	}
}

// D67: 10,000 transfers that end early, in every way there is, with bytes that nobody read: none leaves a half open, and
// neither stream nor connection credit is lost.
func TestEarlyEndsLeakNothing(t *testing.T) {
	const transfers = 10_000
	simulated(t, func(t *testing.T, w *world) {
		var served atomic.Int64
		a := w.node(1, nil)
		b := w.node(2, serves(func(_ context.Context, _ wire.NodeID, s *Stream) {
			switch served.Add(1) % 4 {
			case 0: // returns at once
			case 1:
				s.Reset(ReasonRefused)
			case 2:
				for range 8 { // that nobody reads, and that the peer's end meets halfway
					if _, err := s.Write(make([]byte, 3000)); err != nil {
						break
					}
				}
			case 3:
				_, _ = s.Read(make([]byte, 10))
			}
		}))
		meet(t, a, b)
		unread := make([]byte, 5000)
		for i := range transfers {
			s := mustOpen(t, a, 2)
			_, _ = s.Write(unread)
			switch i % 3 {
			case 0:
				s.Reset(ReasonNone)
			case 1:
				_ = s.Close()
			case 2:
				_, _ = io.Copy(io.Discard, s)
				_ = s.Close()
			}
		}
		waitFor(t, "the books", func() bool { return a.Stats().SnapshotsOut+b.Stats().SnapshotsIn == 0 })
		if served.Load() < transfers/2 { // the others were gone before they were seen
			t.Errorf("%d served", served.Load())
		}
		after(time.Second)
		c := (*a.routes.Load())[2]
		for range maxBidiStreams {
			if _, err := c.qc.OpenStream(); err != nil {
				t.Fatalf("stream credit is lost: %v", err)
			}
		}
		// Neither is that of the connection: each lane takes a window while nobody reads.
		for i := range uint64(appendLanes) {
			mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, wire.GroupID(i), 100+i, make([]byte, 1<<20)))
			b.rec.waitContext(t, 1, 100+i)
		}
		if a.Stats().Connected != 1 {
			t.Error("the connection was lost on the way")
		}
	})
}

// D68: openings that are given up while all streams are taken leave nothing behind, and those that go on get their turn.
func TestCancelledOpenings(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, serves(func(_ context.Context, _ wire.NodeID, s *Stream) { _, _ = s.Read(make([]byte, 1)) }))
		meet(t, a, b)
		var storm sync.WaitGroup
		var opened, given atomic.Int64
		for i := range 2000 {
			storm.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(400))*time.Millisecond)
				defer cancel()
				s, err := a.OpenSnapshot(ctx, 2)
				switch {
				case err == nil:
					opened.Add(1)
					after(time.Duration(i%3) * time.Millisecond)
					s.Reset(ReasonNone)
				case wire.CodeOf(err) == wire.CodeOverloaded && errors.Is(err, context.DeadlineExceeded):
					given.Add(1)
				default:
					t.Errorf("opening %d: %v", i, err)
				}
			})
		}
		storm.Wait()
		if opened.Load() < 20 || given.Load() < 200 {
			t.Errorf("%d opened, %d given up: no storm", opened.Load(), given.Load())
		}
		for range 3 * maxBidiStreams {
			mustOpen(t, a, 2).Reset(ReasonNone)
		}
		waitFor(t, "the books", func() bool { return a.Stats().SnapshotsOut+b.Stats().SnapshotsIn == 0 })
	})
}

// slowHandler takes no appends.
type slowHandler struct {
	*recorder
	block chan struct{}
}

func (h *slowHandler) HandleMessages(from wire.NodeID, msgs []wire.Message) {
	if msgs[0].Type == wire.MsgAppend {
		<-h.block
	}
	h.recorder.HandleMessages(from, msgs)
}

// P5: snapshots that are not read, beside appends that are not read, take no credit of the control lane.
func TestStalledSnapshotsLeaveCredit(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		conn := w.listen(2, simAddr(2))
		cfg := w.config(2, conn)
		serves(stalls)(&cfg)
		h := &slowHandler{recorder: newRecorder(), block: make(chan struct{})}
		b := &node{Transport: boot(t, cfg, h), w: w, id: 2, addr: conn.LocalAddr().String(), rec: h.recorder}
		meet(t, a, b)
		for range maxSnapshotsOfPeer {
			s := mustOpen(t, a, 2)
			_ = s.SetDeadline(time.Now().Add(time.Second))
			if n, err := s.Write(make([]byte, 2*streamWindow)); !errors.Is(err, os.ErrDeadlineExceeded) || n < streamWindow*9/10 {
				t.Fatalf("a stream took %d bytes: %v", n, err)
			}
		}
		for i := range wire.GroupID(8) {
			_ = a.Send(2, wire.LaneAppend, appendOf(1, 2, i, 1, make([]byte, 1<<20)))
		}
		after(300 * time.Millisecond)
		before := a.Stats().Control.Dropped
		for i := range uint64(100) {
			mustSend(t, a, 2, wire.LaneControl, heartbeat(1, 2, 1000+i))
		}
		b.rec.waitContext(t, 1, 1099)
		close(h.block)
		if s := a.Stats(); s.Control.Dropped != before || s.Connected != 1 {
			t.Errorf("the control lane had no credit: %d dropped, %d connections", s.Control.Dropped, s.Connected)
		}
	})
}

// P5, N6: a snapshot under way costs the other lanes next to nothing on a link that it fills.
func TestSnapshotsComeLast(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		b := w.node(2, serves(func(_ context.Context, _ wire.NodeID, s *Stream) { _, _ = io.Copy(io.Discard, s) }))
		meet(t, a, b)
		w.sim.Limit(a.addr, 1<<20)
		number := uint64(0)
		appends := func() time.Duration {
			number++
			start := time.Now()
			mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, 5, number, make([]byte, 300<<10)))
			b.rec.waitContext(t, 1, number)
			return time.Since(start)
		}
		appends() // the congestion window grows
		alone := appends()
		s := mustOpen(t, a, 2)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = s.Write(make([]byte, 6<<20))
		}()
		after(time.Second)
		loaded := appends()
		t.Logf("%v alone, %v beside a snapshot", alone, loaded)
		if loaded > alone*5/4+20*time.Millisecond {
			t.Errorf("an append took %v alone, %v beside a snapshot", alone, loaded)
		}
		select {
		case <-done:
			t.Error("the snapshot had ended before")
		default:
		}
		s.Reset(ReasonNone)
		<-done
		w.sim.Limit(a.addr, 0)
		after(time.Second) // what waits on the wire leaves
	})
}

// A stream for a snapshot that does not say who it is, or says otherwise than before, costs the connection; one that goes away does not.
// (D58, D75, P27, P34)
func TestHostileSnapshots(t *testing.T) {
	open := func(r *raw, qc *quic.Conn, b []byte) *quic.Stream {
		s, err := qc.OpenStream()
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := s.Write(b); err != nil {
			r.t.Fatal(err)
		}
		return s
	}
	preface := func(change func(*framing.Preface)) func(*raw, *quic.Conn) {
		return func(r *raw, qc *quic.Conn) {
			p := r.preface(framing.LaneSnapshot)
			change(&p)
			open(r, qc, append(p.Append(nil), "data"...))
		}
	}
	for _, row := range []struct {
		name string
		do   func(*raw, *quic.Conn)
		want Reason // ReasonNone: the connection stands
	}{
		{"garbage", func(r *raw, qc *quic.Conn) { open(r, qc, bytes.Repeat([]byte("GET / "), 50)) }, ReasonBadFrame},
		{"another cluster", preface(func(p *framing.Preface) { p.Cluster[0]++ }), ReasonWrongCluster},
		{"another node", preface(func(p *framing.Preface) { p.Node++ }), ReasonIdentity},
		{"a later version", preface(func(p *framing.Preface) { p.Versions = framing.Versions{Min: WireMax + 1, Max: WireMax + 5} }), ReasonVersion},
		{"another incarnation", preface(func(p *framing.Preface) { p.Incarnation++ }), ReasonBadFrame},
		{"another lane", preface(func(p *framing.Preface) { p.Lane = framing.LaneControl }), ReasonBadFrame},
		{"nothing, for ever", func(r *raw, qc *quic.Conn) {
			s := open(r, qc, []byte("FL"))
			_, err := s.Read(make([]byte, 1))
			wantReset(r.t, "silence", streamError(err), ResetError{ReasonBadFrame, true})
		}, ReasonNone},
		{"a stream that goes away", func(r *raw, qc *quic.Conn) { open(r, qc, []byte("FL")).CancelWrite(77) }, ReasonNone},
		{"a stream that ends", func(r *raw, qc *quic.Conn) { _ = open(r, qc, []byte("FL")).Close() }, ReasonNone},
		{"a lane on a one-way stream", func(r *raw, qc *quic.Conn) { r.lane(qc, framing.LaneSnapshot, nil) }, ReasonBadFrame},
		{"a stream too many", func(r *raw, qc *quic.Conn) {
			p := r.preface(framing.LaneSnapshot)
			for range maxBidiStreams {
				open(r, qc, p.Append(nil))
			}
			if _, err := qc.OpenStream(); err == nil {
				r.t.Error("no limit on streams")
			}
		}, ReasonNone},
	} {
		t.Run(row.name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a, b := w.node(1, serves(stalls)), w.node(2, nil)
				meet(t, a, b)
				r := w.raw(9)
				qc := r.mustDial(a)
				lane := r.join(qc, a)
				var beacons sync.WaitGroup // for it must not die of silence
				beacons.Go(func() {
					for err := error(nil); err == nil; _, err = lane.Write(frameOf(epoch.Stamp{}, 0, nil)) {
						after(100 * time.Millisecond)
					}
				})
				defer func() {
					_ = qc.CloseWithError(0, "")
					beacons.Wait()
				}()
				row.do(r, qc)
				if row.want != ReasonNone {
					wantEnd(t, qc, row.want)
					if n := a.Stats().Snapshot.ReceivedFrames; n != 0 {
						t.Errorf("%d were served", n)
					}
				} else if after(3 * time.Second); qc.Context().Err() != nil {
					t.Errorf("the connection ended: %v", endOf(qc))
				}
				if s := mustOpen(t, b, 1); s.Close() != nil {
					t.Error("a neighbour's stream")
				}
				waitFor(t, "a neighbour's stream", func() bool { return a.Stats().Snapshot.ReceivedFrames > 0 })
			})
		})
	}
}

// A stream that overtakes the lanes waits until the connection is in use.
func TestSnapshotBeforeLanes(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, serves(stalls))
		r := w.raw(9)
		qc := r.mustDial(a)
		s, err := qc.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		p := r.preface(framing.LaneSnapshot)
		if _, err := s.Write(p.Append(nil)); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if n := a.Stats().SnapshotsIn; n != 0 {
			t.Fatal("served before the peer was accepted")
		}
		r.join(qc, a)
		waitFor(t, "the stream", func() bool { return a.Stats().SnapshotsIn == 1 })
	})
}
