package hostsim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"flotilla/raft/wire"
)

// Plan is what one seed draws before a run begins: the cluster, the load, and which faults there are and how often
// (swarm testing: every run has its own mixture, many lack a fault altogether). Rates are in thousandths; an interval is
// the mean time between two of a kind, 0 for never.
type Plan struct {
	Seed  uint64
	Nodes int
	// Groups counts data groups; group 0 comes on top. Replicas is the number of voters of each.
	Groups, Replicas int
	Workers          int
	Heartbeat        time.Duration
	Election         time.Duration
	// Length is how long faults go on before the cluster has to heal; it has to so many times (Rounds).
	Length time.Duration
	Rounds int
	// Peaceful runs have no faults and must keep their first leaders.
	Peaceful bool

	// Skew is by how many hundredths a node's clock may be fast or slow.
	Skew int
	// TurnMax is the longest time until a worker that was rung turns, Hiccup the rate of turns that take up to HiccupMax.
	TurnMax   time.Duration
	Hiccup    int
	HiccupMax time.Duration

	DelayMin, DelayMax time.Duration
	Loss, Duplicates   int
	// Late is the rate of frames that take up to LateMax.
	Late    int
	LateMax time.Duration
	// Ordered keeps the frames of a lane in order, as a stream does; HalfOpen keeps a connection that is cut in one direction.
	Ordered, HalfOpen bool
	// QueueMax is how long appends may lie in their lane before they are stamped and written; Full the rate of lanes found full.
	QueueMax time.Duration
	Full     int
	// GroupBytes bounds what may wait in a group, 0 for the engine's own bound.
	GroupBytes int

	SyncMax     time.Duration
	SlowSync    int
	SlowSyncMax time.Duration
	ApplyMax    time.Duration

	Clients              int
	BusyMean, QuietMean  time.Duration
	ThinkBusy, ThinkIdle time.Duration
	Keys                 int

	// Faults.
	CrashEvery, StopEvery, PauseEvery, CutEvery, DiskEvery, TransferEvery, ChangeEvery time.Duration
	DownMax, PauseMax, CutMax                                                          time.Duration

	Membership
	Snapshots
	Imports

	sabotage sabotage
}

// sabotage breaks the world or the product on purpose, to prove that it would be noticed.
type sabotage uint8

const (
	_ sabotage = iota // none
	// forgetfulDisk: syncs are lies, a crash loses what was acknowledged.
	forgetfulDisk
	// blindFence: stale frames are admitted.
	blindFence
	// earlyAck: workers hear of durability before the disk has done anything.
	earlyAck
	// noSessions: repeated commands are executed again.
	noSessions
	// staleReads: linearizable reads are answered from whatever state there is.
	staleReads
	// blindGeneration: frames of lost data directories are admitted.
	blindGeneration
	// silentLoss: a disk that was lost is replaced and nobody is told.
	silentLoss
	// idleRestore: machines say that they have taken a state over, and have not.
	idleRestore
	// hastyImport: groups are announced before anything of them was made.
	hastyImport
	// abandonedImport: what was cut off is never taken back.
	abandonedImport
)

// Draw returns the plan of a seed.
func Draw(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	p := Plan{
		Seed: seed, Nodes: pick(r, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7), Groups: pick(r, 1, 1, 2, 2, 3), Workers: pick(r, 1, 1, 2),
		Heartbeat: 100 * time.Millisecond, Length: between(r, 4*time.Minute, 20*time.Minute), Rounds: pick(r, 1, 1, 2, 3),
		TurnMax:  between(r, 10*time.Microsecond, time.Millisecond),
		DelayMin: between(r, 50*time.Microsecond, 2*time.Millisecond),
		SyncMax:  between(r, 100*time.Microsecond, 20*time.Millisecond),
		ApplyMax: between(r, 10*time.Microsecond, 5*time.Millisecond),
		Clients:  1 + r.IntN(5), Keys: 1 + r.IntN(6),
		BusyMean: between(r, time.Second, 12*time.Second), QuietMean: between(r, 20*time.Second, 90*time.Second),
		ThinkBusy: between(r, 3*time.Millisecond, 150*time.Millisecond), ThinkIdle: between(r, 4*time.Second, 20*time.Second),
	}
	p.Replicas = p.Nodes
	if p.Nodes > 3 && chance(r, 600) {
		p.Replicas = 3
	}
	if chance(r, 150) {
		p.Heartbeat = between(r, 20*time.Millisecond, 300*time.Millisecond)
	}
	p.Election = p.Heartbeat * 10
	if chance(r, 200) {
		p.Election = p.Heartbeat * time.Duration(5+r.IntN(16))
	}
	p.DelayMax = p.DelayMin + between(r, 10*time.Microsecond, 3*time.Millisecond)
	if chance(r, 150) {
		p.DelayMax = p.DelayMin + p.Election/time.Duration(8+r.IntN(20))
	}
	p.Ordered, p.HalfOpen = chance(r, 600), chance(r, 300)
	p.Length /= time.Duration(p.Rounds)
	if p.Peaceful = chance(r, 40); !p.Peaceful {
		p.drawFaults(r)
	}
	p.drawMembership()
	p.drawSnapshots()
	p.drawImports()
	return p
}

