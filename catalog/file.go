package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
)

// tmpInfix marks files that are being created.
const tmpInfix = ".new-"

// createFile makes an empty catalog at path unless there is one. It is written whole under a temporary name
// and linked into place, so no crash leaves half a file, and of two that race one wins without harm (D8).
func createFile(path string, formats []format) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err // nil: it is there
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+tmpInfix+"*") // mode 0600
	if err != nil {
		return err
	}
	tmp := f.Name()
	defer os.Remove(tmp)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(tmp, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	empty := stateRecords(&Snapshot{Format: uint64(len(formats))})
	err = db.Update(func(tx *bbolt.Tx) error { return empty.store(tx, nil) })
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp, path); err != nil {
		if _, raced := os.Lstat(path); raced != nil { // else another was faster: its file serves as well
			return err
		}
	}
	return syncDir(dir)
}

// removeLeftovers removes what creations that never ended have left beside path. The caller holds path's lock.
func removeLeftovers(path string) error {
	found, err := filepath.Glob(path + tmpInfix + "*")
	for _, name := range found {
		if rm := os.Remove(name); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

// syncDir makes names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// access says what an open file is for.
type access int

const (
	forWriting access = iota
	forReading
)

// openFile opens the bbolt file at path, which must exist, after its length has been compared with its meta pages.
func openFile(path string, timeout time.Duration, a access) (*bbolt.DB, error) {
	var file *os.File
	opts := &bbolt.Options{
		Timeout: timeout, ReadOnly: a == forReading, NoSync: mutant.Is(mutant.CatalogSkipsFsync),
		OpenFile: func(name string, flag int, _ os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag&^os.O_CREATE, 0)
			if err != nil {
				return nil, err
			}
			if err := checkLength(f); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			file = f
			return f, nil
		},
	}
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, opts)
		return err
	})
	if err == nil {
		return db, nil
	}
	var corrupt *CorruptionError
	switch {
	case file != nil && errors.As(err, &corrupt): // bbolt gave up by a panic and has closed nothing
		return nil, errors.Join(corrupt, unlock(file), file.Close())
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, &InUseError{Path: path, PID: holderOf(path)}
	case errors.As(err, &corrupt):
		if pid := holderOf(path); pid != 0 { // its length was looked at before its lock: the holder is at work in it
			return nil, &InUseError{Path: path, PID: pid}
		}
		return nil, corrupt
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, &CorruptionError{Reason: "it is no bbolt file", Cause: err}
	}
	return nil, err
}

// guard runs f, which reads pages that may be anything. Where bbolt trusts a flipped bit it panics, or
// touches memory outside the map: both become a CorruptionError instead of the end of the process (D26).
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *assert.Violation:
			panic(p) // ours, not the file's
		default:
			err = &CorruptionError{Reason: fmt.Sprintf("its pages make no sense: %v", p)}
		}
	}()
	return f()
}

// The layout of bbolt's two meta pages (page.go, meta.go of go.etcd.io/bbolt): a page header of 16 bytes,
// then magic, version, page size, flags, root page, sequence, freelist page, high water mark,
// transaction, and FNV-64a over all before it; numbers in the machine's order.
const (
	metaOffset    = 16
	metaSize      = 64
	metaSummed    = 56
	metaMagic     = 0xED0CDAED
	minPageSize   = 1 << 10
	maxPageSize   = 64 << 10
	offPageSize   = 8
	offHighWater  = 40
	metaPageCount = 2
)

// checkLength compares f's length with what its meta pages promise (D26: pages that are not there kill the process
// by SIGBUS at the first touch). Both metas must be good. bbolt would go on with the older one, which silently
// takes back the last transaction; and no crash leaves a bad one, as a meta lies within one sector.
func checkLength(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &CorruptionError{Reason: "it is no regular file"}
	}
	if info.Size() > maxFileBytes {
		return &CorruptionError{Reason: fmt.Sprintf("it has %d bytes, %d at most", info.Size(), int64(maxFileBytes))}
	}
	pageSize, needed := int64(0), int64(0)
	for i := range int64(metaPageCount) {
		page := make([]byte, metaOffset+metaSize)
		if _, err := f.ReadAt(page, i*pageSize); err != nil {
			if errors.Is(err, io.EOF) {
				return &CorruptionError{Reason: fmt.Sprintf("it has %d bytes and is cut off before meta page %d ends", info.Size(), i)}
			}
			return err
		}
		size, high, err := readMeta(page[metaOffset:])
		if err != nil || i > 0 && size != pageSize {
			return &CorruptionError{Reason: fmt.Sprintf("meta page %d is damaged", i), Cause: err}
		}
		pageSize, needed = size, max(needed, high)
	}
	// Asked for again: the file grows before a meta says so, and it may be another process that is at work.
	if info, err = f.Stat(); err != nil {
		return err
	}
	if needed > maxFileBytes/pageSize || info.Size() < needed*pageSize {
		return &CorruptionError{Reason: fmt.Sprintf("it has %d bytes, its meta pages speak of %d pages of %d", info.Size(), needed, pageSize)}
	}
	return nil
}

// readMeta returns the page size and the number of pages in use by a good meta.
func readMeta(m []byte) (pageSize, pages int64, err error) {
	sum := fnv.New64a()
	sum.Write(m[:metaSummed]) // a hash never fails to write
	if binary.NativeEndian.Uint32(m) != metaMagic || binary.NativeEndian.Uint64(m[metaSummed:]) != sum.Sum64() {
		return 0, 0, errors.New("magic or checksum differs")
	}
	size := int64(binary.NativeEndian.Uint32(m[offPageSize:]))
	high := binary.NativeEndian.Uint64(m[offHighWater:])
	if size < minPageSize || size > maxPageSize || high > maxFileBytes/minPageSize {
		return 0, 0, fmt.Errorf("%d pages of %d bytes", high, size)
	}
	return size, int64(high), nil
}
