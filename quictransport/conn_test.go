package quictransport

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// waitFor asks cond every few milliseconds of the bubble's time.
func waitFor(t testing.TB, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("waited 20 s for %s", what)
		}
		after(5 * time.Millisecond)
	}
	return time.Since(start)
}

// reaches reports whether a control message gets from a to b.
func reaches(a, b *node, number uint64) func() bool {
	return func() bool {
		_ = a.Send(b.id, wire.LaneControl, heartbeat(a.id, b.id, number))
		return b.rec.saw(a.id, number)
	}
}

// One connection per pair, dialled by the lower id.
func TestOneConnectionPerPair(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b, c := w.node(1, nil), w.node(2, nil), w.node(3, nil)
		meet(t, a, b, c)
		after(5 * time.Second)
		for _, n := range []*node{a, b, c} {
			s := n.Stats()
			if s.Peers != 2 || s.Connected != 2 || len(s.Closed) != 0 {
				t.Errorf("node %d: %+v", n.id, s)
			}
			if want := uint64(3 - n.id); s.Dials != want {
				t.Errorf("node %d dialled %d times, want %d", n.id, s.Dials, want)
			}
		}
	})
}

// Where only the higher id can dial, it does; where both dial at once, both sides keep the same connection.
func TestHigherIDDialsWhenNobodyCame(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		if err := b.SetPeer(1, a.addr); err != nil { // node 1 knows no address of node 2
			t.Fatal(err)
		}
		a.rec.waitPeer(t, 2, wire.PeerUp)
		b.rec.waitPeer(t, 1, wire.PeerUp)
		if err := a.SetPeer(2, b.addr); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if s := b.Stats(); s.Connected != 1 || s.Peers != 1 {
			t.Fatalf("%+v", s)
		}
		waitFor(t, "a message", reaches(a, b, 1))
	})
}

// P7, P8: goodbye is heard, also when datagrams are lost.
func TestGoodbye(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		w.sim.Lose(0.3, 7)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.rec.waitPeer(t, 2, wire.PeerDown)
		if n := a.rec.count(2, wire.PeerGoodbye); n != 1 {
			t.Fatalf("goodbye told %d times, want 1", n)
		}
		if n := b.rec.count(1, wire.PeerGoodbye); n != 0 {
			t.Fatal("the node that stopped was told that its peer did")
		}
	})
}

// A restarted node is connected again at once: the new process answers for the old one (stateless reset), its
// higher incarnation replaces what stands, and the handler hears down, then up.
func TestRestartAfterKill(t *testing.T) {
	for _, killed := range []wire.NodeID{1, 2} {
		simulated(t, func(t *testing.T, w *world) {
			nodes := map[wire.NodeID]*node{1: w.node(1, nil), 2: w.node(2, nil)}
			meet(t, nodes[1], nodes[2])
			other := nodes[3-killed]
			nodes[killed].Kill()
			reborn := nodes[killed].again(nil)
			if err := reborn.SetPeer(other.id, other.addr); err != nil {
				t.Fatal(err)
			}
			took := waitFor(t, "messages after the restart", reaches(other, reborn, 5))
			if took > 400*time.Millisecond { // far below the election timeout and QUIC's 3 s
				t.Errorf("node %d killed: heard again after %v", killed, took)
			}
			if other.rec.count(killed, wire.PeerUp) != 2 || other.rec.count(killed, wire.PeerDown) != 1 {
				t.Errorf("node %d killed: news %v", killed, other.rec.news)
			}
		})
	}
}

// F36, F39: a cut is noticed after the silence, and the healed network is used long before QUIC would.
func TestCutAndHeal(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		for i := range 5 {
			w.sim.Cut(a.addr, b.addr)
			down := waitFor(t, "down", func() bool { return a.Stats().Peers == 0 && b.Stats().Peers == 0 })
			if down > 1500*time.Millisecond {
				t.Errorf("cut %d noticed after %v", i, down)
			}
			after(time.Duration(3+20*i) * time.Second) // long enough for any pause to have grown
			w.sim.Heal()
			up := waitFor(t, "a message", reaches(a, b, uint64(i)+1))
			if up > 800*time.Millisecond { // QUIC by itself: 4.6 s
				t.Errorf("cut %d healed after %v", i, up)
			}
		}
	})
}

