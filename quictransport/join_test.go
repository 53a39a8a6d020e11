package quictransport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// door answers joiners with who they are and what they said.
func door(c *Config) {
	c.Join = func(_ context.Context, from Joiner, request []byte) ([]byte, error) {
		if string(request) == "refuse" {
			return nil, &wire.Error{Code: wire.CodeUnsafe, Detail: "not you"}
		}
		return append([]byte(from.Name.Node.String()+":"), request...), nil
	}
	c.ClientConn = func(qc *quic.Conn) { <-qc.Context().Done() }
}

func token(t *testing.T, w *world) *pki.JoinToken {
	t.Helper()
	tok, err := pki.NewJoinToken(w.credentials(1).Current())
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// P31: a node asks from the socket that it will serve on, by certificate or by token; refusals keep their type. The socket is good for
// the node afterwards.
func TestJoinersAreAnswered(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, door)
		conn := w.listen(7, simAddr(7))
		certified := w.credentials(7).DialNode(pki.JoinProtocol, wire.NoNode)
		large := bytes.Repeat([]byte("x"), maxJoinRequest)
		for _, ask := range []struct {
			conf *tls.Config
			say  []byte
			want string
		}{
			{certified, []byte("hello"), "7:hello"},
			{token(t, w).TLS("alpha"), []byte("let me in"), "0:let me in"},
			{certified, large, "7:" + string(large)},
			{certified, nil, "7:"},
		} {
			got, err := AskJoin(t.Context(), conn, ask.conf, a.addr, ask.say)
			if err != nil || string(got) != ask.want {
				t.Errorf("asked %.20q: %.20q, %v", ask.say, got, err)
			}
		}
		_, err := AskJoin(t.Context(), conn, certified, a.addr, []byte("refuse"))
		if wire.CodeOf(err) != wire.CodeUnsafe || !strings.Contains(err.Error(), "not you") {
			t.Errorf("refused: %v", err)
		}
		_, err = AskJoin(t.Context(), conn, certified, a.addr, append(large, 'x'))
		if wire.CodeOf(err) != 0 || err == nil {
			t.Errorf("too large: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := AskJoin(ctx, conn, certified, simAddr(9), nil); err == nil {
			t.Error("nobody answered")
		}
		b := &node{w: w, id: 7, rec: newRecorder()}
		b.Transport = boot(t, w.config(7, conn), b.rec) // the same socket
		if err := b.SetPeer(1, a.addr); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the connection", func() bool { return b.Stats().Peers == 1 })
	})
}

// D77: who may speak what. Without a certificate nothing but the join protocol, with a client's nothing but the client protocol.
func TestWhoMaySpeakWhat(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, door)
		conn := w.listen(7, simAddr(7))
		qt := &quic.Transport{Conn: conn}
		defer func() { _ = qt.Close(); _ = conn.Close() }()
		other := newCA(t)
		with := func(b *pki.Bundle, err error) []tls.Certificate {
			if err != nil {
				t.Fatal(err)
			}
			c, err := b.Credentials()
			if err != nil {
				t.Fatal(err)
			}
			return []tls.Certificate{c.Certificate}
		}
		for _, who := range []struct {
			name               string
			shows              []tls.Certificate
			peer, client, join bool
		}{
			{"nobody", nil, false, false, true},
			{"a client", with(w.ca.IssueClient("alpha", time.Hour)), false, true, false},
			{"a node", with(w.ca.IssueNode("alpha", 7, nil, time.Hour)), true, true, true},
			{"a node of another cluster", with(w.ca.IssueNode("beta", 7, nil, time.Hour)), false, false, false},
			{"a node of another authority", with(other.IssueNode("alpha", 7, nil, time.Hour)), false, false, false},
			{"a node out of date", with(w.ca.IssueNode("alpha", 7, nil, time.Minute)), false, false, false},
		} {
			if who.name == "a node out of date" {
				<-time.After(2 * time.Minute)
			}
			for protocol, may := range map[string]bool{pki.PeerProtocol: who.peer, pki.ClientProtocol: who.client, pki.JoinProtocol: who.join} {
				conf := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, Certificates: who.shows, InsecureSkipVerify: true}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				qc, err := qt.Dial(ctx, mustResolve(t, a.addr), conf, quicConfig())
				if err == nil { // TLS 1.3: the server may still say no
					select {
					case <-qc.Context().Done():
						err = context.Cause(qc.Context())
					case <-time.After(500 * time.Millisecond):
					}
					_ = qc.CloseWithError(0, "")
				}
				cancel()
				if (err == nil) != may {
					t.Errorf("%s speaks %s: %v, may: %v", who.name, protocol, err, may)
				}
			}
		}
	})
}

