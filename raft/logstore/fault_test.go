package logstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"weak"

	bolt "go.etcd.io/bbolt"

	"flotilla/internal/leak"
	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

func grow(g wire.GroupID, i wire.Index, size int) wire.LogUpdate {
	return wire.LogUpdate{
		Group: g, SetHardState: true, HardState: wire.HardState{Term: 1},
		Entries: []wire.Entry{{Term: 1, Index: i, Kind: wire.EntryData, Data: bytes.Repeat([]byte{byte(i)}, size)}},
	}
}

func made(g wire.GroupID) wire.LogUpdate {
	return wire.LogUpdate{Group: g, Create: true, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}
}

func opened(t testing.TB, o logstore.Options) *logstore.Store {
	t.Helper()
	s, err := logstore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func do(t testing.TB, s *logstore.Store, batch ...wire.LogUpdate) {
	t.Helper()
	if err := s.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

// sabotage puts /dev/full, where every write fails with ENOSPC, in the place of the descriptor on which path is
// open, and returns what puts it back. bbolt does not notice before it writes.
func sabotage(t *testing.T, path string) (repair func()) {
	t.Helper()
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	for _, l := range links {
		fd, _ := strconv.Atoi(l.Name())
		if target, _ := os.Readlink("/proc/self/fd/" + l.Name()); target != path {
			continue
		}
		full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
		if err != nil {
			t.Skip("needs /dev/full")
		}
		defer full.Close()
		saved, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(full.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := syscall.Dup3(saved, fd, syscall.O_CLOEXEC); err != nil {
				t.Error(err)
			}
			syscall.Close(saved)
		}
	}
	t.Fatalf("%s is not open", path)
	return nil
}

// TestFenceAfterFailedCommit: a commit that fails fences the store for good, even when the disk is well again;
// memory stays what the disk was known to hold; reads go on (F10, D20, mutant "keep serving after a commit error").
func TestFenceAfterFailedCommit(t *testing.T) {
	var events []logstore.Event
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir, Events: func(e logstore.Event) { events = append(events, e) }})
	do(t, s, made(1), grow(1, 1, 100))
	repair := sabotage(t, s.ActivePath())
	err := s.Commit([]wire.LogUpdate{grow(1, 2, 100)})
	repair()
	if !errors.Is(err, wire.ErrFenced) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, wire.ErrNoSpace) {
		t.Fatalf("failed commit: %v", err)
	}
	if _, last := s.Bounds(1); last != 1 {
		t.Errorf("failed commit is visible: last index %d", last)
	}
	for range 3 {
		if err := s.Commit([]wire.LogUpdate{grow(1, 2, 100)}); !errors.Is(err, wire.ErrFenced) {
			t.Errorf("commit after a failed one: %v", err)
		}
	}
	if es, err := s.Entries(1, nil, 1, 2, 1); err != nil || len(es) != 1 {
		t.Errorf("read of a fenced store: %v, %v", es, err)
	}
	if _, ok := events[len(events)-1].(logstore.Fenced); !ok {
		t.Errorf("last event is %T", events[len(events)-1])
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = opened(t, logstore.Options{Dir: dir}) // the outcome was unknown: either is right
	if _, last := s.Bounds(1); last != 1 && last != 2 {
		t.Errorf("last index %d after the restart", last)
	}
	s.Close()
	checkFiles(t, dir)
}

// TestNoSpace: with the disk nearly full entries are refused by name, reads and compactions go on, nothing is
// fenced, and it heals by itself.
func TestNoSpace(t *testing.T) {
	free := int64(1 << 40)
	var events []logstore.Event
	dir := t.TempDir()
	s := opened(t, logstore.Options{
		Dir: dir, ReserveBytes: 1 << 20,
		FreeBytes: func(string) (int64, error) { return free, nil },
		Events:    func(e logstore.Event) { events = append(events, e) },
	})
	do(t, s, made(1), grow(1, 1, 100), grow(1, 2, 100))
	free = 1 << 19
	for range 3 {
		err := s.Commit([]wire.LogUpdate{grow(1, 3, 100)})
		if !errors.Is(err, wire.ErrNoSpace) || errors.Is(err, wire.ErrFenced) {
			t.Fatalf("commit on a full disk: %v", err)
		}
	}
	if es, err := s.Entries(1, nil, 1, 3, 1<<20); err != nil || len(es) != 2 {
		t.Errorf("read on a full disk: %v", err)
	}
	do(t, s, wire.LogUpdate{Group: 1, CompactTo: 1})
	free = 1 << 17
	if err := s.Commit([]wire.LogUpdate{{Group: 1, CompactTo: 2}}); !errors.Is(err, wire.ErrNoSpace) {
		t.Errorf("commit on a disk that is full to the last: %v", err)
	}
	free = 1 << 40
	do(t, s, grow(1, 3, 100))
	var low, back int
	for _, e := range events {
		switch e.(type) {
		case logstore.SpaceLow:
			low++
		case logstore.SpaceBack:
			back++
		}
	}
	if low != 1 || back != 1 {
		t.Errorf("%d events of low space, %d of space being back", low, back)
	}
	s.Close()
	checkFiles(t, dir)
}

