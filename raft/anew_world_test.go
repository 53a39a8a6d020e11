package raft

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"flotilla/raft/wire"
)

// anewWorld is a small cluster of real cores in which one node loses its disk, is taken out, added again and made anew, for an
// exploration of all that can happen (anew_explore_test.go): the twin of docs/model/anew.pml. A step is a whole conversation of two
// nodes, or the beginning of one; all the others stand still meanwhile, and what is said to them is lost.
type anewWorld struct {
	t     testing.TB
	nodes map[wire.NodeID]*bench
	// late are messages that are held up on their way, by receiver and sender.
	late map[[2]wire.NodeID][]wire.Message
	// gone: the disk of anewNode is lost. since is what its replica was made with.
	gone  bool
	since wire.Index

	// decided is what was committed anywhere, as it was applied first; leaders who was elected in each term.
	decided []wire.Entry
	leaders map[wire.Term]wire.NodeID
	broken  string

	losses, cuts, restarts int
	// stood: node 2 has stood. Node 3 has no part before, as the two differ in nothing but their names.
	stood bool
}

// anewNode is the node that loses its disk.
const anewNode wire.NodeID = 1

var anewBirth = wire.Membership{Voters: []wire.NodeID{1, 2, 3}}

func newAnewWorld(t testing.TB) *anewWorld {
	w := &anewWorld{
		t: t, nodes: map[wire.NodeID]*bench{}, late: map[[2]wire.NodeID][]wire.Message{}, leaders: map[wire.Term]wire.NodeID{},
	}
	for _, n := range anewBirth.Voters {
		w.open(n, newMemoryLog(), Config{Membership: anewBirth})
	}
	return w
}

func (w *anewWorld) open(n wire.NodeID, disk *memoryLog, cfg Config) {
	cfg.Self, cfg.ElectionTicks = n, 1000 // nobody is ever late: who gives up is told so
	w.nodes[n] = openBench(w.t, cfg, disk)
	w.settle(n)
}

// settle takes what n has to say, with its disk up to date, and holds it against what others have said.
func (w *anewWorld) settle(n wire.NodeID) {
	b := w.nodes[n]
	b.sync()
	for i := range b.updates {
		if u := &b.updates[i]; u.SetMembership {
			b.cfg.Membership = u.Membership
		}
	}
	b.updates, b.promote, b.snapshot = nil, nil, nil
	for _, e := range b.applied {
		switch at := int(e.Index) - 1; {
		case at >= len(w.decided):
			w.decided = append(slices.Clip(w.decided), e)
		case w.decided[at].Term != e.Term:
			w.broken = fmt.Sprintf("Agreement: node %d applies the entry of term %d at %d, another one has applied that of term %d", n, e.Term, e.Index, w.decided[at].Term)
		}
	}
	b.applied = nil
	for _, r := range b.reads {
		if r.Err == nil && r.Index < wire.Index(r.Context) {
			w.broken = fmt.Sprintf("NoStaleRead: node %d confirms a read at %d that began when %d was committed", n, r.Index, r.Context)
		}
	}
	b.reads = nil
	if c := b.core; c.role == Leader {
		if other, led := w.leaders[c.term]; led && other != n {
			w.broken = fmt.Sprintf("OneLeaderPerTerm: nodes %d and %d lead term %d", other, n, c.term)
		}
		w.leaders[c.term] = n
	}
}

// alive reports whether node n is there.
func (w *anewWorld) alive(n wire.NodeID) bool { return n != anewNode || !w.gone }

// talk carries messages between two nodes, the late ones first, until they fall silent or so many have arrived. Of those that
// are left then, the ones between the two are late, the others lost.
func (w *anewWorld) talk(a, b wire.NodeID, most int) {
	for {
		var m wire.Message
		for _, way := range [...][2]wire.NodeID{{a, b}, {b, a}} {
			from, to := w.nodes[way[0]], way[1]
			if w.alive(way[0]) {
				for _, m := range from.out {
					if m.To == to {
						w.late[way] = append(slices.Clip(w.late[way]), m)
					}
				}
				from.out = nil
			}
			if list := w.late[way]; m.To == wire.NoNode && len(list) > 0 && w.alive(to) {
				m, w.late[way] = list[0], list[1:]
			}
		}
		if m.To == wire.NoNode {
			return
		}
		if most == 0 {
			way := [2]wire.NodeID{m.From, m.To}
			w.late[way] = append([]wire.Message{m}, w.late[way]...)
			return
		}
		most--
		if err := w.nodes[m.To].core.Step(m); err != nil && w.broken == "" {
			w.broken = "Agreement: " + err.Error()
		}
		w.settle(m.To)
	}
}

