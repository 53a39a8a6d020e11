package raft

import (
	"flag"
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"flotilla/raft/wire"
)

var deeper = flag.Int("deeper", 0, "so many steps more in TestEveryWorldOfAReplicaMadeAnew; each is about five times the work")

// anewBounds says how large an exploration is.
type anewBounds struct {
	steps   int
	terms   wire.Term
	entries wire.Index
	// cuts is how many conversations end before the two fall silent, restarts how many nodes start again from their disks.
	cuts, restarts int
}

// anewStep is one step of the world; it returns false where there is nothing to do.
type anewStep struct {
	name func() string
	do   func(*anewWorld) bool
}

// possible are the steps that may be taken in w. What a leader takes in is always carried to somebody at once, as nobody is the
// wiser before.
func (bounds *anewBounds) possible(w *anewWorld) (list []anewStep) {
	add := func(do func(*anewWorld) bool, format string, args ...any) {
		list = append(list, anewStep{func() string { return fmt.Sprintf(format, args...) }, do})
	}
	for _, a := range anewBirth.Voters {
		if !w.alive(a) {
			continue
		}
		c := w.nodes[a].core
		for _, b := range anewBirth.Voters {
			if a == b || !w.alive(b) {
				continue
			}
			for _, most := range bounds.lengths(w) {
				if c.term < bounds.terms && c.membership.IsVoter(a) && (a != 3 || w.stood) {
					add(func(w *anewWorld) bool { return w.elect(a, b, most) }, "%d stands, and talks with %d%s", a, b, upTo(most))
				}
				if c.role == Leader && c.lead.follower(b) != nil {
					bounds.rule(w, a, b, most, add)
				}
			}
		}
		if c.role == Leader && c.soleVoter() {
			add(func(w *anewWorld) bool { return w.change(a, wire.ChangeAddLearner, anewNode) }, "%d adds %d", a, anewNode)
		}
		if w.restarts < bounds.restarts {
			add(func(w *anewWorld) bool { return w.restart(a) }, "%d starts again", a)
		}
	}
	if w.gone {
		add((*anewWorld).comeBack, "%d comes back", anewNode)
	}
	return list
}

// lengths are how many messages of a conversation may arrive; -1 is all.
func (bounds *anewBounds) lengths(w *anewWorld) []int {
	if w.cuts < bounds.cuts {
		return []int{-1, 1, 2, 3, 4, 5}
	}
	return []int{-1}
}

func upTo(most int) string {
	if most < 0 {
		return ""
	}
	return fmt.Sprintf(" for %d messages", most)
}

// rule are the steps of leader a with its follower b.
func (bounds *anewBounds) rule(w *anewWorld, a, b wire.NodeID, most int, add func(func(*anewWorld) bool, string, ...any)) {
	c := w.nodes[a].core
	add(func(w *anewWorld) bool { return w.lead(a, b, most) }, "%d talks with its follower %d%s", a, b, upTo(most))
	if most < 0 && c.commit < wire.Index(len(w.decided)) && c.commit >= c.lead.start {
		add(func(w *anewWorld) bool { return w.read(a, b) }, "%d is asked for a read, and talks with %d", a, b)
	}
	if c.log.last() == bounds.entries {
		return
	}
	add(func(w *anewWorld) bool { return w.propose(a) && w.lead(a, b, most) }, "%d takes in a write, and talks with %d%s", a, b, upTo(most))
	if c.changeGuard() != "" {
		return
	}
	change := func(kind wire.ChangeKind, verb string, n wire.NodeID) {
		add(func(w *anewWorld) bool { return w.change(a, kind, n) && w.lead(a, b, most) }, "%d %s %d, and talks with %d%s", a, verb, n, b, upTo(most))
	}
	for _, n := range c.membership.Voters {
		change(wire.ChangeRemove, "removes", n)
	}
	if c.membership.IsLearner(anewNode) {
		change(wire.ChangePromote, "promotes", anewNode)
	}
	if !c.membership.Contains(anewNode) {
		change(wire.ChangeAddLearner, "adds", anewNode)
	}
}

// elect has a stand, and b hear it.
func (w *anewWorld) elect(a, b wire.NodeID, most int) bool {
	w.tire(a)
	w.tire(b)
	w.stood = w.stood || a == 2
	w.nodes[a].core.Campaign()
	w.settle(a)
	if w.nodes[a].core.role == Follower {
		return false
	}
	w.converse(a, b, most)
	return true
}

// lead has a leader send b what it lacks.
func (w *anewWorld) lead(a, b wire.NodeID, most int) bool {
	c := w.nodes[a].core
	if c.role != Leader || c.lead.follower(b) == nil || !w.alive(b) {
		return false
	}
	c.Unreachable(b)
	c.Tick()
	w.settle(a)
	w.converse(a, b, most)
	return true
}

// read has a leader ask b for a round, for a read that has to see all that is committed.
func (w *anewWorld) read(a, b wire.NodeID) bool {
	c := w.nodes[a].core
	c.ReadIndex(uint64(len(w.decided)))
	w.settle(a)
	w.converse(a, b, -1)
	return true
}

func (w *anewWorld) converse(a, b wire.NodeID, most int) {
	if most >= 0 {
		w.cuts++
	}
	w.talk(a, b, most)
	for _, n := range w.nodes {
		n.out = nil
	}
}

func (w *anewWorld) propose(a wire.NodeID) bool {
	_, _, err := w.nodes[a].core.Propose([]byte{byte(a)})
	w.settle(a)
	w.nodes[a].out = nil
	return err == nil
}

