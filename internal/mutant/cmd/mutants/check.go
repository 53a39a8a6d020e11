package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"flotilla/internal/mutant"
)

// check is one way to look for a mutant: a built binary and what to call it with.
type check struct {
	// name is what the report says.
	name string
	// source is what is built: a package relative to the module's root, tests or command.
	source string
	args   []string
	// passed is a line of output without which a green run has not looked at all: the test was renamed or skipped.
	passed *regexp.Regexp
	// broad: a search through many runs; that it takes long shows nothing.
	broad bool
}

// patience is the most that a check may take. A mutant that makes a named test hang is found as well; a broad proof
// without an end proves nothing.
const patience = 5 * time.Minute

// memory runs a command with 2 GiB of addresses at most.
const memory = `ulimit -v 2097152; exec "$0" "$@"`

// killer makes the check of what a table names: package, blank, test.
func killer(s string) (check, error) {
	pkg, test, ok := strings.Cut(s, " ")
	if !ok {
		return check{}, fmt.Errorf("killer %q is not: package, blank, test", s)
	}
	var pattern []string
	for part := range strings.SplitSeq(test, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	return check{
		name: s, source: pkg + ".test",
		args:   []string{"-test.v", "-test.run", strings.Join(pattern, "/")},
		passed: regexp.MustCompile(`(?m)^ *--- PASS: ` + regexp.QuoteMeta(test) + ` `),
	}, nil
}

// wholePackage runs all tests of a package.
func wholePackage(pkg string) check {
	return check{name: pkg, source: pkg + ".test", args: []string{"-test.short"}, passed: regexp.MustCompile(`(?m)^PASS$`)}
}

// broad are the proofs that know nothing of single faults, with what each is given to find one.
func broad(p mutant.Proof) check {
	const sim = "raft/rafttest/cmd/sim"
	switch p {
	case mutant.ByTranscripts:
		return check{name: "transcripts", source: "raft.test", args: []string{"-test.run", "^TestTranscripts$"}, passed: regexp.MustCompile(`(?m)^PASS$`)}
	case mutant.ByCores:
		return check{name: "cores", source: sim, args: []string{"-cores", "-seeds", "300"}, passed: regexp.MustCompile(`300 of 300 seeds`), broad: true}
	case mutant.ByComparison:
		return check{name: "comparison", source: "raft/rafttest/diff", args: []string{"-schedules", "2000", "-seed", "1"}, passed: regexp.MustCompile(`2000 schedules`), broad: true}
	default:
		return check{name: "hosts", source: sim, args: []string{"-seeds", "40"}, passed: regexp.MustCompile(`40 of 40 seeds`), broad: true}
	}
}

// outcome is what a check said of a mutant.
type outcome struct {
	killed bool
	// how is the first thing that failed.
	how     string
	seconds float64
	// output is all that was said.
	output string
}

// run runs c on n, "" for the code as it is.
func (l *laboratory) run(c check, n mutant.Name) (outcome, error) {
	dir, err := os.MkdirTemp(l.scratch, "run-")
	if err != nil {
		return outcome{}, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.binary(c.source), c.args...)
	if c.broad { // a mutant may make a core eat all there is
		cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", memory, l.binary(c.source)}, c.args...)...)
	}
	cmd.Dir = l.directory(c.source)
	cmd.Env = append(os.Environ(), mutant.Variable+"="+string(n), "TMPDIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	began := time.Now()
	err = cmd.Run()
	o := outcome{seconds: time.Since(began).Seconds(), output: out.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && c.broad:
		o.how = fmt.Sprintf("no end within %v", patience)
	case ctx.Err() != nil:
		o.killed, o.how = true, fmt.Sprintf("no end within %v", patience)
	case errors.As(err, &exit):
		o.killed, o.how = true, firstFailure(o.output)
	case err != nil:
		return o, fmt.Errorf("run %s: %w", c.name, err)
	case !c.passed.MatchString(o.output):
		return o, fmt.Errorf("%s ran and judged nothing: renamed, or skipped here?\n%s", c.name, o.output)
	}
	return o, nil
}

var failure = regexp.MustCompile(`(?m)^(?:panic: .*| *--- FAIL: \S+|FAIL seed \d+: .*|seed \d+.*|fatal error: .*)$|^ *\S+_test\.go:\d+: .*$`)

// firstFailure is the first line of output that says what went wrong.
func firstFailure(output string) string {
	line := failure.FindString(output)
	if line == "" {
		line, _, _ = strings.Cut(output, "\n")
	}
	return strings.TrimSpace(line)
}

// binary is where the build of source lies.
func (l *laboratory) binary(source string) string {
	return filepath.Join(l.scratch, strings.ReplaceAll(source, "/", "-"))
}

// directory is where tests of source want to run.
func (l *laboratory) directory(source string) string {
	return filepath.Join(l.root, filepath.FromSlash(strings.TrimSuffix(source, ".test")))
}
