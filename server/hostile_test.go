package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/client/protocol"
	"flotilla/kv"
	"flotilla/raft/wire"
)

// rawConn is a client that knows QUIC and certificates but has its own mind about the protocol.
type rawConn struct {
	qc     *quic.Conn
	stream *quic.Stream
	frames *protocol.FrameReader
}

// raw connects to node n and opens a stream, without a word on it.
func (c *fakeCluster) raw(t *testing.T, n *fakeNode) *rawConn {
	t.Helper()
	qc := must[*quic.Conn](t)(c.connect(t, n))
	stream := must[*quic.Stream](t)(qc.OpenStreamSync(t.Context()))
	return &rawConn{qc, stream, protocol.NewFrameReader(stream)}
}

func (c *fakeCluster) connect(t *testing.T, n *fakeNode) (*quic.Conn, error) {
	t.Helper()
	udp := must[net.PacketConn](t)(net.ListenPacket("udp", "127.0.0.1:0"))
	transport := &quic.Transport{Conn: udp}
	t.Cleanup(func() {
		_ = transport.Close()
		_ = udp.Close()
	})
	conf := clientTLS(t, c.ca, "test")
	conf.NextProtos = []string{protocol.ALPN}
	return transport.Dial(t.Context(), must[*net.UDPAddr](t)(net.ResolveUDPAddr("udp", n.addr)), conf, &quic.Config{MaxIdleTimeout: 20 * time.Second})
}

// turnedAway connects to a node that takes no more connections and returns the reason it gives. The handshake ends first
// here, so the refusal may come while dialling, while opening a stream, or later.
func (c *fakeCluster) turnedAway(t *testing.T, n *fakeNode) protocol.CloseCode {
	t.Helper()
	qc, err := c.connect(t, n)
	if err == nil {
		r := &rawConn{qc: qc}
		return r.ended(t)
	}
	var app *quic.ApplicationError
	if !errors.As(err, &app) || !app.Remote {
		t.Fatalf("dial: %v", err)
	}
	return protocol.CloseCode(app.ErrorCode)
}

// hello opens the conversation as it should be.
func (r *rawConn) hello(t *testing.T, h protocol.Hello) protocol.Welcome {
	t.Helper()
	r.send(t, protocol.AppendFrame(nil, func(dst []byte) []byte { return protocol.AppendHello(dst, h) }))
	body, err := r.frames.Next()
	if err != nil {
		t.Fatal(err)
	}
	return must[protocol.Welcome](t)(protocol.DecodeWelcome(body))
}

func (r *rawConn) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := r.stream.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func request(q protocol.Request) []byte {
	return protocol.AppendFrame(nil, func(dst []byte) []byte { return protocol.AppendRequest(dst, &q) })
}

// ended waits for the server to close the connection and returns its code.
func (r *rawConn) ended(t *testing.T) protocol.CloseCode {
	t.Helper()
	select {
	case <-r.qc.Context().Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the server did not close the connection")
	}
	var app *quic.ApplicationError
	if err := context.Cause(r.qc.Context()); !errors.As(err, &app) || !app.Remote {
		t.Fatalf("ended with %v", err)
	}
	return protocol.CloseCode(app.ErrorCode)
}

var anyVersion = protocol.Hello{Min: protocol.VersionMin, Max: protocol.VersionMax}

