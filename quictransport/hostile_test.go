package quictransport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"

	"github.com/quic-go/quic-go"
)

// A peer with a valid certificate that misbehaves is cut off with a typed reason; its neighbours notice nothing.
// (D58, F37, D75, D76, P27, P34)
func TestHostilePeer(t *testing.T) {
	bomb := frameOf(epoch.Stamp{}, math.MaxUint32, []byte{0})
	huge := binary.BigEndian.AppendUint32(nil, framing.MaxFrame+1)
	preface := func(change func(*framing.Preface)) func(*raw, *quic.Conn, *node) {
		return func(r *raw, qc *quic.Conn, _ *node) {
			p := r.preface(framing.LaneControl)
			change(&p)
			// With an epoch beyond reason behind it: it must not be looked at.
			r.write(qc, append(p.Append(nil), frameOf(epoch.Stamp{Observed: math.MaxUint64, Applied: 1}, 0, nil)...))
		}
	}
	control := func(b ...byte) func(*raw, *quic.Conn, *node) {
		return func(r *raw, qc *quic.Conn, to *node) { _, _ = r.join(qc, to).Write(b) }
	}
	lane := func(kind framing.Lane, b []byte) func(*raw, *quic.Conn, *node) {
		return func(r *raw, qc *quic.Conn, to *node) {
			r.join(qc, to)
			r.lane(qc, kind, b)
		}
	}
	spoofed, misled := heartbeat(2, 1, 1), heartbeat(9, 2, 1)
	request := framing.Item{Kind: framing.ItemRequest, ID: 5, Body: []byte("x")}
	twice := request.Append(request.Append(nil))

	rows := []struct {
		name string
		do   func(*raw, *quic.Conn, *node)
		want Reason
	}{
		{"garbage for a preface", func(r *raw, qc *quic.Conn, _ *node) { r.write(qc, bytes.Repeat([]byte("GET / "), 50)) }, ReasonBadFrame},
		{"preface of an absurd length", func(r *raw, qc *quic.Conn, _ *node) { r.write(qc, []byte("FLP\x01\xff\xff")) }, ReasonBadFrame},
		{"half a preface", func(r *raw, qc *quic.Conn, _ *node) { r.write(qc, []byte("FLP\x01")) }, ReasonBadFrame},
		{"no preface at all", func(*raw, *quic.Conn, *node) {}, ReasonBadFrame},
		{"another cluster", preface(func(p *framing.Preface) { p.Cluster[0]++ }), ReasonWrongCluster},
		{"another cluster and node and version", preface(func(p *framing.Preface) { p.Cluster[0]++; p.Node++; p.Versions.Min = 9 }), ReasonWrongCluster},
		{"another node", preface(func(p *framing.Preface) { p.Node++ }), ReasonIdentity},
		{"a later version", preface(func(p *framing.Preface) { p.Versions = framing.Versions{Min: WireMax + 1, Max: WireMax + 5} }), ReasonVersion},
		{"an unknown lane", preface(func(p *framing.Preface) { p.Lane = 77 }), ReasonBadFrame},
		{"an append lane too many", preface(func(p *framing.Preface) { p.Lane, p.Index = framing.LaneAppend, appendLanes }), ReasonBadFrame},
		{"a lane twice", lane(framing.LaneControl, nil), ReasonBadFrame},
		{"lanes that disagree", func(r *raw, qc *quic.Conn, to *node) {
			r.join(qc, to)
			p := r.preface(framing.LaneAppend)
			p.Incarnation++
			r.write(qc, p.Append(nil))
		}, ReasonBadFrame},
		{"garbage for a frame", control(bytes.Repeat([]byte{0, 0, 0, 9, 0xc1}, 20)...), ReasonBadFrame},
		{"a frame of 0 bytes", control(0, 0, 0, 0), ReasonBadFrame},
		{"a frame too large", control(huge...), ReasonBadFrame},
		{"a count beyond reason", control(bomb...), ReasonBadFrame},
		{"trailing bytes", control(frameOf(epoch.Stamp{}, 0, []byte{1, 2, 3})...), ReasonBadFrame},
		{"a spoofed sender", control(messagesFrame(epoch.Stamp{}, spoofed)...), ReasonBadFrame},
		{"a message for another node", control(messagesFrame(epoch.Stamp{}, misled)...), ReasonBadFrame},
		{"an append on the control lane", control(messagesFrame(epoch.Stamp{}, appendOf(9, 1, 1, 1, nil))...), ReasonBadFrame},
		{"a heartbeat on an append lane", lane(framing.LaneAppend, messagesFrame(epoch.Stamp{}, heartbeat(9, 1, 1))), ReasonBadFrame},
		{"a notice on an append lane", lane(framing.LaneAppend, noticeFrame(framing.Notice{Kind: framing.NoticeGoodbye})), ReasonBadFrame},
		{"an epoch out of reach", control(frameOf(epoch.Stamp{Observed: epoch.MaxJump + 1}, 0, nil)...), ReasonStaleEpoch},
		{"the last epoch there is", control(frameOf(epoch.Stamp{Observed: math.MaxUint64, Applied: math.MaxUint64}, 0, nil)...), ReasonStaleEpoch},
		{"an authority above the epoch", control(frameOf(epoch.Stamp{Observed: 1, Applied: 2}, 0, nil)...), ReasonBadFrame},
		{"one request twice", func(r *raw, qc *quic.Conn, to *node) {
			to.rec.setServe(func(ctx context.Context, _ wire.NodeID, _ []byte) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			r.join(qc, to)
			r.lane(qc, framing.LaneForward, frameOf(epoch.Stamp{}, 2, twice))
		}, ReasonBadFrame},
		{"an unknown kind of item", lane(framing.LaneForward, frameOf(epoch.Stamp{}, 1, []byte{0x94, 99, 1, 0, 0xc0})), ReasonBadFrame},
		{"a lane that ends", func(r *raw, qc *quic.Conn, to *node) { _ = r.join(qc, to).Close() }, ReasonBadFrame},
		{"a lane that is reset", func(r *raw, qc *quic.Conn, to *node) { r.join(qc, to).CancelWrite(3) }, ReasonBadFrame},
		{"a stream too many is not even opened, and silence", func(r *raw, qc *quic.Conn, to *node) {
			r.join(qc, to)
			for range maxUniStreams - 1 {
				if _, err := qc.OpenUniStream(); err != nil {
					r.t.Fatal(err)
				}
			}
			if _, err := qc.OpenUniStream(); err == nil {
				r.t.Fatal("no limit on streams")
			}
		}, ReasonSilence},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a, b := w.node(1, nil), w.node(2, nil)
				meet(t, a, b)
				r := w.raw(9)
				qc := r.mustDial(a)
				row.do(r, qc, a)
				wantEnd(t, qc, row.want)
				waitFor(t, "the books", func() bool { return a.Stats().Closed[row.want] == 1 })
				if a.fence.Observed() != 0 {
					t.Errorf("a hostile epoch was believed: %d", a.fence.Observed())
				}
				a.rec.mu.Lock()
				for _, g := range a.rec.got {
					if g.from == 9 {
						t.Errorf("a hostile message reached the handler: %+v", g)
					}
				}
				a.rec.mu.Unlock()
				if a.rec.count(2, wire.PeerDown) != 0 {
					t.Error("a neighbour was disconnected")
				}
				waitFor(t, "a neighbour's message", reaches(a, b, 77))
			})
		})
	}
}

