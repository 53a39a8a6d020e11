package quictransport

import (
	"bytes"
	"testing"
	"time"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// P1: a peer that never answers delays no Send, whatever is sent; what is too much is refused with a type and counted,
// all of a batch or none of it (P5, F21).
func TestSilentPeerNeverBlocksSend(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		w.sim.Cut(a.addr, b.addr)
		start := time.Now()
		var refusedAppends, refusedControl int
		for i := range uint64(3000) {
			batch := append(appendOf(1, 2, wire.GroupID(i), 1, make([]byte, 8<<10)), appendOf(1, 2, wire.GroupID(i+1), 1, nil)...)
			if err := a.Send(2, wire.LaneAppend, batch); wire.CodeOf(err) == wire.CodeOverloaded {
				refusedAppends++
			} else if err != nil {
				t.Fatal(err)
			}
			many := make([]wire.Message, 50)
			for j := range many {
				many[j] = heartbeat(1, 2, i)[0]
			}
			if err := a.Send(2, wire.LaneControl, many); wire.CodeOf(err) == wire.CodeOverloaded {
				refusedControl++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 0 { // the bubble's clock moves only when everybody waits
			t.Errorf("sends waited %v", took)
		}
		s := a.Stats()
		if refusedAppends == 0 || s.Append.Dropped != 2*uint64(refusedAppends) {
			t.Errorf("append lanes refused %d batches, counted %d messages", refusedAppends, s.Append.Dropped)
		}
		if refusedControl == 0 || s.Control.Dropped != 50*uint64(refusedControl) {
			t.Errorf("control lane refused %d batches, counted %d messages", refusedControl, s.Control.Dropped)
		}
		a.Transport.mu.Lock()
		c := a.Transport.peers[2].conn
		a.Transport.mu.Unlock()
		c.appends.mu.Lock()
		if c.appends.bytes > a.limits.LaneBytes {
			t.Errorf("%d bytes wait, limit %d", c.appends.bytes, a.limits.LaneBytes)
		}
		c.appends.mu.Unlock()
	})
}

// P5: liveness does not queue behind bulk, nor share with it: with the append lanes full, the heartbeats of ten thousand
// groups take what they take alone.
func TestControlPassesBulk(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		batch := make([]wire.Message, 10_000)
		number := uint64(0)
		control := func() time.Duration {
			number++
			for i := range batch {
				batch[i] = wire.Message{Type: wire.MsgHeartbeat, Group: wire.GroupID(i), From: 1, To: 2, Term: 9, Context: number}
			}
			start := time.Now()
			mustSend(t, a, 2, wire.LaneControl, batch)
			b.rec.waitContext(t, 1, number)
			return time.Since(start)
		}
		control() // the congestion window grows
		alone := control()
		for i := range uint64(7) {
			mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, wire.GroupID(i), 100+i, make([]byte, 1<<20)))
		}
		start := time.Now()
		loaded := control()
		for i := range uint64(7) {
			b.rec.waitContext(t, 1, 100+i)
		}
		bulk := time.Since(start)
		if loaded > alone*3/2+5*time.Millisecond || bulk < 2*loaded {
			t.Errorf("control took %v alone and %v under bulk, which took %v", alone, loaded, bulk)
		}
		t.Logf("control %v alone, %v under bulk of %v", alone, loaded, bulk)
	})
}

// P5: on a narrow link, where whatever is sent waits for its turn, control goes before forwards and forwards go before
// appends: with the append lanes full, either takes little more than alone.
func TestLanesHavePriorities(t *testing.T) {
	const rate = 1 << 20 // bytes a second
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		w.sim.Limit(a.addr, rate)
		number := uint64(0)
		control := func() time.Duration {
			number++
			batch := make([]wire.Message, 5000)
			for i := range batch {
				batch[i] = wire.Message{Type: wire.MsgHeartbeat, Group: wire.GroupID(i), From: 1, To: 2, Term: 9, Context: number}
			}
			start := time.Now()
			mustSend(t, a, 2, wire.LaneControl, batch)
			b.rec.waitContext(t, 1, number)
			return time.Since(start)
		}
		forward := func() time.Duration {
			start := time.Now()
			if _, err := a.Forward(t.Context(), 2, make([]byte, 200<<10)); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		bulk := func() (wait func()) {
			number += 10
			first := number - 5
			for i := range uint64(4) { // both lanes
				mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, wire.GroupID(i), first+i, make([]byte, 1<<20)))
			}
			return func() {
				for i := range uint64(4) {
					b.rec.waitContext(t, 1, first+i)
				}
			}
		}
		for _, lane := range []struct {
			name string
			send func() time.Duration
		}{{"control", control}, {"forward", forward}} {
			lane.send() // the congestion window grows
			alone := lane.send()
			start := time.Now()
			wait := bulk()
			loaded := lane.send()
			wait()
			all := time.Since(start)
			t.Logf("%s: %v alone, %v under bulk, which took %v", lane.name, alone, loaded, all)
			if loaded > alone*5/4+20*time.Millisecond || all < 4*time.Second {
				t.Errorf("%s took %v alone and %v under bulk, which took %v", lane.name, alone, loaded, all)
			}
		}
	})
}

