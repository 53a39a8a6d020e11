package hostsim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

// maxNodes is one more than the largest node id.
const maxNodes = 13

// frameKind says what a frame carries.
type frameKind uint8

const (
	frameMessages frameKind = iota
	frameRefused            // the notice that the fence refused a frame
	frameGoodbye
	frameRequest
	frameReply
	frameCancel
	framePacket
)

var frameNames = [...]string{frameRequest: "request", frameReply: "reply to", frameCancel: "cancel"}

// The lanes of a connection.
const (
	laneControl = iota
	laneAppend
	laneForward
	laneSnapshot
	lanes
)

// frame is what one host writes to another at once. It is stamped when it is written (P23).
type frame struct {
	from, to *hostRef
	kind     frameKind
	lane     int
	link     *link
	conn     int // the connection's life
	// generation is that of the data directory it comes from.
	generation wire.Generation
	stamp      epoch.Stamp
	msgs       []wire.Message
	refused    *frame   // what a notice refuses
	forward    *forward // of requests, replies and cancels
	packet     *packet  // of a transfer
	body       []byte
	err        *wire.Error
}

// hostRef is a host that prints as its id.
type hostRef host

// String is the node's id.
func (h *hostRef) String() string { return h.id.String() }

// port is a host's transport in one life of it.
type port struct {
	h    *host
	life int
}

// Why requests end early.
var (
	errWait = errors.New("a stepped engine must not wait for its transport")
	errGone = errors.New("the caller is gone")
)

// Forward is never called.
func (p *port) Forward(context.Context, wire.NodeID, []byte) ([]byte, error) { return nil, errWait }

// Send implements multiraft.Transport: one frame for the turn's messages to one peer on one lane.
func (p *port) Send(to wire.NodeID, lane wire.Lane, msgs []wire.Message) error {
	s := p.h.s
	l := s.link(p.h.id, to)
	switch {
	case !l.up:
		return &wire.Error{Code: wire.CodeUnreachable}
	case chance(s.rng, s.rate(s.plan.Full)):
		return &wire.Error{Code: wire.CodeOverloaded}
	}
	f := s.newFrame(p.h, to, frameMessages, laneControl)
	f.msgs = append(f.msgs, msgs...)
	for i := range msgs {
		s.broken("tombstones", s.speaks(p.h, &msgs[i]))
		s.broken("durability", s.checks.durability.Sent(&msgs[i]))
	}
	if lane == wire.LaneAppend {
		f.lane = laneAppend
		if s.plan.QueueMax > 0 {
			s.after(between(s.rng, 0, s.plan.QueueMax), &task{kind: taskWrite, host: p.h, life: p.h.life, frame: f})
			return nil
		}
	}
	s.write(p.h, f)
	return nil
}

// newFrame returns an empty frame for the connection that stands.
func (s *Sim) newFrame(from *host, to wire.NodeID, kind frameKind, lane int) *frame {
	var f *frame
	if n := len(s.frames); n > 0 {
		f, s.frames = s.frames[n-1], s.frames[:n-1]
	} else {
		f = &frame{}
	}
	l := s.link(from.id, to)
	f.from, f.to, f.kind, f.lane, f.link, f.conn = (*hostRef)(from), (*hostRef)(l.other(from)), kind, lane, l, l.life
	f.generation = from.catalog.Identity.Generation
	return f
}

// free takes a frame back that nobody holds any more.
func (s *Sim) free(f *frame) {
	clear(f.msgs)
	*f = frame{msgs: f.msgs[:0]}
	s.frames = append(s.frames, f)
}

// write stamps a frame and gives it its fate on the network.
func (s *Sim) write(h *host, f *frame) {
	if f.conn != f.link.life { // its lane has ended
		s.free(f)
		return
	}
	f.stamp = h.fence.Stamp()
	s.stats.Frames++
	s.broken("epochs", s.checks.epochs.Stamped(h.id, f.stamp))
	s.trace.words(uint64(f.from.id)<<32|uint64(f.to.id), uint64(f.kind), uint64(f.stamp.Observed), uint64(f.stamp.Applied))
	for i := range f.msgs {
		s.trace.message(&f.msgs[i])
	}
	p := &s.plan
	if f.kind == frameMessages && chance(s.rng, s.rate(p.Loss)) {
		s.stats.Lost++
		s.note("lost %v", f)
		s.free(f)
		return
	}
	if s.trace.lines != nil {
		s.note("send %v", f)
	}
	if f.kind == frameMessages && chance(s.rng, s.rate(p.Duplicates)) {
		g := s.newFrame(h, f.to.id, f.kind, f.lane)
		g.stamp = f.stamp
		g.msgs = append(g.msgs, f.msgs...)
		s.carry(g)
	}
	s.carry(f)
}

