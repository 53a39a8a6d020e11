package birth

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"flotilla/catalog"
)

// N8: a marked directory is emptied of what it began with, as often as it takes, until it is unmarked; the mark names who to ask. One
// that is not marked, or whose mark says nothing, is left alone.
func TestStartOver(t *testing.T) {
	dir := t.TempDir()
	catalogPath, logPath := filepath.Join(dir, "catalog.db"), filepath.Join(dir, "log")
	fill := func() {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(logPath, "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(catalogPath, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool {
		_, errCatalog := os.Stat(catalogPath)
		_, errLog := os.Stat(logPath)
		return errCatalog == nil && errLog == nil
	}
	fill()
	if self, members, err := StartOver(dir, catalogPath, logPath); self != "" || members != nil || err != nil || !there() {
		t.Fatalf("not marked: %q %v %v", self, members, err)
	}
	view := &catalog.Snapshot{Identity: catalog.Identity{NodeID: 2}, Topology: catalog.Topology{Nodes: []catalog.Node{
		{ID: 1, Addr: "a:1"}, {ID: 2, Addr: "b:1"}, {ID: 3, Addr: "c:1", State: catalog.NodeRemoved}, {ID: 4, Addr: "d:1"},
	}}}
	if err := MarkSuperseded(dir, view); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		self, members, err := StartOver(dir, catalogPath, logPath)
		if err != nil || self != "b:1" || !slices.Equal(members, []string{"a:1", "d:1"}) || there() {
			t.Fatalf("%q %v %v", self, members, err)
		}
		fill()
	}
	for range 2 {
		if err := Unmark(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, members, err := StartOver(dir, catalogPath, logPath); members != nil || err != nil || !there() {
		t.Fatalf("unmarked: %v %v", members, err)
	}
	if err := os.WriteFile(filepath.Join(dir, markFile), []byte("b:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := StartOver(dir, catalogPath, logPath); err == nil || !there() {
		t.Error("a mark that names nobody emptied the directory")
	}
}
