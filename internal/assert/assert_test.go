package assert

import (
	"errors"
	"testing"
)

func TestThat(t *testing.T) {
	That(true, "never formatted: %d", 1)
	defer func() {
		err, _ := recover().(error)
		var v *Violation
		if !errors.As(err, &v) || v.Text != "I7: commit 3 fell below 5" {
			t.Errorf("panicked with %v", err)
		}
		if err.Error() != "invariant broken: I7: commit 3 fell below 5" {
			t.Errorf("reads %q", err.Error())
		}
	}()
	That(false, "I7: commit %d fell below %d", 3, 5)
	t.Error("a broken invariant went on")
}

// What holds costs nothing but the look, so that invariants may stay on.
func TestThatDoesNotAllocate(t *testing.T) {
	ok := true
	if n := testing.AllocsPerRun(100, func() { That(ok, "constant text") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
