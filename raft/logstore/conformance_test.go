package logstore_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"flotilla/raft/logstore"
	"flotilla/raft/logstore/logstoretest"
)

// boltHarness runs the suite on files. A crash is a copy of the directory taken while the store runs: what the
// operating system would hold after kill -9.
func boltHarness(o logstore.Options) func(t *testing.T) *logstoretest.Harness {
	return func(t *testing.T) *logstoretest.Harness {
		dir := t.TempDir()
		return &logstoretest.Harness{
			Open: func(t testing.TB) logstoretest.Store {
				o := o
				o.Dir = dir
				s, err := logstore.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range s.Groups() {
					if g.Err != nil {
						t.Fatalf("group %d is quarantined: %v", g.Group, g.Err)
					}
				}
				return s
			},
			Crash: func(t testing.TB, s logstoretest.Store) {
				next := t.TempDir()
				copyDir(t, dir, next)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				dir = next
			},
			Check: func(t testing.TB) { checkFiles(t, dir) },
		}
	}
}

// copyDir copies the files of a directory in use; one that vanishes meanwhile was not needed any more.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		in, err := os.Open(filepath.Join(from, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		copyFile(t, in, filepath.Join(to, e.Name()))
	}
}

// copyFile copies the data and the length, and leaves holes out: a file is made longer than it is.
func copyFile(t testing.TB, in *os.File, to string) {
	t.Helper()
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	const seekData, seekHole = 3, 4
	for at := int64(0); ; {
		from, err := in.Seek(at, seekData)
		if err != nil {
			break // ENXIO: only a hole is left
		}
		end, err := in.Seek(from, seekHole)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, from), io.NewSectionReader(in, from, end-from)); err != nil {
			t.Fatal(err)
		}
		at = end
	}
	if err := out.Truncate(info.Size()); err != nil {
		t.Fatal(err)
	}
}

// checkFiles holds every file against bbolt's own check and ours, after a test.
func checkFiles(t testing.TB, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "g-*.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		boltCheck(t, name)
	}
	err = logstore.Verify(dir, func(f logstore.Finding) { t.Errorf("verify: %v", f) })
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	stray, _ := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if len(stray) != 0 {
		t.Errorf("left over: %s", strings.Join(stray, " "))
	}
}

// boltCheck opens a copy: bbolt may write to what it opens.
func boltCheck(t testing.TB, name string) {
	t.Helper()
	db, err := bolt.Open(name, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("%s: %v", name, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStoreConforms runs the suite with everything in memory, with nothing in memory, and with files so small
// that rotation, sealing, draining and unlinking happen all the time (N3).
func TestStoreConforms(t *testing.T) {
	for name, o := range map[string]logstore.Options{
		"default":    {},
		"cold":       {CacheBytes: 1},
		"tiny files": {CacheBytes: 1, RotateBytes: 32 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logstoretest.Run(t, boltHarness(o))
		})
	}
}