func noticeFrame(n framing.Notice) []byte {
	var box framing.Outbox
	box.AddNotice(n)
	return box.Sealed(0, epoch.Stamp{})
}

// A peer that goes on with stale frames although it is told is cut off.
func TestStubbornStalePeer(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, nil)
		r := w.raw(9)
		qc := r.mustDial(a)
		s := r.join(qc, a)
		a.fence.Apply(10)
		start := time.Now()
		for qc.Context().Err() == nil {
			_, _ = s.Write(frameOf(epoch.Stamp{Observed: 9}, 0, nil))
			after(100 * time.Millisecond)
		}
		wantEnd(t, qc, ReasonStaleEpoch)
		if took := time.Since(start); took < refuseTimeout || took > refuseTimeout+time.Second {
			t.Fatalf("cut off after %v", took)
		}
	})
}

// Strangers are refused on both protocols, and peers notice nothing.
func TestStrangers(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.node(1, func(c *Config) { c.ClientConn = func(qc *quic.Conn) { <-qc.Context().Done() } }), w.node(2, nil)
		meet(t, a, b)
		r := w.raw(9)
		foreign := *w
		foreign.ca = newCA(t)
		honest := func(protocol string) *tls.Config { return w.credentials(9).DialNode(protocol, 1) }
		with := func(protocol string, change func(*tls.Config)) *tls.Config {
			c := honest(protocol)
			change(c)
			return c
		}
		expired, err := w.ca.IssueNode("alpha", 9, nil, -time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := expired.Credentials(); !errors.Is(err, &pki.Error{Fault: pki.FaultExpired}) {
			t.Fatalf("expired credentials loaded: %v", err)
		}
		beta, err := w.ca.IssueNode("beta", 9, nil, pki.NodeValidity)
		if err != nil {
			t.Fatal(err)
		}
		betaCred, err := beta.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		client, err := w.ca.IssueClient("alpha", pki.NodeValidity)
		if err != nil {
			t.Fatal(err)
		}
		clientCred, err := client.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		for _, protocol := range []string{pki.PeerProtocol, pki.ClientProtocol} {
			rows := map[string]*tls.Config{
				"no certificate": with(protocol, func(c *tls.Config) { c.Certificates = nil }),
				"foreign CA":     with(protocol, func(c *tls.Config) { c.Certificates = foreign.credentials(9).DialNode(protocol, 1).Certificates }),
				"wrong ALPN":     with(protocol, func(c *tls.Config) { c.NextProtos = []string{"h3"} }),
				"other cluster":  with(protocol, func(c *tls.Config) { c.Certificates = []tls.Certificate{betaCred.Certificate} }),
			}
			if protocol == pki.PeerProtocol {
				rows["client certificate"] = with(protocol, func(c *tls.Config) { c.Certificates = []tls.Certificate{clientCred.Certificate} })
			}
			for name, conf := range rows {
				before := a.Stats().HandshakesRefused
				qc, err := r.dial(a, conf)
				if err == nil { // in TLS 1.3 the client is done before it is judged
					<-qc.Context().Done()
					err = context.Cause(qc.Context())
				}
				if !isTLSFailure(err) {
					t.Errorf("%s, %s: %v, want an alert of the handshake", name, protocol, err)
				}
				waitFor(t, "the books", func() bool { return a.Stats().HandshakesRefused > before })
			}
		}
		if s := a.Stats(); s.Peers != 1 || s.Clients != 0 || s.Connected != 1 {
			t.Fatalf("a stranger got in: %+v", s)
		}
		if qc, err := r.dial(a, with(pki.ClientProtocol, func(c *tls.Config) { c.Certificates = []tls.Certificate{clientCred.Certificate} })); err != nil {
			t.Fatalf("an honest client: %v", err)
		} else {
			waitFor(t, "the client", func() bool { return a.Stats().Clients == 1 })
			_ = qc.CloseWithError(0, "")
			waitFor(t, "the client to go", func() bool { return a.Stats().Clients == 0 })
		}
	})
}

