//go:build !mutants

package mutant

// On says whether mutants can be active in this build.
const On = false

// Is reports whether n is active: never, in this build.
func Is(Name) bool { return false }
