package leak

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const descriptors = "/proc/self/fd"

// Files is what this process holds open: how many descriptors by the name of what they stand for.
type Files map[string]int

// Open returns the files and sockets that are open now. Where the system does not tell, the test is skipped.
func Open(t testing.TB) Files {
	t.Helper()
	links, err := os.ReadDir(descriptors)
	if err != nil {
		t.Skip("needs " + descriptors)
	}
	open := Files{}
	for _, l := range links {
		// The descriptor of the listing itself is closed by now and has no name.
		if name, err := os.Readlink(filepath.Join(descriptors, l.Name())); err == nil {
			open[name]++
		}
	}
	return open
}

// Check fails t for each file that more descriptors hold now than in before.
func (before Files) Check(t testing.TB) {
	t.Helper()
	now := Open(t)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if n := now[name] - before[name]; n > 0 {
			t.Errorf("%s is still open, by %d descriptors", name, n)
		}
	}
}
