package hostsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flotilla/internal/diskspace"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// transfer is one snapshot on its way from one host to another: the session of package snapshotstream upon a stream of its own, step
// by step. Either side forgets its part when its process dies; the other one hears of it when the connection ends.
type transfer struct {
	s        *Sim
	id       int
	from, to *host
	link     *link
	conn     int // the connection's life
	group    wire.GroupID

	// The sender's part, of one life of it.
	life   int
	sends  bool
	ctx    context.Context
	moved  func()
	done   func(error)
	offers []*snapshotstream.Snapshot // open, the announced one first
	chosen *snapshotstream.Snapshot   // nil before the receiver has said which

	// The receiver's part.
	toLife   int
	receives bool
	message  wire.Message // what the leader announced
	receiver *snapshotstream.Receiver
}

// packetKind says what a frame of a transfer is.
type packetKind uint8

const (
	packetOffer packetKind = iota
	packetChunk
	packetTrailer
	packetGoOn // the receiver's: from there
	packetDone
	packetNo
	packetReset // either side has let go of the stream
)

var packetNames = [...]string{"offer", "chunk", "trailer", "go on", "done", "no", "reset"}

// packet is what a frame carries of a transfer.
type packet struct {
	t       *transfer
	kind    packetKind
	headers []snapshotstream.Header // of an offer
	header  snapshotstream.Header   // of what the receiver wants
	offset  uint64
	bytes   []byte
	no      *snapshotstream.RefusedError
}

// String tells it for a line.
func (p *packet) String() string {
	return fmt.Sprintf("transfer %d %s at %d, %d bytes %v", p.t.id, packetNames[p.kind], p.offset, len(p.bytes), p.no)
}

// lookAtContext is how long it takes at most until a sender sees that its transfer serves nobody any more.
const lookAtContext = 200 * time.Millisecond

// errStream is the end of a transfer with its connection.
var errStream = &wire.Error{Code: wire.CodeUnreachable, Detail: "the connection has ended"}

// courier is a host's transport of snapshots in one life of it.
type courier port

// Send implements multiraft.Courier.
func (p *courier) Send(ctx context.Context, m wire.Message, least wire.Index, moved func(), done func(error)) {
	h := p.h
	s, l := h.s, h.s.link(h.id, m.To)
	if !l.up {
		done(errStream)
		return
	}
	s.transfers++
	t := &transfer{
		s: s, id: s.transfers, from: h, to: l.other(h), link: l, conn: l.life, group: m.Group,
		life: h.life, sends: true, ctx: ctx, moved: moved, done: done, message: m,
	}
	packet := &packet{t: t, kind: packetOffer}
	for _, header := range h.depot.Store().List(m.Group) {
		if header.Index < least || header.Index > m.Index {
			continue
		}
		if x, err := h.depot.Store().Open(m.Group, header.Index); err == nil {
			t.offers = append(t.offers, x)
			packet.headers = append(packet.headers, header)
		}
	}
	if len(t.offers) == 0 {
		done(snapshotstream.ErrNotHeld)
		return
	}
	l.transfers = append(l.transfers, t)
	t.write(h, packet)
	t.watch()
}

// watch looks ever again whether the transfer serves anybody.
func (t *transfer) watch() {
	s := t.s
	s.after(between(s.rng, 0, lookAtContext), &task{kind: taskDo, host: t.from, life: t.life, do: func() {
		switch {
		case !t.sends:
		case t.ctx.Err() != nil:
			t.sent(context.Cause(t.ctx))
			t.reset(t.from)
		default:
			t.watch()
		}
	}})
}

// write sends a packet of one side.
func (t *transfer) write(h *host, p *packet) {
	if !t.link.up || t.link.life != t.conn {
		return // the end of the connection tells more
	}
	f := t.s.newFrame(h, t.link.other(h).id, framePacket, laneSnapshot)
	f.packet = p
	t.s.write(h, f)
}

// reset tells the other side that this one has let go.
func (t *transfer) reset(h *host) { t.write(h, &packet{t: t, kind: packetReset}) }

// sent ends the sender's part.
func (t *transfer) sent(err error) {
	if !t.sends {
		return
	}
	t.sends = false
	for _, x := range t.offers {
		t.s.broken("courier", x.Close())
	}
	t.forget()
	t.done(err)
}

// received ends the receiver's part.
func (t *transfer) received() {
	if !t.receives {
		return
	}
	t.receives = false
	if t.receiver != nil {
		if err := t.receiver.Close(); err != nil && !t.to.depot.Cut() && !lowSpace(err) {
			t.s.broken("courier", err)
		}
	}
	t.forget()
}

