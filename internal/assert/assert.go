// Package assert holds invariants. A broken one is a bug in flotilla, never bad luck: unlucky worlds
// return errors, impossible states panic here. Cheap checks are always on; those behind Costly run
// under the build tag "invariants".
package assert

import "fmt"

// Violation is what a broken invariant panics with.
type Violation struct{ Text string }

// Error returns the invariant's text.
func (v *Violation) Error() string { return "invariant broken: " + v.Text }

// That panics with a *Violation when ok is false. Use it where building the text costs nothing;
// args are formatted only when the invariant is broken.
func That(ok bool, format string, args ...any) {
	if !ok {
		panic(&Violation{Text: fmt.Sprintf(format, args...)})
	}
}
