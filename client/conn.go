package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// errLost says that a connection ended while a request was under way on it: it may have been carried out.
var errLost = errors.New("connection lost")

// call is one request under way. Calls are pooled: done has room for one token, and whoever removes the call from
// its connection's table puts exactly one token in or none.
type call struct {
	done  chan struct{}
	reply protocol.Reply
	err   error
	// group is the one whose leader is asked, MetadataGroup for a call that any node answers. since is when the try under
	// way began. Both are set before the call is in a connection's table, and read by others only while it is there.
	group wire.GroupID
	since time.Time
}

var callPool = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newCall() *call { return callPool.Get().(*call) }

func (c *call) release() {
	c.reply, c.err, c.group = protocol.Reply{}, nil, wire.MetadataGroup
	callPool.Put(c)
}

// conn is one connection to one node. Its reader goroutine owns what is read, its Writer what is written.
type conn struct {
	addr string
	qc   *quic.Conn
	out  *protocol.Writer
	done chan struct{} // closed when nothing can be asked any more
	// silent is set while calls wait and nothing at all is heard; others are asked first then.
	silent atomic.Bool
	mu     struct {
		sync.Mutex
		calls map[uint64]*call
		last  uint64
		err   error
		// replies counts what was heard; seen is its value when the watch last saw it move, at quietSince.
		replies, seen uint64
		quietSince    time.Time
	}
}

// handshake opens the stream on a fresh connection and exchanges hellos.
func handshake(ctx context.Context, qc *quic.Conn) (*quic.Stream, *protocol.FrameReader, error) {
	stream, err := qc.OpenStreamSync(ctx)
	if err != nil {
		return nil, nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dialTimeout)
	}
	_ = stream.SetDeadline(deadline) // fails on a dead stream only, as the next call does
	hello := protocol.AppendFrame(nil, func(dst []byte) []byte {
		return protocol.AppendHello(dst, protocol.Hello{Min: protocol.VersionMin, Max: protocol.VersionMax})
	})
	if _, err := stream.Write(hello); err != nil {
		return nil, nil, err
	}
	frames := protocol.NewFrameReader(stream)
	body, err := frames.Next()
	if err != nil {
		return nil, nil, err
	}
	welcome, err := protocol.DecodeWelcome(body)
	if err != nil {
		return nil, nil, err
	}
	if welcome.Version < protocol.VersionMin || welcome.Version > protocol.VersionMax {
		return nil, nil, fmt.Errorf("the node speaks no version of %s that this client does", protocol.ALPN)
	}
	return stream, frames, stream.SetDeadline(time.Time{})
}

func newConn(addr string, qc *quic.Conn) *conn {
	c := &conn{addr: addr, qc: qc, out: protocol.NewWriter(maxBacklogBytes, writeTimeout), done: make(chan struct{})}
	c.mu.calls = make(map[uint64]*call)
	return c
}

// write runs the writing side until it ends.
func (c *conn) write(stream *quic.Stream) {
	if err := c.out.Run(stream); err != nil {
		c.fail(err)
	}
}

// read takes in replies until the connection ends.
func (c *conn) read(frames *protocol.FrameReader) {
	var reply protocol.Reply
	for {
		body, err := frames.Next()
		if err == nil {
			err = protocol.DecodeReply(body, &reply)
		}
		if err == nil {
			err = c.deliver(body, &reply)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// deliver hands a reply to who waits for it; nobody may wait any more.
func (c *conn) deliver(body []byte, reply *protocol.Reply) error {
	c.mu.Lock()
	w := c.mu.calls[reply.ID]
	delete(c.mu.calls, reply.ID)
	c.mu.replies++
	c.mu.Unlock()
	if w == nil {
		return nil
	}
	var err error
	switch reply.Kind { // what aliases the frame is copied: the frame is gone with the next one
	case protocol.ReplyPage:
		err = protocol.DecodeReply(bytes.Clone(body), &w.reply)
		w.err = err
	case protocol.ReplyValue:
		w.reply = *reply
		w.reply.Items, w.reply.Value = nil, bytes.Clone(reply.Value)
	default:
		w.reply = *reply
		w.reply.Items = nil
	}
	w.done <- struct{}{} // from here on w is its caller's
	return err
}

// fail ends the connection: whoever waits for a reply is told that it may have been carried out.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.mu.err != nil {
		c.mu.Unlock()
		return
	}
	if cause := context.Cause(c.qc.Context()); cause != nil {
		err = cause // says more than the stream does
	}
	c.mu.err = err
	calls := c.mu.calls
	c.mu.calls = nil
	c.mu.Unlock()
	close(c.done)
	c.out.Close()
	_ = c.qc.CloseWithError(quic.ApplicationErrorCode(protocol.CloseDone), "") // it is over either way
	for _, w := range calls {
		w.err = fmt.Errorf("%w: %w", errLost, err)
		w.done <- struct{}{}
	}
}

// sent says whether a request may have left the client.
type sent uint8

const (
	notSent sent = iota
	maybeSent
)

// ask sends q and waits for the reply, which is in w when the error is nil.
func (c *conn) ask(ctx context.Context, q *protocol.Request, w *call) (sent, error) {
	w.reply, w.err, w.since = protocol.Reply{}, nil, time.Now() // w may have been through another try
	c.mu.Lock()
	if err := c.mu.err; err != nil {
		c.mu.Unlock()
		return notSent, err
	}
	c.mu.last++
	q.ID = c.mu.last
	c.mu.calls[q.ID] = w
	c.mu.Unlock()
	if err := c.out.Request(q); err != nil {
		c.abandon(q.ID, w)
		return notSent, err
	}
	select {
	case <-w.done:
		return maybeSent, w.err
	case <-ctx.Done():
		if c.abandon(q.ID, w) {
			return maybeSent, w.err // the reply came at the same moment
		}
		return maybeSent, context.Cause(ctx)
	}
}

// abandon takes w out of the table, and reports whether an answer came first; w is quiet afterwards either way.
func (c *conn) abandon(id uint64, w *call) (answered bool) {
	c.mu.Lock()
	_, waiting := c.mu.calls[id]
	delete(c.mu.calls, id)
	c.mu.Unlock()
	if !waiting {
		<-w.done // on its way: who took it out of the table delivers at once
	}
	return !waiting
}
