//go:build mutants

package mutant

import (
	"fmt"
	"os"
	"sync"
)

// On says whether mutants can be active in this build.
const On = true

// active is the mutant of this process. It is read at the first question and not before: what is read while packages
// are initialised escapes the record by which go test knows whether a cached result still holds.
var active = sync.OnceValue(func() Name {
	n, err := named(os.Getenv(Variable))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", Variable, err))
	}
	return n
})

// init refuses an unknown name at once, in a process that never asks as well.
func init() {
	if _, err := named(os.Getenv(Variable)); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Variable, err)
		os.Exit(2)
	}
}

// Is reports whether n is active.
func Is(n Name) bool { return n == active() }