// A network cut in one direction is noticed on both sides, and ends well.
func TestOneWayCut(t *testing.T) {
	for _, from := range []wire.NodeID{1, 2} {
		simulated(t, func(t *testing.T, w *world) {
			a, b := w.node(1, nil), w.node(2, nil)
			meet(t, a, b)
			w.sim.CutOneWay(simAddr(from), simAddr(3-from))
			took := waitFor(t, "both down", func() bool { return a.Stats().Peers == 0 && b.Stats().Peers == 0 })
			if took > 2500*time.Millisecond {
				t.Errorf("cut from %d noticed after %v", from, took)
			}
			w.sim.Heal()
			if up := waitFor(t, "a message", reaches(a, b, 1)); up > 1200*time.Millisecond {
				t.Errorf("cut from %d healed after %v", from, up)
			}
		})
	}
}

// After a pause of the whole process it is not the peers that were silent: nothing is closed.
func TestPausedProcessBlamesNobody(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		after(time.Second)
		// As a process finds itself after SIGSTOP: its last tick and all it heard lie ten seconds back.
		past := a.coarse.Load() - int64(10*time.Second)
		a.Transport.mu.Lock()
		c := a.Transport.peers[2].conn
		a.Transport.mu.Unlock()
		a.coarse.Store(past)
		c.lastHeard.Store(past)
		after(time.Second)
		if s := a.Stats(); s.Connected != 1 || len(s.Closed) != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// Loss costs latency only: no connection is given up at 20 %.
func TestLoss(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		w.sim.Lose(0.2, 11)
		for i := range uint64(200) {
			mustSend(t, a, 2, wire.LaneControl, heartbeat(1, 2, i+1))
			mustSend(t, a, 2, wire.LaneAppend, appendOf(1, 2, wire.GroupID(i), 1000+i, make([]byte, 2000)))
			after(20 * time.Millisecond)
		}
		for i := range uint64(200) {
			b.rec.waitContext(t, 1, i+1)
			b.rec.waitContext(t, 1, 1000+i)
		}
		if s := a.Stats(); s.Connected != 1 {
			t.Fatalf("connections given up under loss: %+v", s.Closed)
		}
	})
}

// D57: a second process with a copied identity is refused while the first one stands.
func TestCloneIsRefused(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		qc := w.raw(7)
		qc.id = 1 // same certificate, same incarnation, another process
		conn := qc.mustDial(b)
		p := qc.preface(framing.LaneControl)
		p.Generation = 101
		qc.write(conn, p.Append(nil))
		wantEnd(t, conn, ReasonDuplicate)
		if s := b.Stats(); s.Peers != 1 || s.Connected != 1 {
			t.Fatalf("the clone disturbed the first: %+v", s)
		}
		// F36: once the first is gone, nothing is held against an old incarnation.
		a.Kill()
		b.rec.waitPeer(t, 1, wire.PeerDown)
		conn = qc.mustDial(b)
		qc.write(conn, append(p.Append(nil), frameOf(epoch.Stamp{}, 0, nil)...))
		b.rec.waitPeer(t, 1, wire.PeerUp)
	})
}

// Both sides keep the same one of two connections, in whichever order they see them.
func TestWhichConnectionIsKept(t *testing.T) {
	low, high := &Transport{cfg: Config{Self: 1}}, &Transport{cfg: Config{Self: 2}}
	// at returns a connection as one side sees it; the peer's process is the same unless said.
	at := func(side *Transport, dialer wire.NodeID, incarnation wire.Incarnation, boot uint64) *conn {
		return &conn{peer: 3 - side.cfg.Self, dialed: dialer == side.cfg.Self, hello: &framing.Preface{Incarnation: incarnation, Boot: boot}}
	}
	rows := []struct {
		name     string
		old, new func(side *Transport) *conn
		keepOld  bool
	}{
		{"the lower id dialled first", func(s *Transport) *conn { return at(s, 1, 1, 9) }, func(s *Transport) *conn { return at(s, 2, 1, 9) }, true},
		{"the lower id dialled last", func(s *Transport) *conn { return at(s, 2, 1, 9) }, func(s *Transport) *conn { return at(s, 1, 1, 9) }, false},
		{"the lower id dialled again", func(s *Transport) *conn { return at(s, 1, 1, 9) }, func(s *Transport) *conn { return at(s, 1, 1, 9) }, false},
		{"the higher id dialled again", func(s *Transport) *conn { return at(s, 2, 1, 9) }, func(s *Transport) *conn { return at(s, 2, 1, 9) }, false},
		{"the peer restarted", func(s *Transport) *conn { return at(s, 1, 1, 9) }, func(s *Transport) *conn { return at(s, 2, 2, 8) }, false},
		{"an old process comes late", func(s *Transport) *conn { return at(s, 1, 2, 9) }, func(s *Transport) *conn { return at(s, 1, 1, 8) }, true},
		{"a copy", func(s *Transport) *conn { return at(s, 1, 1, 9) }, func(s *Transport) *conn { return at(s, 1, 1, 8) }, true},
	}
	for _, r := range rows {
		for _, side := range []*Transport{low, high} {
			why := side.refuseSecond(r.old(side), r.new(side))
			if (why != "") != r.keepOld {
				t.Errorf("%s, seen by node %d: %q, want the old kept: %v", r.name, side.cfg.Self, why, r.keepOld)
			}
		}
	}
}