// drawFaults draws the rates of what goes wrong.
func (p *Plan) drawFaults(r *rand.Rand) {
	if chance(r, 500) {
		p.Skew = 1 + r.IntN(15)
		if chance(r, 200) {
			p.Skew = 50 // one at half the speed beside one at three halves
		}
	}
	if chance(r, 200) {
		p.GroupBytes = 400 + r.IntN(8000)
	}
	if chance(r, 400) {
		p.Hiccup, p.HiccupMax = 1+r.IntN(10), between(r, 5*time.Millisecond, p.Election/2)
	}
	if chance(r, 500) {
		p.Loss = 1 + r.IntN(1+r.IntN(200))
	}
	if chance(r, 400) {
		p.Duplicates = 1 + r.IntN(100)
	}
	if chance(r, 400) {
		p.Late, p.LateMax = 1+r.IntN(50), between(r, 20*time.Millisecond, 4*p.Election)
	}
	if chance(r, 300) {
		p.QueueMax = between(r, 100*time.Microsecond, 50*time.Millisecond)
	}
	if chance(r, 200) {
		p.Full = 1 + r.IntN(50)
	}
	if chance(r, 400) {
		p.SlowSync, p.SlowSyncMax = 1+r.IntN(50), between(r, 50*time.Millisecond, 3*p.Election)
	}
	p.CrashEvery = fault(r, 20*time.Second, 4*time.Minute)
	p.StopEvery = fault(r, 20*time.Second, 4*time.Minute)
	p.PauseEvery = fault(r, 15*time.Second, 4*time.Minute)
	p.CutEvery = fault(r, 10*time.Second, 3*time.Minute)
	p.DiskEvery = fault(r, 20*time.Second, 4*time.Minute)
	p.TransferEvery = fault(r, 10*time.Second, 2*time.Minute)
	p.ChangeEvery = fault(r, 5*time.Second, time.Minute)
	p.DownMax = span(r, 20*time.Millisecond, 40*time.Second)
	p.PauseMax = span(r, 50*time.Millisecond, 20*p.Election)
	p.CutMax = span(r, 50*time.Millisecond, 40*time.Second)
}

// span draws from [lo, hi), as often a short one as a long one: every doubling is as likely as the next.
func span(r *rand.Rand, lo, hi time.Duration) time.Duration {
	for lo < hi/2 && chance(r, 800) {
		lo *= 2
	}
	return between(r, lo, min(2*lo, hi))
}

// voters returns the first voters of group g: all nodes for group 0, Replicas of them in a ring for the others.
func (p *Plan) voters(g wire.GroupID) []wire.NodeID {
	var in []wire.NodeID
	for n := range p.Nodes {
		at := (n - int(g) + p.Nodes) % p.Nodes
		if g == wire.MetadataGroup || at < p.Replicas {
			in = append(in, wire.NodeID(n+1))
		}
	}
	return in
}

// chance is true for perMille of a thousand draws.
func chance(r *rand.Rand, perMille int) bool { return perMille > 0 && r.IntN(1000) < perMille }

// between draws from [lo, hi), lo when that is empty.
func between(r *rand.Rand, lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(r.Int64N(int64(hi-lo)))
}

func pick(r *rand.Rand, from ...int) int { return from[r.IntN(len(from))] }

// fault draws the mean interval of a fault that a good half of the runs have.
func fault(r *rand.Rand, lo, hi time.Duration) time.Duration {
	d := between(r, lo, hi)
	if chance(r, 450) {
		return 0
	}
	return d
}

// String tells the plan in a few lines.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, %d groups of %d, %d workers, heartbeat %v election %v, %d times %v, peaceful %t\n", p.Seed, p.Nodes, p.Groups, p.Replicas,
		p.Workers, p.Heartbeat, p.Election, p.Rounds, p.Length, p.Peaceful)
	fmt.Fprintf(&b, "  clocks +-%d%%; turns %v, hiccup %d/%v; delay %v to %v, loss %d duplicates %d late %d/%v, ordered %t half-open %t, queue %v full %d, room %d\n",
		p.Skew, p.TurnMax, p.Hiccup, p.HiccupMax, p.DelayMin, p.DelayMax, p.Loss, p.Duplicates, p.Late, p.LateMax, p.Ordered, p.HalfOpen, p.QueueMax, p.Full, p.GroupBytes)
	fmt.Fprintf(&b, "  sync %v slow %d/%v; apply %v; %d clients, %d keys, busy %v quiet %v think %v idle %v\n",
		p.SyncMax, p.SlowSync, p.SlowSyncMax, p.ApplyMax, p.Clients, p.Keys, p.BusyMean, p.QuietMean, p.ThinkBusy, p.ThinkIdle)
	fmt.Fprintf(&b, "  every: crash %v (down %v) stop %v pause %v (%v) cut %v (%v) disk %v transfer %v change %v; %s\n  %s\n  %s", p.CrashEvery, p.DownMax, p.StopEvery,
		p.PauseEvery, p.PauseMax, p.CutEvery, p.CutMax, p.DiskEvery, p.TransferEvery, p.ChangeEvery, p.Membership.String(), p.Snapshots.String(), p.Imports.String())
	return b.String()
}
