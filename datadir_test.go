package flotilla

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"flotilla/quictransport/pki"
)

// D8: a data directory that the first start makes is durable under its name, at each new level: a power cut
// must not take the votes of a node away together with the name of its directory.
func TestDataDirectoryIsDurable(t *testing.T) {
	if dir := os.Getenv("FLOTILLA_TEST_DATA_DIR"); dir != "" {
		firstStart(t, dir)
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

// firstStart opens a node of its own cluster and closes it without waiting for anything.
func firstStart(t *testing.T, dir string) {
	ca, err := pki.CreateCA("flotilla")
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := ca.IssueNode("flotilla", 1, []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := bundle.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(context.Background(), Config{
		Dir: dir, NodeID: 1, Bootstrap: true, Groups: 1, Listen: "127.0.0.1:0", TLS: pki.NewSource(credentials),
		NewMachine: func(GroupID) StateMachine { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
}
