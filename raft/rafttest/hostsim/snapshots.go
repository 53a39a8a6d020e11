package hostsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/rafttest/hostsim/depot"
	"flotilla/raft/wire"
	"flotilla/snapshotstream/snapshottest"
)

// Snapshots is the part of a plan about snapshots. Where SnapshotBytes is 0 there are none, and logs are kept as a whole.
type Snapshots struct {
	SnapshotBytes, TailBytes int64
	Sends                    int
	// Ballast is by how many bytes states are larger than they were: transfers take several chunks.
	Ballast int
	// Durable machines of data groups keep their state themselves, up to some batch.
	Durable bool
	// ChunkMax is how long a sender takes for a chunk, WriteMax how long a snapshot is written.
	ChunkMax, WriteMax time.Duration
	// Slow is the rate of calls of a machine that take up to SlowMax, as taking over a large state does.
	Slow    int
	SlowMax time.Duration
	// Flips is the rate of chunks damaged on their way, DieHolding that of receivers that die holding a snapshot that is not installed.
	Flips, DieHolding int
	// NoSpace is the rate of snapshots for which a machine has no space.
	NoSpace int
	// PowerEvery, RotEvery and MakeEvery are the mean times between power cuts at some change of a disk of snapshots, between crashes
	// after which the newest snapshot of a group is damaged, and between snapshots that somebody asks for.
	PowerEvery, RotEvery, MakeEvery time.Duration
}

// drawSnapshots draws from a source of its own, as drawMembership does.
func (p *Plan) drawSnapshots() {
	r := rand.New(rand.NewPCG(p.Seed, 0xe7037ed1a0b428db))
	if chance(r, 100) {
		return
	}
	s := &p.Snapshots
	s.SnapshotBytes = 512 << r.IntN(7)
	s.TailBytes = max(s.SnapshotBytes>>r.IntN(6), 64)
	s.Sends, s.Ballast = pick(r, 1, 2, 2, 8), pick(r, 0, 1500, 5000, 12000)
	s.Durable = chance(r, 250)
	s.ChunkMax = span(r, 100*time.Microsecond, 2*time.Second)
	s.WriteMax = span(r, time.Millisecond, time.Second)
	if p.Peaceful {
		return
	}
	if chance(r, 400) {
		s.Slow, s.SlowMax = pick(r, 5, 50, 300), span(r, 10*time.Millisecond, 5*time.Second)
	}
	if chance(r, 500) {
		s.Flips = pick(r, 5, 50, 500)
	}
	s.DieHolding, s.NoSpace = pick(r, 0, 30, 300), pick(r, 0, 0, 50, 300)
	s.PowerEvery = fault(r, 20*time.Second, 3*time.Minute)
	s.RotEvery = fault(r, 20*time.Second, 3*time.Minute)
	s.MakeEvery = fault(r, 5*time.Second, 2*time.Minute)
}

// String tells it in a line.
func (s *Snapshots) String() string {
	if s.SnapshotBytes == 0 {
		return "no snapshots"
	}
	return fmt.Sprintf("a snapshot each %d bytes, tail %d, ballast %d, durable %t, %d sends, chunk %v write %v, slow %d/%v; flips %d die holding %d no space %d; every: power cut %v rot %v made %v",
		s.SnapshotBytes, s.TailBytes, s.Ballast, s.Durable, s.Sends, s.ChunkMax, s.WriteMax, s.Slow, s.SlowMax, s.Flips, s.DieHolding, s.NoSpace, s.PowerEvery, s.RotEvery, s.MakeEvery)
}

// openDepot takes the snapshots of a host up; false when the power was cut meanwhile.
func (s *Sim) openDepot(h *host) bool {
	if s.plan.PowerEvery > 0 && chance(s.rng, s.rate(50)) { // amid the start
		h.depot.CutAfter(s.rng.IntN(8))
	}
	if err := h.depot.Open(func() bool { return h.disk.full }); err != nil {
		if !h.depot.Cut() {
			s.broken("snapshots", err)
		}
		return false
	}
	s.stats.Adopted += h.depot.Recovered()
	h.depot.Written = func(g wire.GroupID, snap wire.Snapshot, state []byte) {
		sum := check.Sum(state)
		s.trace.words(uint64(h.id)<<32|uint64(g), uint64(snap.Index), sum)
		n, _, err := openState(state)
		if err == nil {
			err = s.checks.snapshots.Made(h.id, g, &snap, sum, n, s.checks.machines.CountTo(g, snap.Index))
		}
		s.broken("snapshots", err)
	}
	return true
}