// tire has node n give up the leader whom it hears, itself if it leads.
func (w *anewWorld) tire(n wire.NodeID) {
	if c := w.nodes[n].core; c.leader != wire.NoNode {
		c.become(c.term, wire.NoNode)
		w.settle(n)
	}
	w.nodes[n].out = nil
}

// clone returns a world that goes its own way.
func (w *anewWorld) clone() *anewWorld {
	n := *w
	n.nodes, n.late, n.leaders = map[wire.NodeID]*bench{}, map[[2]wire.NodeID][]wire.Message{}, map[wire.Term]wire.NodeID{}
	n.decided = slices.Clone(w.decided)
	for id, b := range w.nodes {
		n.nodes[id] = b.clone()
	}
	for way, list := range w.late {
		if len(list) > 0 {
			n.late[way] = slices.Clone(list)
		}
	}
	maps.Copy(n.leaders, w.leaders)
	return &n
}

// clone copies the core with all that it holds.
func (b *bench) clone() *bench {
	n, core, disk := *b, *b.core, *b.disk
	unshare(reflect.ValueOf(&core).Elem())
	disk.entries = slices.Clone(disk.entries)
	core.log.reader, core.cfg.Log = &disk, &disk
	n.core, n.disk, n.cfg.Log, n.rd, n.out = &core, &disk, &disk, Ready{}, nil
	return &n
}

// unshare gives the slices in v arrays of their own. Entries are never written twice, and neither are bytes: they only lose the
// room behind them.
func unshare(v reflect.Value) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			switch field.Kind() {
			case reflect.Struct, reflect.Slice:
				unshare(field)
			}
		}
	case reflect.Slice:
		n := v.Len()
		if n == 0 {
			v.SetZero()
			return
		}
		if e := v.Type().Elem(); e == reflect.TypeFor[wire.Entry]() || e.Kind() == reflect.Uint8 {
			v.Set(v.Slice3(0, n, n))
			return
		}
		own := reflect.MakeSlice(v.Type(), n, n)
		reflect.Copy(own, v)
		for i := range n {
			unshare(own.Index(i))
		}
		v.Set(own)
	}
}

// key is what two worlds have in common that can be told apart by nothing but time and the flow of messages.
func (w *anewWorld) key() []byte {
	k := make([]byte, 0, 512)
	add := func(numbers ...uint64) {
		for _, n := range numbers {
			k = append(k, byte(n)) // all are small
		}
	}
	truth := map[bool]uint64{true: 1}
	for _, n := range anewBirth.Voters {
		b := w.nodes[n]
		if !w.alive(n) {
			add(0)
			continue
		}
		c := b.core
		add(uint64(c.term), uint64(c.vote), uint64(c.role), uint64(c.leader), uint64(c.commit), uint64(c.verified), truth[c.assured], c.life, uint64(c.membership.Index))
		if c.role == PreCandidate || c.role == Candidate {
			k = fmt.Appendf(k, "%v", c.votes.tally)
		}
		for _, n := range c.lead.left {
			add(uint64(n))
		}
		for _, r := range c.reads.started {
			add(r.round, uint64(r.index))
		}
		for i := range c.lead.followers {
			f := &c.lead.followers[i]
			add(uint64(f.Node()), uint64(f.Kind()), uint64(f.Match()), f.Round(), f.Life())
		}
		add(uint64(len(b.disk.entries)))
		for i := range b.disk.entries {
			e := &b.disk.entries[i]
			add(uint64(e.Term), uint64(e.Kind), uint64(len(e.Data)))
			k = append(k, e.Data...)
		}
	}
	for _, a := range anewBirth.Voters {
		for _, b := range anewBirth.Voters {
			for _, m := range w.late[[2]wire.NodeID{a, b}] {
				add(uint64(a), uint64(b), uint64(m.Type), uint64(m.Term), uint64(m.Index), uint64(m.LogTerm), uint64(m.Commit), m.Context, truth[m.Reject], uint64(len(m.Entries)))
			}
		}
	}
	add(uint64(w.since), uint64(w.losses), uint64(w.cuts), uint64(w.restarts), uint64(len(w.decided)), truth[w.stood])
	return k
}
