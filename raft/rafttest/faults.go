package rafttest

import (
	"bytes"
	"fmt"
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// disturb does one of the recurring things, load and faults, and writes the next of its kind down.
func (s *Sim) disturb(t *task) {
	if s.heal.begun {
		return
	}
	p := &s.plan
	switch t.kind {
	case taskPropose:
		s.propose()
		s.repeat(t.kind, p.ProposeEvery)
	case taskRead:
		if t.node != wire.NoNode {
			s.read(t.node)
			return
		}
		s.read(s.someone())
		s.repeat(t.kind, p.ReadEvery)
	case taskCrash:
		s.crashSome()
		s.repeat(t.kind, p.CrashEvery)
	case taskPause:
		s.pause(s.someone())
		s.repeat(t.kind, p.PauseEvery)
	case taskCut:
		s.cut()
		s.repeat(t.kind, p.CutEvery)
	case taskChange:
		s.change()
		s.repeat(t.kind, p.ChangeEvery)
	case taskTransfer:
		if l := s.leader(); l != wire.NoNode {
			to := s.anyone()
			s.cluster.Note("%s is to hand over to %s%s", l, to, formatError(s.cluster.Transfer(l, to)))
		}
		s.repeat(t.kind, p.TransferEvery)
	case taskCampaign:
		n := s.anyone()
		s.cluster.Note("%s is told to campaign", n)
		s.cluster.Campaign(n)
		s.repeat(t.kind, p.CampaignEvery)
	case taskUnreachable:
		s.mislead(s.anyone(), s.anyone())
		s.repeat(t.kind, p.UnreachableEvery)
	case taskCompact:
		s.compact(s.anyone())
		s.repeat(t.kind, p.CompactEvery)
	}
}

// mislead has the transport of a tell something of b, true or not: mostly that a send failed, now and then that b
// has stopped on purpose.
func (s *Sim) mislead(a, b wire.NodeID) {
	switch {
	case a == b:
	case chance(s.rng, 200) && s.plan.Core.LeaseMargin == 0: // with leases nobody lies about that
		s.cluster.Note("%s hears that %s has stopped", a, b)
		s.cluster.LeaderGone(a, b)
	default:
		s.cluster.Unreachable(a, b)
	}
}

// anyone draws a node.
func (s *Sim) anyone() wire.NodeID {
	nodes := s.cluster.Nodes()
	return nodes[s.rng.IntN(len(nodes))]
}

// someone draws a node; every other time one that regards itself as leader, be it rightly or not.
func (s *Sim) someone() wire.NodeID {
	if l := s.leader(); l != wire.NoNode && chance(s.rng, 500) {
		return l
	}
	return s.anyone()
}

// leader draws one of those who regard themselves as leader.
func (s *Sim) leader() wire.NodeID {
	var leaders []wire.NodeID
	for _, n := range s.cluster.Nodes() {
		if r := s.cluster.model.Replica(n); r.Alive && r.Now.Role == raft.Leader {
			leaders = append(leaders, n)
		}
	}
	if len(leaders) == 0 {
		return wire.NoNode
	}
	return leaders[s.rng.IntN(len(leaders))]
}

func (s *Sim) propose() {
	n := s.anyone()
	if l := s.leader(); l != wire.NoNode && chance(s.rng, 900) {
		n = l
	}
	burst := 1
	if chance(s.rng, 100) {
		burst = 1 + s.rng.IntN(20)
	}
	for range burst {
		s.asked++
		data := fmt.Appendf(nil, "v%d", s.asked)
		if chance(s.rng, 50) {
			data = append(data, bytes.Repeat([]byte{'.'}, s.rng.IntN(1500))...)
		}
		_, _, _ = s.cluster.Propose(n, data) // refusals are counted by the stats
	}
}

func (s *Sim) read(n wire.NodeID) {
	if s.cluster.Up(n) && s.hosts[n].pausedTo <= s.cluster.now {
		s.asked++
		s.cluster.Read(n, s.asked)
	}
}

// crashSome crashes one node, now and then all of them at once.
func (s *Sim) crashSome() {
	victims := []wire.NodeID{s.someone()}
	if chance(s.rng, 50) {
		victims = s.cluster.Nodes()
	}
	for _, n := range victims {
		s.crash(n)
	}
}

func (s *Sim) crash(n wire.NodeID) {
	if !s.cluster.Up(n) {
		return
	}
	h := s.hosts[n]
	h.life++
	*h = host{life: h.life, tick: h.tick}
	s.cluster.Crash(n)
	switch d := s.cluster.Disk(n); s.plan.sabotage {
	case forgetVote:
		d.hard.Term, d.hard.Vote = 0, wire.NoNode
	case forgetTail:
		if first, last := d.Bounds(); last > first {
			d.entries = d.entries[:len(d.entries)-1]
			d.hard.Commit = min(d.hard.Commit, last-1)
		}
	}
	s.after(between(s.rng, 1, s.plan.DownMax+1), task{kind: taskRestart, node: n, life: h.life})
}

// pause stops a node without telling it, as SIGSTOP does. Some wake up to a question, before they have read a message.
func (s *Sim) pause(n wire.NodeID) {
	h := s.hosts[n]
	if !s.cluster.Up(n) || h.pausedTo > s.cluster.now {
		return
	}
	d := between(s.rng, 1, s.plan.PauseMax+1)
	h.pausedTo = s.cluster.now + d
	s.cluster.Note("%s stands still for %s", n, d)
	s.after(d, task{kind: taskResume, node: n, life: h.life, value: uint64(d / h.tick)})
	if chance(s.rng, 700) {
		s.after(d, task{kind: taskRead, node: n, life: h.life})
	}
}

// cut draws a partition, unless there is one.
func (s *Sim) cut() {
	if len(s.cuts) > 0 {
		return
	}
	nodes := s.cluster.Nodes()
	one := s.someone()
	switch s.rng.IntN(5) {
	case 0: // one node alone
		s.sever([]wire.NodeID{one}, without(nodes, one), true, true)
	case 1: // two camps
		s.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		k := s.rng.IntN(len(nodes))
		s.sever(nodes[:k], nodes[k:], true, true)
	case 2: // one node is heard and hears nothing, or the other way round
		out := chance(s.rng, 500)
		s.sever([]wire.NodeID{one}, without(nodes, one), out, !out)
	case 3: // two camps with one node in both
		rest := without(nodes, one)
		k := len(rest) / 2
		s.sever(rest[:k], rest[k:], true, true)
	case 4: // any links
		for _, a := range nodes {
			for _, b := range nodes {
				if a != b && chance(s.rng, 300) {
					s.cuts[route{a, b}] = true
				}
			}
		}
		s.cluster.Note("%s are cut", Plural(len(s.cuts), "link"))
	}
	s.after(between(s.rng, 1, s.plan.CutMax+1), task{kind: taskHealCut})
}

func without(nodes []wire.NodeID, n wire.NodeID) []wire.NodeID {
	return slices.DeleteFunc(slices.Clone(nodes), func(o wire.NodeID) bool { return o == n })
}

// sever cuts the links from as to bs, and those back.
func (s *Sim) sever(as, bs []wire.NodeID, there, back bool) {
	for _, a := range as {
		for _, b := range bs {
			if there {
				s.cuts[route{a, b}] = true
			}
			if back {
				s.cuts[route{b, a}] = true
			}
		}
	}
	s.cluster.Note("cut: %v to %v %t, back %t", as, bs, there, back)
}

func (s *Sim) mend() {
	clear(s.cuts)
	s.cluster.Note("all links are whole")
}

// change asks a leader for a change of the membership, sensible or not.
func (s *Sim) change() {
	l := s.leader()
	if l == wire.NoNode {
		return
	}
	set := s.drawChanges(l)
	for _, ch := range set.Changes {
		if s.hosts[ch.Node] == nil {
			s.start(ch.Node)
		}
	}
	_, _, err := s.cluster.Change(l, set)
	s.cluster.Note("%s is asked to %s%s", l, FormatChangeSet(&set), formatError(err))
}

// drawChanges draws one change, or an exchange of several; now and then for one membership only, the present one or
// another.
func (s *Sim) drawChanges(l wire.NodeID) wire.ChangeSet {
	set := wire.ChangeSet{Changes: []wire.Change{s.drawChange(l)}}
	for chance(s.rng, s.plan.Together) {
		ch := s.drawChange(l)
		if !slices.ContainsFunc(set.Changes, func(c wire.Change) bool { return c.Node == ch.Node }) {
			set.Changes = append(set.Changes, ch)
		}
	}
	if chance(s.rng, 200) {
		set.SetBase, set.Base = true, s.cluster.model.Replica(l).Membership.Index
		if chance(s.rng, 300) {
			set.Base++
		}
	}
	return set
}

func (s *Sim) drawChange(l wire.NodeID) wire.Change {
	m := s.cluster.model.Replica(l).Membership
	if ready := s.cluster.Promotable(l); len(ready) > 0 && chance(s.rng, 500) {
		return wire.Change{Kind: wire.ChangePromote, Node: ready[s.rng.IntN(len(ready))]}
	}
	any := wire.NodeID(1 + s.rng.IntN(s.plan.Voters+s.plan.Learners+s.plan.Spares))
	switch {
	case !m.Contains(any) && chance(s.rng, 800):
		return wire.Change{Kind: wire.ChangeAddLearner, Node: any}
	case m.IsLearner(any) && chance(s.rng, 700), !m.Contains(any):
		return wire.Change{Kind: wire.ChangePromote, Node: any}
	case m.IsVoter(any) && chance(s.rng, 300):
		return wire.Change{Kind: wire.ChangeDemote, Node: any}
	}
	return wire.Change{Kind: wire.ChangeRemove, Node: any}
}
