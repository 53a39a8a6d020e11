package hostsim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/kv"
	"flotilla/raft"
	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Imports is the part of a plan about groups that are made of exports, as Admin.ImportGroup makes them (docs/adr/0008).
type Imports struct {
	// Imported is how many imports there are at most: each takes an id.
	Imported int
	// ImportEvery is the mean time between two.
	ImportEvery time.Duration
	// StepMax is how long it takes from one step of an import to the next, PatienceMax how long those wait who do not wait long.
	StepMax, PatienceMax time.Duration
	// Unfit is the rate of exports that are damaged, Leave that of steps after which nobody waits any more.
	Unfit, Leave int
}

// drawImports draws from a source of its own, as drawMembership does.
func (p *Plan) drawImports() {
	r := rand.New(rand.NewPCG(p.Seed, 0x589965cc75374cc3))
	if !p.Managed || p.SnapshotBytes == 0 || chance(r, 300) {
		return
	}
	p.Imported = 4 + r.IntN(8)
	p.ImportEvery = between(r, 2*time.Second, 40*time.Second)
	p.StepMax = span(r, time.Millisecond, 5*time.Second)
	p.PatienceMax = span(r, 200*time.Millisecond, 30*time.Second)
	p.Unfit, p.Leave = pick(r, 0, 200), pick(r, 0, 50)
}

// String tells it in a line.
func (i *Imports) String() string {
	if i.Imported == 0 {
		return "no imports"
	}
	return fmt.Sprintf("%d imports, one every %v, step %v, patience %v, unfit %d, leave %d", i.Imported, i.ImportEvery, i.StepMax, i.PatienceMax, i.Unfit, i.Leave)
}

// lasting is a key that no client writes: what an export has there is there for good.
var lasting = []byte("lasting")

// export is what a group of some other cluster has left behind.
type export struct {
	bytes []byte // as Group.Export writes it
	unfit bool
	at    wire.Snapshot
	state []byte
	items []kv.Item
	last  kv.Revision
}

// newExport makes one: of a group with other members, other keys than ours and the same.
func (s *Sim) newExport() *export {
	x := &export{at: wire.Snapshot{Index: wire.Index(10 + s.rng.IntN(200)), Term: wire.Term(1 + s.rng.IntN(9)), Membership: wire.Membership{Voters: []wire.NodeID{97, 98, 99}}}}
	m := kv.New()
	for i, key := range slices.Concat([][]byte{lasting}, [][]byte{s.key(), s.key(), s.key()}) {
		put := kv.Command{Op: kv.OpPut, Key: key, Value: fmt.Appendf(nil, "import %d item %d", len(s.imports), i)}
		results, err := m.Apply([]multiraft.Command{{Index: wire.Index(i + 1), Term: 1, Data: kv.AppendCommand(nil, &put)}})
		s.broken("imports", err)
		r, err := kv.DecodeResult(results[0])
		s.broken("imports", err)
		x.items = slices.DeleteFunc(x.items, func(item kv.Item) bool { return bytes.Equal(item.Key, key) })
		x.items = append(x.items, kv.Item{Key: key, Value: put.Value, Revision: r.Revision})
		x.last = r.Revision
	}
	f, err := m.Freeze()
	s.broken("imports", err)
	var state, out bytes.Buffer
	_, err = s.freeze(0, f, f.Close).WriteTo(&state) // no command of this cluster has led to it
	s.broken("imports", errors.Join(err, f.Close()))
	x.state = state.Bytes()
	from := snapshotstream.State{Group: 7, Index: x.at.Index, Term: x.at.Term, Membership: x.at.Membership}
	header, err := snapshotstream.HeaderOf(from, bytes.NewReader(x.state), snapshotstream.MinChunk)
	s.broken("imports", err)
	enc, err := snapshotstream.NewEncoder(&out, header)
	s.broken("imports", err)
	_, err = enc.Write(x.state)
	s.broken("imports", errors.Join(err, enc.Close()))
	x.bytes = out.Bytes()
	if x.unfit = chance(s.rng, s.plan.Unfit); x.unfit {
		if at := s.rng.IntN(len(x.bytes)); chance(s.rng, 500) {
			x.bytes = x.bytes[:at]
		} else {
			x.bytes[at] ^= 1 << s.rng.IntN(8)
		}
	}
	return x
}

