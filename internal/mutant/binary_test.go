package mutant

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"flotilla/internal/gobuild"
)

// TestProductionHoldsNoMutants looks into the binary that users run: no symbol and no text of this package is in it, as
// every question is a constant. Under the tag, when this test runs under it, they are.
func TestProductionHoldsNoMutants(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "flotilla")
	var tags []string
	if On {
		tags = []string{"mutants"}
	}
	if err := gobuild.Build(binary, tags...); err != nil {
		t.Fatal(err)
	}
	symbols, err := exec.Command("go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
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