// TestHostileClientsAreCutOff: each way to break the protocol ends that connection with a typed reason, and nobody
// else notices (P34, P35, D75).
func TestHostileClientsAreCutOff(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	cl := c.dial(t)
	l := defaultLimits()
	l.helloTimeout = 500 * time.Millisecond // far more than it takes to open a stream
	impatient := c.start(t, 2, "", l)
	length := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	body := func(b ...byte) []byte { return append(length(uint32(len(b))), b...) }
	for name, test := range map[string]struct {
		hello bool
		bytes []byte
		then  func(*rawConn)
		want  protocol.CloseCode
	}{
		"garbage instead of a hello":   {false, bytes.Repeat([]byte{0x01}, 64), nil, protocol.CloseBadFrame},
		"HTTP":                         {false, []byte("GET / HTTP/1.1\r\n\r\n"), nil, protocol.CloseBadFrame},
		"request instead of a hello":   {false, request(protocol.Request{Kind: protocol.KindStatus, ID: 1}), nil, protocol.CloseBadFrame},
		"no hello":                     {false, []byte{0}, nil, protocol.CloseTimeout},
		"no stream":                    {false, nil, nil, protocol.CloseTimeout},
		"future version":               {false, protocol.AppendFrame(nil, func(d []byte) []byte { return protocol.AppendHello(d, protocol.Hello{Min: 99, Max: 100}) }), nil, protocol.CloseVersion},
		"garbage after the hello":      {true, body(0xc1, 0xc1, 0xc1), nil, protocol.CloseBadFrame},
		"empty frame":                  {true, length(0), nil, protocol.CloseBadFrame},
		"oversized frame":              {true, length(protocol.MaxFrameBytes + 1), nil, protocol.CloseBadFrame},
		"largest length":               {true, length(1<<32 - 1), nil, protocol.CloseBadFrame},
		"array bomb":                   {true, body(0xdd, 0xff, 0xff, 0xff, 0xff), nil, protocol.CloseBadFrame},
		"bytes bomb":                   {true, body(0x95, byte(protocol.KindGet), 1, 1, 0, 0xc6, 0xff, 0xff, 0xff, 0xff), nil, protocol.CloseBadFrame},
		"request of an unknown kind":   {true, body(0x93, 99, 1, 1), nil, protocol.CloseBadFrame},
		"second stream":                {true, nil, func(r *rawConn) { s, _ := r.qc.OpenStream(); _, _ = s.Write([]byte{0}) }, protocol.CloseBadFrame},
		"stream of one direction":      {true, nil, func(r *rawConn) { s, _ := r.qc.OpenUniStream(); _, _ = s.Write([]byte{0}) }, protocol.CloseBadFrame},
		"half a frame, then the end":   {true, append(length(100), 1), func(r *rawConn) { _ = r.stream.Close() }, protocol.CloseDone},
		"streams as many as there are": {true, nil, openAll, protocol.CloseBadFrame},
	} {
		t.Run(name, func(t *testing.T) {
			node := c.nodes[0]
			if test.want == protocol.CloseTimeout {
				node = impatient
			}
			r := c.raw(t, node)
			if test.hello {
				r.hello(t, anyVersion)
			}
			if test.bytes != nil {
				r.send(t, test.bytes)
			}
			if test.then != nil {
				test.then(r)
			}
			if got := r.ended(t); got != test.want {
				t.Errorf("closed with %#x, want %#x", got, test.want)
			}
		})
	}
	if _, err := cl.Put(t.Context(), key(1), nil); err != nil {
		t.Errorf("a good client afterwards: %v", err)
	}
}

// openAll opens streams until the connection ends.
func openAll(r *rawConn) {
	for range 5000 {
		s, err := r.qc.OpenStreamSync(r.qc.Context())
		if err != nil {
			return
		}
		_, _ = s.Write([]byte("x"))
		_ = s.Close()
	}
}

// TestSlowReaderIsCutOff: who does not read its replies is refused, then cut off, and meanwhile others are served.
func TestSlowReaderIsCutOff(t *testing.T) {
	l := defaultLimits()
	l.writeTimeout = 500 * time.Millisecond
	l.replyBytes, l.hardReply = 4<<20, 8<<20
	c := newCluster(t, newBackend(1), 1, l)
	cl := c.dial(t)
	if _, err := cl.Put(t.Context(), key(1), make([]byte, protocol.MaxValueBytes)); err != nil {
		t.Fatal(err)
	}
	r := c.raw(t, c.nodes[0])
	r.hello(t, anyVersion)
	var burst []byte
	for i := range 500 { // half a gigabyte of replies
		burst = append(burst, request(protocol.Request{Kind: protocol.KindGet, ID: uint64(i), Key: key(1)})...)
	}
	r.send(t, burst)
	for range 20 {
		if _, err := cl.Put(t.Context(), key(2), nil); err != nil {
			t.Errorf("a good client meanwhile: %v", err)
		}
	}
	if got := r.ended(t); got != protocol.CloseOverload {
		t.Errorf("closed with %#x", got)
	}
}

// TestSlowReaderCostsNoReads: with enough unread replies a read is refused before the group is asked, so that a client
// that reads nothing does not keep others waiting for its values.
func TestSlowReaderCostsNoReads(t *testing.T) {
	l := defaultLimits()
	l.replyBytes = 4 << 20
	c := newCluster(t, newBackend(1), 1, l)
	if _, err := c.dial(t).Put(t.Context(), key(1), make([]byte, protocol.MaxValueBytes)); err != nil {
		t.Fatal(err)
	}
	r := c.raw(t, c.nodes[0])
	r.hello(t, anyVersion)
	get := func(n int) {
		for i := range n {
			r.send(t, request(protocol.Request{Kind: protocol.KindGet, ID: uint64(i), Key: key(1)}))
		}
	}
	before := c.nodes[0].answered(t)
	answered := func(n float64) {
		for c.nodes[0].answered(t) < before+n && r.qc.Context().Err() == nil {
			wait(t, time.Millisecond)
		}
	}
	get(8) // more than the bound, and the client's window takes not even one
	answered(8)
	asked := c.queries.Load()
	get(100)
	answered(108)
	if n := c.queries.Load() - asked; n != 0 {
		t.Errorf("the group was asked %d times for 100 reads whose replies would not have been sent", n)
	}
}