// N8, D17: a node that came before anything was registered for it loses its connection when another data directory is
// registered, which the transport learns with the next word about the peer.
func TestGenerationRegisteredLater(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		var registered atomic.Uint64
		a := w.node(1, func(c *Config) {
			c.Generations = func(wire.NodeID) wire.Generation { return wire.Generation(registered.Load()) }
		})
		b := w.node(2, nil)
		if err := errors.Join(a.SetPeer(2, b.addr), b.SetPeer(1, a.addr)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a connection", func() bool { return a.Stats().Connected == 1 })
		registered.Store(102) // its own: nothing happens
		if err := a.SetPeer(2, b.addr); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if s := a.Stats(); s.Connected != 1 || s.Closed[ReasonGeneration] != 0 {
			t.Fatalf("connection with the registered generation: %+v", s)
		}
		registered.Store(999)
		if err := a.SetPeer(2, b.addr); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a refusal", func() bool { return a.Stats().Closed[ReasonGeneration] > 0 && !a.Peers()[0].Connected })
	})
}

// N8: a node that comes with another data directory than the one registered is refused, both ways.
func TestGenerationIsChecked(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, func(c *Config) {
			c.Generations = func(id wire.NodeID) wire.Generation { return 999 }
		})
		b := w.node(2, nil)
		if err := errors.Join(a.SetPeer(2, b.addr), b.SetPeer(1, a.addr)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a refusal", func() bool { return a.Stats().Closed[ReasonGeneration] > 3 })
		if s := a.Stats(); s.Connected != 0 {
			t.Fatalf("%+v", s)
		}
		if last := b.Peers()[0].LastError; last == nil || !strings.Contains(last.Error(), "generation") {
			t.Fatalf("the refused node was told %v", last)
		}
	})
}

// A removed node is cut off and told why, until it is set again.
func TestRemovedPeer(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		a.RemovePeer(2)
		b.rec.waitPeer(t, 1, wire.PeerDown)
		waitFor(t, "the reason", func() bool {
			var end *CloseError
			return errors.As(b.Peers()[0].LastError, &end) && end.Reason == ReasonRemoved && end.Remote
		})
		after(3 * time.Second) // it tries again and is refused again
		if a.Stats().Peers != 0 || b.Stats().Connected != 1 {
			t.Fatalf("a removed node came back: %+v", b.Stats())
		}
		if len(a.Peers()) != 0 {
			t.Fatalf("removed peer still known: %+v", a.Peers())
		}
		if err := a.SetPeer(2, b.addr); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a message", reaches(b, a, 9))
	})
}

// P35: the highest common version is used, disjoint ranges never reach a handler.
func TestVersionRanges(t *testing.T) {
	rows := []struct {
		a, b framing.Versions
		want uint64
		ok   bool
	}{
		{framing.Versions{Min: 1, Max: 1}, framing.Versions{Min: 1, Max: 1}, 1, true},
		{framing.Versions{Min: 1, Max: 3}, framing.Versions{Min: 2, Max: 5}, 3, true},
		{framing.Versions{Min: 2, Max: 5}, framing.Versions{Min: 1, Max: 3}, 3, true},
		{framing.Versions{Min: 1, Max: 1}, framing.Versions{Min: 2, Max: 3}, 0, false},
		{framing.Versions{Min: 2, Max: 3}, framing.Versions{Min: 1, Max: 1}, 0, false},
		{framing.Versions{Min: 1, Max: 1}, framing.Versions{Min: 0, Max: 0}, 0, false},
		{framing.Versions{Min: 1, Max: 1}, framing.Versions{Min: 3, Max: 1}, 0, false},
		{framing.Versions{Min: 3, Max: 1}, framing.Versions{Min: 1, Max: 3}, 0, false},
	}
	for _, r := range rows {
		got, ok := r.a.Negotiate(r.b)
		if ok != r.ok || ok && got != r.want {
			t.Errorf("%v with %v = %d, %v; want %d, %v", r.a, r.b, got, ok, r.want, r.ok)
		}
	}
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		b := w.node(2, func(c *Config) { c.versions = framing.Versions{Min: 2, Max: 3} })
		if err := errors.Join(a.SetPeer(2, b.addr), b.SetPeer(1, a.addr)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a refusal", func() bool { return a.Stats().Closed[ReasonVersion] > 0 && b.Stats().Closed[ReasonVersion] > 0 })
		if a.Stats().Connected+b.Stats().Connected != 0 {
			t.Fatal("disjoint versions were connected")
		}
	})
}

