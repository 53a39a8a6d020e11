package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"flotilla/raft/logstore"
)

const (
	// buildingName is where a data directory's contents are made, within it: a data directory may be a mount point, which nothing
	// can be renamed to. While it is there and the catalog is not, the rest is a restore's that was cut off.
	buildingName = "restore-tmp"
	// catalogName comes last: a data directory without it is none.
	catalogName = "catalog.db"
)

var (
	// parts are moved into the data directory in this order.
	parts = []string{"snap", "recv", "log", catalogName}
	// guests may be in a data directory before it is one: certificates, and what file systems put into their root.
	guests = []string{"tls", "lost+found"}
)

var (
	// ErrInUse says that another process restores to the same directory.
	ErrInUse = errors.New("another process restores to the same directory")
	// ErrUnfinished says that a restore was cut off.
	ErrUnfinished = errors.New("a restore to this directory was cut off and has to be run again")
)

// NotEmptyError says that there is something in the directory that is to become a node's.
type NotEmptyError struct{ Dir, Entry string }

// Error names what is there and the next step.
func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("%s is not empty, it holds %s: restore to a new directory", e.Dir, e.Entry)
}

// Check is for whoever starts from dir: it returns ErrUnfinished where a restore was cut off, and removes the last trace of one that
// was not.
func Check(dir string) error {
	names, err := namesIn(dir)
	switch {
	case err != nil || !slices.Contains(names, buildingName):
		return err
	case !slices.Contains(names, catalogName):
		return fmt.Errorf("%s: %w", dir, ErrUnfinished)
	}
	_ = os.Remove(filepath.Join(dir, buildingName)) // empty; if not, or not now, it is in nobody's way
	return nil
}

// directory is a data directory that is being made.
type directory struct {
	path, building string
	lock           *os.File
	made           bool // by us
	published      bool
}

// occupy makes path a directory with an empty one in it to build in, which is ours until leave.
func occupy(path string) (*directory, error) {
	if err := free(path); err != nil {
		return nil, err
	}
	_, err := os.Lstat(path)
	d := &directory{path: path, building: filepath.Join(path, buildingName), made: errors.Is(err, fs.ErrNotExist)}
	if err := logstore.MakeDir(d.building); err != nil {
		return nil, err
	}
	if d.lock, err = os.Open(d.building); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrInUse, err), d.lock.Close())
	}
	err = free(path) // as long as nobody else was at work here, it can have been finished meanwhile
	if err == nil {
		err = d.clear()
	}
	if err != nil {
		return nil, errors.Join(err, d.lock.Close())
	}
	return d, nil
}

// free returns nil if path may become a data directory.
func free(path string) error {
	names, err := namesIn(path)
	if err != nil {
		return err
	}
	cutOff := slices.Contains(names, buildingName) && !slices.Contains(names, catalogName)
	for _, name := range names {
		ours := name == buildingName || slices.Contains(parts, name)
		if !slices.Contains(guests, name) && (!ours || !cutOff) {
			return &NotEmptyError{Dir: path, Entry: name}
		}
	}
	return nil
}

// namesIn lists a directory; one that is missing is empty.
func namesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// clear removes what a restore that was cut off has left: first what it had moved, while the place to build in says whose that is.
func (d *directory) clear() error {
	for _, name := range parts {
		if err := os.RemoveAll(filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	if err := syncDir(d.path); err != nil {
		return err
	}
	names, err := namesIn(d.building)
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.building, name)))
	}
	return err
}

// publish moves what was built to its places, durably: all else before the catalog, which makes it a data directory.
func (d *directory) publish() error {
	if err := syncDir(d.building); err != nil {
		return err
	}
	for _, name := range parts {
		if name == catalogName {
			if err := syncDir(d.path); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(d.building, name), filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	d.published = true
	return errors.Join(syncDir(d.path), syncDir(d.building))
}

// leave removes the place to build in, and unless it was published everything else that was made.
func (d *directory) leave() error {
	var err error
	if !d.published {
		err = d.clear()
	}
	err = errors.Join(err, os.Remove(d.building), d.lock.Close())
	if d.made && !d.published {
		return errors.Join(err, os.Remove(d.path))
	}
	return errors.Join(err, syncDir(d.path))
}

// syncDir makes names in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
