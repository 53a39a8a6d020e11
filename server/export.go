package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// export answers a task of KindExport: the group's snapshot goes out piece by piece as the client takes it, so that neither side
// holds more than a few. The reply that ends it is the last piece, or an error.
func (t *task) export() {
	c := t.conn
	err := c.enterExport(t.group)
	if err == nil {
		err = t.send()
		c.leaveExport()
	}
	if err != nil {
		_ = c.reply(&protocol.Reply{Kind: protocol.ReplyError, ID: t.id, Err: err}) // it closes the connection itself
	}
	c.server.metrics.request(err)
}

// send writes the snapshot to the client, and gives signs of life while it is being made.
func (t *task) send() *wire.Error {
	c := t.conn
	ctx, cancel := context.WithCancel(c.ctx)
	out := &pieces{ctx: ctx, c: c, id: t.id, buf: make([]byte, 0, protocol.MaxPieceBytes)}
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		out.beat(c.server.limits.exportBeat)
	}()
	err := c.server.host.Export(ctx, t.group, out)
	cancel()
	<-quiet
	if err == nil {
		err = out.end(c.ctx)
	}
	if err != nil {
		return explained(queryError(t.group, err))
	}
	return nil
}

// enterExport refuses more snapshots at a time than one connection and the node may have under way.
func (c *session) enterExport(g wire.GroupID) *wire.Error {
	switch {
	case !c.exporting.CompareAndSwap(false, true):
		return &wire.Error{Code: wire.CodeOverloaded, Group: g, Detail: "another snapshot is on its way on this connection"}
	case !c.server.exports.TryAcquire(1):
		c.exporting.Store(false)
		return &wire.Error{Code: wire.CodeOverloaded, Group: g, Detail: "this node is busy with other snapshots for clients"}
	}
	return nil
}

func (c *session) leaveExport() {
	c.server.exports.Release(1)
	c.exporting.Store(false)
}

// pieces is an io.Writer whose bytes reach the client as replies. One goroutine writes; beat runs beside it.
type pieces struct {
	ctx context.Context // of the one export
	c   *session
	id  uint64
	buf []byte
	// told is set with each piece: the client sees by it that the node is at work.
	told atomic.Bool
}

// Write implements io.Writer. It blocks while the client does not take what was written before.
func (p *pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		k := min(len(b), cap(p.buf)-len(p.buf))
		p.buf = append(p.buf, b[:k]...)
		n, b = n+k, b[k:]
		if len(p.buf) == cap(p.buf) {
			err = p.push(p.ctx, true)
		}
	}
	return n, err
}

// end sends what is left, as the last piece.
func (p *pieces) end(ctx context.Context) error { return p.push(ctx, false) }

func (p *pieces) push(ctx context.Context, more bool) error {
	if err := p.c.out.Below(ctx, p.c.server.limits.exportBytes); err != nil {
		return &wire.Error{Code: wire.CodeStopped, Cause: err}
	}
	err := p.c.out.Reply(&protocol.Reply{Kind: protocol.ReplyExport, ID: p.id, More: more, Value: p.buf})
	p.buf = p.buf[:0]
	p.told.Store(true)
	if err != nil && !errors.Is(err, protocol.ErrWriterClosed) {
		return fmt.Errorf("send a piece of a snapshot: %w", err)
	}
	return err
}

// beat tells the client that the node is at work whenever no piece has done so for a while: a snapshot is being made, or goes slowly
// because others need the disk.
func (p *pieces) beat(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
		if !p.told.Swap(false) && p.c.out.Below(p.ctx, p.c.server.limits.exportBytes) == nil {
			_ = p.c.reply(&protocol.Reply{Kind: protocol.ReplyExport, ID: p.id, More: true}) // it closes the connection itself
		}
	}
}
