package boltfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Page is one page with its overflow, or the page of a small bucket, which stands inside its parent's leaf.
// buf holds its beginning.
type Page struct {
	p      *File
	id     uint64
	start  int64 // in the file
	length int64
	buf    []byte
	inline bool
	branch bool
	count  int
}

// page reads the first part of page id and checks its header. buf is used if it is large enough.
func (p *File) page(id uint64, buf []byte) (Page, error) {
	if id < 2 || id >= p.meta.end {
		return Page{}, p.corrupt(pageKey(id), "page number out of bounds")
	}
	pg := Page{p: p, id: id, start: int64(id) * PageSize, length: PageSize}
	if cap(buf) < PageSize {
		buf = make([]byte, PageSize)
	}
	pg.buf = buf[:PageSize]
	if _, err := p.file.ReadAt(pg.buf, pg.start); err != nil {
		return Page{}, fmt.Errorf("read page %d of %s: %w", id, p.path, err)
	}
	n := binary.NativeEndian
	overflow := uint64(n.Uint32(pg.buf[12:]))
	if n.Uint64(pg.buf) != id || id+overflow >= p.meta.end {
		return Page{}, p.corrupt(pageKey(id), "page header is wrong")
	}
	pg.length += int64(overflow) * PageSize
	return pg, pg.header()
}

// header reads kind and count of a page.
func (pg *Page) header() error {
	n := binary.NativeEndian
	flags := n.Uint16(pg.buf[8:])
	pg.count = int(n.Uint16(pg.buf[10:]))
	pg.branch = flags == branchPage
	if !pg.branch && flags != leafPage || pageHeader+int64(pg.count)*elementBytes > pg.length {
		return pg.p.corrupt(pageKey(pg.id), "page kind or count is wrong")
	}
	return nil
}

// Start is where in the file the page begins.
func (pg *Page) Start() int64 { return pg.start }

func pageKey(id uint64) string { return fmt.Sprintf("page %d", id) }

// fill reads the whole page into buf.
func (pg *Page) fill(buf []byte) ([]byte, error) {
	if int64(len(pg.buf)) >= pg.length {
		return buf, nil
	}
	if int64(cap(buf)) < pg.length {
		buf = make([]byte, pg.length)
	}
	buf = buf[:pg.length]
	if _, err := pg.p.file.ReadAt(buf, pg.start); err != nil {
		return buf, fmt.Errorf("read page %d of %s: %w", pg.id, pg.p.path, err)
	}
	pg.buf = buf
	return buf, nil
}

// bytes returns n bytes of the page from off on.
func (pg *Page) bytes(off, n int64) ([]byte, error) {
	switch {
	case off < 0 || n < 0 || off > pg.length || n > pg.length-off:
		return nil, pg.p.corrupt(pageKey(pg.id), "element out of bounds")
	case off+n <= int64(len(pg.buf)):
		return pg.buf[off : off+n : off+n], nil
	}
	b := make([]byte, n)
	if _, err := pg.p.file.ReadAt(b, pg.start+off); err != nil {
		return nil, fmt.Errorf("read page %d of %s: %w", pg.id, pg.p.path, err)
	}
	return b, nil
}

// element is one entry of a page: a child of a branch, or key and value of a leaf.
type element struct {
	key    []byte
	child  uint64
	bucket bool
	// off and n say where in the page a leaf's value is.
	off, n int64
}

func (pg *Page) element(i int) (element, error) {
	at := pageHeader + int64(i)*elementBytes
	b, err := pg.bytes(at, elementBytes)
	if err != nil {
		return element{}, err
	}
	n := binary.NativeEndian
	var e element
	var pos, keyLen int64
	if pg.branch {
		pos, keyLen, e.child = int64(n.Uint32(b)), int64(n.Uint32(b[4:])), n.Uint64(b[8:])
	} else {
		e.bucket = n.Uint32(b)&bucketFlag != 0
		pos, keyLen, e.n = int64(n.Uint32(b[4:])), int64(n.Uint32(b[8:])), int64(n.Uint32(b[12:]))
		e.off = at + pos + keyLen
	}
	if e.key, err = pg.bytes(at+pos, keyLen); err != nil {
		return element{}, err
	}
	if e.off > pg.length || e.n > pg.length-e.off {
		return element{}, pg.p.corrupt(pageKey(pg.id), "value out of bounds")
	}
	return e, nil
}

// search returns the position of the last element whose key is not above key; -1 when all are.
func (pg *Page) search(key []byte) (int, element, error) {
	lo, hi := 0, pg.count
	var found element
	for lo < hi {
		mid := (lo + hi) / 2
		e, err := pg.element(mid)
		if err != nil {
			return 0, element{}, err
		}
		if bytes.Compare(e.key, key) <= 0 {
			lo, found = mid+1, e
		} else {
			hi = mid
		}
	}
	return lo - 1, found, nil
}

// lookup finds key in the tree under pg. It reports false when there is none.
func (pg Page) lookup(key []byte) (Page, element, bool, error) {
	for range maxDepth {
		i, e, err := pg.search(key)
		switch {
		case err != nil:
			return Page{}, element{}, false, err
		case i < 0:
			return Page{}, element{}, false, nil
		case !pg.branch:
			return pg, e, bytes.Equal(e.key, key), nil
		}
		if pg, err = pg.p.page(e.child, nil); err != nil {
			return Page{}, element{}, false, err
		}
	}
	return Page{}, element{}, false, pg.p.corrupt(pageKey(pg.id), "tree is too deep")
}

// Bucket returns the root page of the bucket called name, and whether there is one.
func (p *File) Bucket(name []byte) (Page, bool, error) {
	root, err := p.page(p.meta.root, nil)
	if err != nil {
		return Page{}, false, err
	}
	leaf, e, ok, err := root.lookup(name)
	if err != nil || !ok {
		return Page{}, false, err
	}
	root, err = leaf.bucketRoot(e)
	return root, err == nil, err
}

// bucketRoot returns the root page of the bucket that e, an element of pg, is.
func (pg *Page) bucketRoot(e element) (Page, error) {
	value, err := pg.bytes(e.off, e.n)
	if err != nil {
		return Page{}, err
	}
	if !e.bucket || len(value) < bucketHeader {
		return Page{}, pg.p.corrupt(pageKey(pg.id), "no bucket")
	}
	if id := binary.NativeEndian.Uint64(value); id != 0 {
		return pg.p.page(id, nil)
	}
	inline := Page{p: pg.p, id: pg.id, start: pg.start + e.off + bucketHeader, inline: true, buf: value[bucketHeader:]}
	if inline.length = int64(len(inline.buf)); inline.length < pageHeader {
		return Page{}, pg.p.corrupt(pageKey(pg.id), "inline bucket is too short")
	}
	return inline, inline.header()
}

// blob returns where the value of e, an element of pg, is: in pg, or in a bucket of its own under the key own.
func (pg Page) blob(e element, own []byte) (Page, element, error) {
	if !e.bucket {
		return pg, e, nil
	}
	root, err := pg.bucketRoot(e)
	if err != nil {
		return Page{}, element{}, err
	}
	leaf, inner, found, err := root.lookup(own)
	if err == nil && (!found || inner.bucket) {
		err = pg.p.corrupt(pageKey(root.id), "bucket without a blob")
	}
	return leaf, inner, err
}
