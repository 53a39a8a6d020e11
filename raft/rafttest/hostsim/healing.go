package hostsim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

const (
	// probeEvery is how often it is looked whether the cluster has healed.
	probeEvery = 500 * time.Millisecond
	// calmTimeouts is for how many election timeouts a healed cluster must keep its leaders and terms (D48).
	calmTimeouts = 10
	// healTimeouts is how many election timeouts healing may take, with healTime on top, once everybody goes on.
	healTimeouts = 60
	healTime     = time.Minute
	// placeTime comes on top where nodes have to join or to leave, and groups to move.
	placeTime = 2 * time.Minute
)

// healing is the end of a round: no more faults, and the cluster must come to rest.
type healing struct {
	begun, done bool
	limit       time.Duration
	// calmSince is when the cluster had healed, calm its leaders and terms then.
	calmSince time.Duration
	calm      string
}

// beginHealing ends all faults. Pauses end by themselves, full disks too.
func (s *Sim) beginHealing() {
	s.tell("no more faults")
	s.heal.begun = true
	s.heal.limit = s.now + healTime + healTimeouts*s.plan.Election + s.plan.LateMax + s.plan.SlowSyncMax
	if s.plan.Managed {
		s.heal.limit += placeTime
	}
	s.mend()
	for _, h := range s.hosts {
		s.heal.limit = max(s.heal.limit, h.pausedTo+healTime+healTimeouts*s.plan.Election)
		h.disk.full, h.hung = false, 0
		switch {
		case h.haunted:
			s.exorcise(h)
		case !h.up && h.stage == stageMember:
			s.start(h)
		}
	}
	for _, c := range s.clients {
		if c.op == nil {
			s.after(s.clientDelay(), &task{kind: taskThink, client: c})
		}
	}
	s.after(probeEvery, &task{kind: taskProbe})
}

// beginRound lets faults come, for a time.
func (s *Sim) beginRound() {
	s.round++
	s.tell("round %d of faults", s.round)
	s.heal = healing{}
	for kind, every := range s.disturbances() {
		s.repeat(disturbance(kind), every)
	}
	for _, c := range s.clients {
		if c.final = false; c.op == nil {
			s.rest(c)
		}
	}
	s.after(s.plan.Length, &task{kind: taskHeal})
}

// probe looks whether the cluster has healed.
func (s *Sim) probe() {
	why := s.ailing()
	switch {
	case why == "" && s.round < s.plan.Rounds:
		s.beginRound()
		return
	case why == "":
		s.end()
		return
	case s.now > s.heal.limit:
		s.broken("liveness", fmt.Errorf("not healed: %s\n%s", why, s.report()))
		return
	}
	s.note("probe: %s", why)
	s.after(probeEvery, &task{kind: taskProbe})
}

// ailing returns what is still wrong, "" when nothing is.
func (s *Sim) ailing() string {
	var calm strings.Builder
	for _, h := range s.hosts {
		switch {
		case h.stage == stageGone:
		case h.stage == stageOutside:
			return fmt.Sprintf("node %d has not joined", h.id)
		case !h.up || h.failed || h.stopping || h.paused():
			return fmt.Sprintf("node %d does not run", h.id)
		case !h.ready:
			return fmt.Sprintf("node %d is not ready", h.id)
		}
	}
	for g := range s.plan.groups() {
		if s.fates[g] != groupLives {
			continue
		}
		st, why := s.agreed(g)
		if why != "" {
			return why
		}
		fmt.Fprintf(&calm, "%d@%d %v %v ", st.Leader, st.Term, st.Voters, st.Learners)
	}
	for _, c := range s.clients {
		if !c.final && s.fates[c.group] == groupLives {
			if c.op == nil {
				s.think(c)
			}
			return fmt.Sprintf("client %d has not succeeded", c.id)
		}
	}
	if why := s.misplaced(); why != "" {
		return why
	}
	if why := s.differing(); why != "" {
		return why
	}
	if s.heal.calmSince == 0 || s.heal.calm != calm.String() {
		s.heal.calmSince, s.heal.calm = s.now, calm.String()
	}
	if s.now < s.heal.calmSince+calmTimeouts*s.plan.Election {
		return "waiting for it to last"
	}
	return ""
}

