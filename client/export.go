package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Export fetches the state of a group as a snapshot, in which is everything that was acknowledged to anybody before the call. take reads
// it to its end, as snapshotstream writes it, and checks it by a snapshotstream.Decoder: what comes may be cut off or wrong. When it is, and when a
// connection breaks or leadership moves, take is called again with another one, from its beginning; any other error of take ends it. Export
// gives up when ctx ends, when nothing came for half a minute, however often it tried, and when ten broke off. It holds no more than a
// piece in memory: a take that does not read for ten seconds is cut off.
func (c *Client) Export(ctx context.Context, g wire.GroupID, take func(io.Reader) error) error {
	op := "export group " + g.String()
	if err := c.hold(); err != nil {
		return certain(op, nil, err)
	}
	defer c.tasks.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(ErrClosed) })()
	quiet := time.AfterFunc(exportPatience, func() { cancel(noAnswer(exportPatience)) })
	defer quiet.Stop()
	heard := func() { quiet.Reset(exportPatience) }
	p := newPause()
	for begun := 0; ; {
		moved := false
		err := c.exportOnce(ctx, g, func() { moved = true; heard() }, take)
		var own *takeError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &own):
			return own.err
		}
		if moved {
			begun++
			p = newPause()
		}
		if begun >= exportTries {
			return certain(op, nil, fmt.Errorf("%d snapshots broke off, the last one: %w", begun, err))
		}
		if err := c.again(ctx, g, &p, err); err != nil {
			return certain(op, nil, err)
		}
	}
}

// hold keeps Close waiting until tasks.Done; it refuses when the client is closed.
func (c *Client) hold() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return ErrClosed
	}
	c.tasks.Add(1)
	return nil
}

// takeError is an error of whoever takes a snapshot, who is told it as it is.
type takeError struct{ err error }

func (e *takeError) Error() string { return e.err.Error() }

// exportOnce makes one attempt at the most promising node, over a connection of its own: the snapshot's reader may hold it up, and
// nobody else waits behind it. heard is called whenever something comes.
func (c *Client) exportOnce(ctx context.Context, g wire.GroupID, heard func(), take func(io.Reader) error) error {
	l, err := c.connectExport(ctx, g)
	if err != nil {
		return err
	}
	defer l.close()
	defer context.AfterFunc(ctx, l.close)()
	request := protocol.AppendFrame(nil, func(dst []byte) []byte {
		return protocol.AppendRequest(dst, &protocol.Request{Kind: protocol.KindExport, ID: 1, Group: g})
	})
	if _, err := l.stream.Write(request); err != nil {
		return l.why(ctx, err)
	}
	pieces := &pieces{ctx: ctx, link: l, heard: heard}
	err = take(pieces)
	if err == nil {
		_, err = io.Copy(io.Discard, pieces) // its end, where take has not read so far
	} else if (pieces.err == nil || pieces.err == io.EOF) && !errors.Is(err, snapshotstream.ErrCorrupt) {
		return &takeError{err}
	}
	if pieces.err != nil && pieces.err != io.EOF {
		return pieces.err // what take made of it is a consequence
	}
	return err
}

// connectExport connects to the node that leads g, or to any that may know who does.
func (c *Client) connectExport(ctx context.Context, g wire.GroupID) (*link, error) {
	p := c.target(g)
	if p == nil {
		return nil, errors.New("no address to try")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, noAnswer(dialTimeout))
	defer cancel()
	addr, err := resolve(ctx, p.addr)
	if err != nil {
		return nil, err
	}
	l, err := c.connect(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.addr, err)
	}
	return l, nil
}

// why says why something failed on l: the end of ctx and what the node said come before what the stream says.
func (l *link) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if cause := context.Cause(l.qc.Context()); cause != nil {
		err = cause
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// pieces is the io.Reader of a snapshot's bytes as they come. What is not read is not asked for: QUIC's flow control holds the
// node back.
type pieces struct {
	ctx   context.Context // of the one attempt
	link  *link
	heard func()
	rest  []byte // of the present piece; aliases the frame
	last  bool   // the present piece is the last one
	err   error  // why no more can be read
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 && p.err == nil {
		if p.last {
			p.err = io.EOF
		} else {
			p.err = p.next()
		}
	}
	if len(p.rest) == 0 {
		return 0, p.err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// next waits for the next piece.
func (p *pieces) next() error {
	body, err := p.link.frames.Next()
	if err != nil {
		return p.link.why(p.ctx, err)
	}
	var reply protocol.Reply
	switch err := protocol.DecodeReply(body, &reply); {
	case err != nil:
		return err
	case reply.Kind == protocol.ReplyError:
		return reply.Err
	case reply.Kind != protocol.ReplyExport:
		return errUnexpected
	}
	p.heard()
	p.rest, p.last = reply.Value, !reply.More
	return nil
}
