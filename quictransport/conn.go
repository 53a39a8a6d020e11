package quictransport

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// conn is one QUIC connection with an authenticated peer. Its run goroutine owns its life: it alone closes the QUIC
// connection and joins the lanes' goroutines. Others ask for the end with fail.
type conn struct {
	t    *Transport
	qc   *quic.Conn
	peer wire.NodeID
	// dialed is true when this side dialled.
	dialed bool
	// ctx ends with the QUIC connection.
	ctx context.Context

	control controlLane
	appends appendLaneSet
	forward forwardLane

	// vetted is closed once the peer's preface is accepted, ready once the peer has accepted ours too and the connection
	// is the one in use.
	vetted, ready chan struct{}
	// ending is closed by the first fail.
	ending chan struct{}

	mu sync.Mutex
	// why is what fail was first called with; guarded by mu.
	why *CloseError
	// hello is the peer's preface; guarded by mu until ready is closed, then immutable.
	hello *framing.Preface
	// stood is when the connection was put to use; guarded by the transport's mutex.
	stood time.Time
	// seen are the lanes the peer has opened; guarded by mu.
	seen map[[2]uint8]bool

	// lastHeard is when the last frame arrived, refusedSince when the fence began to refuse this peer (0: it does not).
	lastHeard, refusedSince atomic.Int64
	// goodbye is set once the peer has said that it is stopping.
	goodbye atomic.Bool

	wg sync.WaitGroup // the goroutines of the lanes
}

func newConn(t *Transport, qc *quic.Conn, peer wire.NodeID, dialed bool) *conn {
	c := &conn{
		t: t, qc: qc, peer: peer, dialed: dialed, ctx: qc.Context(),
		vetted: make(chan struct{}), ready: make(chan struct{}), ending: make(chan struct{}), seen: map[[2]uint8]bool{},
	}
	c.lastHeard.Store(int64(t.now()))
	for i := range c.appends.lanes {
		c.appends.lanes[i].wake = make(chan struct{}, 1)
	}
	c.forward.init()
	return c
}

// run opens the lanes, waits for the peer's preface, and stays until the connection has ended and everything it
// started is joined.
func (c *conn) run() {
	if err := c.open(); err != nil {
		// No lane is read or written then: the peer's frames would be answered on streams that do not exist.
		c.fail(ReasonOverload, err.Error())
	} else {
		c.wg.Go(c.acceptLanes)
		c.wg.Go(c.acceptSnapshots)
		for i := range c.appends.lanes {
			c.wg.Go(func() { c.writeAppends(i) })
		}
		c.wg.Go(c.writeForwards)
	}

	late := time.NewTimer(prefaceTimeout)
	defer late.Stop()
	select {
	case <-c.ready:
		late.Stop()
	case <-late.C:
		c.fail(ReasonBadFrame, "no preface in time")
	case <-c.ending:
	case <-c.ctx.Done():
	}
	select {
	case <-c.ending:
		c.mu.Lock()
		why := c.why
		c.mu.Unlock()
		if why.Reason.travels() {
			_ = c.qc.CloseWithError(quic.ApplicationErrorCode(why.Reason), why.Text)
		} else {
			_ = c.qc.CloseWithError(0, why.Text)
		}
	case <-c.ctx.Done():
	}
	<-c.ctx.Done()
	end := endOf(c.qc)
	c.t.drop(c, end)
	c.endForwards()
	c.endStreams()
	c.wg.Wait()
}

// fail asks for the end of the connection. It does not block; the first call decides.
func (c *conn) fail(r Reason, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = &CloseError{Reason: r, Text: text}
		close(c.ending)
	}
}

// open opens this side's lanes and writes their prefaces. Nothing here waits for the peer.
func (c *conn) open() error {
	var err error
	if c.control.stream, err = c.openLane(framing.LaneControl, 0, 0); err != nil {
		return err
	}
	if c.forward.stream, err = c.openLane(framing.LaneForward, 0, 2); err != nil {
		return err
	}
	for i := range c.appends.lanes {
		if c.appends.lanes[i].stream, err = c.openLane(framing.LaneAppend, uint8(i), 3); err != nil {
			return err
		}
	}
	return nil
}

// openLane opens one stream with a priority from 0, the most urgent, to 7.
func (c *conn) openLane(kind framing.Lane, index uint8, urgency int8) (*quic.SendStream, error) {
	s, err := c.qc.OpenUniStream()
	if err != nil {
		return nil, fmt.Errorf("open lane %d.%d: %w", kind, index, err)
	}
	s.SetPriority(urgency, true)
	p := c.t.preface
	p.Lane, p.Index = kind, index
	if _, err := s.Write(p.Append(nil)); err != nil {
		return nil, fmt.Errorf("write preface of lane %d.%d: %w", kind, index, err)
	}
	return s, nil
}

// heard notes that the peer lives.
func (c *conn) heard() { c.lastHeard.Store(int64(c.t.now())) }

// tend is called at each tick of the transport's clock: it ends what is silent, stuck or stubborn, and sends beacons.
func (c *conn) tend(now clock) {
	l := &c.t.limits
	if now.since(clock(c.lastHeard.Load())) > l.Silence {
		c.fail(ReasonSilence, fmt.Sprintf("nothing heard for %v", l.Silence))
		return
	}
	if since := c.refusedSince.Load(); since != 0 && now.since(clock(since)) > refuseTimeout {
		c.fail(ReasonStaleEpoch, "frames of an epoch that is over, though told so")
		return
	}
	limit := now - clock(stallTimeout)
	stuck := c.forward.stall.stuck(limit)
	for i := range c.appends.lanes {
		stuck = stuck || c.appends.lanes[i].stall.stuck(limit)
	}
	if stuck {
		c.fail(ReasonOverload, fmt.Sprintf("a lane made no progress for %v", stallTimeout))
		return
	}
	_ = c.beacon(now - clock(l.Beacon)*3/4) // a beacon that finds no room is not needed: the lane is full of life
}

// peerError builds the error of a request to this connection's peer.
func (c *conn) peerError(code wire.Code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Detail: fmt.Sprintf("node %d: ", c.peer) + fmt.Sprintf(format, args...)}
}

func (c *conn) overloaded(lane string) error {
	return c.peerError(wire.CodeOverloaded, "%s full", lane)
}

func (c *conn) unreachable() error {
	return c.peerError(wire.CodeUnreachable, "connection is ending")
}

func (c *conn) tooLarge(what string, size, limit int) error {
	return c.peerError(wire.CodeTooLarge, "%s of %d bytes, at most %d", what, size, limit)
}
