// Command mutants plants every fault of internal/mutant, one at a time, and shows which check finds it and how fast. It
// exits with 1 if a mutant survives, or if a check that has to judge is red without any.
//
//	scripts/mutants.sh                        # everything: named test, package, and the broad proofs of the core
//	scripts/mutants.sh -quick                 # each mutant against the one test named in the table
//	scripts/mutants.sh two-votes skip-fsync   # these
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"flotilla/internal/mutant"
)

func main() {
	quick := flag.Bool("quick", false, "run each mutant against its named test only")
	list := flag.Bool("list", false, "print the table and run nothing")
	file := flag.String("json", "", "write the outcome to this file, too")
	jobs := flag.Int("jobs", runtime.NumCPU(), "checks to run at a time")
	flag.Parse()
	if err := run(flag.Args(), options{quick: *quick, list: *list, file: *file, jobs: *jobs}); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	quick, list bool
	file        string
	jobs        int
}

func run(names []string, o options) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if o.list {
		for _, m := range chosen {
			fmt.Printf("%-26s %-16s %s\n", m.Name, m.Package, m.Breaks)
		}
		return nil
	}
	began := time.Now()
	l, err := newLaboratory(o.jobs)
	if err != nil {
		return err
	}
	defer l.close()
	rows, err := l.try(chosen, o.quick)
	if err != nil {
		return err
	}
	if o.file != "" {
		if err := writeJSON(o.file, rows); err != nil {
			return err
		}
	}
	return report(os.Stdout, rows, time.Since(began))
}

// choose returns the mutants called so, all of them without names.
func choose(names []string) ([]mutant.Mutant, error) {
	if len(names) == 0 {
		return mutant.All(), nil
	}
	var chosen []mutant.Mutant
	for _, n := range names {
		m, known := mutant.Find(mutant.Name(n))
		if !known {
			return nil, fmt.Errorf("no mutant is called %q; -list prints the table", n)
		}
		chosen = append(chosen, m)
	}
	return chosen, nil
}
