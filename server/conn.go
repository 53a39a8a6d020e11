package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sync/semaphore"

	"flotilla/client/protocol"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// session is one native connection. Its reader, the goroutine of ServeClientConn, takes requests apart and hands
// them to the pool; a second goroutine writes replies.
type session struct {
	server *Server
	qc     *quic.Conn
	out    *protocol.Writer
	// ctx ends with the connection or the server.
	ctx      context.Context
	bytes    *semaphore.Weighted
	inFlight atomic.Int64
	// version is what client and server speak, once they have greeted.
	version protocol.Version
	// exporting is set while a snapshot is on its way.
	exporting atomic.Bool
}

// closing is why a session ends: the code and text the client is told.
type closing struct {
	code protocol.CloseCode
	text string
}

func (c *closing) Error() string { return c.text }

// ServeClientConn serves one connection of protocol.ALPN until it ends. It closes it.
func (s *Server) ServeClientConn(qc *quic.Conn) {
	code, ok := s.enter(qc)
	if !ok {
		_ = qc.CloseWithError(quic.ApplicationErrorCode(code), "") // refused either way
		return
	}
	defer s.leave(qc)
	ctx, cancel := context.WithCancelCause(s.life)
	defer cancel(nil)
	stop := context.AfterFunc(qc.Context(), func() { cancel(context.Cause(qc.Context())) })
	defer stop()
	c := &session{
		server: s, qc: qc, ctx: ctx, bytes: semaphore.NewWeighted(s.limits.requestBytes),
		out: protocol.NewWriter(s.limits.hardReply, s.limits.writeTimeout),
	}
	err := c.serve()
	why := &closing{code: protocol.CloseDone}
	if s.life.Err() != nil {
		why = &closing{protocol.CloseShutdown, "node is stopping"}
	} else {
		errors.As(err, &why)
	}
	c.close(why)
}

// close ends the connection for a reason; the first one counts.
func (c *session) close(why *closing) {
	_ = c.qc.CloseWithError(quic.ApplicationErrorCode(why.code), why.text) // what matters is that it is closed
}

// serve runs the connection to its end and joins what it started. It returns a *closing or what ended the connection.
func (c *session) serve() error {
	stream, frames, err := c.greet()
	if err != nil {
		return err
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		if c.out.Run(stream) != nil {
			c.close(&closing{protocol.CloseOverload, "replies are not read"})
		}
	}()
	var extra sync.WaitGroup
	extra.Go(func() {
		if _, err := c.qc.AcceptStream(c.ctx); err == nil {
			c.close(&closing{protocol.CloseBadFrame, "one stream a connection"})
		}
	})
	extra.Go(func() { // nobody reads these, so each would hold a window's worth of memory
		if mutant.Is(mutant.HalfStream) {
			return
		}
		if _, err := c.qc.AcceptUniStream(c.ctx); err == nil {
			c.close(&closing{protocol.CloseBadFrame, "one stream a connection"})
		}
	})
	err = c.read(frames)
	var why *closing
	if errors.As(err, &why) {
		c.close(why)
	} else {
		c.close(&closing{code: protocol.CloseDone}) // also lets the others go
	}
	c.out.Close()
	<-written
	extra.Wait()
	return err
}

// greet accepts the client's stream and exchanges hellos.
func (c *session) greet() (*quic.Stream, *protocol.FrameReader, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.server.limits.helloTimeout)
	defer cancel()
	late := &closing{protocol.CloseTimeout, "no hello in time"}
	stream, err := c.qc.AcceptStream(ctx)
	if err != nil {
		return nil, nil, late
	}
	_ = stream.SetDeadline(time.Now().Add(c.server.limits.helloTimeout)) // fails on a dead stream only, as the next call does
	frames := protocol.NewFrameReader(stream)
	body, err := frames.Next()
	if err != nil {
		if errors.Is(err, protocol.ErrFrame) {
			return nil, nil, badFrame(err)
		}
		return nil, nil, late
	}
	hello, err := protocol.DecodeHello(body)
	if err != nil {
		return nil, nil, badFrame(err)
	}
	status := c.server.host.Status()
	welcome := protocol.Welcome{Version: hello.Choose(), Node: status.Node, Cluster: status.Cluster}
	frame := protocol.AppendFrame(nil, func(dst []byte) []byte { return protocol.AppendWelcome(dst, welcome) })
	if _, err := stream.Write(frame); err != nil {
		return nil, nil, err
	}
	if welcome.Version == 0 {
		return nil, nil, &closing{protocol.CloseVersion, "no version in common"} // P35
	}
	c.version = welcome.Version
	return stream, frames, stream.SetDeadline(time.Time{})
}

func badFrame(err error) error { return &closing{protocol.CloseBadFrame, err.Error()} }

// read takes in requests until the connection ends or the client breaks the protocol.
func (c *session) read(frames *protocol.FrameReader) error {
	var q protocol.Request
	for {
		body, err := frames.Next()
		switch {
		case errors.Is(err, protocol.ErrFrame):
			return badFrame(err)
		case err != nil:
			return err
		}
		if err := protocol.DecodeRequest(body, &q); err != nil {
			return badFrame(err)
		}
		if err := c.take(&q); err != nil {
			return err
		}
	}
}

// take hands one request to the pool, or refuses it with a typed reply. An error ends the connection.
func (c *session) take(q *protocol.Request) error {
	s := c.server
	if err := s.host.Serving(); err != nil { // P13
		return c.refuse(q.ID, notServing(err))
	}
	t, refusal := c.prepare(q)
	if refusal != nil {
		return c.refuse(q.ID, refusal)
	}
	if int(c.inFlight.Load()) >= s.limits.inFlight {
		return c.refuse(q.ID, &wire.Error{Code: wire.CodeOverloaded, Detail: "too many requests under way on this connection"})
	}
	t.cost = min(int64(len(t.payload)), s.limits.requestBytes)
	if err := c.bytes.Acquire(c.ctx, t.cost); err != nil {
		return err
	}
	c.inFlight.Add(1)
	if !s.pool.run(t) {
		c.inFlight.Add(-1)
		c.bytes.Release(t.cost)
		return c.refuse(q.ID, &wire.Error{Code: wire.CodeOverloaded, Detail: "too many requests under way on this node"})
	}
	return nil
}

// refuse answers request id with an error. It fails when the client does not read its replies.
func (c *session) refuse(id uint64, e *wire.Error) error {
	c.server.metrics.request(e)
	return c.reply(&protocol.Reply{Kind: protocol.ReplyError, ID: id, Err: e})
}

// reply queues a reply. A *closing error says that the client does not read.
func (c *session) reply(p *protocol.Reply) error {
	if errors.Is(c.out.Reply(p), protocol.ErrBacklog) {
		why := &closing{protocol.CloseOverload, "replies are not read"}
		c.close(why)
		return why
	}
	return nil // ErrWriterClosed: the connection is ending and its reader finds out
}