// configure gives an engine what it needs for snapshots.
func (s *Sim) configure(h *host, cfg *multiraft.Config, p *port) {
	if s.plan.SnapshotBytes == 0 {
		return
	}
	cfg.Snapshots, cfg.Courier = h.depot, (*courier)(p)
	cfg.SnapshotBytes, cfg.TailBytes, cfg.SnapshotSends = s.plan.SnapshotBytes, s.plan.TailBytes, s.plan.Sends
}

// newDepot returns an empty directory of snapshots.
func newDepot() *depot.Depot { return depot.New() }

// endDepot is the end of a process with its snapshots: kill -9 leaves everything that was written, a power cut not.
func (s *Sim) endDepot(h *host) {
	survives := snapshottest.All
	switch {
	case h.depot.Cut() || chance(s.rng, 300):
		survives = snapshottest.Torn(s.rng)
	case chance(s.rng, 300):
		survives = snapshottest.None
	}
	if h.rots {
		s.rot(h)
	}
	h.rots = false
	h.depot.Crash(survives)
}

// rot damages the newest snapshot of a group, of which nothing is lost with it: the log goes on after the one before, or the machine
// of its own disk has no need of it.
func (s *Sim) rot(h *host) {
	if h.depot.Store() == nil || h.depot.Cut() {
		return
	}
	g := wire.GroupID(s.rng.IntN(int(s.plan.groups())))
	st, here := h.disk.State(g)
	held := h.depot.Held(g)
	if !here || len(held) == 0 {
		return
	}
	reach := wire.Index(0)
	if len(held) > 1 {
		reach = held[1]
	}
	if g == wire.MetadataGroup {
		reach = max(reach, min(h.catalog.Applied, st.Last))
		if h.catalog.Applied > st.Last {
			return
		}
	}
	if reach+1 < st.First {
		return
	}
	s.stats.Rotten++
	s.tell("node %d: the snapshot of group %d at %d rots", h.id, g, held[0])
	s.broken("depot", h.depot.Rot(g, 1, s.rng.IntN))
}

// breakReplica damages all snapshots of a data group on h whose log begins behind them, and reports whether there is one: the replica has to
// be made anew from its peers.
func (s *Sim) breakReplica(h *host) bool {
	if !h.up || h.depot.Cut() || s.plan.SnapshotBytes == 0 || s.plan.Durable {
		return false
	}
	for _, st := range h.disk.Groups() {
		if st.Group == wire.MetadataGroup || s.fates[st.Group] == groupImported || st.First == 1 || len(h.depot.Held(st.Group)) == 0 {
			continue
		}
		s.stats.Broken++
		s.tell("node %d: all snapshots of group %d rot", h.id, st.Group)
		s.broken("depot", h.depot.Rot(st.Group, 9, s.rng.IntN))
		h.broken = st.Group
		s.die(h)
		return true
	}
	return false
}

// powerless ends a process whose disk has lost its power.
func (s *Sim) powerless(h *host) {
	if h.dying || !h.depot.Cut() {
		return
	}
	h.dying = true
	s.later(h, func() {
		s.stats.Powerless++
		s.tell("node %d loses its power", h.id)
		s.crash(h)
		s.after(between(s.rng, time.Millisecond, s.plan.DownMax), &task{kind: taskStart, host: h, life: h.life})
	})
}

// saved is the end of writing a snapshot.
func (s *Sim) saved(h *host) {
	h.saving = false
	h.stepper.Save()
	s.pump(h)
}

// makeSnapshot asks a host for a snapshot of a group.
func (s *Sim) makeSnapshot(h *host) {
	if !h.up || h.paused() {
		return
	}
	g := wire.GroupID(s.rng.IntN(int(s.plan.groups())))
	if h.watchers[g] == nil {
		return
	}
	applied := h.watchers[g].Applied()
	s.tell("node %d is asked for a snapshot of group %d", h.id, g)
	caller := s.checks.callers.Asked(func() string { return fmt.Sprintf("a snapshot of group %d on node %d", g, h.id) })
	h.orders = append(h.orders, caller)
	h.stepper.MakeSnapshot(g, func(made wire.Snapshot, err error) {
		s.broken("callers", s.checks.callers.Answered(caller))
		s.note("node %d answers with a snapshot of group %d at %d: %v", h.id, g, made.Index, err)
		if err == nil {
			s.stats.Asked++
			if made.Index < applied {
				s.broken("snapshots", fmt.Errorf("node %d had applied group %d to %d and makes a snapshot at %d", h.id, g, applied, made.Index))
			}
		}
	})
	s.pump(h)
}

