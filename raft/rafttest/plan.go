package rafttest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"flotilla/raft"
)

// Plan is what one seed draws before a run begins: the group, its limits, the load, and which faults there are and how
// often (swarm testing: every run has its own mixture, many lack a fault altogether). Rates of messages are
// in thousandths; an interval is the mean time between two of a kind, 0 for never.
type Plan struct {
	Seed     uint64
	Voters   int
	Learners int
	// Spares are nodes outside of the group that changes may add.
	Spares int
	// Together is the rate at which one more change goes with another, in one set.
	Together int
	// Length is how long faults go on; the healing comes after it.
	Length Time
	Core   raft.Config

	// TickSkew is by how many hundredths a node's tick may be longer or shorter than 100 ms.
	TickSkew int

	DelayMax Time
	Drop     int
	Dup      int
	// Late is the rate of messages that take up to LateMax.
	Late    int
	LateMax Time

	SyncMax Time
	// SlowSync is the rate of writes that take up to SlowSyncMax.
	SlowSync    int
	SlowSyncMax Time
	ApplyMax    Time

	ProposeEvery     Time
	ReadEvery        Time
	CrashEvery       Time
	DownMax          Time
	PauseEvery       Time
	PauseMax         Time
	CutEvery         Time
	CutMax           Time
	ChangeEvery      Time
	TransferEvery    Time
	CampaignEvery    Time
	UnreachableEvery Time
	CompactEvery     Time
	// KeepEntries is how much of what could go a leader keeps for followers; 0 for all.
	KeepEntries int
	// TransferMax is how long a snapshot may take to get somewhere, and again to be installed.
	TransferMax Time

	// QuietTicks is for how many ticks a group must have been able to sleep before its host puts it to sleep; 0 for never.
	QuietTicks int
	// LateTicks: a host that was stopped does not tell its cores what time has passed, as one that measures none.
	LateTicks bool

	sabotage sabotage
}

// sabotage breaks the world below the cores on purpose, to prove that it would be noticed.
type sabotage uint8

const (
	_ sabotage = iota // none
	// forgetVote: a crash takes term and vote off the disk.
	forgetVote
	// forgetTail: a crash takes the last entry off the disk.
	forgetTail
	// tellEarly: cores are told of writes that are not yet durable.
	tellEarly
)

// tickEvery is the mean length of a tick.
const tickEvery Time = 100

// Draw returns the plan of a seed.
func Draw(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	p := Plan{
		Seed: seed, Voters: 1 + r.IntN(7), Length: Time(20_000 + r.IntN(60_000)),
		TickSkew: r.IntN(30), DelayMax: between(r, 2, 60), SyncMax: between(r, 1, 30), ApplyMax: between(r, 1, 30),
		ProposeEvery: between(r, 20, 500), ReadEvery: between(r, 20, 500),
	}
	p.Core = raft.Config{ElectionTicks: 6 + r.IntN(10), HeartbeatTicks: 1 + r.IntN(2)}
	p.drawLimits(r)
	if chance(r, 400) {
		p.drawLease(r)
	}
	if chance(r, 400) { // with pauses in the load, or nobody would sleep
		p.QuietTicks = 1 + r.IntN(20)
		p.ProposeEvery, p.ReadEvery = between(r, 500, 8000), between(r, 500, 8000)
	}
	if chance(r, 300) {
		p.Learners = 1 + r.IntN(2)
	}
	if chance(r, 500) {
		p.Spares, p.ChangeEvery, p.Together = 1+r.IntN(4), between(r, 300, 8000), r.IntN(800)
	}
	if chance(r, 500) {
		p.Drop = r.IntN(200)
	}
	if chance(r, 500) {
		p.Dup = r.IntN(200)
	}
	if chance(r, 500) {
		p.Late, p.LateMax = 1+r.IntN(100), between(r, 200, 10_000)
	}
	if chance(r, 500) {
		p.SlowSync, p.SlowSyncMax = 1+r.IntN(200), between(r, 100, 4000)
	}
	p.CrashEvery, p.DownMax = fault(r, 1000, 20_000), between(r, 10, 8000)
	p.PauseEvery, p.PauseMax = fault(r, 1000, 20_000), between(r, 100, 6000)
	p.CutEvery, p.CutMax = fault(r, 1000, 15_000), between(r, 200, 10_000)
	p.TransferEvery = fault(r, 500, 10_000)
	p.CampaignEvery = fault(r, 500, 10_000)
	p.UnreachableEvery = fault(r, 200, 5000)
	p.CompactEvery, p.TransferMax = fault(r, 300, 10_000), between(r, 10, 5000)
	return p
}

// drawLease puts lease reads on, with clocks that differ as much as the margin bears (raft/lease.go) and no more.
func (p *Plan) drawLease(r *rand.Rand) {
	e := p.Core.ElectionTicks
	m := 3 + r.IntN(e/2)
	p.Core.LeaseMargin = m
	p.TickSkew = min(p.TickSkew, 100*(m-1)/(2*e-m-1))
}

// drawLimits makes the core's limits small in some runs, so that they are met.
func (p *Plan) drawLimits(r *rand.Rand) {
	if chance(r, 300) {
		p.Core.MaxAppendBytes = 64 + r.IntN(1000)
	}
	if chance(r, 300) {
		p.Core.MaxInflightMessages = 1 + r.IntN(4)
	}
	if chance(r, 300) {
		p.Core.MaxInflightBytes = 2000 + r.IntN(4000)
	}
	if chance(r, 200) {
		p.Core.MaxCommittedBytes = 64 + r.IntN(500)
	}
	if chance(r, 500) {
		p.KeepEntries = 1 + r.IntN(30)
	}
	if chance(r, 200) {
		p.Core.MaxUncommittedBytes = 4000 + r.IntN(10_000)
	}
}

// chance is true for perMille of a thousand draws.
func chance(r *rand.Rand, perMille int) bool { return r.IntN(1000) < perMille }

// between draws from [lo, hi).
func between(r *rand.Rand, lo, hi Time) Time { return lo + Time(r.Int64N(int64(hi-lo))) }

// fault draws the mean interval of a fault that half of the runs have.
func fault(r *rand.Rand, lo, hi Time) Time {
	d := between(r, lo, hi)
	if chance(r, 500) {
		return 0
	}
	return d
}

// String tells the plan in one line.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d voters, %d learners, %d spares (together %d), %s; election %d heartbeat %d lease margin %d skew %d%%; delay %d, drop %d dup %d late %d/%d; sync %d slow %d/%d;",
		p.Seed, p.Voters, p.Learners, p.Spares, p.Together, p.Length, p.Core.ElectionTicks, p.Core.HeartbeatTicks, p.Core.LeaseMargin, p.TickSkew,
		p.DelayMax, p.Drop, p.Dup, p.Late, p.LateMax, p.SyncMax, p.SlowSync, p.SlowSyncMax)
	fmt.Fprintf(&b, " every: propose %d read %d crash %d pause %d cut %d change %d transfer %d campaign %d unreachable %d compact %d; transfer %d, sleep after %d",
		p.ProposeEvery, p.ReadEvery, p.CrashEvery, p.PauseEvery, p.CutEvery, p.ChangeEvery, p.TransferEvery, p.CampaignEvery,
		p.UnreachableEvery, p.CompactEvery, p.TransferMax, p.QuietTicks)
	return b.String()
}
