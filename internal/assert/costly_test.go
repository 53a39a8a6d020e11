//go:build invariants

package assert

import "testing"

func TestCostlyUnderTag(t *testing.T) {
	if !Costly {
		t.Error("the build tag invariants does not turn the costly ones on")
	}
}
