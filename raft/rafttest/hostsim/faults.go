package hostsim

import (
	"slices"
	"time"

	"flotilla/kv"
	"flotilla/raft"
	"flotilla/raft/logstore/logstoretest"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// disturbance is a kind of fault that recurs.
type disturbance uint32

const (
	disturbCrash disturbance = iota
	disturbStop
	disturbPause
	disturbCut
	disturbDisk
	disturbTransfer
	disturbChange
	disturbJoin
	disturbLeave
	disturbLoss
	disturbGroup
	disturbPower
	disturbRot
	disturbMake
	disturbImport
)

// What a value says beside a task's kind.
const (
	thinkAgain    = 1 // taskThink: try the operation under way once more
	restartFailed = 1 // taskStart: of a process that runs and is of no use
)

// disturbances are the mean intervals by kind.
func (s *Sim) disturbances() []time.Duration {
	p := &s.plan
	return []time.Duration{
		p.CrashEvery, p.StopEvery, p.PauseEvery, p.CutEvery, p.DiskEvery, p.TransferEvery, p.ChangeEvery, p.JoinEvery, p.LeaveEvery, p.LossEvery, p.GroupEvery,
		p.PowerEvery, p.RotEvery, p.MakeEvery, p.ImportEvery,
	}
}

// repeat writes the next of a recurring kind down, at a random distance with the given mean.
func (s *Sim) repeat(kind disturbance, mean time.Duration) {
	if mean > 0 && !s.heal.begun {
		s.after(between(s.rng, 0, 2*mean), &task{kind: taskDisturb, value: uint32(kind), life: s.round})
	}
}

// doFault does what begins or ends a fault.
func (s *Sim) doFault(t *task) {
	switch t.kind {
	case taskDisturb:
		if !s.heal.begun && t.life == s.round {
			s.disturb(disturbance(t.value))
			s.repeat(disturbance(t.value), s.disturbances()[t.value])
		}
	case taskStart:
		if t.value == restartFailed && t.host.up {
			s.crash(t.host)
		}
		if !t.host.up && t.host.stage == stageMember {
			s.start(t.host)
		}
	case taskOff:
		s.switchOff(t.host)
	case taskDrained:
		s.stopped(t.host)
	case taskResume:
		s.tell("node %d goes on", t.host.id)
		s.reviewLinks(t.host)
	case taskMend:
		s.mend()
	case taskSpace:
		s.tell("node %d has space again", t.host.id)
		t.host.disk.full = false
	}
}

// alert has clients look closely at what every third fault does: what goes wrong in a quiet time is not seen.
func (s *Sim) alert() {
	if s.heal.begun || chance(s.rng, 650) {
		return
	}
	window := 3 * s.plan.Election
	s.alertUntil = max(s.alertUntil, s.now+window)
	s.wake()
	for range 2 + s.rng.IntN(6) {
		h := s.hosts[s.rng.IntN(len(s.hosts))]
		s.after(between(s.rng, 0, window), &task{kind: taskDo, host: h, life: h.life, do: func() { s.glance(h) }})
	}
}

// glance reads a key at a host, of a group that it leads or believes to lead if there is one. The answer must not be stale.
func (s *Sim) glance(h *host) {
	g := 1 + wire.GroupID(s.rng.IntN(int(s.plan.groups())-1))
	for led := range s.plan.groups() - 1 {
		if st, here := h.engine().GroupStatus(led + 1); here && st.Role == raft.Leader && chance(s.rng, 700) {
			g = led + 1
		}
	}
	if h.watchers[g] == nil {
		return
	}
	key := s.key()
	registers := &s.checks.registers[g]
	floor := registers.Asked(key)
	s.stats.Reads++
	s.order(h, "glance", func(done func(error)) *multiraft.Call {
		return h.stepper.Query(g, kv.AppendGet(nil, key), func(value []byte, err error) {
			if err == nil {
				s.stats.ReadsOK++
				s.seen(g, key, floor, value)
			}
			done(err)
		})
	})
}

func (s *Sim) disturb(kind disturbance) {
	s.alert()
	switch kind {
	case disturbCrash:
		s.crashSome()
	case disturbStop:
		s.stop(s.someone())
	case disturbPause:
		s.pause(s.someone())
	case disturbCut:
		s.cut()
	case disturbDisk:
		s.hurtDisk(s.someone())
	case disturbTransfer:
		s.transfer(s.someone())
	case disturbChange:
		if s.plan.Managed {
			s.wish()
		} else {
			s.change(s.someone())
		}
	case disturbJoin:
		s.newcomer()
	case disturbLeave:
		s.sendAway()
	case disturbLoss:
		s.planLoss()
	case disturbGroup:
		s.makeOrDelete()
	case disturbImport:
		s.importGroup()
	default:
		s.disturbSnapshots(kind)
	}
}

// someone draws a host; every other time one that leads a group.
func (s *Sim) someone() *host {
	if chance(s.rng, 500) {
		g := wire.GroupID(s.rng.IntN(int(s.plan.groups())))
		for _, h := range s.hosts {
			if h.up {
				if st, here := h.engine().GroupStatus(g); here && st.Role == raft.Leader {
					return h
				}
			}
		}
	}
	return s.hosts[s.rng.IntN(len(s.hosts))]
}

// crashSome crashes one node, now and then all of them at once.
func (s *Sim) crashSome() {
	victims := []*host{s.someone()}
	if chance(s.rng, 80) {
		victims = s.hosts
	}
	for _, h := range victims {
		if h.up {
			s.stats.Crashes++
			s.crash(h)
			s.after(between(s.rng, time.Millisecond, s.plan.DownMax), &task{kind: taskStart, host: h, life: h.life})
		}
	}
}

// pause stops a process without telling it, as SIGSTOP does.
func (s *Sim) pause(h *host) {
	if !h.up || h.paused() {
		return
	}
	d := between(s.rng, time.Millisecond, s.plan.PauseMax)
	s.stats.Pauses++
	s.tell("node %d stands still for %v", h.id, d)
	h.pausedTo = s.now + d
	if chance(s.rng, 700) { // it wakes up to a question, before it has read anything
		s.after(d, &task{kind: taskDo, host: h, life: h.life, do: func() { s.glance(h) }})
	}
	s.after(d, &task{kind: taskResume, host: h, life: h.life})
	s.reviewLinks(h)
}

// cut draws a partition, unless there is one.
func (s *Sim) cut() {
	if s.isCut() {
		return
	}
	s.stats.Cuts++
	one := s.someone()
	hosts := slices.Clone(s.hosts)
	rest := slices.DeleteFunc(slices.Clone(s.hosts), func(h *host) bool { return h == one })
	length := between(s.rng, 10*time.Millisecond, s.plan.CutMax)
	switch s.rng.IntN(6) {
	case 0: // one node alone
		s.sever([]*host{one}, rest, true, true)
	case 1: // two camps
		s.rng.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
		k := s.rng.IntN(len(hosts))
		s.sever(hosts[:k], hosts[k:], true, true)
	case 2: // one node is heard and hears nothing, or the other way round
		out := chance(s.rng, 500)
		s.sever([]*host{one}, rest, out, !out)
	case 3: // two camps with one node in both
		s.sever(rest[:len(rest)/2], rest[len(rest)/2:], true, true)
	case 4: // any links
		for _, l := range s.links {
			if l != nil && chance(s.rng, 400) {
				s.sever([]*host{l.a}, []*host{l.b}, chance(s.rng, 700), chance(s.rng, 700))
			}
		}
	case 5: // one node flaps
		s.sever([]*host{one}, rest, true, true)
		length = between(s.rng, 10*time.Millisecond, s.plan.Election/2)
		for range s.rng.IntN(8) {
			s.after(between(s.rng, 0, 8*s.plan.Election), &task{kind: taskDisturb, value: uint32(disturbCut), life: s.round})
		}
	}
	s.after(length, &task{kind: taskMend})
}

func (s *Sim) isCut() bool {
	return slices.ContainsFunc(s.links, func(l *link) bool { return l != nil && (l.cut[0] || l.cut[1]) })
}

// sever cuts the links from as to bs, and those back.
func (s *Sim) sever(as, bs []*host, there, back bool) {
	for _, a := range as {
		for _, b := range bs {
			l := s.link(a.id, b.id)
			side := l.side(a)
			l.cut[side] = l.cut[side] || there
			l.cut[1-side] = l.cut[1-side] || back
			s.review(l)
		}
	}
	s.tell("cut: %v to %v %t, back %t", ids(as), ids(bs), there, back)
}

func ids(hosts []*host) (out []wire.NodeID) {
	for _, h := range hosts {
		out = append(out, h.id)
	}
	return out
}

// mend makes all links whole.
func (s *Sim) mend() {
	s.tell("all links are whole")
	for _, l := range s.links {
		if l != nil && (l.cut[0] || l.cut[1]) {
			l.cut = [2]bool{}
			s.review(l)
		}
	}
}

// hurtDisk draws what a disk suffers from.
func (s *Sim) hurtDisk(h *host) {
	if !h.up || h.failed || h.disk.full {
		return
	}
	s.stats.DiskFaults++
	switch s.rng.IntN(5) {
	case 0:
		fate := logstoretest.Lost
		if chance(s.rng, 500) {
			fate = logstoretest.Kept
		}
		s.tell("node %d: the next commit fails, fate %d", h.id, fate)
		h.disk.failing = true
		h.disk.FailNext(errIO, fate)
	case 1:
		h.disk.full, h.disk.tight = true, chance(s.rng, 300)
		d := between(s.rng, time.Millisecond, 30*time.Second)
		s.tell("node %d: the disk is full for %v, tight %t", h.id, d, h.disk.tight)
		s.after(d, &task{kind: taskSpace, host: h, life: h.life})
	case 2:
		h.hung = between(s.rng, s.plan.Election/2, 10*s.plan.Election)
		s.tell("node %d: the next commit takes %v", h.id, h.hung)
	case 3:
		h.catalogFate = fateLost
		if chance(s.rng, 500) {
			h.catalogFate = fateKept
		}
		s.tell("node %d: the catalog's next transaction fails, fate %d", h.id, h.catalogFate)
	case 4:
		m := h.machines[1+s.rng.IntN(int(s.plan.groups())-1)]
		if m != nil {
			m.fails = true
			s.tell("node %d: the machine of group %d fails", h.id, m.group)
		}
	}
}

// transfer asks a host to hand a group's leadership over.
func (s *Sim) transfer(h *host) {
	if !h.up || h.paused() {
		return
	}
	g := wire.GroupID(s.rng.IntN(int(s.plan.groups())))
	if h.watchers[g] == nil {
		return
	}
	members := s.memberships[g].Members()
	to := members[s.rng.IntN(len(members))]
	s.stats.Transfers++
	s.tell("node %d is asked to have group %d led by node %d", h.id, g, to)
	s.order(h, "transfer", func(done func(error)) *multiraft.Call { return h.stepper.Transfer(g, to, done) })
}

// order has a host do what no client waits for.
func (s *Sim) order(h *host, what string, ask func(done func(error)) *multiraft.Call) {
	caller := s.checks.callers.Asked(func() string { return what })
	h.orders = append(h.orders, caller)
	call := ask(func(err error) {
		s.broken("callers", s.checks.callers.Answered(caller))
		s.note("node %d answers the %s: %v", h.id, what, err)
	})
	s.after(callTimeout, &task{kind: taskDo, host: h, life: h.life, do: func() { call.Leave(errDeadline) }})
	s.pump(h)
}

// change asks a host for a change of a data group's membership, sensible or not: one node, or an exchange of several.
func (s *Sim) change(h *host) {
	if !h.up || h.paused() {
		return
	}
	g := wire.GroupID(1 + s.rng.IntN(s.plan.Groups))
	m := &s.memberships[g]
	set := wire.ChangeSet{SetBase: chance(s.rng, 300), Base: m.Index}
	if !set.SetBase {
		set.Base = 0
	}
	for _, at := range s.rng.Perm(len(s.hosts))[:pick(s.rng, 1, 1, 2, 2, 3)] {
		ch := wire.Change{Node: s.hosts[at].id}
		switch n := ch.Node; {
		case m.IsVoter(n):
			ch.Kind = wire.ChangeKind(pick(s.rng, int(wire.ChangeRemove), int(wire.ChangeDemote)))
		case m.IsLearner(n):
			ch.Kind = wire.ChangeKind(pick(s.rng, int(wire.ChangePromote), int(wire.ChangeRemove)))
		default:
			ch.Kind = wire.ChangeKind(pick(s.rng, int(wire.ChangeAddLearner), int(wire.ChangePromote)))
		}
		set.Changes = append(set.Changes, ch)
	}
	s.tell("node %d is asked to change group %d: %+v", h.id, g, set)
	s.order(h, "change", func(done func(error)) *multiraft.Call { return h.stepper.Change(g, set, done) })
}