// begun is an import whose id was given out: what it will begin with is known from here on.
func (s *Sim) begun(im *importing, g wire.GroupID) {
	s.stats.Begun++
	s.tell("group %d is being imported by node %d, from a state at %d of term %d", g, im.h.id, im.export.at.Index, im.export.at.Term)
	x := im.export
	sum := check.Sum(x.items[slices.IndexFunc(x.items, func(item kv.Item) bool { return bytes.Equal(item.Key, lasting) })].Value)
	s.broken("imports", s.checks.imports.Begun(g, im.h.id, x.at.Index, sum, s.fates[g] != groupUnborn))
	im.given, s.fates[g] = g, groupImported
	at := x.at
	at.Membership = wire.Membership{Voters: []wire.NodeID{im.h.id}}
	s.memberships[g] = at.Membership
	s.effect(g, &at.Membership)
	s.broken("snapshots", s.checks.snapshots.Made(im.h.id, g, &at, check.Sum(x.state), 0, 0))
	s.checks.sessions[g].Begin(x.last)
	for _, item := range x.items {
		s.checks.registers[g].Begin(item.Key, item.Value, item.Revision)
	}
}

// ended is an import that was ended by its node.
func (s *Sim) ended(im *importing, made bool) {
	g := im.given
	if !made {
		s.takenBack(im, im.h.up && im.h.life == im.life && !im.over)
		return
	}
	s.stats.Imported++
	s.tell("group %d is there, imported by node %d", g, im.h.id)
	s.fates[g] = groupLives
	s.rouse(g)
	s.broken("imports", s.checks.imports.Made(g, im.first))
}

// takenBack is an import that has left a tombstone; working says that its own node has ended it, and works on it.
func (s *Sim) takenBack(im *importing, working bool) {
	s.stats.TakenBack++
	s.tell("the import of group %d by node %d is taken back", im.given, im.h.id)
	s.fates[im.given] = groupDeleted
	s.broken("imports", s.checks.imports.Ended(im.given, working))
}

// endImports is the end of those of a node whose disk is gone, or which is.
func (s *Sim) endImports(n wire.NodeID) {
	for _, im := range s.imports {
		if im.h.id == n && im.given != 0 && s.fates[im.given] == groupImported {
			s.takenBack(im, false)
		}
	}
}

// cutOff counts those on which a process works that ends.
func (s *Sim) cutOff(h *host) {
	for _, im := range s.imports {
		if im.h == h && im.life == h.life && !im.over {
			s.stats.CutOff++
		}
	}
}

// announcing reports whether what only h's disk holds may be a group in a moment.
func (s *Sim) announcing(h *host) bool {
	return slices.ContainsFunc(s.imports, func(im *importing) bool {
		return im.h == h && im.announced && s.fates[im.given] == groupImported
	})
}

// unmade reports whether a replica is out of service that comes of an import, and will not be of any use: there is no space for its state, or
// it was deleted, its snapshot first.
func (s *Sim) unmade(h *host, g wire.GroupID, err error) bool {
	known, _ := h.catalog.FindGroup(g)
	return s.fates[g] != groupLives && errors.Is(err, wire.ErrNoSpace) || known.Deleted && errors.Is(err, raft.ErrInconsistent)
}

// gate is steward.Gate upon the vet of the machines.
func (h *host) gate(g wire.GroupID) func([]byte) error {
	return func(command []byte) error {
		if !placement.Open(&h.catalog, g) {
			return fmt.Errorf("group %d is being imported, or was", g)
		}
		return kv.Vet(command)
	}
}

// strays are the groups of which there are snapshots here and no replica.
func (h *host) strays() []wire.GroupID {
	return slices.DeleteFunc(h.depot.Groups(), func(g wire.GroupID) bool {
		_, here := h.engine().GroupStatus(g)
		return here
	})
}

// callOff is that of catalog/steward.
func (s *Sim) callOff(h *host, view *catalog.Snapshot) {
	if s.plan.sabotage == abandonedImport || s.plan.Imported == 0 {
		return
	}
	working := func(token uint64) bool { return h.steward.imports[token] }
	for _, c := range placement.CalledOff(view, h.id, working) {
		s.errand(h, h.steward.groups[c.ID], "take back an import that was cut off", restAfterError, func(done func(error)) {
			s.propose(h, c, func(_ catalog.Result, err error) { done(err) })
		})
	}
	for _, g := range placement.Leftovers(view, h.strays()) {
		s.errand(h, h.steward.groups[g], "remove what is left of a replica", restAfterError, func(done func(error)) {
			s.endReplica(h, g, done)
		})
	}
}

// holds holds a machine against what its group was made of.
func (s *Sim) holds(m *machine) {
	if s.plan.Imported == 0 {
		return
	}
	value, err := m.kv.Query(kv.AppendGet(nil, lasting))
	s.broken("imports", err)
	item, _, err := kv.DecodeValue(value)
	s.broken("imports", err)
	s.broken("imports", s.checks.imports.Holds(m.h.id, m.group, check.Sum(item.Value)))
}
