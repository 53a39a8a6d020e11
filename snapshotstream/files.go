package snapshotstream

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Files is what a Store asks of a file system; nil in a Config is the operating system's. Package snapshottest has one
// in memory that can lose its power at every step. All methods may be called from several goroutines.
type Files interface {
	// Create makes a file for reading and writing, mode 0600. It fails with fs.ErrExist rather than to open one that
	// somebody may be reading (D24).
	Create(path string) (File, error)
	// Open opens a file for reading and writing.
	Open(path string) (File, error)
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// Mkdir makes a directory, mode 0700; one that is there is no error.
	Mkdir(dir string) error
	// SyncDir makes a directory's entries durable: a rename without it may not survive a power cut (D8).
	SyncDir(dir string) error
	// List returns the names in dir, in any order.
	List(dir string) ([]string, error)
}

// File is an open file. Bytes are durable once Sync has returned nil.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// osFiles is the operating system's.
type osFiles struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func opened(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFiles) Create(path string) (File, error) {
	return opened(os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))
}
func (osFiles) Open(path string) (File, error) { return opened(os.OpenFile(path, os.O_RDWR, 0)) }
func (osFiles) Rename(from, to string) error   { return os.Rename(from, to) }
func (osFiles) Remove(path string) error       { return os.Remove(path) }

func (osFiles) Mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (osFiles) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFiles) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// readOnly is the operating system's, of which nothing is asked that changes anything. A directory that is missing is empty.
type readOnly struct{ osFiles }

func (readOnly) Open(path string) (File, error) { return opened(os.Open(path)) }

func (readOnly) List(dir string) ([]string, error) {
	names, err := osFiles{}.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// absent removes path if it is there.
func absent(files Files, path string) error {
	if err := files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writerAt writes one piece behind the other.
type writerAt struct {
	file File
	at   int64
}

func (w *writerAt) Write(p []byte) (int, error) {
	n, err := w.file.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}