// change has a propose a change. Node anewNode is added only when its disk is gone (catalog, Group.Left), and when that was matters
// to nobody: who stands still loses nothing.
func (w *anewWorld) change(a wire.NodeID, kind wire.ChangeKind, n wire.NodeID) bool {
	if kind == wire.ChangeAddLearner && (a == n || !w.lose() && !w.gone) {
		return false
	}
	err := w.nodes[a].proposeChange(kind, n)
	w.settle(a)
	w.nodes[a].out = nil
	return err == nil
}

func (w *anewWorld) restart(n wire.NodeID) bool {
	w.restarts++
	b := w.nodes[n]
	cfg := Config{Membership: b.cfg.Membership, HardState: b.hard, Since: b.cfg.Since, Applied: b.cfg.Membership.Index}
	w.open(n, b.disk, cfg)
	w.nodes[n].out = nil
	return true
}

func (w *anewWorld) lose() bool {
	if w.gone || w.losses > 0 {
		return false
	}
	w.gone = true
	w.losses++
	w.nodes[anewNode].out = nil
	return true
}

// comeBack makes the replica anew, once it is a member again by what is decided.
func (w *anewWorld) comeBack() bool {
	var since wire.Index
	for _, e := range w.decided {
		if e.Kind != wire.EntryChange {
			continue
		}
		set := wire.ReadChangeSet(wire.NewReader(e.Data))
		switch ch := set.Changes[0]; {
		case ch.Node != anewNode:
		case ch.Kind == wire.ChangeAddLearner:
			since = e.Index
		case ch.Kind == wire.ChangeRemove:
			since = 0
		}
	}
	if !w.gone || since == 0 {
		return false
	}
	w.gone, w.since = false, since
	w.open(anewNode, newMemoryLog(), Config{Membership: anewBirth, Since: since})
	w.nodes[anewNode].out = nil
	return true
}

// anewArrival is how a world was reached first.
type anewArrival struct {
	from *anewArrival
	step string
}

func (a *anewArrival) way() string {
	var steps []string
	for ; a.from != nil; a = a.from {
		steps = append([]string{a.step}, steps...)
	}
	return strings.Join(steps, "\n  ")
}

// explore visits every world within the bounds that is reached from start, the near ones first, until something is broken.
func (bounds *anewBounds) explore(start *anewWorld) (worlds int, broken string) {
	type visit struct {
		w   *anewWorld
		way *anewArrival
	}
	seed := maphash.MakeSeed()
	seen := map[uint64]bool{maphash.Bytes(seed, start.key()): true}
	level := []visit{{start, &anewArrival{}}}
	for range bounds.steps {
		var next []visit
		for _, v := range level {
			for _, s := range bounds.possible(v.w) {
				w := v.w.clone()
				if !s.do(w) {
					continue
				}
				way := &anewArrival{from: v.way}
				if w.broken != "" {
					way.step = s.name()
					return len(seen), w.broken + ", after:\n  " + way.way()
				}
				if k := maphash.Bytes(seed, w.key()); !seen[k] {
					seen[k] = true
					way.step = s.name()
					next = append(next, visit{w, way})
				}
			}
		}
		level = next
	}
	return len(seen), ""
}

// anewStarts are worlds in which node 3 has stood still while node 2 took 3 and 1 out, and 1 in again.
func anewStarts(t *testing.T) map[string]*anewWorld {
	starts := map[string]*anewWorld{}
	for name, most := range map[string]int{
		"3 has ruled": -1, "3 has just been elected": 4, "3 has a vote on its way": 3, "3 has just stood": 0,
	} {
		w := newAnewWorld(t)
		ok := w.elect(3, 1, most) && (most >= 0 || w.lead(3, 2, -1))
		for w.nodes[2].core.role != Leader && ok {
			ok = w.elect(2, 1, -1)
		}
		ok = ok && w.change(2, wire.ChangeRemove, 3) && w.lead(2, 1, -1) &&
			w.change(2, wire.ChangeRemove, 1) && w.lead(2, 1, -1) && w.change(2, wire.ChangeAddLearner, 1) && w.comeBack()
		if !ok || w.broken != "" {
			t.Fatalf("%s: %v %s", name, ok, w.broken)
		}
		w.cuts, w.stood = 0, true
		starts[name] = w
	}
	return starts
}

// N8: whatever happens within so many steps, nobody commits what contradicts another, no term has two leaders, and no stale read
// is confirmed.
func TestEveryWorldOfAReplicaMadeAnew(t *testing.T) {
	steps := func(n int) int {
		if testing.Short() {
			n--
		}
		return n + *deeper
	}
	for name, bounds := range map[string]anewBounds{
		"whole conversations": {steps: steps(6), terms: 3, entries: 5},
		"one is cut off":      {steps: steps(3), terms: 3, entries: 5, cuts: 1},
		"one node restarts":   {steps: steps(4), terms: 3, entries: 5, restarts: 1},
	} {
		t.Run(name, func(t *testing.T) { bounds.hold(t, newAnewWorld(t)) })
	}
	for name, start := range anewStarts(t) {
		bounds := anewBounds{steps: steps(3), terms: 4, entries: 8, cuts: 1, restarts: 1}
		t.Run(name, func(t *testing.T) { bounds.hold(t, start) })
	}
}

func (bounds *anewBounds) hold(t *testing.T, start *anewWorld) {
	worlds, broken := bounds.explore(start)
	if broken != "" {
		t.Error(broken)
	}
	if worlds < 50 {
		t.Errorf("%d worlds only: it stands still", worlds)
	}
	t.Logf("%d worlds", worlds)
}
