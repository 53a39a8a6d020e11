package hostsim

import (
	"slices"

	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// forward is one request from a host to another, found again by whoever holds it.
type forward struct {
	s        *Sim
	id       int
	from, to *host
	life     int                 // of from
	toLife   int                 // of to, once it serves
	done     func([]byte, error) // nil once told
	serving  *multiraft.Call
}

// forward implements multiraft.Forwarder.
func (p *port) forward(to wire.NodeID, request []byte, done func([]byte, error)) (cancel func()) {
	s, l := p.h.s, p.h.s.link(p.h.id, to)
	if !l.up {
		done(nil, &wire.Error{Code: wire.CodeUnreachable})
		return func() {}
	}
	s.stats.Forwards++
	f := &forward{s: s, id: s.stats.Forwards, from: p.h, to: l.other(p.h), life: p.h.life, done: done}
	l.forwards = append(l.forwards, f)
	out := s.newFrame(p.h, to, frameRequest, laneForward)
	out.forward, out.body = f, request
	s.write(p.h, out)
	return func() { f.cancel(l) }
}

// complete tells the caller, if it waits.
func (f *forward) complete(reply []byte, err error) {
	f.s.on(f.from, f.life, func() {
		if done := f.done; done != nil {
			f.done = nil
			done(reply, err)
		}
	})
}

// on has do done by the process that was life of h, when it does not stand still, if it still runs.
func (s *Sim) on(h *host, life int, do func()) {
	switch {
	case !h.up || h.life != life:
	case h.paused():
		s.agenda.Add(h.pausedTo, &task{kind: taskDo, host: h, life: life, do: do})
	default:
		if do(); h.up { // else what was done has ended the process
			s.pump(h)
		}
	}
}

// lost ends a request whose connection has ended, on both sides.
func (f *forward) lost() {
	if call := f.serving; call != nil {
		f.serving = nil
		f.s.on(f.to, f.toLife, func() { call.Leave(errGone) })
	}
	f.complete(nil, &wire.Error{Code: wire.CodeUnknownOutcome, Detail: "connection ended before the reply"})
}

// cancel gives up on a request and tells the peer.
func (f *forward) cancel(l *link) {
	f.done = nil
	l.forget(f)
	if l.up {
		out := f.s.newFrame(f.from, f.to.id, frameCancel, laneForward)
		out.forward = f
		f.s.write(f.from, out)
	}
}

func (l *link) forget(f *forward) {
	if i := slices.Index(l.forwards, f); i >= 0 {
		l.forwards = slices.Delete(l.forwards, i, i+1)
	}
}

// forgetForwards drops what a process that died had asked for or was serving.
func (s *Sim) forgetForwards(h *host) {
	for _, o := range s.hosts {
		if o == h {
			continue
		}
		for _, f := range s.link(h.id, o.id).forwards {
			if f.from == h {
				f.done = nil
			} else {
				f.serving = nil
			}
		}
	}
}

// arriveForward handles an admitted frame of the forward lane.
func (s *Sim) arriveForward(h *host, in *frame) {
	f := in.forward
	switch in.kind {
	case frameRequest:
		s.serve(h, in)
	case frameReply:
		in.link.forget(f)
		if in.err != nil {
			f.complete(nil, in.err)
		} else {
			f.complete(in.body, nil)
		}
	case frameCancel:
		if f.serving != nil && f.toLife == h.life {
			f.serving.Leave(errGone)
		}
	}
}

// serve hands a request to the engine. It acts with authority: its sender must have applied the epoch too (P25).
func (s *Sim) serve(h *host, in *frame) {
	f, conn := in.forward, in.conn
	l := in.link
	reply := func(body []byte, err error) {
		f.serving = nil
		if !l.up || l.life != conn || !h.up {
			return
		}
		out := s.newFrame(h, f.from.id, frameReply, laneForward)
		out.forward, out.body = f, body
		if err != nil {
			out.err = travelled(err)
		}
		s.write(h, out)
	}
	if err := h.fence.AdmitAuthority(in.stamp); err != nil && s.plan.sabotage != blindFence {
		reply(nil, &wire.Error{Code: wire.CodeStaleEpoch, Detail: err.Error()})
		return
	}
	s.broken("fence", s.checks.fence.Reached(h.id, h.known, in.stamp, true))
	f.toLife = h.life
	answered := false
	call := h.stepper.HandleForward(f.from.id, in.body, func(body []byte, err error) {
		answered = true
		reply(body, err)
	})
	if !answered {
		f.serving = call
	}
}

// travelled is an error as it comes out of the wire.
func travelled(err error) *wire.Error {
	e := &wire.Error{Code: wire.CodeUnknownOutcome, Detail: err.Error()}
	if w, ok := err.(*wire.Error); ok { // the engine's are
		e = w
	}
	return wire.ReadError(wire.NewReader(wire.AppendError(nil, e)))
}
