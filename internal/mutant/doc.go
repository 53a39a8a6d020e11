// Package mutant plants known faults, one at a time, to see whether the tests bite.
//
// A mutant is one condition at the very line where a careless author would have gone wrong:
//
//	if p.dirty && !mutant.Is(mutant.VoteBeforeDisk) {
//
// Without the build tag "mutants" the answer is a constant false: the compiler removes the question and what hangs on
// it, and no binary holds any of it (binary_test.go). Under the tag the one mutant that FLOTILLA_MUTANT names is
// active, so one compilation of a package's tests serves all of its mutants. All is the table: what each one breaks,
// and the cheapest test that has to notice. scripts/mutants.sh asks the tests.
package mutant
