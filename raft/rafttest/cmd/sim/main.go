// Command sim runs the simulator of cores: many seeds until one fails, or one seed with its trace.
//
//	go run ./raft/rafttest/cmd/sim -seeds 1000        # seeds 1 to 1000, stops at the first failure
//	go run ./raft/rafttest/cmd/sim -seed 17 -v        # replays one seed, every event in a line
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"flotilla/raft/rafttest"
)

func main() {
	seed := flag.Uint64("seed", 0, "replay this seed")
	seeds := flag.Uint64("seeds", 1000, "how many seeds to run")
	from := flag.Uint64("from", 1, "the first seed")
	verbose := flag.Bool("v", false, "with -seed: print every event")
	flag.Parse()
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	var ok bool
	if *seed != 0 {
		ok = replay(out, *seed, *verbose)
	} else {
		ok = search(out, *from, *seeds)
	}
	if err := out.Flush(); err != nil || !ok {
		os.Exit(1)
	}
}

// replay runs one seed.
func replay(out *bufio.Writer, seed uint64, verbose bool) bool {
	plan := rafttest.Draw(seed)
	fmt.Fprintln(out, plan.String())
	var observers []func(*rafttest.Event)
	if verbose {
		observers = append(observers, func(e *rafttest.Event) { fmt.Fprintf(out, "%9s  %s\n", e.At, e) })
	}
	result := rafttest.Run(plan, observers...)
	fmt.Fprintf(out, "%s\ntrace hash %016x\n", result.Stats, result.Hash)
	return verdict(out, result)
}

// search runs seeds until one fails and shows how it gets on.
func search(out *bufio.Writer, from, n uint64) bool {
	began, shown := time.Now(), time.Now()
	var sum rafttest.Stats
	for seed := from; seed < from+n; seed++ {
		result := rafttest.Simulate(seed)
		sum = sum.Plus(result.Stats)
		if time.Since(shown) > 2*time.Second || result.Err != nil || seed == from+n-1 {
			shown = time.Now()
			hours := float64(sum.Simulated) / 3_600_000
			fmt.Fprintf(out, "%d of %d seeds, %.1f simulated hours, %.1f hours a minute\n", seed-from+1, n, hours, hours/time.Since(began).Minutes())
			_ = out.Flush()
		}
		if result.Err != nil {
			return verdict(out, result)
		}
	}
	fmt.Fprintln(out, sum)
	return true
}

func verdict(out io.Writer, result rafttest.Result) bool {
	if result.Err == nil {
		return true
	}
	fmt.Fprintf(out, "FAIL seed %d: %v\nreplay: go run ./raft/rafttest/cmd/sim -seed %d -v\n", result.Seed, result.Err, result.Seed)
	return false
}