// carry draws when a frame arrives.
func (s *Sim) carry(f *frame) {
	p := &s.plan
	at := s.now + between(s.rng, p.DelayMin, p.DelayMax)
	if chance(s.rng, s.rate(p.Late)) {
		at = s.now + between(s.rng, p.DelayMin, p.LateMax)
	}
	if p.Ordered || f.kind != frameMessages {
		last := &f.link.arrived[f.link.side((*host)(f.from))][f.lane]
		at = max(at, *last)
		*last = at
	}
	s.agenda.Add(at, &task{kind: taskArrive, host: (*host)(f.to), life: anyLife, frame: f})
}

// arrive is a frame at its receiver: the fence comes first, then the content (P24).
func (s *Sim) arrive(h *host, f *frame) {
	l := f.link
	cut := l.cut[l.side((*host)(f.from))]
	switch {
	case !h.up || f.conn != l.life && (s.plan.Ordered || f.kind != frameMessages) || cut && f.kind == frameMessages:
		s.stats.Lost++
		s.note("lost %v", f)
		s.free(f)
		return
	case cut: // a stream repeats what was lost for as long as its connection stands
		s.after(between(s.rng, 10*time.Millisecond, 200*time.Millisecond), &task{kind: taskArrive, host: h, life: anyLife, frame: f})
		return
	case !h.knows(f.from.id, f.generation) && s.plan.sabotage != blindGeneration: // the connection is about to be closed
		s.stats.Disowned++
		s.note("%d disowns %v", h.id, f)
		s.free(f)
		return
	}
	if s.trace.lines != nil {
		s.note("recv %v", f)
	}
	if f.kind == framePacket {
		s.arrivePacket(h, f)
		s.free(f)
		s.pump(h)
		return
	}
	if err := h.fence.Admit(f.stamp); err != nil && s.plan.sabotage != blindFence {
		s.refuse(h, f, err)
		return
	}
	switch f.kind {
	case frameMessages:
		s.broken("fence", s.checks.fence.Reached(h.id, h.known, f.stamp, false))
		s.reached(h, f)
		h.engine().HandleMessages(f.from.id, f.msgs)
	case frameRefused:
		s.rewrite(h, f)
	case frameGoodbye:
		s.disconnect(l, wire.PeerGoodbye)
	default:
		s.arriveForward(h, f)
	}
	s.free(f)
	s.pump(h)
}

// refuse answers a stale frame with a notice whose own stamp carries the epoch.
func (s *Sim) refuse(h *host, f *frame, err error) {
	var stale *epoch.StaleError
	if !errors.As(err, &stale) {
		s.broken("fence", fmt.Errorf("an honest frame is refused: %w", err))
		return
	}
	s.stats.Refused++
	s.trace.words(uint64(stale.Claimed), uint64(stale.Current))
	s.note("%d refuses %v: %v", h.id, f, err)
	if f.conn != f.link.life || f.kind == frameRefused || f.kind == frameGoodbye {
		s.free(f)
		return
	}
	n := s.newFrame(h, f.from.id, frameRefused, laneControl)
	n.refused = f
	s.write(h, n)
}

// rewrite takes in a refusal: the epoch was observed when it was admitted. Raft repeats its messages by itself, forwards
// are written again (P24).
func (s *Sim) rewrite(h *host, notice *frame) {
	f := notice.refused
	notice.refused = nil
	if f.lane == laneForward {
		s.write(h, f)
		return
	}
	s.free(f)
}

// after writes t down for d from now.
func (s *Sim) after(d time.Duration, t *task) {
	s.agenda.Add(s.now+d, t)
}
