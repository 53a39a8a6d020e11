package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"flotilla/internal/mutant"
)

// laboratory builds what judges under the tag, once for all mutants, and tries them.
type laboratory struct {
	root    string // of the module
	scratch string
	jobs    chan struct{} // as many as may run at a time
}

func newLaboratory(jobs int) (*laboratory, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	scratch, err := os.MkdirTemp("", "flotilla-mutants-")
	if err != nil {
		return nil, err
	}
	return &laboratory{root: filepath.Dir(strings.TrimSpace(string(out))), scratch: scratch, jobs: make(chan struct{}, max(1, jobs))}, nil
}

func (l *laboratory) close() { _ = os.RemoveAll(l.scratch) }

// row is one line of the report.
type row struct {
	mutant mutant.Mutant
	// killed names the first check that found it, "" for none.
	killed, how string
	seconds     float64
	// broad has what each broad proof said.
	broad map[mutant.Proof]outcome
	// missed are the checks named in the table that found nothing.
	missed []string
}

// try shows that every check is green without a mutant, and then what each says of each.
func (l *laboratory) try(chosen []mutant.Mutant, quick bool) ([]row, error) {
	named := make([]check, len(chosen))
	var all []check
	for i, m := range chosen {
		c, err := killer(m.Killer)
		if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
		}
		named[i] = c
		all = append(all, c)
		if !quick {
			all = append(all, l.others(m)...)
		}
	}
	if err := l.build(all); err != nil {
		return nil, err
	}
	if err := l.baseline(all); err != nil {
		return nil, err
	}
	rows := make([]row, len(chosen))
	err := l.each(len(chosen), func(i int) (err error) {
		if rows[i], err = l.judge(chosen[i], named[i], quick); err == nil && !quick {
			fmt.Fprintf(os.Stderr, "%s: %s, %s\n", chosen[i].Name, rows[i].by(), proofs(&rows[i]))
		}
		return err
	})
	return rows, err
}

// others are the broader checks of a mutant.
func (l *laboratory) others(m mutant.Mutant) []check {
	list := []check{wholePackage(m.Package)}
	for _, p := range m.Proofs() {
		list = append(list, broad(p))
	}
	return list
}

// build builds each binary once.
func (l *laboratory) build(checks []check) error {
	var sources []string
	seen := map[string]bool{}
	for _, c := range checks {
		if !seen[c.source] {
			seen[c.source] = true
			sources = append(sources, c.source)
		}
	}
	return l.each(len(sources), func(i int) error {
		source := sources[i]
		pkg, tests := strings.CutSuffix(source, ".test")
		args := []string{"build", "-tags", "mutants", "-o", l.binary(source), "."}
		if tests {
			args = []string{"test", "-c", "-tags", "mutants", "-o", l.binary(source), "."}
		}
		cmd := exec.Command("go", args...)
		cmd.Dir = l.directory(pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
		return nil
	})
}

// baseline demands that every check is green on the code as it is: a red one would find whatever it is asked for.
func (l *laboratory) baseline(checks []check) error {
	var once []check
	seen := map[string]bool{}
	for _, c := range checks {
		if !seen[c.name] {
			seen[c.name] = true
			once = append(once, c)
		}
	}
	return l.each(len(once), func(i int) error {
		o, err := l.run(once[i], "")
		if err == nil && (o.killed || o.how != "") {
			err = fmt.Errorf("%s is red without a mutant (%s):\n%s", once[i].name, o.how, o.output)
		}
		return err
	})
}

// judge tries one mutant.
func (l *laboratory) judge(m mutant.Mutant, named check, quick bool) (row, error) {
	r := row{mutant: m, broad: map[mutant.Proof]outcome{}}
	note := func(c check) (outcome, error) {
		o, err := l.run(c, m.Name)
		if o.killed && r.killed == "" {
			r.killed, r.how, r.seconds = c.name, o.how, o.seconds
		}
		return o, err
	}
	o, err := note(named)
	if err != nil {
		return r, err
	}
	if !o.killed {
		r.missed = append(r.missed, named.name)
	}
	if quick {
		return r, nil
	}
	if !o.killed {
		if _, err := note(wholePackage(m.Package)); err != nil {
			return r, err
		}
	}
	for _, p := range m.Proofs() {
		o, err := note(broad(p))
		if err != nil {
			return r, err
		}
		r.broad[p] = o
		if m.Also&p != 0 && !o.killed {
			r.missed = append(r.missed, broad(p).name)
		}
	}
	return r, nil
}

// each calls do with 0 to n-1, as many at a time as there are jobs, and joins the errors.
func (l *laboratory) each(n int, do func(int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			l.jobs <- struct{}{}
			defer func() { <-l.jobs }()
			errs[i] = do(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
