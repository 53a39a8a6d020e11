package mutant

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestProductionHoldsNoMutants looks into the binary that users run: no symbol and no text of this package is in it, as
// every question is a constant. Under the tag, when this test runs under it, they are.
func TestProductionHoldsNoMutants(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "flotilla")
	build := []string{"build", "-buildvcs=false", "-o", binary}
	if On {
		build = append(build, "-tags", "mutants")
	}
	run(t, append(build, "flotilla/cmd/flotilla")...)
	symbols := run(t, "tool", "nm", binary)
	if !bytes.Contains(symbols, []byte(" flotilla/raft.New\n")) {
		t.Fatal("the binary has no symbols to look at")
	}
	if got := bytes.Contains(symbols, []byte(" flotilla/internal/mutant.")); got != On {
		t.Errorf("symbols of this package in the binary: %v, want %v", got, On)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range All() {
		if got := bytes.Contains(text, []byte(m.Name)); got != On {
			t.Errorf("the binary knows of %s: %v, want %v", m.Name, got, On)
		}
	}
}

func run(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return out
}