// TestInUse: one directory, one store, in this process too; closing lets go (P8).
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir})
	if _, err := logstore.Open(logstore.Options{Dir: dir, LockTimeout: 50 * time.Millisecond}); !errors.Is(err, logstore.ErrInUse) {
		t.Errorf("second open: %v", err)
	}
	if err := logstore.Verify(dir, func(logstore.Finding) {}); !errors.Is(err, logstore.ErrInUse) {
		t.Errorf("verify of a log in use: %v", err)
	}
	s.Close()
	opened(t, logstore.Options{Dir: dir, LockTimeout: time.Nanosecond}).Close()
}

// Verify reads where nothing can be written, as on a disk mounted to be read only: here the lock is a directory, which opens to be
// read alone, whoever one is.
func TestVerifyOpensToRead(t *testing.T) {
	dir := t.TempDir()
	opened(t, logstore.Options{Dir: dir}).Close()
	lock := filepath.Join(dir, "lock")
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := logstore.Verify(dir, func(f logstore.Finding) { t.Error(f) }); err != nil {
		t.Error(err)
	}
}

// TestReopen opens and closes a hundred times, as a host restarted in its process does: no descriptor and no
// file is left over (P8).
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir})
	do(t, s, made(1))
	s.Close()
	before := leak.Open(t)
	for i := range wire.Index(100) {
		s, err := logstore.Open(logstore.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			do(t, s, grow(1, i/2+1, 10))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before.Check(t)
	if names := generations(t, dir); len(names) > 3 {
		t.Errorf("%d files after a hundred lives", len(names))
	}
	checkFiles(t, dir)
}

// TestModes: nobody else reads the log; what is not ours stays.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "log")
	s := opened(t, logstore.Options{Dir: dir})
	do(t, s, made(1))
	stray := filepath.Join(dir, "README")
	if err := os.WriteFile(stray, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range append(names, dir) {
		info, err := os.Stat(name)
		if err == nil && name != stray && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	s.Close()
	opened(t, logstore.Options{Dir: dir}).Close()
	if _, err := os.Stat(stray); err != nil {
		t.Error(err)
	}
}

// TestNewerFormat: a file of a later version is refused by a *FormatError, not taken for damage.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir})
	do(t, s, made(1))
	s.Close()
	logstore.RewriteMarker(t, generations(t, dir)[0], 2)
	var format *logstore.FormatError
	if _, err := logstore.Open(logstore.Options{Dir: dir}); !errors.As(err, &format) {
		t.Errorf("got %v", err)
	}
}

// TestLongReaderDelaysNobody: a read transaction held open on the active file while it grows by several times its
// size does not hold a commit up: the map never has to move (D25).
func TestLongReaderDelaysNobody(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir, RotateBytes: 64 << 20})
	do(t, s, made(1))
	entered, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- logstore.ActiveDB(s).View(func(*bolt.Tx) error {
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	for i := range wire.Index(40) {
		do(t, s, grow(1, i+1, 1<<20))
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.Close()
	checkFiles(t, dir)
}

// TestTooLargeBatch: a batch beyond the limit is refused before bbolt, which dies of it, sees it (D27).
func TestTooLargeBatch(t *testing.T) {
	s := opened(t, logstore.Options{Dir: t.TempDir()})
	do(t, s, made(1))
	data := make([]byte, wire.MaxEntryData)
	u := grow(1, 1, 0)
	u.Entries = nil
	for i := range wire.Index(33) {
		u.Entries = append(u.Entries, wire.Entry{Term: 1, Index: i + 1, Kind: wire.EntryData, Data: data})
	}
	var fault *logstore.UpdateError
	if err := s.Commit([]wire.LogUpdate{u}); !errors.As(err, &fault) {
		t.Errorf("got %v", err)
	}
	u.Entries = u.Entries[:2]
	do(t, s, u)
}

// TestSpaceReturns: what is compacted is given back to the file system, although one idle group has an old entry
// that must be carried along (N3).
func TestSpaceReturns(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, logstore.Options{Dir: dir, RotateBytes: 256 << 10})
	do(t, s, made(1), made(2), grow(2, 1, 1000))
	for i := range wire.Index(400) {
		u := grow(1, i+1, 10_000)
		if i > 10 {
			u.CompactTo = i - 5
		}
		do(t, s, u)
		s.Quiesce()
	}
	if n := s.Stats().Generations; n > 4 {
		t.Errorf("%d generations hold ten entries", n)
	}
	if es, err := s.Entries(2, nil, 1, 2, 1); err != nil || len(es[0].Data) != 1000 {
		t.Errorf("the idle group's entry: %v", err)
	}
	s.Close()
	checkFiles(t, dir)
}

// TestNeverUnsynced: bbolt is told to sync each commit to each file; where there is no strace, this is all that is known
// of it.
func TestNeverUnsynced(t *testing.T) {
	s := opened(t, logstore.Options{Dir: t.TempDir(), RotateBytes: 32 << 10})
	do(t, s, made(1))
	files := map[string]bool{}
	for i := wire.Index(1); len(files) < 3 && i < 200; i++ {
		do(t, s, grow(1, i, 4<<10))
		files[s.ActivePath()] = true
		if db := logstore.ActiveDB(s); db.NoSync || db.NoGrowSync {
			t.Fatalf("commits to %s are not synced", s.ActivePath())
		}
	}
	if len(files) < 3 {
		t.Errorf("%d files: no rotation was seen", len(files))
	}
}

// TestSyncs counts what the kernel sees: two fdatasyncs for each commit, no more and no fewer (N3, D11, mutant
// "skip fsync").
func TestSyncs(t *testing.T) {
	if dir := os.Getenv("LOGSTORE_TEST_SYNC_DIR"); dir != "" {
		n, _ := strconv.Atoi(os.Getenv("LOGSTORE_TEST_SYNC_COMMITS"))
		s := opened(t, logstore.Options{Dir: dir})
		do(t, s, made(1))
		s.Quiesce()
		for i := range n {
			do(t, s, grow(1, wire.Index(i+1), 128))
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	counts := map[int]int{}
	for _, n := range []int{10, 60} {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-o", trace, "-e", "trace=fsync,fdatasync", os.Args[0], "-test.run=^TestSyncs$")
		cmd.Env = append(os.Environ(), "LOGSTORE_TEST_SYNC_DIR="+t.TempDir(), fmt.Sprint("LOGSTORE_TEST_SYNC_COMMITS=", n))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("strace: %v\n%s", err, out)
		}
		calls, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		counts[n] = bytes.Count(calls, []byte("sync("))
	}
	if got := counts[60] - counts[10]; got != 100 {
		t.Errorf("50 commits more made %d calls more, want 100", got)
	}
}

// TestFailedRotationLeaksNothing: the commit that begins a file fails. Close lets go of that file, too (P8).
func TestFailedRotationLeaksNothing(t *testing.T) {
	dir := t.TempDir()
	before := leak.Open(t)
	s := opened(t, logstore.Options{Dir: dir})
	s.Quiesce()
	repair := sabotage(t, generations(t, dir)[0])
	err := s.Commit([]wire.LogUpdate{made(1)})
	repair()
	if !errors.Is(err, wire.ErrFenced) {
		t.Fatalf("failed commit: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	before.Check(t)
}

// TestCacheKeepsNoFrames: entries of followers alias the frame they came in, which many groups share. The cache must
// not keep the frame alive for the sake of a small entry.
func TestCacheKeepsNoFrames(t *testing.T) {
	s := opened(t, logstore.Options{Dir: t.TempDir()})
	do(t, s, made(1), made(2))
	commit := func() weak.Pointer[byte] {
		frame := make([]byte, 1<<20)
		u := grow(1, 1, 0)
		u.Entries[0].Data = frame[100:200:200]
		do(t, s, u)
		return weak.Make(&frame[0])
	}
	frame := commit()
	do(t, s, grow(2, 1, 10)) // the buffers of a commit live until the next one
	runtime.GC()
	if frame.Value() != nil {
		t.Error("a cached entry of 100 bytes keeps its frame of 1 MiB")
	}
}
