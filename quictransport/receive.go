package quictransport

import (
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/epoch"
	"flotilla/internal/mutant"
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
	case errors.Is(err, errBadFrame):
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
	p, err := readPreface(s)
	if err != nil {
		return err
	}
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := c.introduce(&p); err != nil {
		return err
	}
	r := laneReader{c: c, kind: p.lane, index: p.index}
	r.frames = frameReader{src: s, keep: p.lane == laneAppend}
	return r.serve()
}

// introduce checks a lane's preface and waits until the lane may be read. The first preface of a connection decides
// whether the peer is accepted; later ones must agree with it. The connection is put to use with the peer's first frame on the
// control lane, which says that it has accepted this side too. The order is part of the protocol: the cluster first (P27), before anything else is looked at.
func (c *conn) introduce(p *preface) error {
	if err := c.identify(p); err != nil {
		return err
	}
	known := p.lane == laneControl && p.index == 0 || p.lane == laneForward && p.index == 0 || p.lane == laneAppend && p.index < appendLanes
	if !known {
		return fmt.Errorf("lane %d.%d is unknown: %w", p.lane, p.index, errBadFrame)
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
	if p.lane == laneControl {
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
func (c *conn) identify(p *preface) error {
	t := c.t
	switch {
	case p.cluster != t.cfg.Cluster && !mutant.Is(mutant.AcceptForeignCluster):
		return &CloseError{Reason: ReasonWrongCluster, Text: fmt.Sprintf("cluster %s, this is %s", p.cluster, t.cfg.Cluster)}
	case p.node != c.peer:
		return &CloseError{Reason: ReasonIdentity, Text: fmt.Sprintf("preface of node %d, certificate of node %d", p.node, c.peer)}
	}
	if _, ok := p.versions.negotiate(t.preface.versions); !ok {
		return &CloseError{Reason: ReasonVersion, Text: fmt.Sprintf("wire versions %d to %d, this node speaks %d to %d",
			p.versions.min, p.versions.max, t.preface.versions.min, t.preface.versions.max)}
	}
	if t.cfg.Generations != nil {
		if want := t.cfg.Generations(p.node); want != 0 && want != p.generation {
			return &CloseError{Reason: ReasonGeneration, Text: fmt.Sprintf("node %d came with data generation %d, %d is registered: its directory was replaced",
				p.node, p.generation, want)}
		}
	}
	return nil
}

// note remembers the lane and reports whether it is the first.
func (c *conn) note(p *preface) (first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]uint8{uint8(p.lane), p.index}
	if c.seen[key] {
		return false, fmt.Errorf("lane %d.%d opened twice: %w", p.lane, p.index, errBadFrame)
	}
	c.seen[key] = true
	if c.hello == nil {
		c.hello = p
		return true, nil
	}
	return false, c.hello.confirms(p)
}

// confirms says whether a later preface of the same connection agrees with the first.
func (p *preface) confirms(later *preface) error {
	same := *p
	same.lane, same.index = later.lane, later.index
	if same != *later {
		return fmt.Errorf("lane %d.%d contradicts the first preface: %w", later.lane, later.index, errBadFrame)
	}
	return nil
}

// laneReader is the receiving end of one lane. One goroutine owns it.
type laneReader struct {
	c      *conn
	kind   laneKind
	index  uint8
	frames frameReader
	// seq numbers the stream's frames from 1, as the sender does.
	seq    uint64
	reader wire.Reader
	msgs   []wire.Message
}

func (l *laneReader) serve() error {
	for {
		frame, err := l.frames.next()
		if err != nil {
			return err
		}
		l.seq++
		if l.kind == laneControl && l.seq == 1 {
			if err := l.c.t.adopt(l.c); err != nil {
				return err
			}
			close(l.c.ready)
		}
		l.c.heard()
		l.c.t.counters.lanes[l.kind].received(lengthBytes + len(frame))
		if err := l.take(frame); err != nil {
			return err
		}
	}
}

// take handles one frame: the fence first, then the content.
func (l *laneReader) take(frame []byte) error {
	l.reader.Reset(frame)
	stamp, withNotice, err := readHead(&l.reader)
	if err != nil {
		return err
	}
	if admitted, err := l.c.admit(stamp, l); !admitted {
		return err
	}
	if withNotice && l.kind != laneControl {
		return fmt.Errorf("notice on lane %d: %w", l.kind, errBadFrame)
	}
	if l.kind == laneForward {
		return l.takeForwards(stamp)
	}
	l.msgs, err = wire.ReadMessages(&l.reader, l.msgs)
	if err != nil {
		return fmt.Errorf("messages: %w: %w", err, errBadFrame)
	}
	var n notice
	if withNotice {
		n = readNotice(&l.reader)
	}
	if err := l.reader.Done(); err != nil {
		return fmt.Errorf("frame: %w: %w", err, errBadFrame)
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
	if l.kind == laneAppend {
		lane = wire.LaneAppend
	}
	for i := range l.msgs {
		m := &l.msgs[i]
		if m.From != l.c.peer || m.To != self || m.Type.Lane() != lane {
			return fmt.Errorf("message of type %d from node %d to node %d on lane %d of node %d: %w",
				m.Type, m.From, m.To, l.kind, l.c.peer, errBadFrame)
		}
	}
	return nil
}
