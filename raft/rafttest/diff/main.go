package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	schedules := flag.Int("schedules", 1, "how many schedules to play")
	seed := flag.Uint64("seed", 1, "seed of the first one; each next one has the next")
	verbose := flag.Bool("v", false, "print every step")
	flag.Parse()
	trace := io.Writer(nil)
	if *verbose {
		trace = os.Stdout
	}
	if err := play(os.Stdout, *seed, *schedules, trace); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// play plays schedules one after the other and stops at the first difference.
func play(out io.Writer, first uint64, schedules int, trace io.Writer) error {
	var total total
	began := time.Now()
	shown := began
	for i := range schedules {
		err := total.one(first+uint64(i), trace)
		if now := time.Now(); err != nil || i == schedules-1 || now.Sub(shown) > 5*time.Second {
			shown = now
			seconds := now.Sub(began).Seconds()
			fmt.Fprintf(out, "%d schedules, %d compared steps, %.0f steps/s, %d joint configurations, %d snapshots installed, %d departures of %d kinds\n",
				i+1, total.steps, float64(total.steps)/seconds, total.joints, total.installs, total.counts.sum(), total.counts.kinds())
		}
		if err != nil {
			return err
		}
	}
	total.counts.print(out, total.steps)
	return nil
}

// total adds schedules up.
type total struct {
	steps  int
	joints int
	// installs counts snapshots that took a log's place.
	installs int
	counts   tally
}

func (t *total) one(seed uint64, trace io.Writer) error {
	w, err := newWorld(seed, trace)
	if err != nil {
		return err
	}
	w.run()
	t.steps += w.steps
	t.joints += w.joints
	t.installs += w.installs
	t.counts.add(&w.counts)
	if w.failure != nil {
		return w.failure
	}
	return nil
}
