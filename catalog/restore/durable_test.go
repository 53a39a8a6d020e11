package restore

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// D8: a power cut finds a data directory whole or not at all: what was moved before the catalog is durable under its name before the
// catalog has its own, and that is durable when Run returns.
func TestOrderOfNames(t *testing.T) {
	if dir := os.Getenv("FLOTILLA_TEST_RESTORE_DIR"); dir != "" {
		cfg := newSite(t, 1).config(t, 1)
		cfg.Dir = dir
		if _, err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	dir, trace := filepath.Join(t.TempDir(), "node"), filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-s", "4096", "-o", trace, "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", os.Args[0], "-test.run=^TestOrderOfNames$")
	cmd.Env = append(os.Environ(), "FLOTILLA_TEST_RESTORE_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("strace: %v\n%s", err, out)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	building := filepath.Join(dir, buildingName)
	named := func(name string) string { return `"` + filepath.Join(dir, name) + `"` }
	synced := func(path string) string { return "<" + path + ">" } // no more: "<unfinished ...>" follows where another thread came between
	for _, want := range []string{
		synced(filepath.Join(building, "snap")), synced(building), named("snap"), named("recv"), named("log"), synced(dir), named(catalogName), synced(dir),
	} {
		_, rest, found := bytes.Cut(calls, []byte(want))
		if !found {
			t.Fatalf("%s does not come where it has to in\n%s", want, calls)
		}
		calls = rest
	}
}
