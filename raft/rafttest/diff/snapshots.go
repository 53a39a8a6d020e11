package main

import (
	etcd "go.etcd.io/raft/v3"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// snapshot lets both halves of p store the same snapshot, if both have applied the same.
func (w *world) snapshot(p *pair) {
	if p.alive && (p.ours.applied != p.theirs.applied || p.ours.moving > 0 || p.theirs.moving > 0) {
		w.sync(p, all)
	}
	if !p.alive || p.ours.applied != p.theirs.applied || p.ours.applied <= p.ours.snap.Index {
		return
	}
	s, err := p.ours.core.SnapshotAt(p.ours.applied)
	if err != nil {
		w.failf(p, "snapshot at %d, which is applied: %v", p.ours.applied, err)
		return
	}
	p.ours.snap, p.theirs.snap = s, s
	w.tracef("%5d %d stores snapshot %d\n", w.steps, p.id, s.Index)
}

// compact lets p go of some of what its snapshot holds. What goes is the core's to say; the reference leaves it to its
// storage, which follows.
func (w *world) compact(p *pair) {
	w.sync(p, all)
	if !p.alive || w.failure != nil {
		return
	}
	if w.rng.IntN(4) > 0 {
		w.snapshot(p)
	}
	to := p.ours.snap.Index
	if to == 0 {
		return
	}
	if n := w.rng.IntN(8); w.rng.IntN(2) == 0 && wire.Index(n) < to {
		to -= wire.Index(n)
	}
	w.say("compact %d to %d", p.id, to)
	w.act(p, &cause{kind: doCompact}, func() { p.ours.core.Compact(to, to-1) })
}

// lag cuts p off while the others get on and let go of what it lacks.
func (w *world) lag(p *pair) {
	leader := w.leader()
	if leader == nil || leader == p {
		return
	}
	for range 1 + w.rng.IntN(5) {
		w.propose(leader)
	}
	w.quiesce(40, p.id)
	w.compact(leader)
}

// missed tells the leader that a snapshot got lost.
func (w *world) missed(m *message) {
	if m.typ != wire.MsgSnapshot {
		return
	}
	for side := range sideNames {
		w.failed(w.nodes[m.from], side, m)
	}
}

// failed tells one half of p that a snapshot which it sent in this term will not arrive. It has no consequences in this
// step.
func (w *world) failed(p *pair, side int, m *message) {
	if !p.alive || p.now.role != raft.Leader || p.now.term != m.term {
		return
	}
	if side == sideOurs {
		p.ours.core.ReportSnapshot(m.to, m.term, raft.SnapshotFailed)
	} else {
		p.theirs.node.ReportSnapshot(uint64(m.to), etcd.SnapshotFailure)
	}
}

// arrived tells the leader that the receiver of a snapshot has the data.
func (w *world) arrived(m *message) {
	p := w.nodes[m.from]
	if !p.alive || p.now.role != raft.Leader || p.now.term != m.term {
		return
	}
	p.ours.core.ReportSnapshot(m.to, m.term, raft.SnapshotSent)
	p.theirs.node.ReportSnapshot(uint64(m.to), etcd.SnapshotFinish)
}

// rightSnapshot reports whether what a snapshot says is committed, and the membership that of its index. Who says it leads, or has
// led until this very step took it out of the voters.
func (w *world) rightSnapshot(p *pair, m *message) bool {
	office := leads(&p.now) || leads(&p.before) && !p.now.voting().has(p.id)
	return office && m.term == p.now.term && m.index <= p.now.applied && termAt(p.ours.log, m.index) == m.logTerm &&
		m.snap.Index == p.ours.snap.Index && m.snap.Membership.Equal(&p.ours.snap.Membership)
}
