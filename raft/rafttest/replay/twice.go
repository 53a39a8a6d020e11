package replay

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// child is the variable in which the other process is told that it is one.
const child = "FLOTILLA_REPLAY_CHILD"

// Twice tests that seeds 1 to n have the same hashes when they are run again, here and in another process. It must be all
// that the calling test does, since that test is what the other process runs.
func Twice(t *testing.T, n uint64, hash func(seed uint64) uint64) {
	t.Helper()
	run := func() string {
		var b strings.Builder
		for seed := uint64(1); seed <= n; seed++ {
			fmt.Fprintf(&b, "hash %d %016x\n", seed, hash(seed))
		}
		return b.String()
	}
	here := run()
	if os.Getenv(child) != "" {
		fmt.Print(here)
		return
	}
	if again := run(); again != here {
		t.Errorf("in one process:\n%s\nand then:\n%s", here, again)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run again in another process: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), here) {
		t.Errorf("here:\n%s\nin another process:\n%s", here, out)
	}
}