func (t *transfer) forget() {
	if i := slices.Index(t.link.transfers, t); i >= 0 && !t.sends && !t.receives {
		t.link.transfers = slices.Delete(t.link.transfers, i, i+1)
	}
}

// endTransfers is the end of a connection.
func (l *link) endTransfers() {
	under := l.transfers
	l.transfers = nil
	for _, t := range under {
		t.s.on(t.from, t.life, func() { t.sent(errStream) })
		t.s.on(t.to, t.toLife, t.received)
	}
}

// forgetTransfers drops what a process that died was sending or receiving.
func (s *Sim) forgetTransfers(h *host) {
	for _, o := range s.hosts {
		if o == h {
			continue
		}
		for _, t := range slices.Clone(s.link(h.id, o.id).transfers) {
			if t.from == h {
				t.sends = false
			} else {
				t.receives = false
			}
			t.forget()
		}
	}
}

// arrivePacket takes a frame of a transfer in. What a sender writes acts with authority (P25).
func (s *Sim) arrivePacket(h *host, f *frame) {
	p := f.packet
	t := p.t
	authority := t.to == h && p.kind != packetReset
	admit := h.fence.Admit
	if authority {
		admit = h.fence.AdmitAuthority
	}
	if err := admit(f.stamp); err != nil && s.plan.sabotage != blindFence {
		s.stats.Refused++
		s.note("%d refuses %v: %v", h.id, f, err)
		switch {
		case t.to != h:
			t.sent(err)
			t.reset(h)
		case p.kind != packetReset:
			t.refuse(h, snapshotstream.ReasonStale, err)
		}
		return
	}
	s.broken("fence", s.checks.fence.Reached(h.id, h.known, f.stamp, authority))
	if t.to == h {
		t.arriveAtReceiver(h, p)
	} else if t.sends && t.life == h.life {
		t.arriveAtSender(h, p)
	}
}

// arriveAtSender is an answer.
func (t *transfer) arriveAtSender(h *host, p *packet) {
	switch p.kind {
	case packetDone:
		t.sent(nil)
	case packetNo:
		t.sent(p.no)
	case packetReset:
		t.sent(errStream)
	case packetGoOn:
		for _, x := range t.offers {
			if header := x.Header(); header.ID == p.header.ID {
				t.chosen = x
			}
		}
		if t.chosen == nil {
			t.s.broken("courier", fmt.Errorf("node %d is asked for a snapshot that it has not offered", h.id))
			return
		}
		t.moved()
		t.s.after(between(t.s.rng, 0, t.s.plan.ChunkMax), &task{kind: taskDo, host: h, life: h.life, do: func() { t.next(h, p.offset) }})
	}
}

// next sends what comes at offset.
func (t *transfer) next(h *host, offset uint64) {
	if !t.sends {
		return
	}
	out := &packet{t: t, kind: packetChunk, offset: offset}
	header := t.chosen.Header()
	var err error
	if offset == header.BodyLength {
		out.kind = packetTrailer
		out.bytes, err = t.chosen.Trailer()
	} else {
		out.bytes, err = t.chosen.Chunk(nil, offset)
	}
	if err != nil {
		if errors.Is(err, snapshotstream.ErrCorrupt) {
			if aside := h.depot.Store().SetAside(header); aside != nil && !errors.Is(aside, snapshotstream.ErrNotHeld) && !h.depot.Cut() {
				t.s.broken("courier", aside)
			}
		}
		t.sent(err)
		t.reset(h)
		return
	}
	if s := t.s; chance(s.rng, s.rate(s.plan.Flips)) {
		out.bytes[s.rng.IntN(len(out.bytes))] ^= 1 << s.rng.IntN(8)
		s.stats.Flipped++
		s.note("%v is damaged", out)
	}
	t.s.stats.SnapshotBytes += int64(len(out.bytes))
	t.write(h, out)
}

// refuse is a receiver's no.
func (t *transfer) refuse(h *host, why snapshotstream.Reason, err error) {
	t.s.note("node %d refuses transfer %d: %v", h.id, t.id, err)
	t.received()
	t.write(h, &packet{t: t, kind: packetNo, no: &snapshotstream.RefusedError{Reason: why, Detail: err.Error()}})
}