// misplaced returns what is not where it is wanted, "" when everything is.
func (s *Sim) misplaced() string {
	if !s.plan.Managed {
		return ""
	}
	v, replicas := s.living()[0].catalog, map[wire.NodeID][]wire.GroupID{}
	for _, h := range s.living() {
		if n, _ := v.Topology.Find(h.id); n.State == catalog.NodeRemoved {
			s.switchOff(h)
			return fmt.Sprintf("node %d was removed and runs", h.id)
		}
		for _, st := range h.disk.Groups() {
			replicas[h.id] = append(replicas[h.id], st.Group)
		}
	}
	if err := s.checks.placed.Healed(&v, replicas); err != nil {
		return err.Error()
	}
	for _, h := range s.living() {
		if err := s.checks.imports.Healed(&h.catalog, h.strays(), h.depot.Staged()); err != nil {
			return err.Error()
		}
	}
	if changes := placement.Plan(&v); len(changes) > 0 {
		return fmt.Sprintf("something is to be planned: %+v", changes[0])
	}
	return ""
}

// agreed returns what all members of group g say of it, or that they do not say the same.
func (s *Sim) agreed(g wire.GroupID) (all multiraft.GroupStatus, why string) {
	leaders := 0
	if s.memberships[g].Joint() {
		return all, fmt.Sprintf("group %d is in a joint configuration", g)
	}
	for i, n := range s.memberships[g].Members() {
		if !s.hosts[n-1].up {
			return all, fmt.Sprintf("group %d has node %d, which is gone", g, n)
		}
		st, _ := s.hosts[n-1].engine().GroupStatus(g)
		if st.Role == raft.Leader {
			leaders++
		}
		switch {
		case i == 0:
			all = st
		case st.Term != all.Term || st.Leader != all.Leader:
			return all, fmt.Sprintf("group %d is led by %d in term %d and by %d in term %d", g, all.Leader, all.Term, st.Leader, st.Term)
		case !slices.Equal(st.Voters, all.Voters) || !slices.Equal(st.Learners, all.Learners):
			return all, fmt.Sprintf("group %d has voters %v or %v, learners %v or %v", g, all.Voters, st.Voters, all.Learners, st.Learners)
		case st.Commit != all.Commit || st.Applied != all.Applied:
			return all, fmt.Sprintf("group %d is at %d, %d and at %d, %d", g, all.Commit, all.Applied, st.Commit, st.Applied)
		}
	}
	if leaders != 1 || all.Commit != all.Applied {
		return all, fmt.Sprintf("group %d has %d leaders, has committed %d and applied %d", g, leaders, all.Commit, all.Applied)
	}
	return all, ""
}

// differing compares the machines; it is called when all have applied the same.
func (s *Sim) differing() string {
	first := s.living()[0]
	meta, _ := first.engine().GroupStatus(wire.MetadataGroup)
	for _, h := range s.living() {
		switch {
		case h.catalog.Digest() != first.catalog.Digest():
			s.broken("convergence", fmt.Errorf("nodes %d and %d differ in their metadata", h.id, first.id))
		case h.catalog.EpochTerm != meta.Term || h.fence.Applied() != s.checks.epochs.Allocated():
			return fmt.Sprintf("node %d has applied epoch %d of term %d, allocated is %d, the leader's term is %d", h.id, h.fence.Applied(),
				h.catalog.EpochTerm, s.checks.epochs.Allocated(), meta.Term)
		}
		for g, m := range h.machines {
			members := s.memberships[g].Members()
			if m == nil || s.fates[g] != groupLives || !slices.Contains(members, h.id) {
				continue
			}
			s.holds(m)
			other := s.hosts[members[0]-1].machines[g]
			if m.count != s.checks.machines.Count(wire.GroupID(g)) || m != other && s.heal.calmSince == 0 && m.kv.Hash() != other.kv.Hash() {
				s.broken("convergence", fmt.Errorf("nodes %d and %d differ in group %d: %d and %d commands of %d", h.id, other.h.id, g, m.count, other.count,
					s.checks.machines.Count(wire.GroupID(g))))
			}
		}
	}
	return ""
}

// end stops everybody, who then must have been answered.
func (s *Sim) end() {
	s.tell("healed for good")
	s.heal.done = true
	s.bounded()
	for _, h := range s.living() {
		h.stepper.Kill()
	}
	s.broken("callers", s.checks.callers.Over())
}

// report is the state of all nodes, for the report of a failure.
func (s *Sim) report() string {
	var b strings.Builder
	for _, h := range s.hosts {
		if !h.up {
			fmt.Fprintf(&b, "node %d is down\n", h.id)
			continue
		}
		fmt.Fprintf(&b, "node %d ready %t paused %t stopping %t failed %t epoch %+v\n", h.id, h.ready, h.paused(), h.stopping, h.failed, h.fence.Stamp())
		for _, st := range h.engine().Status() {
			_, last := h.disk.Bounds(st.ID)
			fmt.Fprintf(&b, "  group %d %s term %d leader %d commit %d applied %d last %d\n", st.ID, st.Role, st.Term, st.Leader, st.Commit, st.Applied, last)
		}
	}
	return b.String()
}
