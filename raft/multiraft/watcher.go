package multiraft

import (
	"context"

	"flotilla/raft/wire"
)

// Watcher tells how far one group's machine has applied here (P12). Safe for concurrent use.
type Watcher struct{ g *group }

// Watch returns the watcher of group id.
func (e *Engine) Watch(id wire.GroupID) (*Watcher, error) {
	g := e.lookup(id)
	if g == nil {
		return nil, e.failed(&wire.Error{Code: wire.CodeUnknownGroup, Group: id})
	}
	return &Watcher{g: g}, nil
}

// Applied returns the index up to which everything is visible here. It never falls, and it moves only after the
// data is in (F30).
func (w *Watcher) Applied() wire.Index { return wire.Index(w.g.applied.Load()) }

// Wait returns nil once Applied has reached index. Otherwise a *wire.Error: CodeTimeout or CodeNoLeader when
// ctx ended first, CodeQuarantined or CodeStopped when the group is gone.
func (w *Watcher) Wait(ctx context.Context, index wire.Index) error {
	r, err := w.begin(index, nil)
	if r == nil {
		return err
	}
	out, answered := r.wait(ctx, w.g.id)
	if !answered {
		return w.g.overdue(context.Cause(ctx))
	}
	return out.err
}

// begin returns who waits for index to be told, nil when there is nothing to wait for.
func (w *Watcher) begin(index wire.Index, tell func(outcome)) (*read, error) {
	g := w.g
	if w.Applied() >= index {
		return nil, nil
	}
	if fault := g.fault.Load(); fault != nil {
		return nil, fault
	}
	r := &read{caller: caller{done: make(chan outcome, 1), tell: tell}, g: g, kind: readWait, index: index}
	if !g.e.appliers.read(r) {
		return nil, g.stopped()
	}
	return r, nil
}
