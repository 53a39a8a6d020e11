package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// found is what a search has come to.
type found struct {
	ran       uint64
	simulated time.Duration
	sum       sum
	hashes    map[uint64]uint64 // by seed
	all       uint64            // sum of all hashes: whatever the order, the same seeds have the same
	failed    *result           // the first failure, nil for none
}

func (f *found) add(r *result) {
	f.ran++
	f.simulated += r.simulated
	f.sum = f.sum.plus(r.stats)
	f.hashes[r.seed] = r.hash
	f.all += r.hash
	if r.err != nil {
		f.failed = r
	}
}

// search runs seeds until one fails and shows how it gets on.
func (o *options) search(out *bufio.Writer, lab laboratory) found {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began, shown := time.Now(), time.Now()
	f := found{hashes: map[uint64]uint64{}}
	for r := range o.runs(ctx, lab) {
		if f.failed != nil {
			continue // those under way
		}
		f.add(&r)
		if o.hash {
			fmt.Fprintf(out, "hash %d %016x\n", r.seed, r.hash)
		}
		if f.failed != nil {
			cancel()
		}
		if time.Since(shown) > 5*time.Second {
			shown = time.Now()
			o.progress(out, &f, began)
		}
	}
	o.progress(out, &f, began)
	return f
}

// runs returns the results of the seeds in the order in which they come, until ctx or the minutes end.
func (o *options) runs(ctx context.Context, lab laboratory) <-chan result {
	seeds, results := make(chan uint64), make(chan result)
	var workers sync.WaitGroup
	for range o.parallel {
		workers.Go(func() {
			for seed := range seeds {
				results <- lab.run(seed, nil)
			}
		})
	}
	go func() {
		limit := time.Now().Add(time.Duration(o.minutes * float64(time.Minute)))
		for seed := o.first; seed < o.first+o.seeds && ctx.Err() == nil && (o.minutes == 0 || time.Now().Before(limit)); seed++ {
			seeds <- seed
		}
		close(seeds)
		workers.Wait()
		close(results)
	}()
	return results
}

// progress prints how far a search is, and how fast.
func (o *options) progress(out *bufio.Writer, f *found, began time.Time) {
	real := time.Since(began)
	fmt.Fprintf(out, "%d of %d seeds, %.1f simulated hours in %v: %.1f hours a minute, %.0f x real time; hash %016x\n", f.ran, o.seeds, f.simulated.Hours(),
		real.Round(time.Second), f.simulated.Hours()/real.Minutes(), f.simulated.Seconds()/real.Seconds(), f.all)
	_ = out.Flush()
}

// replayCheck runs some of the seeds again, each in a process of its own, and compares the hashes (N10).
func (o *options) replayCheck(out *bufio.Writer, f found) bool {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(out, "replay check: %v\n", err)
		return false
	}
	for i := range min(o.recheck, f.ran) {
		seed := o.first + i*f.ran/min(o.recheck, f.ran)
		args := []string{"-hash", "-seed", strconv.FormatUint(seed, 10)}
		if o.cores {
			args = append(args, "-cores")
		}
		got, err := exec.Command(self, args...).Output()
		want := fmt.Sprintf("hash %d %016x", seed, f.hashes[seed])
		if err != nil || strings.TrimSpace(string(got)) != want {
			fmt.Fprintf(out, "FAIL replay check: %s here, %q in another process (%v)\n", want, got, err)
			return false
		}
	}
	fmt.Fprintf(out, "replay check: %d seeds have the same hashes in another process\n", min(o.recheck, f.ran))
	return true
}