// snapshotEvent takes in what an engine tells of snapshots, and reports whether it was that.
func (s *Sim) snapshotEvent(h *host, e multiraft.Event) bool {
	switch e := e.(type) {
	case multiraft.SnapshotMade:
		s.stats.SnapshotsMade++
		s.tell("node %d has a snapshot of group %d at %d of term %d, %d bytes", h.id, e.Group, e.Snapshot.Index, e.Snapshot.Term, e.Bytes)
	case multiraft.SnapshotSending:
		s.stats.SnapshotsSent++
		s.tell("node %d sends a snapshot of group %d at %d to node %d", h.id, e.Group, e.Index, e.Peer)
	case multiraft.SnapshotSent:
		s.tell("node %d has sent a snapshot of group %d at %d to node %d: %v", h.id, e.Group, e.Index, e.Peer, e.Err)
	case multiraft.SnapshotInstalled:
		if s.stats.Installed++; h.starting {
			s.stats.Finished++
		}
		s.tell("node %d has installed a snapshot of group %d at %d, at its start %t", h.id, e.Group, e.Snapshot.Index, h.starting)
	case multiraft.SnapshotFailed:
		s.tell("node %d: snapshot of group %d: %v", h.id, e.Group, e.Err)
		if errors.Is(e.Err, wire.ErrNoSpace) {
			s.stats.Spaceless++
		}
	default:
		return false
	}
	return true
}

// appliedTerm is that of the last entry which group 0's machine has in it: of its log, or of the snapshot to which that is about to move.
func (s *Sim) appliedTerm(h *host) wire.Term {
	at := h.watchers[wire.MetadataGroup].Applied()
	if newest, _, ok := h.depot.Newest(wire.MetadataGroup); ok && newest.Index == at {
		return newest.Term
	}
	term, _ := h.disk.Term(wire.MetadataGroup, at)
	return term
}

// bounded holds the logs of a healed cluster against what they may take.
func (s *Sim) bounded() {
	if s.plan.SnapshotBytes == 0 {
		return
	}
	for _, h := range s.living() {
		for _, st := range h.engine().Status() {
			s.broken("snapshots", s.checks.snapshots.Bounded(h.id, st.ID, s.logBytes(h, st.ID), s.mostLog(h, st.ID)))
		}
	}
}

// logBytes is the size of a log.
func (s *Sim) logBytes(h *host, g wire.GroupID) (sum int64) {
	first, last := h.disk.Bounds(g)
	entries, err := h.disk.Entries(g, nil, first, last+1, 1<<30)
	s.broken("disk", err)
	for i := range entries {
		sum += int64(entries[i].Size())
	}
	return sum
}

// mostLog is what a log may take: up to the next snapshot, which comes the later the larger the state is, and while it is written; the
// tail; and once more what had not been counted at the last start.
func (s *Sim) mostLog(h *host, g wire.GroupID) int64 {
	const slack = 16 << 10
	_, bytes, _ := h.depot.Newest(g)
	worth := s.plan.SnapshotBytes
	for worth < bytes {
		worth *= 2
	}
	return 2*worth + max(bytes, 4*s.plan.TailBytes) + slack
}

// effect tells the checkers of a membership that took effect.
func (s *Sim) effect(g wire.GroupID, m *wire.Membership) {
	s.checks.rebirths.Effect(g, m)
	s.checks.snapshots.Effect(g, m)
}

// disturbSnapshots does what goes wrong with snapshots, and asks for one.
func (s *Sim) disturbSnapshots(kind disturbance) {
	switch h := s.someone(); kind {
	case disturbPower:
		if h.up {
			h.depot.CutAfter(s.rng.IntN(30))
		}
	case disturbRot:
		if h.up {
			h.rots = true
			s.die(h)
		}
	case disturbMake:
		s.makeSnapshot(h)
	}
}
