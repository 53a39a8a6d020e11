package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Policy says what becomes of a file that has the name already.
type Policy uint8

// The policies.
const (
	// Fresh leaves it alone: Create and Commit fail with fs.ErrExist.
	Fresh Policy = iota
	// Replace replaces it, when the new one is whole.
	Replace
)

// File is an archive on its way into a file. Until Commit there is nothing to see of it but PATH.tmp, which the next Create removes.
type File struct {
	*Writer
	path   string
	policy Policy
	file   *os.File
	buffer *bufio.Writer
	ended  bool
}

// Create begins an archive that is to be at path, mode 0600. Errors: fs.ErrExist, ErrManifest, the file system's.
func Create(path string, m Manifest, policy Policy) (*File, error) {
	there, err := os.Lstat(path)
	switch {
	case err == nil && policy == Fresh:
		return nil, fmt.Errorf("save to %s: %w", path, fs.ErrExist)
	case err == nil && !replaceable(there.Mode()):
		return nil, &fs.PathError{Op: "save to", Path: path, Err: errors.New("neither a file nor a link: it is not replaced")}
	}
	f := &File{path: path, policy: policy}
	if err := os.Remove(f.tmp()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("save to %s: %w", path, err)
	}
	if f.file, err = os.OpenFile(f.tmp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, fmt.Errorf("save to %s: %w", path, err)
	}
	f.buffer = bufio.NewWriterSize(f.file, bufferBytes)
	if f.Writer, err = NewWriter(f.buffer, m); err != nil {
		return nil, errors.Join(err, f.Abort())
	}
	return f, nil
}

// replaceable reports whether a rename may put a file in the place of what has mode m: no device, pipe or socket would be that any
// more, and no directory gives way.
func replaceable(m fs.FileMode) bool { return m.IsRegular() || m.Type() == fs.ModeSymlink }

func (f *File) tmp() string { return f.path + ".tmp" }

// Commit ends the archive and gives the file its name; it is durable when Commit returns. On an error it is not there,
// but where its name was not synced: then it may be, whole.
func (f *File) Commit() error {
	err := f.Close()
	if err == nil {
		err = f.buffer.Flush()
	}
	if err == nil {
		err = f.file.Sync()
	}
	if err == nil {
		err = f.publish()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("save to %s: %w", f.path, err), f.Abort())
	}
	f.ended = true
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("save to %s: %w", f.path, err)
	}
	return nil
}

// publish gives the file its name. A link fails where a rename would replace what somebody else put there meanwhile.
func (f *File) publish() error {
	if !f.ours() {
		return fmt.Errorf("somebody else saves to the same file, too: %s is not ours any more", f.tmp())
	}
	if f.policy == Replace {
		if err := os.Rename(f.tmp(), f.path); err != nil {
			return err
		}
		return syncDir(filepath.Dir(f.path))
	}
	if err := os.Link(f.tmp(), f.path); err != nil {
		return err
	}
	_ = os.Remove(f.tmp()) // else the next Create does
	return syncDir(filepath.Dir(f.path))
}

// ours reports whether what has the temporary name is what we write.
func (f *File) ours() bool {
	mine, err := f.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.tmp())
	return err == nil && os.SameFile(mine, there)
}

// Abort throws the archive away. After Commit it does nothing.
func (f *File) Abort() error {
	if f.ended {
		return nil
	}
	f.ended = true
	ours := f.ours()
	_ = f.file.Close() // what it says does not matter any more
	if !ours {
		return nil
	}
	return os.Remove(f.tmp())
}

// syncDir makes names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