// TestTooMuchAtOnceIsRefused: requests over the bound of a connection or of the node get a typed refusal, the others are
// served.
func TestTooMuchAtOnceIsRefused(t *testing.T) {
	b := newBackend(1)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		<-held
		return faultNone
	}
	l := defaultLimits()
	l.inFlight, l.workers = 10, 15
	c := newCluster(t, b, 1, l)
	defer release()
	put := func(r *rawConn, n int) {
		for i := range n {
			r.send(t, request(protocol.Request{Kind: protocol.KindPut, ID: uint64(i), Key: key(i)}))
		}
	}
	answers := func(r *rawConn, n int) (served int) {
		t.Helper()
		for range n {
			var p protocol.Reply
			if err := protocol.DecodeReply(must[[]byte](t)(r.frames.Next()), &p); err != nil {
				t.Fatal(err)
			}
			if p.Kind == protocol.ReplyWrite {
				served++
			} else if p.Err == nil || p.Err.Code != wire.CodeOverloaded {
				t.Fatalf("reply %+v", p)
			}
		}
		return served
	}
	first, second := c.raw(t, c.nodes[0]), c.raw(t, c.nodes[0])
	first.hello(t, anyVersion)
	second.hello(t, anyVersion)
	put(first, 25)
	early := answers(first, 15) // the connection has room for 10
	put(second, 12)
	early += answers(second, 7) // the node has room for 5 more
	release()
	if late := answers(first, 10) + answers(second, 5); early != 0 || late != 15 {
		t.Errorf("%d requests served beside those held, %d of 15 held ones afterwards", early, late)
	}
	for served := 0; served == 0; served = answers(second, 1) { // who has replied is free a moment later
		put(second, 1)
	}
}

// TestTooManyConnections: those over the bound are refused with a reason (D73).
func TestTooManyConnections(t *testing.T) {
	l := defaultLimits()
	l.conns = 2
	c := newCluster(t, newBackend(1), 1, l)
	for range 2 {
		c.raw(t, c.nodes[0]).hello(t, anyVersion)
	}
	if got := c.turnedAway(t, c.nodes[0]); got != protocol.CloseOverload {
		t.Errorf("closed with %#x", got)
	}
}

// TestCloseWhileBusy: Close ends requests under way and tells clients why (P7, P8).
func TestCloseWhileBusy(t *testing.T) {
	b := newBackend(1)
	hung := make(chan struct{}, 100)
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		hung <- struct{}{}
		return faultHang
	}
	c := newCluster(t, b, 1, defaultLimits())
	r := c.raw(t, c.nodes[0])
	r.hello(t, anyVersion)
	for i := range 20 {
		r.send(t, request(protocol.Request{Kind: protocol.KindPut, ID: uint64(i), Key: key(i)}))
	}
	for range 20 {
		<-hung
	}
	if err := c.nodes[0].server.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.ended(t); got != protocol.CloseShutdown {
		t.Errorf("closed with %#x", got)
	}
	if err := c.nodes[0].server.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if got := c.turnedAway(t, c.nodes[0]); got != protocol.CloseShutdown {
		t.Errorf("afterwards: closed with %#x", got)
	}
}

// FuzzRequests: no frame makes the server panic, and none that it takes becomes a command which the machine cannot
// read, as that would quarantine the group everywhere (F17).
func FuzzRequests(f *testing.F) {
	for _, q := range []protocol.Request{
		{Kind: protocol.KindPut, ID: 1, Group: 1, Session: 1, Sequence: 1, Acked: 1, Key: []byte("k"), Value: []byte("v"), Require: protocol.AtRevision(3)},
		{Kind: protocol.KindDelete, ID: 1, Key: []byte("k")},
		{Kind: protocol.KindGet, Key: []byte("k")},
		{Kind: protocol.KindOpenSession, Group: 1},
		{Kind: protocol.KindScan, Group: 1, Key: []byte("k"), After: []byte("kk"), Limit: 9},
		{Kind: protocol.KindCloseSession, Group: 1, Session: 4},
		{Kind: protocol.KindStatus},
		{Kind: protocol.KindRoutes},
	} {
		f.Add(protocol.AppendRequest(nil, &q))
	}
	s := newServer(&fakeHost{id: 1, b: newBackend(1)}, Config{}, defaultLimits())
	f.Fuzz(func(t *testing.T, body []byte) {
		var q protocol.Request
		if protocol.DecodeRequest(body, &q) != nil {
			return
		}
		c := &session{server: s, ctx: context.Background(), out: protocol.NewWriter(1<<20, time.Second)}
		task, refusal := c.prepare(&q)
		if refusal != nil {
			return
		}
		switch q.Kind {
		case protocol.KindPut, protocol.KindDelete, protocol.KindOpenSession, protocol.KindCloseSession:
			if _, err := kv.DecodeCommand(task.payload); err != nil {
				t.Fatalf("a request became a command that nobody can read: %v", err)
			}
		case protocol.KindGet, protocol.KindScan:
			if _, err := kv.New().Query(task.payload); err != nil {
				t.Fatalf("a request became a query that nobody can read: %v", err)
			}
		}
		if _, err := task.execute(context.Background()); err != nil && err.Code == wire.CodeQuarantined {
			t.Fatal(err)
		}
	})
}