// The data of entries may be kept: later frames do not touch it.
func TestEntriesMayBeKept(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		for i := range uint64(20) {
			mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, 4, i+1, bytes.Repeat([]byte{byte(i + 1)}, 100)))
			b.rec.waitContext(t, 1, i+1)
		}
		for _, g := range b.rec.got {
			for _, m := range g.msgs {
				if want := bytes.Repeat([]byte{byte(m.Context)}, 100); !bytes.Equal(m.Entries[0].Data, want) {
					t.Fatalf("message %d now holds %v", m.Context, m.Entries[0].Data[:4])
				}
			}
		}
	})
}

// F38: a lane that makes no progress although the peer lives ends the connection.
func TestStalledLaneIsCutOff(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		r := w.raw(9)
		qc := r.mustDial(a)
		s := r.join(qc, a)
		// It beacons, and accepts streams, but never reads them.
		mustSend(t, a, 9, wire.LaneAppend, appendOf(1, 9, 4, 1, make([]byte, 6<<20)))
		start := time.Now()
		for qc.Context().Err() == nil {
			_, _ = s.Write(messagesFrame(a.fence.Stamp(), nil))
			after(100 * time.Millisecond)
		}
		wantEnd(t, qc, ReasonOverload)
		if took := time.Since(start); took < stallTimeout || took > stallTimeout+time.Second {
			t.Errorf("cut off after %v", took)
		}
	})
}

// P6: an unreachable peer is one failed Send, at once, typed; after Close it is another type.
func TestUnreachable(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		if err := a.SetPeer(2, simAddr(2)); err != nil { // nobody is there
			t.Fatal(err)
		}
		for _, lane := range []wire.Lane{wire.LaneControl, wire.LaneAppend} {
			if err := a.Send(2, lane, heartbeat(1, 2, 1)); wire.CodeOf(err) != wire.CodeUnreachable {
				t.Errorf("lane %d: %v", lane, err)
			}
		}
		if s := a.Stats(); s.Unreachable != 2 {
			t.Errorf("counted %d", s.Unreachable)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.Send(2, wire.LaneControl, heartbeat(1, 2, 1)); wire.CodeOf(err) != wire.CodeStopped {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A batch far above a frame's size arrives whole, in order for each group.
func TestLargeBatch(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		var batch []wire.Message
		for i := range uint64(600) {
			batch = append(batch, appendOf(1, 2, wire.GroupID(i%7), i+1, make([]byte, 10<<10))...)
		}
		mustSend(t, a, 2, wire.LaneAppend, batch)
		b.rec.wait(t, "600 messages", func() bool {
			n := 0
			for _, g := range b.rec.got {
				n += len(g.msgs)
			}
			return n == 600
		})
		last := map[wire.GroupID]uint64{}
		for _, g := range b.rec.got {
			for _, m := range g.msgs {
				if m.Context <= last[m.Group] {
					t.Fatalf("group %d: message %d after %d", m.Group, m.Context, last[m.Group])
				}
				last[m.Group] = m.Context
			}
		}
		if s := a.Stats(); s.Append.SentFrames < 6 || s.Append.SentFrames > 20 {
			t.Errorf("6 MB left in %d frames", s.Append.SentFrames)
		}
		if err := a.Send(2, wire.LaneAppend, appendOf(1, 2, 1, 1, make([]byte, framing.MaxFrame))); wire.CodeOf(err) != wire.CodeTooLarge {
			t.Errorf("an entry above a frame: %v", err)
		}
	})
}

// Ten thousand groups' heartbeats are one frame, handed over at once.
func TestManyHeartbeatsAreOneFrame(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		before := a.Stats().Control.SentFrames
		batch := make([]wire.Message, 10_000)
		for i := range batch {
			batch[i] = wire.Message{Type: wire.MsgHeartbeat, Group: wire.GroupID(i), From: 1, To: 2, Term: 9, Commit: 1 << 20, Context: 7}
		}
		mustSend(t, a, 2, wire.LaneControl, batch)
		if n := a.Stats().Control.SentFrames - before; n > 2 {
			t.Errorf("%d frames", n)
		}
		b.rec.waitContext(t, 1, 7)
	})
}

// Send allocates nothing once its buffers have grown.
func TestSendDoesNotAllocate(t *testing.T) {
	w := real(t)
	cfg := w.config(1, w.listen(1, ""))
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Kill()
	c := &conn{t: tr, peer: 2}
	for i := range c.appends.lanes {
		c.appends.lanes[i].wake = make(chan struct{}, 1)
	}
	routes := map[wire.NodeID]*conn{2: c}
	tr.routes.Store(&routes)
	batch := append(appendOf(1, 2, 1, 1, make([]byte, 128)), appendOf(1, 2, 2, 1, make([]byte, 128))...)
	allocs := testing.AllocsPerRun(1000, func() {
		if err := tr.Send(2, wire.LaneAppend, batch); err != nil {
			t.Fatal(err)
		}
		for i := range c.appends.lanes { // as the writer does
			c.appends.lanes[i].box.Reset()
		}
		c.appends.bytes = 0
	})
	if allocs != 0 {
		t.Fatalf("%v allocations per Send", allocs)
	}
}
