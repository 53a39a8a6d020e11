package gobuild

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestSources: what the program is built of is there, the files that it embeds and those of another tag too, tests and other modules' are not.
func TestSources(t *testing.T) {
	plain, err := Sources()
	if err != nil {
		t.Fatal(err)
	}
	tagged, err := Sources("crashpoints")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path          string
		plain, tagged bool
	}{
		{"go.mod", true, true},
		{"go.sum", true, true},
		{"raft/core.go", true, true},
		{"server/page.html", true, true},
		{"internal/crashpoint/off.go", true, false},
		{"internal/crashpoint/on.go", false, true},
		{"raft/core_test.go", false, false},
		{"internal/gobuild/gobuild.go", false, false},
	} {
		path := filepath.Join(root, c.path)
		if got := slices.Contains(plain, path); got != c.plain {
			t.Errorf("%s: %v, want %v", c.path, got, c.plain)
		}
		if got := slices.Contains(tagged, path); got != c.tagged {
			t.Errorf("%s with the tag: %v, want %v", c.path, got, c.tagged)
		}
	}
}
