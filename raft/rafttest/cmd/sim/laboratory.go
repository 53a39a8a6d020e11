package main

import (
	"fmt"
	"time"

	"flotilla/raft/rafttest"
	"flotilla/raft/rafttest/hostsim"
)

// laboratory is one of the simulators.
type laboratory struct {
	// flags are what a command line needs to get here.
	flags string
	plan  func(seed uint64) string
	// run runs one seed and tells lines, when not nil, every line of its trace.
	run func(seed uint64, lines func(at time.Duration, line string)) result
}

// result is the outcome of one seed.
type result struct {
	seed, hash uint64
	simulated  time.Duration
	stats      sum
	err        error
}

// sum are the counts of runs, of the one kind or of the other.
type sum struct {
	hosts *hostsim.Stats
	cores *rafttest.Stats
}

func (s sum) plus(t sum) sum {
	switch {
	case s == sum{}:
		return t
	case s.hosts != nil:
		both := s.hosts.Plus(*t.hosts)
		return sum{hosts: &both}
	}
	both := s.cores.Plus(*t.cores)
	return sum{cores: &both}
}

// String tells the counts.
func (s sum) String() string {
	switch {
	case s.hosts != nil:
		return s.hosts.String()
	case s.cores != nil:
		return s.cores.String()
	}
	return "nothing ran"
}

var hosts = laboratory{
	plan: func(seed uint64) string { p := hostsim.Draw(seed); return p.String() },
	run: func(seed uint64, lines func(time.Duration, string)) result {
		r := hostsim.Run(hostsim.Draw(seed), lines)
		return result{seed: seed, hash: r.Hash, simulated: r.Stats.Simulated, stats: sum{hosts: &r.Stats}, err: r.Err}
	},
}

var cores = laboratory{
	flags: "-cores ",
	plan:  func(seed uint64) string { p := rafttest.Draw(seed); return p.String() },
	run: func(seed uint64, lines func(time.Duration, string)) result {
		var observers []func(*rafttest.Event)
		if lines != nil {
			observers = append(observers, func(e *rafttest.Event) { lines(milliseconds(e.At), fmt.Sprint(e)) })
		}
		r := rafttest.Run(rafttest.Draw(seed), observers...)
		return result{seed: seed, hash: r.Hash, simulated: milliseconds(r.Stats.Simulated), stats: sum{cores: &r.Stats}, err: r.Err}
	},
}

func milliseconds(t rafttest.Time) time.Duration { return time.Duration(t) * time.Millisecond }
