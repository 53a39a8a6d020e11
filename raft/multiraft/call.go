package multiraft

import (
	"slices"

	"flotilla/raft/wire"
)

// Forwarder carries one request to node to's Stepper.HandleForward and has done called once with what came of it, now or
// later; errors are those of Transport.Forward. After cancel, which may come late, done may be called or not.
type Forwarder func(to wire.NodeID, request []byte, done func(reply []byte, err error)) (cancel func())

// Call is a request under way in a stepped engine. Whoever made it is told its outcome once, perhaps before the method
// that made it returns.
type Call struct {
	s      *Stepper
	id     wire.GroupID
	done   func(Result, error) // nil once told
	local  *caller             // what waits here, nil for nothing
	cancel func()              // of what waits elsewhere, nil for nothing
	// overdue says what it means that the caller left, nil for what caller.leave says.
	overdue func(cause error) *wire.Error
}

// Leave gives up, as the end of a context does: the caller is told at once, unless it has been told.
func (c *Call) Leave(cause error) {
	if c.done == nil {
		return
	}
	err := &wire.Error{Code: wire.CodeUnknownOutcome, Group: c.id, Detail: "no reply in time", Cause: cause}
	if c.cancel != nil {
		c.cancel()
	} else if c.local != nil {
		err = c.local.leave(c.id, cause)
	}
	if c.overdue != nil {
		err = c.overdue(cause)
	}
	c.finish(Result{}, c.s.e.failed(err))
}

// finish tells the caller, if nobody has.
func (c *Call) finish(r Result, err error) {
	if done := c.done; done != nil {
		c.done, c.local, c.cancel = nil, nil, nil
		done(r, err)
	}
}

// Propose is Engine.Propose.
func (s *Stepper) Propose(id wire.GroupID, data []byte, done func(Result, error)) *Call {
	return s.propose(id, forwardRequest{group: id, op: opPropose, data: data}, nil, done)
}

// Change is Engine.Change.
func (s *Stepper) Change(id wire.GroupID, set wire.ChangeSet, done func(error)) *Call {
	return s.propose(id, forwardRequest{group: id, op: opChange, data: wire.AppendChangeSet(nil, &set)}, &set, resultless(done))
}

func resultless(done func(error)) func(Result, error) {
	return func(_ Result, err error) { done(err) }
}

// propose leaves a command or a change here, and takes the one hop to the leader where that is elsewhere.
func (s *Stepper) propose(id wire.GroupID, req forwardRequest, set *wire.ChangeSet, done func(Result, error)) *Call {
	c := &Call{s: s, id: id, done: done}
	g, err := s.e.group(id)
	switch {
	case err != nil:
		c.finish(Result{}, err)
	case g.leaderElsewhere() != wire.NoNode:
		c.hop(g.leaderElsewhere(), req)
	default:
		c.here(g, req.command(), set, func(r Result, err error) {
			if to := s.e.hint(err); to != wire.NoNode {
				c.hop(to, req)
				return
			}
			c.finish(r, err)
		})
	}
	return c
}

// command returns what a request wants proposed: nothing for a change.
func (r *forwardRequest) command() []byte {
	if r.op == opPropose {
		return r.data
	}
	return nil
}

// here leaves a proposal with the local core.
func (c *Call) here(g *group, data []byte, set *wire.ChangeSet, then func(Result, error)) {
	e := c.s.e
	var p *proposal
	p, err := e.beginProposal(g, data, set, func(out outcome) {
		c.local = nil
		e.recycle(p)
		if c.done != nil {
			then(out.result, out.err)
		}
	})
	if err != nil {
		then(Result{}, e.failed(err))
		return
	}
	c.local = &p.caller
}

// hop asks another node.
func (c *Call) hop(to wire.NodeID, req forwardRequest) {
	e := c.s.e
	if err := e.beginForward(&req); err != nil {
		c.finish(Result{}, e.failed(err))
		return
	}
	c.local = nil
	c.s.hops = append(c.s.hops, c)
	landed := func() bool {
		at := slices.Index(c.s.hops, c)
		if at < 0 {
			return false
		}
		c.s.hops = slices.Delete(c.s.hops, at, at+1)
		e.bytes.Add(-req.cost())
		return true
	}
	cancel := c.s.forward(to, req.append(make([]byte, 0, len(req.data)+16)), func(reply []byte, err error) {
		if landed() {
			c.finish(e.endForward(req.group, reply, err))
		}
	})
	c.cancel = func() {
		if landed() {
			cancel()
		}
	}
}

// Query is Engine.Query.
func (s *Stepper) Query(id wire.GroupID, request []byte, done func([]byte, error)) *Call {
	return s.query(id, request, readLinear, done)
}

