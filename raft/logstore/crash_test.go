package logstore_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"flotilla/raft/logstore"
	"flotilla/raft/logstore/logstoretest"
)

const (
	childDir   = "LOGSTORE_TEST_CHILD_DIR"
	childAcked = "LOGSTORE_TEST_CHILD_ACKED"
	childSeed  = 77
)

// TestKillChild is the process that TestKill kills: it finds the model at what was acknowledged, or one batch
// later, and goes on from there, telling each commit.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	acked, err := strconv.Atoi(os.Getenv(childAcked))
	if err != nil {
		t.Fatal(err)
	}
	s, err := logstore.Open(logstore.Options{Dir: dir, RotateBytes: 32 << 10, LockTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	m := logstoretest.NewModel(childSeed)
	for range acked {
		m.Batch(6)
	}
	if err := m.Diff(s, logstoretest.Strict); err != nil {
		m.Batch(6)
		acked++
		if err2 := m.Diff(s, logstoretest.Strict); err2 != nil {
			t.Fatalf("neither what was acknowledged (%v) nor one more (%v)", err, err2)
		}
	}
	for {
		if err := s.Commit(m.Batch(6)); err != nil {
			t.Fatal(err)
		}
		acked++
		fmt.Println("acked", acked)
	}
}

// TestKill kills a process that commits, again and again, at moments of chance: whatever was acknowledged is
// there, and the files are sound (D3, D6, D8, D10, D14, D16 of the log's side, F2).
func TestKill(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 9))
	acked := 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		cmd.Env = append(os.Environ(), childDir+"="+dir, childAcked+"="+strconv.Itoa(acked))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		more := 1 + rng.IntN(40) // commits to see before the shot is timed
		kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, ok := bytes.CutPrefix(lines.Bytes(), []byte("acked "))
			if !ok {
				t.Log(lines.Text())
				continue
			}
			if acked, err = strconv.Atoi(string(n)); err != nil {
				t.Fatal(err)
			}
			if more--; more == 0 {
				kill.Reset(time.Duration(rng.IntN(3000)) * time.Microsecond)
			}
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
	}
	t.Logf("%d commits acknowledged", acked)
	checkKilled(t, dir, acked)
}

func checkKilled(t *testing.T, dir string, acked int) {
	t.Helper()
	s, err := logstore.Open(logstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	m := logstoretest.NewModel(childSeed)
	for range acked {
		m.Batch(6)
	}
	if m.Diff(s, logstoretest.Strict) != nil {
		m.Batch(6)
		if err := m.Diff(s, logstoretest.Strict); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkFiles(t, dir)
}

// TestPowerCut cuts the power at each commit, in three places: while its pages are written (any of their
// sectors may be there), before its meta page, and after it was acknowledged; names of files that were
// not synced are forgotten. bbolt's order is pages, fdatasync, meta page, fdatasync: so the images follow from
// what the file was before and after. Files are so small that most commits copy what is alive forward and let a file go, which is
// what other stores call to defragment (D3, D4, D6, D7, D8, D14, D23).
func TestPowerCut(t *testing.T) {
	steps := 120
	if testing.Short() {
		steps = 30
	}
	dir := t.TempDir()
	files := logstore.NewForgetfulFiles()
	drained := 0
	s, err := logstore.Open(logstore.Options{Dir: dir, RotateBytes: 32 << 10, Events: func(ev logstore.Event) {
		if _, ok := ev.(logstore.Draining); ok {
			drained++ // told by Commit, which is called here
		}
	}}.WithFiles(files))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	model := logstoretest.NewModel(3)
	history := 0
	for step := range steps {
		s.Quiesce()
		before := survivors(t, files, dir)
		if err := s.Commit(model.Batch(5)); err != nil {
			t.Fatal(err)
		}
		history++
		acknowledged := survivors(t, files, dir)
		s.Quiesce()
		for kind, image := range map[string]map[string][]byte{
			"torn pages":   tear(rng, before, acknowledged),
			"no meta":      tear(nil, before, acknowledged),
			"acknowledged": acknowledged,
		} {
			least := history
			if kind != "acknowledged" {
				least--
			}
			if err := recovered(t, image, least, history); err != nil {
				t.Fatalf("step %d, %s: %v", step, kind, err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if drained < 3 {
		t.Errorf("%d files were drained in %d commits", drained, steps)
	}
	checkFiles(t, dir)
}

// TestKillBeforePowerCut: a process is killed when it has written the meta page of its last commit and not synced it; or the sync failed, and the
// system takes the page for written. The next one finds the commit in the system's cache and vouches for it from its start on, so
// no later power cut may take it away: another vote would be given in that term (D1, D11, F2).
func TestKillBeforePowerCut(t *testing.T) {
	dir, after := t.TempDir(), t.TempDir()
	files := logstore.NewForgetfulFiles()
	o := logstore.Options{Dir: dir, RotateBytes: 32 << 10}.WithFiles(files)
	s := opened(t, o)
	do(t, s, made(1), grow(1, 1, 100))
	path := s.ActivePath()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u := grow(1, 2, 100)
	u.HardState.Term, u.HardState.Vote = 2, 3
	do(t, s, u)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, meta := logstore.JournalRoot(t, path)
	files.Unsynced(path, meta, before[meta:meta+4096])

	s = opened(t, o)
	told, _ := s.State(1)
	if told.Last != 2 || told.HardState.Vote != 3 {
		t.Fatalf("after the kill: %+v", told)
	}
	for name, b := range survivors(t, files, dir) {
		if err := os.WriteFile(filepath.Join(after, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = opened(t, logstore.Options{Dir: after, RotateBytes: 32 << 10})
	if left, _ := s.State(1); left.Err != nil || left.Last != told.Last || left.HardState != told.HardState {
		t.Errorf("the start told of %+v, the power cut leaves %+v", told, left)
	}
}

func survivors(t *testing.T, files *logstore.ForgetfulFiles, dir string) map[string][]byte {
	t.Helper()
	image, err := files.Survivors(dir)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// tear returns before with those sectors of after's data pages that chance picks, all of them without rng; the
// meta pages stay as they were before.
func tear(rng *rand.Rand, before, after map[string][]byte) map[string][]byte {
	const metaPages, sector = 2 * 4096, 512
	image := map[string][]byte{}
	for name, old := range before {
		torn := bytes.Clone(old)
		now := after[name]
		for at := metaPages; at+sector <= min(len(now), len(torn)); at += sector {
			if rng == nil || rng.IntN(2) == 0 {
				copy(torn[at:at+sector], now[at:])
			}
		}
		image[name] = torn
	}
	return image
}

// recovered opens the image and says whether it holds what the model had after least to most batches.
func recovered(t *testing.T, image map[string][]byte, least, most int) error {
	dir := t.TempDir()
	for name, b := range image {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	names, _ := filepath.Glob(filepath.Join(dir, "g-*.db"))
	for _, name := range names {
		boltCheck(t, name)
	}
	var damage error
	s, err := logstore.Open(logstore.Options{Dir: dir, RotateBytes: 32 << 10, Events: func(e logstore.Event) {
		if c, ok := e.(logstore.Corrupted); ok {
			damage = c.Err
		}
	}})
	if err != nil {
		return err
	}
	defer s.Close()
	if damage != nil {
		return fmt.Errorf("a power cut is taken for damage: %w", damage)
	}
	m := logstoretest.NewModel(3)
	for range least {
		m.Batch(5)
	}
	err = m.Diff(s, logstoretest.Strict)
	for n := least; err != nil && n < most; n++ {
		m.Batch(5)
		err = m.Diff(s, logstoretest.Strict)
	}
	return err
}
