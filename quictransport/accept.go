package quictransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/pki"
)

// handshakeKey finds a connection's handshake in its context.
type handshakeKey struct{}

// handshake is one that others have begun.
type handshake struct {
	t    *Transport
	over atomic.Bool
}

// finish takes the handshake out of the books, once.
func (h *handshake) finish() bool {
	if !h.over.CompareAndSwap(false, true) {
		return false
	}
	h.t.handshakes.Add(-1)
	return true
}

// errTooManyHandshakes refuses a handshake before it costs anything.
var errTooManyHandshakes = errors.New("too many handshakes under way")

// connContext counts a handshake that another side begins. The address may be forged: Retry asks for proof when many come.
func (t *Transport) connContext(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	known := false
	if udp, ok := info.RemoteAddr.(*net.UDPAddr); ok {
		known = (*t.peerAddrs.Load())[plain(udp.AddrPort())]
	}
	if !known && t.handshakes.Load() >= int64(t.limits.Handshakes) {
		t.counters.handshakesRefused.Add(1)
		return nil, errTooManyHandshakes
	}
	h := &handshake{t: t}
	t.handshakes.Add(1)
	context.AfterFunc(ctx, func() {
		if h.finish() {
			t.counters.handshakesRefused.Add(1)
		}
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// accept is the goroutine that takes in finished handshakes.
func (t *Transport) accept() {
	for {
		qc, err := t.listener.Accept(t.ctx)
		if err != nil {
			return // only when the transport closes
		}
		if h, ok := qc.Context().Value(handshakeKey{}).(*handshake); ok {
			h.finish()
		}
		if err := t.admitConn(qc); err != nil {
			t.wg.Go(func() { refuse(qc, err) })
		}
	}
}

// admitConn hands an authenticated connection to where its protocol belongs.
func (t *Transport) admitConn(qc *quic.Conn) error {
	state := qc.ConnectionState().TLS
	if state.NegotiatedProtocol == pki.JoinProtocol {
		return t.admitJoiner(qc, state)
	}
	name, err := pki.PeerName(state)
	if err != nil {
		return &CloseError{Reason: ReasonIdentity, Text: err.Error()}
	}
	switch state.NegotiatedProtocol {
	case pki.ClientProtocol:
		return t.serveClient(qc)
	case pki.PeerProtocol:
		if name.Node == t.cfg.Self {
			return &CloseError{Reason: ReasonIdentity, Text: "this is node " + name.Node.String() + " too"}
		}
		return t.begin(newConn(t, qc, name.Node, false))
	}
	return &CloseError{Reason: ReasonRefused, Text: fmt.Sprintf("protocol %q", state.NegotiatedProtocol)}
}

// serveClient runs a client's connection to its end.
func (t *Transport) serveClient(qc *quic.Conn) error {
	if t.cfg.ClientConn == nil {
		return &CloseError{Reason: ReasonRefused, Text: "this node serves no clients"}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		return &CloseError{Reason: ReasonShutdown, Text: "node is stopping"}
	case len(t.clients) >= t.limits.Clients:
		return &CloseError{Reason: ReasonOverload, Text: "too many clients"}
	}
	t.clients[qc] = struct{}{}
	t.wg.Go(func() {
		t.cfg.ClientConn(qc)
		_ = qc.CloseWithError(0, "")
		t.mu.Lock()
		delete(t.clients, qc)
		t.mu.Unlock()
	})
	return nil
}

// refuse closes a connection that was never put to use, with the reason in err.
func refuse(qc *quic.Conn, err error) {
	var why *CloseError
	if !errors.As(err, &why) {
		why = &CloseError{Reason: ReasonRefused, Text: err.Error()}
	}
	_ = qc.CloseWithError(quic.ApplicationErrorCode(why.Reason), why.Text)
}