// D73: connections are bounded per identity, for clients, and while their handshake is under way.
func TestConnectionCaps(t *testing.T) {
	t.Run("identity", func(t *testing.T) {
		simulated(t, func(t *testing.T, w *world) {
			a := w.node(1, nil)
			r := w.raw(9)
			used := r.mustDial(a)
			r.join(used, a)
			first := r.mustDial(a)
			for range 20 {
				r.mustDial(a)
			}
			wantEnd(t, first, ReasonDuplicate)
			if used.Context().Err() != nil {
				t.Fatal("the connection in use made room for idle ones")
			}
		})
	})
	t.Run("clients", func(t *testing.T) {
		simulated(t, func(t *testing.T, w *world) {
			a := w.node(1, func(c *Config) {
				c.Limits.Clients = 1
				c.ClientConn = func(qc *quic.Conn) { <-qc.Context().Done() }
			})
			none := w.node(2, nil)
			r := w.raw(9)
			conf := w.credentials(9).DialNode(pki.ClientProtocol, wire.NoNode)
			if _, err := r.dial(a, conf); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the first client", func() bool { return a.Stats().Clients == 1 })
			second, err := r.dial(a, conf)
			if err != nil {
				t.Fatal(err)
			}
			wantEnd(t, second, ReasonOverload)
			refused, err := r.dial(none, conf)
			if err != nil {
				t.Fatal(err)
			}
			wantEnd(t, refused, ReasonRefused)
		})
	})
	t.Run("handshakes", func(t *testing.T) {
		simulated(t, func(t *testing.T, w *world) {
			a := w.node(1, func(c *Config) { c.Limits.Handshakes = 2; c.Limits.UnvalidatedPerSecond = 1000 })
			b := w.node(2, nil)
			if err := a.SetPeer(2, b.addr); err != nil { // so that node 2 is no stranger
				t.Fatal(err)
			}
			a.rec.waitPeer(t, 2, wire.PeerUp)
			r := w.raw(9)
			w.sim.CutOneWay(a.addr, r.addr) // its handshakes begin and never end
			for range 8 {
				go func() { _, _ = r.dial(a, nil) }()
			}
			took := waitFor(t, "refusals", func() bool { return a.Stats().HandshakesRefused >= 6 })
			if took > time.Second { // beyond that they die of old age
				t.Errorf("refused after %v", took)
			}
			a.Transport.mu.Lock()
			standing := a.Transport.peers[2].conn
			a.Transport.mu.Unlock()
			standing.fail(ReasonSilence, "test")
			b.rec.waitPeer(t, 1, wire.PeerDown)
			a.Transport.mu.Lock()
			a.Transport.peers[2].stop() // node 2 is to come by itself
			a.Transport.mu.Unlock()
			if err := b.SetPeer(1, a.addr); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			b.rec.waitPeer(t, 1, wire.PeerUp)
			if took := time.Since(start); took > 2*time.Second { // its patience, not the end of the stuck handshakes
				t.Errorf("a known peer waited %v", took)
			}
			after(6 * time.Second) // the dials end
		})
	})
}