// D49: nodes with swapped addresses are not taken for each other.
func TestSwappedAddresses(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b, c := w.node(1, nil), w.node(2, nil), w.node(3, nil)
		if err := errors.Join(a.SetPeer(2, c.addr), a.SetPeer(3, b.addr)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "failures", func() bool { return a.Stats().DialsFailed > 6 })
		for _, n := range []*node{a, b, c} {
			if s := n.Stats(); s.Connected != 0 {
				t.Fatalf("node %d connected: %+v", n.id, s)
			}
		}
		if last := a.Peers()[0].LastError; last == nil || !strings.Contains(last.Error(), "another node") {
			t.Fatalf("error does not say what is wrong: %v", last)
		}
	})
}

// P27: two clusters in one process, even of one name and one CA, stay apart: the wrong one is refused before its
// epoch is looked at, and each fence is its node's own.
func TestTwoClustersInOneProcess(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, nil), w.node(2, nil)
		other := *w
		other.cluster = wire.ClusterID{9, 9}
		c, d := other.node(3, nil), other.node(4, nil)
		c.fence.Apply(1000)
		meet(t, a, b)
		meet(t, c, d)
		if err := errors.Join(a.SetPeer(3, c.addr), c.SetPeer(1, a.addr)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "refusals", func() bool { return a.Stats().Closed[ReasonWrongCluster] > 3 })
		if a.fence.Observed() != 0 || b.fence.Observed() != 0 || d.fence.Observed() != 1000 {
			t.Fatalf("epochs leaked: %d %d %d", a.fence.Observed(), b.fence.Observed(), d.fence.Observed())
		}
		if a.Stats().Peers != 1 || c.Stats().Peers != 1 {
			t.Fatal("clusters were joined, or their own connections suffered")
		}
	})
}

// Nodes far apart connect as well: an attempt holds two round trips.
func TestSlowNetwork(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		w.sim = slowNetwork(t, 120*time.Millisecond)
		a, b := w.node(1, nil), w.node(2, nil)
		meet(t, a, b)
		if reply, err := a.Forward(t.Context(), 2, []byte("x")); err != nil || string(reply) != "echo x" {
			t.Fatalf("%q, %v", reply, err)
		}
		if s := a.Stats(); s.Dials != 1 {
			t.Fatalf("dialled %d times", s.Dials)
		}
	})
}

// D73: every handshake may be asked for proof of its address; connections come about all the same.
func TestRetry(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		strict := func(c *Config) { c.Limits.UnvalidatedPerSecond = 1 }
		a, b, c := w.node(1, strict), w.node(2, strict), w.node(3, strict)
		meet(t, a, b, c)
	})
}

func TestConfigFaultsAreJoined(t *testing.T) {
	_, err := New(Config{Limits: Limits{Beacon: time.Second, Silence: time.Second}})
	if err == nil {
		t.Fatal("an empty configuration was accepted")
	}
	for _, want := range []string{"cluster id", "cluster name", "node id", "incarnation", "socket", "fence", "certificates", "silence"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word about %s in: %v", want, err)
		}
	}
	w := real(t)
	cfg := w.config(1, w.listen(1, ""))
	defer cfg.Conn.Close()
	cfg.TLS = w.credentials(2)
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "certificate of") {
		t.Errorf("certificate of another node: %v", err)
	}
}

func TestSetPeerRefusesNonsense(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		for id, addr := range map[wire.NodeID]string{0: "10.0.0.2:1", 1: "10.0.0.2:1", 2: "10.0.0.2", 3: "10.0.0.2:0", 4: ":7400", 5: "10.0.0.2:99999"} {
			if err := a.SetPeer(id, addr); err == nil {
				t.Errorf("set peer %d at %q: accepted", id, addr)
			}
		}
		if err := a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := a.SetPeer(2, simAddr(2)); err == nil {
			t.Error("a closed transport took a peer")
		}
	})
}
