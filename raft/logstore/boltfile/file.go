package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// PageSize is the only page size read: where the second meta page is follows from it.
const PageSize = 4096

const (
	magic   = 0xED0CDAED
	version = 2

	branchPage = 0x01
	leafPage   = 0x02
	bucketFlag = 0x01

	pageHeader   = 16
	elementBytes = 16
	bucketHeader = 16
	metaBytes    = 64

	// maxDepth bounds the walk through a file's pages: 2^32 keys need 6 levels, a cycle needs more.
	maxDepth = 16
)

// meta is what a meta page says.
type meta struct {
	root uint64 // page of the root bucket
	end  uint64 // first page beyond those in use
	tx   uint64 // number of the last transaction
}

// File is one bbolt file. Its methods are safe for concurrent use.
type File struct {
	file *os.File
	path string
	size int64
	meta meta
	// lostMeta says that one meta page is invalid.
	lostMeta bool
}

// Damage says that the file is not what bbolt has written.
type Damage struct {
	// Path is the file's, Key names the place: "meta", "page 17", "byte 4711".
	Path, Key string
	// Detail says what is wrong, in a few words.
	Detail string
}

// Error names file, place and fault.
func (d *Damage) Error() string {
	return fmt.Sprintf("bbolt file %s at %s: %s", d.Path, d.Key, d.Detail)
}

// Open reads the meta pages of f, whose path is told for errors, and compares f's length with them. It takes
// f over when it succeeds. Errors: *Damage, and those of the disk.
func Open(f *os.File, path string) (*File, error) {
	p := &File{file: f, path: path}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, nil
}

// LastTx is the number of the last transaction in the file. The meta page that says so has a checksum.
func (p *File) LastTx() uint64 { return p.meta.tx }

// MetaAt is where in the file the meta page begins that says so.
func (p *File) MetaAt() int64 { return int64(p.meta.tx%2) * PageSize }

// Bytes is how much of the file is in use.
func (p *File) Bytes() int64 { return int64(p.meta.end) * PageSize }

// LostMeta says that one of the two meta pages is invalid: if it was the newer one, the file is taken for
// what it was before the last transaction.
func (p *File) LostMeta() bool { return p.lostMeta }

// Path is the file's.
func (p *File) Path() string { return p.path }

func (p *File) load() error {
	info, err := p.file.Stat()
	if err != nil {
		return fmt.Errorf("stat log file: %w", err)
	}
	p.size = info.Size()
	var metas [2]meta
	var valid [2]bool
	for i := range metas {
		if metas[i], valid[i], err = p.readMeta(int64(i)); err != nil {
			return err
		}
	}
	newest := 0
	if !valid[0] || valid[1] && metas[1].tx > metas[0].tx {
		newest = 1
	}
	if !valid[newest] {
		return p.corrupt("meta", "both meta pages are invalid")
	}
	p.meta, p.lostMeta = metas[newest], !valid[1-newest]
	if need := int64(p.meta.end) * PageSize; p.meta.end > 1<<40 || p.size < need {
		return p.corrupt("meta", fmt.Sprintf("file has %d bytes, its meta pages need %d", p.size, need))
	}
	return nil
}

// readMeta reads meta page i; the error is one of the disk only.
func (p *File) readMeta(i int64) (meta, bool, error) {
	var b [pageHeader + metaBytes]byte
	if _, err := p.file.ReadAt(b[:], i*PageSize); err != nil {
		if errors.Is(err, io.EOF) {
			return meta{}, false, nil
		}
		return meta{}, false, fmt.Errorf("read meta page of %s: %w", p.path, err)
	}
	n := binary.NativeEndian
	m := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(m[:metaBytes-8])
	if n.Uint32(m) != magic || n.Uint32(m[4:]) != version || n.Uint32(m[8:]) != PageSize ||
		n.Uint64(m[56:]) != sum.Sum64() {
		return meta{}, false, nil
	}
	return meta{root: n.Uint64(m[16:]), end: n.Uint64(m[40:]), tx: n.Uint64(m[48:])}, true, nil
}

func (p *File) corrupt(key, detail string) *Damage {
	return &Damage{Path: p.path, Key: key, Detail: detail}
}

// Close closes the file.
func (p *File) Close() error { return p.file.Close() }

// Read reads n bytes at off, which must lie within the pages in use.
func (p *File) Read(off, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := p.file.ReadAt(b, off); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, p.corrupt(fmt.Sprintf("byte %d", off), "file is cut short")
		}
		return nil, fmt.Errorf("read %s: %w", p.path, err)
	}
	return b, nil
}
