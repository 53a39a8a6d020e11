package snapshotstream_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"flotilla/snapshotstream"
)

const (
	killDir  = "SNAPSHOTSTREAM_TEST_CHILD_DIR"
	killSize = 24 << 20
)

// TestKillChild is the process that TestKill kills: it sends a snapshot from one directory to another, and tells from
// where on and what is durable.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	from, to := openDir(t, filepath.Join(dir, "from")), openDir(t, filepath.Join(dir, "to"))
	h, ok := from.Newest(4)
	if !ok {
		t.Fatal("nothing to send")
	}
	res := transfer(t.Context(), mustOpen(t, from, h), to, snapshotstream.SendConfig{
		Progress: func(durable uint64) { fmt.Println("durable", durable) },
	}, snapshotstream.ReceiveConfig{}, nil, nil)
	fmt.Println("ended", res.send, res.recv)
}

func openDir(t *testing.T, dir string) *snapshotstream.Store {
	t.Helper()
	s, err := snapshotstream.Open(snapshotstream.Config{Dir: dir, ChunkSize: 64 << 10, ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKill kills a process that sends and receives, on the operating system's files, at moments of chance: each life goes
// on where the one before was durable, and in the end the snapshot is there, the only file (N5, P37).
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"from", "to"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h := mustMake(t, openDir(t, filepath.Join(dir, "from")), 4, 12, killSize)
	rng := rand.New(rand.NewPCG(2, 8))
	var durable uint64
	lives := 0
	for done := false; !done; lives++ {
		if lives > 100 {
			t.Fatal("it does not come to an end")
		}
		durable, done = oneLife(t, dir, durable, rng)
	}
	t.Logf("%d lives", lives)
	if lives < 4 {
		t.Errorf("only %d lives: nobody was killed", lives)
	}
	to := openDir(t, filepath.Join(dir, "to"))
	body, err := read(to, h)
	if err != nil || !bytes.Equal(body, bodyOf(12, killSize)) {
		t.Errorf("%d bytes: %v", len(body), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "to", "*", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v: %v", left, err)
	}
}

// oneLife starts the child and kills it a little after it told of some progress. It returns up to where it was durable,
// and whether it came to its end instead.
func oneLife(t *testing.T, dir string, before uint64, rng *rand.Rand) (durable uint64, done bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	more := 1 + rng.IntN(8)
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	durable = before
	first := true
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var n uint64
		if bytes.HasPrefix(lines.Bytes(), []byte("ended <nil> ")) {
			done = true
		}
		if _, err := fmt.Sscanf(lines.Text(), "durable %d", &n); err != nil {
			continue
		}
		if first && n < before {
			t.Errorf("%d bytes were durable, it goes on at %d", before, n)
		}
		first, durable = false, n
		if more--; more == 0 {
			kill.Reset(time.Duration(rng.IntN(6000)) * time.Microsecond)
		}
	}
	_ = cmd.Wait() // killed, most likely
	return durable, done
}
