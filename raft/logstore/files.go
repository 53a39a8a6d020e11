package logstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flotilla/raft/logstore/boltfile"
)

// Names in the directory.
const (
	lockName  = "lock"
	genPrefix = "g-"
	genSuffix = ".db"
	tmpSuffix = ".tmp"
	badSuffix = ".bad"
)

func genName(num uint32) string { return fmt.Sprintf("%s%06d%s", genPrefix, num, genSuffix) }

// genNumber reads a name made by genName.
func genNumber(name string) (uint32, bool) {
	digits, ok := strings.CutPrefix(name, genPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, genSuffix); !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && n > 0 && genName(uint32(n)) == name
}

// fileSystem is what the store asks of a directory. Tests put one there that forgets what was not synced.
type fileSystem interface {
	// open opens or creates a file, mode 0600.
	open(path string, flag int) (*os.File, error)
	rename(from, to string) error
	// link gives a file another name, too; that it has it already is no error.
	link(from, to string) error
	remove(path string) error
	// settle writes the page at off of a file again, as it is, and makes durable what is in the file, whoever wrote it.
	settle(path string, off int64) error
	// syncDir makes the directory's entries durable: a rename without it may not survive a power cut (D8).
	syncDir(dir string) error
	list(dir string) ([]string, error)
}

// osFiles is the operating system's.
type osFiles struct{}

func (osFiles) open(path string, flag int) (*os.File, error) { return os.OpenFile(path, flag, 0o600) }
func (osFiles) rename(from, to string) error                 { return os.Rename(from, to) }
func (osFiles) remove(path string) error                     { return os.Remove(path) }

func (osFiles) link(from, to string) error {
	if err := os.Link(from, to); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func (osFiles) settle(path string, off int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	page := make([]byte, boltfile.PageSize)
	if _, err = f.ReadAt(page, off); err == nil {
		_, err = f.WriteAt(page, off)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (osFiles) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFiles) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// absent removes a leftover, if it is there.
func absent(fs fileSystem, path string) error {
	if err := fs.remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove leftover: %w", err)
	}
	return nil
}

// MakeDir creates dir and what is above it, mode 0700, as far as it is missing. Each new name is durable when it
// returns: synced files are of no use in a directory that a power cut takes away (D8).
func MakeDir(dir string) error { return makeDir(osFiles{}, dir) }

// makeDir creates dir and what is above it, 0700, and makes each new name durable.
func makeDir(fs fileSystem, dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(fs, parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return fs.syncDir(parent)
}

// lockDir takes the directory's lock in mode how (syscall.LOCK_EX, LOCK_SH), on its file opened with flags, waiting up to timeout.
func lockDir(dir string, how, flags int, timeout time.Duration) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return nil, errors.Join(fmt.Errorf("%w: %s is locked", ErrInUse, path), f.Close())
		}
	}
}
