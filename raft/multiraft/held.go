package multiraft

import "flotilla/raft/wire"

// held is what a group's machine had no space for: the batch it refused and the jobs that came behind it. The core
// hands out no more than MaxCommittedBytes before it is applied, which bounds it. Owned by the applier that runs the group.
type held struct {
	batch applyBatch
	jobs  []applyJob
}

// hold keeps the applier's batch for the next try, which comes with a tick.
func (a *applier) hold(g *group, why error) {
	g.run.held.batch, a.applyBatch = a.applyBatch, applyBatch{}
	if !g.stuck.Swap(true) {
		g.e.emit(ApplyWaits{Group: g.id, Err: why})
	}
}

// resume gives the machine again what it had no space for, and puts what came behind it before the jobs of now.
func (a *applier) resume(g *group) error {
	if len(g.run.held.batch.spans) == 0 {
		return nil
	}
	a.applyBatch = g.run.held.batch
	a.jobs = append(g.run.held.jobs, a.jobs...)
	g.run.held = held{}
	if g.fault.Load() != nil {
		a.abandon(g)
		return nil
	}
	return a.flush(g)
}

// freed ends the wait for space, if there was one.
func (g *group) freed() {
	if g.stuck.Load() && g.stuck.Swap(false) {
		g.e.emit(ApplyGoesOn{Group: g.id})
	}
}

// drop answers all who wait for what is held.
func (h *held) drop(g *group, why *wire.Error) {
	h.batch.refuse(g, why)
	for i := range h.jobs {
		h.jobs[i].refuse(why)
	}
	*h = held{}
}
