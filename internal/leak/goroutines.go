// Package leak tells what a part of a test leaves behind in its process: goroutines that have not ended and files that
// are still open. It hides how the runtime and the system are asked, and when an answer counts: a goroutine that has
// done its last deed is there for the runtime until it was taken away, which on a busy machine takes a while, so a
// number of goroutines taken at one moment proves nothing. Only tests use it; what it returns belongs to the caller.
//
//	before := leak.Running()
//	... start and stop ...
//	before.CheckJoined(t)
package leak

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// lastSteps bounds the wait for a goroutine that only has to return: far more than a loaded machine needs, far less than
// a test binary lives.
const lastSteps = time.Minute

// Goroutines is a set of goroutines: the stack of each by its id. The runtime never gives an id twice, so neither one
// that ended meanwhile nor one that took its place can hide a third.
type Goroutines map[string]string

// Running returns the goroutines of this moment, without those of the runtime itself.
func Running() Goroutines {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	running := Goroutines{}
	for stack := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		running[id] = stack
	}
	return running
}

// Since returns what runs now and is not in before.
func (before Goroutines) Since() Goroutines {
	running := Running()
	maps.DeleteFunc(running, func(id, _ string) bool { _, old := before[id]; return old })
	return running
}

// CheckJoined fails t, with their stacks, if goroutines begun since before are left. It is for what is joined by whoever
// stopped it: a goroutine that waits for anything is left, and only one on its way out is waited for.
func (before Goroutines) CheckJoined(t testing.TB) {
	t.Helper()
	before.Check(t, 0)
}

// Check is CheckJoined for what ends by itself soon after it was stopped: also goroutines that wait for something have
// until the end of patience. It returns as soon as none is left.
func (before Goroutines) Check(t testing.TB, patience time.Duration) {
	t.Helper()
	began := time.Now()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		left := before.Since()
		if len(left) == 0 {
			return
		}
		waited := time.Since(began)
		if waited >= max(patience, lastSteps) || waited >= patience && left.anyParked() {
			t.Errorf("%d goroutines are left after %v:\n%s", len(left), waited, left)
			return
		}
		<-poll.C
	}
}

// anyParked reports whether a goroutine waits for something. One on its way out does not: it runs, or would if there
// were a processor for it.
func (g Goroutines) anyParked() bool {
	for _, stack := range g {
		_, rest, _ := strings.Cut(stack, "[")
		state, _, _ := strings.Cut(rest, "]")
		state, _, _ = strings.Cut(state, ",")
		if !slices.Contains([]string{"running", "runnable", "preempted", "copystack", "dead"}, state) {
			return true
		}
	}
	return false
}

// String returns the stacks, as a crash shows them.
func (g Goroutines) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(g)) {
		fmt.Fprintf(&b, "%s\n\n", g[id])
	}
	return b.String()
}
