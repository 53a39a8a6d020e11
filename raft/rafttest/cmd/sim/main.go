// Command sim runs the simulators: many seeds until one fails, or one seed with its trace. It simulates clusters of whole
// hosts, with -cores groups of bare cores.
//
//	go run ./raft/rafttest/cmd/sim -seeds 1000              # seeds 1 to 1000, stops at the first failure
//	go run ./raft/rafttest/cmd/sim -seed 17 -v              # replays one seed, every event in a line
//	go run ./raft/rafttest/cmd/sim -seeds 500 -replay-check 20 # and 20 of them once more in another process
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// options are the flags.
type options struct {
	first, seeds, seed uint64
	parallel           int
	minutes            float64
	recheck            uint64
	verbose, hash      bool
	cores              bool
}

func main() {
	debug.SetGCPercent(400) // runs are short-lived and their garbage is small
	var o options
	flag.Uint64Var(&o.seeds, "seeds", 1000, "how many seeds to run")
	flag.Uint64Var(&o.first, "first", 1, "the first seed")
	flag.Uint64Var(&o.seed, "seed", 0, "run this seed alone")
	flag.BoolVar(&o.verbose, "v", false, "with -seed: print every event")
	flag.BoolVar(&o.hash, "hash", false, "print the trace hash of each seed")
	flag.IntVar(&o.parallel, "parallel", 1, "seeds to run at the same time, one goroutine each")
	flag.Float64Var(&o.minutes, "minutes", 0, "begin no further seed after so many minutes; 0 for no limit")
	flag.Uint64Var(&o.recheck, "replay-check", 0, "run so many of the seeds again in another process and compare the hashes")
	flag.BoolVar(&o.cores, "cores", false, "simulate groups of bare cores instead of whole hosts")
	flag.Parse()
	if flag.NArg() > 0 || o.parallel < 1 || o.seeds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	ok := o.run(out)
	if err := out.Flush(); err != nil || !ok {
		os.Exit(1)
	}
}

func (o *options) run(out *bufio.Writer) bool {
	lab := hosts
	if o.cores {
		lab = cores
	}
	if o.seed != 0 {
		return o.replay(out, lab)
	}
	found := o.search(out, lab)
	if found.failed != nil {
		return verdict(out, lab, *found.failed)
	}
	fmt.Fprintf(out, "%s\n", found.sum)
	if o.recheck > 0 {
		return o.replayCheck(out, found)
	}
	return true
}

// replay runs one seed.
func (o *options) replay(out *bufio.Writer, lab laboratory) bool {
	if o.hash && !o.verbose {
		r := lab.run(o.seed, nil)
		fmt.Fprintf(out, "hash %d %016x\n", r.seed, r.hash)
		return r.err == nil
	}
	fmt.Fprintln(out, lab.plan(o.seed))
	var lines func(at time.Duration, line string)
	if o.verbose {
		lines = func(at time.Duration, line string) { fmt.Fprintf(out, "%14v  %s\n", at, line) }
	}
	r := lab.run(o.seed, lines)
	fmt.Fprintf(out, "%s\nhash %d %016x\n", r.stats, r.seed, r.hash)
	return verdict(out, lab, r)
}

// verdict tells what failed and how to see it again.
func verdict(out *bufio.Writer, lab laboratory, r result) bool {
	if r.err == nil {
		return true
	}
	fmt.Fprintf(out, "FAIL seed %d: %v\nreplay: go run ./raft/rafttest/cmd/sim %s-seed %d -v\n", r.seed, r.err, lab.flags, r.seed)
	return false
}
