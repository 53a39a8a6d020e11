package multiraft

import (
	"context"
	"errors"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// proposal is a command, or a change of the membership, on its way through a group's log.
type proposal struct {
	caller
	g      *group
	data   []byte
	change *wire.ChangeSet // nil for a command
	empty  bool            // an entry without content
	cost   int
}

// Propose has data applied by group id's machine and returns its result. On another node than the leader's the
// request takes one hop to the leader known here (P18). Errors are *wire.Error, whose codes say whether data was
// applied (N7); without a known leader it fails at once with CodeNoLeader. data must not change afterwards.
func (e *Engine) Propose(ctx context.Context, id wire.GroupID, data []byte) (Result, error) {
	g, err := e.group(id)
	if err != nil {
		return Result{}, err
	}
	if to := g.leaderElsewhere(); to != wire.NoNode {
		return e.ProposeAt(ctx, to, id, data)
	}
	result, err := e.proposeHere(ctx, g, data, nil)
	if to := e.hint(err); to != wire.NoNode {
		return e.ProposeAt(ctx, to, id, data)
	}
	return result, err
}

// hint returns the other node that err names as leader.
func (e *Engine) hint(err error) wire.NodeID {
	var w *wire.Error
	if err == nil || !errors.As(err, &w) || w.Code != wire.CodeNotLeader || w.Leader == e.cfg.Self {
		return wire.NoNode
	}
	return w.Leader
}

// proposeHere proposes to the local core, whatever its role.
func (e *Engine) proposeHere(ctx context.Context, g *group, data []byte, set *wire.ChangeSet) (Result, error) {
	if err := context.Cause(ctx); err != nil {
		return Result{}, e.failed(&wire.Error{Code: wire.CodeTimeout, Group: g.id, Cause: err})
	}
	p, err := e.beginProposal(g, data, set, nil)
	if err != nil {
		return Result{}, e.failed(err)
	}
	out, answered := p.wait(ctx, g.id)
	if !answered {
		return Result{}, e.failed(out.err)
	}
	e.recycle(p)
	return out.result, out.err
}

// beginProposal leaves a proposal with the local core, or says why not. Its outcome goes to tell, or to whoever waits.
func (e *Engine) beginProposal(g *group, data []byte, set *wire.ChangeSet, tell func(outcome)) (*proposal, error) {
	if len(data) > MaxCommandBytes {
		return nil, g.errorf(wire.CodeTooLarge, "a command of %d bytes, %d at most", len(data), MaxCommandBytes)
	}
	if err := g.vetted(data, set); err != nil {
		return nil, err
	}
	p := e.newProposal(g, data, set)
	p.tell = tell
	if err := g.reserve(p.cost); err != nil {
		return nil, err
	}
	if !g.w.inbox.propose(p) {
		g.release(p.cost)
		return nil, g.stopped()
	}
	return p, nil
}

// newProposal returns a proposal that nobody else holds.
func (e *Engine) newProposal(g *group, data []byte, set *wire.ChangeSet) *proposal {
	p, ok := e.proposals.Get().(*proposal)
	if !ok {
		p = &proposal{caller: caller{done: make(chan outcome, 1)}}
	}
	p.g, p.data, p.change, p.cost = g, data, set, len(data)+commandOverhead
	p.state.Store(callerWaiting)
	return p
}

// recycle takes back a proposal whose outcome its caller has read.
func (e *Engine) recycle(p *proposal) {
	p.g, p.data, p.change, p.empty, p.tell = nil, nil, nil, false, nil
	e.proposals.Put(p)
}

// settle answers p and gives its room back. Called once, by whoever holds p then.
func (p *proposal) settle(result Result, err error) {
	g := p.g
	g.release(p.cost)
	if err != nil {
		_ = g.e.failed(err)
	} else {
		g.e.stats.applied.Add(1)
	}
	p.answer(outcome{result: result, err: err})
}

// pendingEntry are the proposals that went into one entry, in the order of the entry's commands.
type pendingEntry struct {
	index wire.Index
	term  wire.Term
	props []*proposal
}

// pendingBook keeps the proposals under way of one group in the order they were proposed, so terms never
// fall in it and within a term indexes rise. Owner: the worker.
type pendingBook struct {
	entries []pendingEntry
	head    int // entries before it are settled
}

// len returns the number of entries waited for.
func (b *pendingBook) len() int { return len(b.entries) - b.head }

// add keeps what was proposed at index and term.
func (b *pendingBook) add(p pendingEntry) {
	if n := b.len(); n > 0 {
		last := &b.entries[len(b.entries)-1]
		assert.That(p.term > last.term || p.term == last.term && p.index > last.index,
			"proposals in order: %d/%d after %d/%d", p.index, p.term, last.index, last.term)
	} else {
		b.entries, b.head = b.entries[:0], 0
	}
	b.entries = append(b.entries, p)
}

// commit learns that the entry at index carries term for good. It returns the proposals in this entry, and
// settles those that now never can be: terms in a log only rise, so whatever an earlier term proposed at
// this index or beyond was superseded (N7).
func (b *pendingBook) commit(g *group, index wire.Index, term wire.Term) []*proposal {
	for b.len() > 0 {
		p := b.entries[b.head]
		if p.term == term && p.index == index {
			b.pop()
			return p.props
		}
		if p.term >= term && p.index > index {
			return nil
		}
		b.pop()
		for _, prop := range p.props {
			prop.settle(Result{}, g.errorf(wire.CodeNotApplied, "another leader's entry took its place"))
		}
	}
	return nil
}

func (b *pendingBook) pop() {
	b.entries[b.head] = pendingEntry{}
	b.head++
}

// drop settles everything with why.
func (b *pendingBook) drop(why *wire.Error) {
	for b.len() > 0 {
		p := b.entries[b.head]
		b.pop()
		for _, prop := range p.props {
			prop.settle(Result{}, why)
		}
	}
}
