package multiraft

import (
	"context"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// Change has a set of changes of group id's membership committed and applied here, or on the leader. One set
// at a time (F13); learners are promoted by the loop when they have caught up (P14). A set that moves more than one
// voter has brought about a joint configuration when this returns, which the leader leaves by itself (GroupStatus
// tells when). CodeConflict: the membership is not the one that set was meant for. set must not change afterwards.
func (e *Engine) Change(ctx context.Context, id wire.GroupID, set wire.ChangeSet) error {
	g, err := e.group(id)
	if err != nil {
		return err
	}
	to := g.leaderElsewhere()
	if to == wire.NoNode {
		_, err = e.proposeHere(ctx, g, nil, &set)
		to = e.hint(err)
	}
	if to != wire.NoNode {
		_, err = e.forward(ctx, to, forwardRequest{group: id, op: opChange, data: wire.AppendChangeSet(nil, &set)})
	}
	return err
}

func (e *Engine) handleChange(ctx context.Context, g *group, data []byte) (Result, error) {
	set, err := readForwardedChange(g.id, data)
	if err != nil {
		return Result{}, err
	}
	return e.proposeHere(ctx, g, nil, set)
}

// readForwardedChange decodes the data of opChange.
func readForwardedChange(id wire.GroupID, data []byte) (*wire.ChangeSet, error) {
	r := wire.NewReader(data)
	set := wire.ReadChangeSet(r)
	if err := r.Done(); err != nil {
		return nil, &wire.Error{Code: wire.CodeBadRequest, Group: id, Cause: err}
	}
	return &set, nil
}

// applyChange makes the change in e take effect. One that fails stops nothing (P9): the core refuses it
// everywhere alike.
func (w *worker) applyChange(g *group, e *wire.Entry) {
	members, err := g.core.ApplyChange(*e)
	if err != nil {
		w.e.stats.changeErrors.Add(1)
		w.e.emit(ChangeRefused{Group: g.id, Index: e.Index, Err: err})
	}
	if g.promote != 0 && e.Index >= g.promote {
		g.promote = 0
	}
	v := *g.view.Load()
	if err == nil && members.Index != v.members.Index {
		v.members = members
		g.view.Store(&v)
		w.e.emit(MembershipChanged{Group: g.id, Membership: members})
	}
}

// promoteLearners proposes to make voters of learners that have caught up, one of a group at a time (P14). If
// another change is under way the core refuses, and names the learner again later.
func (w *worker) promoteLearners() {
	for _, g := range w.active {
		node := g.learner
		g.learner = wire.NoNode
		if node == wire.NoNode || g.promote != 0 || g.view.Load().role != raft.Leader {
			continue
		}
		w.visit(g, func(core *raft.Core) {
			index, _, err := core.ProposeChange(wire.OneChange(wire.ChangePromote, node))
			if err == nil {
				g.promote = index
				w.e.stats.promotions.Add(1)
			}
		})
	}
}

// transferWait is a caller that waits for leadership to move.
type transferWait struct {
	caller
	to  wire.NodeID
	age int // ticks
}

// TransferLeader hands group id's leadership to a voter and returns when this node has seen it there.
func (e *Engine) TransferLeader(ctx context.Context, id wire.GroupID, to wire.NodeID) error {
	g, err := e.group(id)
	if err != nil {
		return err
	}
	if g.view.Load().leader == to {
		return nil
	}
	leader := g.leaderElsewhere()
	if leader == wire.NoNode {
		err = e.transferHere(ctx, g, to)
		leader = e.hint(err)
	}
	if leader != wire.NoNode {
		err = e.TransferLeaderAt(ctx, leader, id, to)
	}
	return err
}

// TransferLeaderAt is TransferLeader at node at, which need not lead the group; it does not forward again (D40).
func (e *Engine) TransferLeaderAt(ctx context.Context, at wire.NodeID, id wire.GroupID, to wire.NodeID) error {
	_, err := e.forward(ctx, at, forwardRequest{group: id, op: opTransfer, data: appendTransfer(nil, to)})
	return err
}

func (e *Engine) handleTransfer(ctx context.Context, g *group, data []byte) error {
	to, err := readTransfer(g.id, data)
	if err != nil || g.view.Load().leader == to {
		return err
	}
	return e.transferHere(ctx, g, to)
}

// readTransfer decodes the data of opTransfer.
func readTransfer(id wire.GroupID, data []byte) (wire.NodeID, error) {
	r := wire.NewReader(data)
	r.Array(1)
	to := wire.NodeID(r.UintMax(uint64(wire.MaxNodeID)))
	if err := r.Done(); err != nil {
		return wire.NoNode, &wire.Error{Code: wire.CodeBadRequest, Group: id, Cause: err}
	}
	return to, nil
}

func appendTransfer(dst []byte, to wire.NodeID) []byte {
	return wire.AppendUint(wire.AppendArray(dst, 1), uint64(to))
}

// transferHere orders the local core to hand over.
func (e *Engine) transferHere(ctx context.Context, g *group, to wire.NodeID) error {
	t := &transferWait{caller: caller{done: make(chan outcome, 1)}, to: to}
	if !t.order(g) {
		return e.failed(g.stopped())
	}
	out, _ := t.wait(ctx, g.id)
	if out.err != nil {
		return e.failed(out.err)
	}
	return nil
}

// order leaves t with the owner of g; false after close.
func (t *transferWait) order(g *group) bool {
	return g.w.inbox.order(func(w *worker) { w.beginTransfer(g, t) })
}

func (w *worker) beginTransfer(g *group, t *transferWait) {
	if !t.take() {
		return
	}
	if w.fenced {
		t.answer(outcome{err: g.errorf(wire.CodeStorage, "the log is fenced")})
		return
	}
	if g.core == nil {
		t.answer(outcome{err: g.fault.Load()})
		return
	}
	g.transfer = append(g.transfer, t) // before the core is called: a panic answers it
	w.visit(g, func(core *raft.Core) {
		if err := core.TransferTo(t.to); err != nil {
			g.transfer = g.transfer[:len(g.transfer)-1]
			t.answer(outcome{err: g.typed(err)})
		}
	})
}

// settleTransfers answers those who wait for a transfer when a leader is known.
func (g *group) settleTransfers(leader wire.NodeID) {
	kept := g.transfer[:0]
	for _, t := range g.transfer {
		switch leader {
		case t.to:
			t.answer(outcome{})
		case wire.NoNode, g.e.cfg.Self:
			kept = append(kept, t)
		default:
			t.answer(outcome{err: &wire.Error{
				Code: wire.CodeNotApplied, Group: g.id, Leader: leader,
				Detail: "another node won the election",
			}})
		}
	}
	clear(g.transfer[len(kept):])
	g.transfer = kept
}

// ageTransfers ends those that two election timeouts did not bring about.
func (g *group) ageTransfers() {
	for _, t := range g.transfer {
		if t.age++; t.age > 2*g.e.cfg.electionTicks() {
			g.endTransfers(g.errorf(wire.CodeNotApplied, "node %d did not take over in time", t.to))
			return
		}
	}
}

func (g *group) endTransfers(why *wire.Error) {
	for _, t := range g.transfer {
		t.answer(outcome{err: why})
	}
	g.transfer = nil
}

// successor returns the voter that is best placed to take over, NoNode when there is none.
func successor(core *raft.Core) wire.NodeID {
	status := core.Status()
	best := raft.FollowerStatus{}
	for _, f := range status.Followers {
		if f.Learner {
			continue
		}
		if best.Node == wire.NoNode || f.Match > best.Match || f.Match == best.Match && f.QuietTicks < best.QuietTicks {
			best = f
		}
	}
	return best.Node
}