// arriveAtReceiver is what a sender has written.
func (t *transfer) arriveAtReceiver(h *host, p *packet) {
	s := t.s
	if p.kind == packetOffer {
		t.receives, t.toLife = true, h.life
		s.inquire(h, "offer", func(done func(error)) { h.stepper.OfferSnapshot(t.message, done) }, func(err error) {
			switch {
			case !t.receives:
			case err != nil:
				t.refuse(h, snapshotstream.ReasonNotWanted, err)
			default:
				t.accept(h, p.headers)
			}
		})
		return
	}
	if !t.receives || t.toLife != h.life || t.receiver == nil {
		if p.kind != packetReset {
			t.reset(h)
		}
		return
	}
	switch p.kind {
	case packetChunk:
		t.goOn(h, t.receiver.Chunk(p.bytes))
	case packetTrailer:
		header := t.receiver.Header()
		if _, err := t.receiver.Finish(p.bytes); err != nil && !errors.Is(err, snapshotstream.ErrHeld) {
			t.goOn(h, err)
			return
		}
		t.whole(h, header)
	case packetReset:
		t.received()
	}
}

// accept begins to receive, or goes on where an earlier transfer of one of the snapshots has got to.
func (t *transfer) accept(h *host, headers []snapshotstream.Header) {
	store, want := h.depot.Store(), headers[0]
	if staged, _, ok := store.Staged(t.group); ok {
		for _, offered := range headers {
			if offered.ID == staged.ID {
				want = offered
			}
		}
	}
	var err error
	t.receiver, err = store.Accept(want)
	if errors.Is(err, snapshotstream.ErrHeld) {
		t.whole(h, want)
		return
	}
	if err == nil && t.receiver.Offset() > 0 {
		t.s.stats.Resumed++
		t.s.tell("node %d goes on with snapshot %d of group %d at %d, from node %d", h.id, want.Index, t.group, t.receiver.Offset(), t.from.id)
	}
	t.goOn(h, err)
}

// goOn asks for more, or says why there is no use in it.
func (t *transfer) goOn(h *host, err error) {
	var out *snapshotstream.QuarantinedError
	switch {
	case h.depot.Cut():
	case err == nil:
		t.write(h, &packet{t: t, kind: packetGoOn, header: t.receiver.Header(), offset: t.receiver.Offset()})
	case errors.As(err, &out):
		t.s.stats.Struck++
		t.refuse(h, snapshotstream.ReasonQuarantined, err)
	case errors.Is(err, snapshotstream.ErrCorrupt):
		t.s.stats.Corrupt++
		t.refuse(h, snapshotstream.ReasonCorrupt, err)
	case errors.Is(err, snapshotstream.ErrOvertaken): // the newer one came before, and may not be installed
		t.refuse(h, snapshotstream.ReasonOvertaken, err)
		if newest, ok := h.depot.Store().Newest(t.group); ok {
			m := t.message
			m.Index, m.LogTerm = newest.Index, newest.Term
			t.s.inquire(h, "offer", func(done func(error)) { h.stepper.OfferSnapshot(m, done) }, func(err error) {
				if err == nil {
					t.s.install(h, t.group, newest)
				}
			})
		}
	case errors.Is(err, snapshotstream.ErrTakenOver):
		t.s.stats.TakenOver++
		t.refuse(h, snapshotstream.ReasonTakenOver, err)
	case lowSpace(err):
		t.refuse(h, snapshotstream.ReasonNoSpace, err)
	default:
		t.s.broken("courier", err)
	}
}

func lowSpace(err error) bool {
	var low *diskspace.LowError
	return errors.As(err, &low)
}

// whole is a snapshot that the store holds whole and durable: the sender is told, and the engine after it.
func (t *transfer) whole(h *host, header snapshotstream.Header) {
	s := t.s
	s.stats.Received++
	s.tell("node %d holds snapshot %d of group %d from node %d", h.id, header.Index, t.group, t.from.id)
	t.write(h, &packet{t: t, kind: packetDone})
	t.received()
	if chance(s.rng, s.rate(s.plan.DieHolding)) {
		s.later(h, func() { s.die(h) })
		return
	}
	s.install(h, t.group, header)
}

// install has the engine take over a snapshot that the store holds, in a moment.
func (s *Sim) install(h *host, g wire.GroupID, header snapshotstream.Header) {
	s.after(between(s.rng, 0, s.plan.TurnMax), &task{kind: taskDo, host: h, life: h.life, do: func() {
		s.inquire(h, "install", func(done func(error)) { h.stepper.InstallSnapshot(g, header.Snapshot(), done) }, func(err error) {
			s.note("node %d has been told to install snapshot %d of group %d: %v", h.id, header.Index, g, err)
		})
	}})
}

// inquire has an engine asked something for a transfer, whose answer comes once.
func (s *Sim) inquire(h *host, what string, ask func(done func(error)), then func(error)) {
	caller := s.checks.callers.Asked(func() string { return what })
	h.orders = append(h.orders, caller)
	ask(func(err error) {
		s.broken("callers", s.checks.callers.Answered(caller))
		s.later(h, func() { then(err) })
	})
	s.pump(h)
}
