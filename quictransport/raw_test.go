package quictransport

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/quictransport/framing"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// raw is a peer made of QUIC only, with valid credentials and no manners.
type raw struct {
	t    testing.TB
	w    *world
	id   wire.NodeID
	qt   *quic.Transport
	addr string
}

// raw opens a socket for a hostile node.
func (w *world) raw(id wire.NodeID) *raw {
	w.t.Helper()
	addr := ""
	if w.sim != nil {
		addr = simAddr(id)
	}
	conn := w.listen(id, addr)
	r := &raw{t: w.t, w: w, id: id, qt: &quic.Transport{Conn: conn}, addr: conn.LocalAddr().String()}
	w.t.Cleanup(func() {
		_ = r.qt.Close()
		_ = conn.Close()
	})
	return r
}

// dial connects to a node with the given TLS configuration, nil for that of an honest node.
func (r *raw) dial(to *node, conf *tls.Config) (*quic.Conn, error) {
	if conf == nil {
		conf = r.w.credentials(r.id).DialNode(pki.PeerProtocol, to.id)
	}
	addr, err := net.ResolveUDPAddr("udp4", to.addr)
	if err != nil {
		return nil, err
	}
	addr.IP = addr.IP.To4()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return r.qt.Dial(ctx, addr, conf, quicConfig())
}

func (r *raw) mustDial(to *node) *quic.Conn {
	r.t.Helper()
	qc, err := r.dial(to, nil)
	if err != nil {
		r.t.Fatalf("dial: %v", err)
	}
	return qc
}

// preface returns an honest preface of this node.
func (r *raw) preface(lane framing.Lane) framing.Preface {
	return framing.Preface{
		Cluster: r.w.cluster, Node: r.id, Incarnation: 1, Generation: wire.Generation(100 + r.id), Boot: 42,
		Lane: lane, Versions: framing.Versions{Min: WireMin, Max: WireMax},
	}
}

// write opens a stream and writes b on it.
func (r *raw) write(qc *quic.Conn, b []byte) *quic.SendStream {
	r.t.Helper()
	s, err := qc.OpenUniStream()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := s.Write(b); err != nil {
		r.t.Logf("write: %v", err) // the other side may have closed already
	}
	return s
}

// ended waits for the end of a connection and returns how it came.
func ended(t testing.TB, qc *quic.Conn) *CloseError {
	t.Helper()
	select {
	case <-qc.Context().Done():
		return endOf(qc)
	case <-time.After(20 * time.Second):
		t.Fatal("connection still stands")
		return nil
	}
}

// wantEnd checks that a connection ended for a reason given by the other side.
func wantEnd(t testing.TB, qc *quic.Conn, want Reason) {
	t.Helper()
	end := ended(t, qc)
	if end.Reason != want || !end.Remote {
		t.Fatalf("ended with %v, want %q from the other side", end, want)
	}
}

// isTLSFailure reports whether err is an alert of the handshake.
func isTLSFailure(err error) bool {
	var te *quic.TransportError
	return errors.As(err, &te) && te.ErrorCode.IsCryptoError()
}

// after waits; inside a bubble it costs nothing.
func after(d time.Duration) { <-time.After(d) }

// frameOf returns a whole frame with the given stamp, whatever it says, count and elements.
func frameOf(s epoch.Stamp, count int, elements []byte) []byte {
	var box framing.Outbox
	box.AddFrame(count, elements)
	b := box.Sealed(0, epoch.Stamp{})
	binary.BigEndian.PutUint64(b[6:], uint64(s.Observed))
	binary.BigEndian.PutUint64(b[15:], uint64(s.Applied))
	return b
}

// messagesFrame returns a frame with messages.
func messagesFrame(s epoch.Stamp, msgs []wire.Message) []byte {
	var elements []byte
	for i := range msgs {
		elements = wire.AppendMessage(elements, &msgs[i])
	}
	return frameOf(s, len(msgs), elements)
}

// join opens the control lane honestly and waits until the node counts this peer as connected.
func (r *raw) join(qc *quic.Conn, to *node) *quic.SendStream {
	r.t.Helper()
	p := r.preface(framing.LaneControl)
	s := r.write(qc, append(p.Append(nil), frameOf(epoch.Stamp{}, 0, nil)...))
	to.rec.waitPeer(r.t, r.id, wire.PeerUp)
	return s
}

// lane opens another lane honestly and writes b after its preface.
func (r *raw) lane(qc *quic.Conn, kind framing.Lane, b []byte) *quic.SendStream {
	r.t.Helper()
	p := r.preface(kind)
	return r.write(qc, append(p.Append(nil), b...))
}