// A token pins the authority: a member that cannot show it hears no secret. One of another cluster neither.
func TestTokenPinsTheAuthority(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, door)
		stranger := &world{t: t, ca: newCA(t), cluster: testCluster, sim: w.sim}
		for name, conf := range map[string]*tls.Config{
			"another authority": token(t, stranger).TLS("alpha"), "another cluster": token(t, w).TLS("beta"),
		} {
			conn := w.listen(7, simAddr(7))
			_, err := AskJoin(t.Context(), conn, conf, a.addr, []byte("secret"))
			if err == nil || wire.CodeOf(err) != 0 {
				t.Errorf("%s: %v", name, err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Strangers take a few places, for a while; nodes find one meanwhile. What is no request ends the connection.
func TestJoinersAreFew(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.node(1, door)
		conn := w.listen(7, simAddr(7))
		qt := &quic.Transport{Conn: conn}
		defer func() { _ = qt.Close(); _ = conn.Close() }()
		anonymous := token(t, w).TLS("alpha")
		dial := func() *quic.Conn {
			qc, err := qt.Dial(t.Context(), mustResolve(t, a.addr), anonymous, quicConfig())
			if err != nil {
				t.Fatal(err)
			}
			return qc
		}
		var held []*quic.Conn
		for range maxStrangers { // silent ones
			held = append(held, dial())
		}
		extra := dial()
		<-extra.Context().Done()
		if end := endOf(extra); end.Reason != ReasonOverload {
			t.Errorf("one too many: %v", end)
		}
		own := w.listen(8, simAddr(8))
		defer own.Close()
		if got, err := AskJoin(t.Context(), own, w.credentials(8).DialNode(pki.JoinProtocol, 1), a.addr, []byte("x")); err != nil || string(got) != "8:x" {
			t.Errorf("a node meanwhile: %q, %v", got, err)
		}
		var twice []*quic.Conn // one node takes no more places than it needs
		for i := range perIdentity + 1 {
			qc, err := qt.Dial(t.Context(), mustResolve(t, a.addr), w.credentials(7).DialNode(pki.JoinProtocol, 1), quicConfig())
			if err != nil {
				t.Fatal(err)
			}
			if twice = append(twice, qc); i == perIdentity {
				wantEnd(t, qc, ReasonOverload)
			}
		}
		start := time.Now()
		for _, qc := range append(held, twice[0]) {
			<-qc.Context().Done()
			if end := endOf(qc); end.Reason != ReasonSilence {
				t.Errorf("silent: %v", end)
			}
			if took := time.Since(start); qc != twice[0] && took > strangerTimeout+time.Second || took > joinTimeout+time.Second {
				t.Errorf("a silent one was held for %v", took)
			}
		}
		for name, say := range map[string][]byte{
			"too large": binary.BigEndian.AppendUint32(nil, maxJoinRequest+1), "half": {0, 0, 0, 9, 'x'},
		} {
			qc := dial()
			s, err := qc.OpenStream()
			if err == nil {
				_, err = s.Write(say)
			}
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
			<-qc.Context().Done()
			if end := endOf(qc); end.Reason != ReasonBadFrame {
				t.Errorf("%s: %v", name, end)
			}
		}
	})
}

// A node that closes tells joiners so, and waits for none.
func TestCloseEndsJoiners(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		asked := make(chan struct{})
		a := w.node(1, func(c *Config) {
			c.Join = func(ctx context.Context, _ Joiner, _ []byte) ([]byte, error) {
				close(asked)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
		})
		conn := w.listen(7, simAddr(7))
		defer conn.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := AskJoin(t.Context(), conn, w.credentials(7).DialNode(pki.JoinProtocol, 1), a.addr, []byte("x"))
			ended <- err
		}()
		<-asked
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var end *CloseError
		if err := <-ended; !errors.As(err, &end) || end.Reason != ReasonShutdown {
			t.Errorf("asked a node that closes: %v", err)
		}
	})
}

func mustResolve(t *testing.T, addr string) net.Addr {
	t.Helper()
	to, err := resolve(t.Context(), &net.UDPAddr{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
