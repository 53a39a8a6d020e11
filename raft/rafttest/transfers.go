package rafttest

import (
	"cmp"
	"fmt"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// The simulator as a host that carries snapshots: whole ones, slowly, over a network that loses, delays and repeats them,
// to machines that take their time, fail, or crash half way.

// NeedSnapshot writes a transfer down, unless one is under way already as far as the host knows.
func (s *Sim) NeedSnapshot(n wire.NodeID, need raft.SnapshotNeed) {
	h := s.hosts[n]
	s.after(between(s.rng, 0, 50), task{kind: taskSend, node: n, life: h.life, peer: need.Node, value: uint64(need.Index)})
}

// send begins a transfer and draws its fate.
func (s *Sim) send(t *task) {
	if s.cluster.Stored(t.node) < wire.Index(t.value) || chance(s.rng, 300) {
		_, _ = s.cluster.TakeSnapshot(t.node) // what it has stored will do if not
	}
	transfer, err := s.cluster.SendSnapshot(t.node, t.peer)
	if err != nil {
		s.cluster.Note("%s sends no snapshot to %s: %v", t.node, t.peer, err)
		return
	}
	m := transfer.Message
	took := between(s.rng, 1, s.plan.TransferMax+1)
	s.report(&m, took/2, raft.SnapshotProgress)
	if s.cuts[route{m.From, m.To}] || chance(s.rng, s.rate(s.plan.Drop+50)) {
		s.cluster.Drop(m)
		if !chance(s.rng, s.rate(300)) { // else the host forgets it without a word
			s.report(&m, took, raft.SnapshotFailed)
		}
		return
	}
	s.after(took, task{kind: taskArrive, node: m.To, transfer: transfer})
	if chance(s.rng, s.rate(s.plan.Dup+50)) {
		s.cluster.Duplicate(m)
		s.after(between(s.rng, 1, s.plan.TransferMax+s.plan.LateMax+1), task{kind: taskArrive, node: m.To, transfer: transfer})
	}
}

// report has the sender of a transfer hear of it after a while.
func (s *Sim) report(m *wire.Message, after Time, r raft.SnapshotReport) {
	s.after(after, task{
		kind: taskReport, node: m.From, life: s.hosts[m.From].life, peer: m.To, value: uint64(r), m: wire.Message{Term: m.Term},
	})
}

// receive is the end of a transfer: all of it is on the receiver's disk.
func (s *Sim) receive(t *task) {
	m := &t.transfer.Message
	if s.cuts[route{m.From, m.To}] || !s.cluster.Up(m.To) {
		s.cluster.Drop(*m)
		s.report(m, between(s.rng, 1, 50), raft.SnapshotFailed)
		return
	}
	wanted, err := s.cluster.Receive(t.transfer)
	if err != nil {
		s.cluster.fail("core", fmt.Errorf("node %s refuses %s: %w", m.To, FormatMessage(m), err))
		return
	}
	s.report(m, between(s.rng, 1, 50), raft.SnapshotSent)
	if !wanted {
		return
	}
	later := Time(0)
	if chance(s.rng, 400) {
		later = between(s.rng, 1, s.plan.TransferMax+1)
	}
	s.after(later, task{kind: taskInstall, node: m.To, life: s.hosts[m.To].life, transfer: t.transfer})
}

// install has a machine begin to take a snapshot over, and draws how that ends.
func (s *Sim) install(t *task) {
	if err := s.cluster.BeginInstall(t.transfer); err != nil {
		s.cluster.Note("%s installs no snapshot: %v", t.node, err)
		return
	}
	end := task{kind: taskInstalled, node: t.node, life: t.life}
	if chance(s.rng, s.rate(100)) {
		end.kind = taskAbandon
	}
	took := between(s.rng, 0, s.plan.TransferMax+1)
	s.after(took, end)
	if chance(s.rng, s.rate(150)) { // around the moment when the machine is there and the log is not
		s.after(took+between(s.rng, -5, s.plan.SyncMax+1), task{kind: taskDie, node: t.node, life: t.life})
	}
}

// compact lets a node's log begin later, after it has stored a snapshot, mostly.
func (s *Sim) compact(n wire.NodeID) {
	if !s.cluster.Up(n) {
		return
	}
	if chance(s.rng, 900) {
		if _, err := s.cluster.TakeSnapshot(n); err != nil {
			s.cluster.Note("%s makes no snapshot: %v", n, err)
		}
	}
	to := s.cluster.Stored(n)
	if slack := wire.Index(s.rng.IntN(20)); chance(s.rng, 500) && to > slack {
		to -= slack
	}
	s.cluster.Note("%s compacts to %d", n, s.cluster.Compact(n, to, cmp.Or(wire.Index(s.plan.KeepEntries), to)))
}

// restart starts a node; if its log has not caught up with its machine, chance says which of the two wins.
func (s *Sim) restart(n wire.NodeID) {
	if chance(s.rng, 500) && s.cluster.FinishInstall(n) {
		s.stats.Finished++
		s.cluster.Note("%s finishes an install", n)
	}
	s.cluster.Restart(n)
}
