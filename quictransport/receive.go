package quictransport

import (
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/internal/mutant"
	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// acceptLanes takes the peer's streams and starts a reader for each.
func (c *conn) acceptLanes() {
	for {
		s, err := c.qc.AcceptUniStream(c.ctx)
		if err != nil {
			return
		}
		c.wg.Go(func() { c.readLane(s) })
	}
}

// readLane reads one lane until the connection ends. Whatever is wrong with it ends the connection with a typed
// reason, and nothing else.
func (c *conn) readLane(s *quic.ReceiveStream) {
	err := c.serveLane(s)
	var refused *CloseError
	switch {
	case c.ctx.Err() != nil:
	case errors.As(err, &refused):
		c.fail(refused.Reason, refused.Text)
	case errors.Is(err, framing.ErrBadFrame):
		c.fail(ReasonBadFrame, err.Error())
	case errors.Is(err, epoch.ErrImplausible):
		c.fail(ReasonStaleEpoch, err.Error())
	default: // the end of a stream that must not end, or a reset
		c.fail(ReasonBadFrame, fmt.Sprintf("lane ended: %v", err))
	}
}

// serveLane returns why the lane could not be read any further, never nil.
func (c *conn) serveLane(s *quic.ReceiveStream) error {
	if err := s.SetReadDeadline(time.Now().Add(prefaceTimeout)); err != nil {
		return err
	}
	p, err := framing.ReadPreface(s)
	if err != nil {
		return err
	}
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := c.introduce(&p); err != nil {
		return err
	}
	// Entries of appends are handed on without a copy.
	r := laneReader{c: c, kind: p.Lane, index: p.Index, frames: framing.NewReader(s, p.Lane == framing.LaneAppend)}
	return r.serve()
}

// introduce checks a lane's preface and waits until the lane may be read. The first preface of a connection decides
// whether the peer is accepted; later ones must agree with it. The connection is put to use with the peer's first frame on the
// control lane, which says that it has accepted this side too. The order is part of the protocol: the cluster first (P27), before anything else is looked at.
func (c *conn) introduce(p *framing.Preface) error {
	if err := c.identify(p); err != nil {
		return err
	}
	known := p.Lane == framing.LaneControl && p.Index == 0 || p.Lane == framing.LaneForward && p.Index == 0 || p.Lane == framing.LaneAppend && p.Index < appendLanes
	if !known {
		return fmt.Errorf("lane %d.%d is unknown: %w", p.Lane, p.Index, framing.ErrBadFrame)
	}
	first, err := c.note(p)
	if err != nil {
		return err
	}
	if first {
		if err := c.t.vet(c); err != nil {
			return err
		}
		// Nothing is sent on a connection before this; so the first frame tells the peer that it is accepted.
		if err := c.beacon(never); err != nil {
			return fmt.Errorf("first frame: %w", err)
		}
		close(c.vetted)
	}
	gate := c.ready
	if p.Lane == framing.LaneControl {
		gate = c.vetted // its first frame opens the other gate
	}
	return c.pass(gate)
}

// pass waits until a gate is open.
func (c *conn) pass(gate <-chan struct{}) error {
	select {
	case <-gate:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// identify says why a preface is not one of this connection's peer, or nil.
func (c *conn) identify(p *framing.Preface) error {
	t := c.t
	switch {
	case p.Cluster != t.cfg.Cluster && !mutant.Is(mutant.AcceptForeignCluster):
		return &CloseError{Reason: ReasonWrongCluster, Text: fmt.Sprintf("cluster %s, this is %s", p.Cluster, t.cfg.Cluster)}
	case p.Node != c.peer:
		return &CloseError{Reason: ReasonIdentity, Text: fmt.Sprintf("preface of node %d, certificate of node %d", p.Node, c.peer)}
	}
	if _, ok := p.Versions.Negotiate(t.preface.Versions); !ok {
		return &CloseError{Reason: ReasonVersion, Text: fmt.Sprintf("wire versions %d to %d, this node speaks %d to %d",
			p.Versions.Min, p.Versions.Max, t.preface.Versions.Min, t.preface.Versions.Max)}
	}
	if t.cfg.Generations != nil {
		if want := t.cfg.Generations(p.Node); want != 0 && want != p.Generation {
			return &CloseError{Reason: ReasonGeneration, Text: fmt.Sprintf("node %d came with data generation %d, %d is registered: its directory was replaced",
				p.Node, p.Generation, want)}
		}
	}
	return nil
}

// note remembers the lane and reports whether it is the first.
func (c *conn) note(p *framing.Preface) (first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]uint8{uint8(p.Lane), p.Index}
	if c.seen[key] {
		return false, fmt.Errorf("lane %d.%d opened twice: %w", p.Lane, p.Index, framing.ErrBadFrame)
	}
	c.seen[key] = true
	if c.hello == nil {
		c.hello = p
		return true, nil
	}
	return false, c.hello.Confirms(p)
}

// laneReader is the receiving end of one lane. One goroutine owns it.
type laneReader struct {
	c      *conn
	kind   framing.Lane
	index  uint8
	frames framing.Reader
	// seq numbers the stream's frames from 1, as the sender does.
	seq    uint64
	reader wire.Reader
	msgs   []wire.Message
}

func (l *laneReader) serve() error {
	for {
		frame, err := l.frames.Next()
		if err != nil {
			return err
		}
		l.seq++
		if l.kind == framing.LaneControl && l.seq == 1 {
			if err := l.c.t.adopt(l.c); err != nil {
				return err
			}
			close(l.c.ready)
		}
		l.c.heard()
		l.c.t.counters.lanes[l.kind].received(framing.LengthBytes + len(frame))
		if err := l.take(frame); err != nil {
			return err
		}
	}
}

// take handles one frame: the fence first, then the content.
func (l *laneReader) take(frame []byte) error {
	l.reader.Reset(frame)
	stamp, withNotice, err := framing.ReadHead(&l.reader)
	if err != nil {
		return err
	}
	if admitted, err := l.c.admit(stamp, l); !admitted {
		return err
	}
	if withNotice && l.kind != framing.LaneControl {
		return fmt.Errorf("notice on lane %d: %w", l.kind, framing.ErrBadFrame)
	}
	if l.kind == framing.LaneForward {
		return l.takeForwards(stamp)
	}
	l.msgs, err = wire.ReadMessages(&l.reader, l.msgs)
	if err != nil {
		return fmt.Errorf("messages: %w: %w", err, framing.ErrBadFrame)
	}
	var n framing.Notice
	if withNotice {
		n = framing.ReadNotice(&l.reader)
	}
	if err := l.reader.Done(); err != nil {
		return fmt.Errorf("frame: %w: %w", err, framing.ErrBadFrame)
	}
	if err := l.check(); err != nil {
		return err
	}
	if len(l.msgs) > 0 {
		l.c.t.handler.HandleMessages(l.c.peer, l.msgs)
	}
	if withNotice {
		l.c.takeNotice(n)
	}
	if cap(l.msgs) > wire.MaxBatchMessages/16 {
		l.msgs = nil // a burst does not stay in memory
	}
	return nil
}

// check holds each message against who sent it, who is to get it, and the lane it travels on (D58, F37).
func (l *laneReader) check() error {
	self, lane := l.c.t.cfg.Self, wire.LaneControl
	if l.kind == framing.LaneAppend {
		lane = wire.LaneAppend
	}
	for i := range l.msgs {
		m := &l.msgs[i]
		if m.From != l.c.peer || m.To != self || m.Type.Lane() != lane {
			return fmt.Errorf("message of type %d from node %d to node %d on lane %d of node %d: %w",
				m.Type, m.From, m.To, l.kind, l.c.peer, framing.ErrBadFrame)
		}
	}
	return nil
}