// QueryStale is Engine.QueryStale.
func (s *Stepper) QueryStale(id wire.GroupID, request []byte, done func([]byte, error)) *Call {
	return s.query(id, request, readStale, done)
}

func (s *Stepper) query(id wire.GroupID, request []byte, kind readKind, done func([]byte, error)) *Call {
	c := &Call{s: s, id: id, done: func(r Result, err error) { done(r.Value, err) }}
	g, err := s.e.group(id)
	if err != nil {
		c.finish(Result{}, err)
		return c
	}
	c.read(&read{g: g, kind: kind, request: request})
	return c
}

// read leaves r with the engine.
func (c *Call) read(r *read) {
	e := c.s.e
	c.overdue = r.g.overdue
	r.tell = func(out outcome) {
		switch {
		case c.done == nil:
		case out.err != nil:
			c.finish(Result{}, e.failed(out.err))
		default:
			e.stats.reads.Add(1)
			c.finish(Result{Value: out.result.Value}, nil)
		}
	}
	if err := e.beginRead(r); err != nil {
		c.finish(Result{}, e.failed(err))
		return
	}
	c.local = &r.caller
}

// Transfer is Engine.TransferLeader.
func (s *Stepper) Transfer(id wire.GroupID, to wire.NodeID, done func(error)) *Call {
	c := &Call{s: s, id: id, done: resultless(done)}
	g, err := s.e.group(id)
	switch {
	case err != nil:
		c.finish(Result{}, err)
		return c
	case g.view.Load().leader == to:
		c.finish(Result{}, nil)
		return c
	}
	req := forwardRequest{group: id, op: opTransfer, data: appendTransfer(nil, to)}
	if leader := g.leaderElsewhere(); leader != wire.NoNode {
		c.hop(leader, req)
		return c
	}
	c.transfer(g, to, func(err error) {
		if leader := s.e.hint(err); leader != wire.NoNode {
			c.hop(leader, req)
			return
		}
		c.finish(Result{}, err)
	})
	return c
}

// transfer orders the local core to hand over.
func (c *Call) transfer(g *group, to wire.NodeID, then func(error)) {
	e := c.s.e
	t := &transferWait{to: to}
	t.tell = func(out outcome) {
		c.local = nil
		if c.done == nil {
			return
		}
		if out.err != nil {
			_ = e.failed(out.err)
		}
		then(out.err)
	}
	c.local = &t.caller
	if !t.order(g) {
		then(e.failed(g.stopped()))
	}
}

// HandleForward is Engine.HandleForward: it serves what another node forwarded and takes no second hop.
func (s *Stepper) HandleForward(from wire.NodeID, request []byte, done func(reply []byte, err error)) *Call {
	c := &Call{s: s}
	req, g, err := s.e.forwarded(from, request)
	c.id = req.group
	c.done = func(r Result, err error) {
		if err != nil {
			done(nil, typed(c.id, err, wire.CodeInternal))
			return
		}
		done(appendForwardReply(make([]byte, 0, len(r.Value)+32), r), nil)
	}
	if err == nil {
		err = c.serve(g, &req)
	}
	if err != nil {
		c.finish(Result{}, err)
	}
	return c
}

// serve begins what req asks for, or says what is wrong with it.
func (c *Call) serve(g *group, req *forwardRequest) error {
	switch req.op {
	case opPropose:
		c.here(g, req.data, nil, c.finish)
	case opQuery:
		c.read(&read{g: g, kind: readLinear, request: req.data})
	case opQueryStale:
		c.read(&read{g: g, kind: readStale, request: req.data})
	case opChange:
		set, err := readForwardedChange(g.id, req.data)
		if err != nil {
			return err
		}
		c.here(g, nil, set, c.finish)
	case opTransfer:
		to, err := readTransfer(g.id, req.data)
		if err != nil {
			return err
		}
		c.transfer(g, to, func(err error) { c.finish(Result{}, err) })
	}
	return nil
}

// Wait is Watcher.Wait on group id.
func (s *Stepper) Wait(id wire.GroupID, index wire.Index, done func(error)) *Call {
	c := &Call{s: s, id: id, done: resultless(done)}
	w, err := s.e.Watch(id)
	if err != nil {
		c.finish(Result{}, err)
		return c
	}
	r, err := w.begin(index, func(out outcome) { c.finish(Result{}, out.err) })
	switch {
	case err != nil || r == nil:
		c.finish(Result{}, err)
	default:
		c.local, c.overdue = &r.caller, w.g.overdue
	}
	return c
}
