package logstore

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"

	"flotilla/raft/logstore/boltfile"
)

// ForgetfulFiles is a directory that, at a power cut, forgets the names that were not synced, and the page of a file that was not (Unsynced).
type ForgetfulFiles struct {
	osFiles
	mu sync.Mutex
	// durable are the names a power cut leaves; removed the content of those removed but not yet for good.
	durable map[string]bool
	removed map[string][]byte
	// moved says where the file is that a power cut leaves under a name.
	moved map[string]string
	// unsynced are pages of files that the system has in its cache alone and does not write by itself, as a power cut finds them.
	unsynced map[string]unsyncedPage
}

// NewForgetfulFiles starts with what is in dir.
func NewForgetfulFiles() *ForgetfulFiles {
	return &ForgetfulFiles{durable: map[string]bool{}, removed: map[string][]byte{}, moved: map[string]string{}, unsynced: map[string]unsyncedPage{}}
}

type unsyncedPage struct {
	off     int64
	durable []byte
}

// Unsynced says that the page at off of the file at path is in the system's cache alone; the disk has what durable is.
func (f *ForgetfulFiles) Unsynced(path string, off int64, durable []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsynced[filepath.Base(path)] = unsyncedPage{off, durable}
}

func (f *ForgetfulFiles) settle(path string, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name := filepath.Base(path); f.unsynced[name].off == off {
		delete(f.unsynced, name)
	}
	return f.osFiles.settle(path, off)
}

func (f *ForgetfulFiles) remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name := filepath.Base(path); f.durable[name] {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f.removed[name] = b
	}
	return f.osFiles.remove(path)
}

func (f *ForgetfulFiles) rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name := filepath.Base(from); f.durable[name] {
		f.moved[name] = filepath.Base(to)
	}
	return f.osFiles.rename(from, to)
}

func (f *ForgetfulFiles) syncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names, err := f.list(dir)
	if err != nil {
		return err
	}
	clear(f.durable)
	clear(f.removed)
	clear(f.moved)
	for _, name := range names {
		f.durable[name] = true
	}
	return f.osFiles.syncDir(dir)
}

// Survivors returns what is in dir after a power cut now, by name.
func (f *ForgetfulFiles) Survivors(dir string) (map[string][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := map[string][]byte{}
	for name := range f.durable {
		if b, ok := f.removed[name]; ok {
			files[name] = b
			continue
		}
		at := name
		if to, ok := f.moved[name]; ok {
			at = to
		}
		b, err := os.ReadFile(filepath.Join(dir, at))
		if err != nil {
			return nil, err
		}
		if p, ok := f.unsynced[name]; ok {
			copy(b[p.off:], p.durable)
		}
		files[name] = b
	}
	return files, nil
}

// WithFiles puts f under a store.
func (o Options) WithFiles(f *ForgetfulFiles) Options {
	o.files = f
	return o
}

// Quiesce waits for the work in the background.
func (s *Store) Quiesce() { s.house.work.Wait() }

// ActivePath is the file that commits go to.
func (s *Store) ActivePath() string {
	if s.writer.gen == nil {
		return ""
	}
	return s.writer.gen.path
}

// ActiveDB is the bbolt file that commits go to.
func ActiveDB(s *Store) *bolt.DB { return s.writer.db }

// RewriteMarker gives the file at path a marker of another version.
func RewriteMarker(t *testing.T, path string, version uint64) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		num, _ := genNumber(filepath.Base(path))
		return tx.Bucket(bucketState).Put(markerKey, appendMarker(&marker{version: version, gen: num, base: 1}))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// JournalRoot is where in the file at path the journal's root page begins, and where its newest meta page.
func JournalRoot(t *testing.T, path string) (root, meta int64) {
	t.Helper()
	p, err := openSealed(osFiles{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pg, ok, err := p.Bucket(bucketJournal)
	if err != nil || !ok {
		t.Fatalf("journal of %s: %v", path, err)
	}
	return pg.Start(), int64(p.LastTx()%2) * boltfile.PageSize
}
