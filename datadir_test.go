package flotilla

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// D8: a data directory that the first start makes is durable under its name, at each new level: a power cut
// must not take the votes of a node away together with the name of its directory.
func TestDataDirectoryIsDurable(t *testing.T) {
	if dir := os.Getenv("FLOTILLA_TEST_DATA_DIR"); dir != "" {
		_, err := Open(context.Background(), Config{Dir: dir, NewMachine: func(GroupID) StateMachine { return nil }})
		if !errors.Is(err, ErrNotBorn) {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	top := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-o", trace, "-e", "trace=fsync,fdatasync", os.Args[0], "-test.run=^TestDataDirectoryIsDurable$")
	cmd.Env = append(os.Environ(), "FLOTILLA_TEST_DATA_DIR="+filepath.Join(top, "deep", "node"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("strace: %v\n%s", err, out)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{top, filepath.Join(top, "deep"), filepath.Join(top, "deep", "node")} {
		if !bytes.Contains(calls, []byte("<"+dir+">")) { // no more: "<unfinished ...>" follows where another thread came between
			t.Errorf("%s was never synced", dir)
		}
	}
}
