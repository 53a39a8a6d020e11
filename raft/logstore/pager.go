package logstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The pager reads a bbolt file that nobody writes any more, with bounded preads and without mapping it: a
// truncated file is an error here, not a SIGBUS (D26), and a flipped bit in a page's header or in a tree's
// arrow is one too, where bbolt, which guards only its meta pages, would follow it out of the map. It knows
// of bbolt's format (version 2) what it needs to find a key: meta pages, branch and leaf pages, buckets.

const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	boltBranchPage = 0x01
	boltLeafPage   = 0x02
	boltBucketFlag = 0x01

	boltPageHeader   = 16
	boltElement      = 16
	boltBucketHeader = 16
	boltMetaBytes    = 64
	// boltEmptyTx is the transaction of a file that holds the two empty buckets and nothing else.
	boltEmptyTx = 2
)

// boltMeta is what a meta page says.
type boltMeta struct {
	root uint64 // page of the root bucket
	end  uint64 // first page beyond those in use
	tx   uint64 // number of the last transaction
}

// pager reads one file. Its methods are safe for concurrent use.
type pager struct {
	file *os.File
	path string
	size int64
	meta boltMeta
	// lostMeta says that one meta page is invalid: the newest transaction may be missing.
	lostMeta bool
	// blobs are the places of the blobs from base on; an empty one is not there. Reads go by these and not by the
	// tree, whose arrows may have rotted. Set before the pager is shared.
	base  uint64
	blobs []place
}

// openPager opens path for reading and compares its length with its meta pages.
func openPager(fs fileSystem, path string) (*pager, error) {
	f, err := fs.open(path, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	p := &pager{file: f, path: path}
	if err := p.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

func (p *pager) load() error {
	info, err := p.file.Stat()
	if err != nil {
		return fmt.Errorf("stat log file: %w", err)
	}
	p.size = info.Size()
	var metas [2]boltMeta
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
	if need := int64(p.meta.end) * pageSize; p.meta.end > 1<<40 || p.size < need {
		return p.corrupt("meta", fmt.Sprintf("file has %d bytes, its meta pages need %d", p.size, need))
	}
	return nil
}

// readMeta reads meta page i; the error is one of the disk only.
func (p *pager) readMeta(i int64) (boltMeta, bool, error) {
	var b [boltPageHeader + boltMetaBytes]byte
	if _, err := p.file.ReadAt(b[:], i*pageSize); err != nil {
		if errors.Is(err, io.EOF) {
			return boltMeta{}, false, nil
		}
		return boltMeta{}, false, fmt.Errorf("read meta page of %s: %w", p.path, err)
	}
	n := binary.NativeEndian
	m := b[boltPageHeader:]
	sum := fnv.New64a()
	sum.Write(m[:boltMetaBytes-8])
	if n.Uint32(m) != boltMagic || n.Uint32(m[4:]) != boltVersion || n.Uint32(m[8:]) != pageSize ||
		n.Uint64(m[56:]) != sum.Sum64() {
		return boltMeta{}, false, nil
	}
	return boltMeta{root: n.Uint64(m[16:]), end: n.Uint64(m[40:]), tx: n.Uint64(m[48:])}, true, nil
}

func (p *pager) corrupt(key, detail string) *CorruptionError {
	return &CorruptionError{File: p.path, Key: key, Detail: detail}
}

func (p *pager) close() error { return p.file.Close() }

// expect makes room for the blobs from base on, written by the transactions from tx on.
func (p *pager) expect(base, tx uint64) {
	p.base = base
	if n := p.meta.tx + 1 - tx; tx <= p.meta.tx && n <= p.meta.end*pageSize/blobHeaderBytes { // no blob is smaller
		p.blobs = make([]place, n)
	}
}

// note remembers where a blob is.
func (p *pager) note(seq uint64, at place) {
	if i := seq - p.base; seq >= p.base && i < uint64(len(p.blobs)) {
		p.blobs[i] = at
	}
}

// locate finds the blobs from base on without reading them.
func (p *pager) locate(base, tx uint64) error {
	p.expect(base, tx)
	root, ok, err := p.bucket(bucketJournal)
	if err != nil || !ok {
		return err
	}
	w := walker{seen: map[uint64]struct{}{}, bad: func(damage *CorruptionError) error { return damage }}
	w.note = func(key []byte, at place) {
		if len(key) == 8 {
			p.note(binary.BigEndian.Uint64(key), at)
		}
	}
	return w.walk(root, 0)
}

// blob returns the place of the blob under seq; an empty one when it is not there.
func (p *pager) blob(seq uint64) place {
	if i := seq - p.base; seq >= p.base && i < uint64(len(p.blobs)) {
		return p.blobs[i]
	}
	return place{}
}

// read reads n bytes at off, which must lie within the pages in use.
func (p *pager) read(off, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := p.file.ReadAt(b, off); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, p.corrupt(fmt.Sprintf("byte %d", off), "file is cut short")
		}
		return nil, fmt.Errorf("read %s: %w", p.path, err)
	}
	return b, nil
}

// page is one page with its overflow, or the page of a small bucket, which stands inside its parent's leaf.
// buf holds its beginning.
type page struct {
	p      *pager
	id     uint64
	start  int64 // in the file
	length int64
	buf    []byte
	inline bool
	branch bool
	count  int
}

// page reads the first part of page id and checks its header. buf is used if it is large enough.
func (p *pager) page(id uint64, buf []byte) (page, error) {
	if id < 2 || id >= p.meta.end {
		return page{}, p.corrupt(pageKey(id), "page number out of bounds")
	}
	pg := page{p: p, id: id, start: int64(id) * pageSize, length: pageSize}
	if cap(buf) < pageSize {
		buf = make([]byte, pageSize)
	}
	pg.buf = buf[:pageSize]
	if _, err := p.file.ReadAt(pg.buf, pg.start); err != nil {
		return page{}, fmt.Errorf("read page %d of %s: %w", id, p.path, err)
	}
	n := binary.NativeEndian
	overflow := uint64(n.Uint32(pg.buf[12:]))
	if n.Uint64(pg.buf) != id || id+overflow >= p.meta.end {
		return page{}, p.corrupt(pageKey(id), "page header is wrong")
	}
	pg.length += int64(overflow) * pageSize
	return pg, pg.header()
}

// header reads kind and count of a page.
func (pg *page) header() error {
	n := binary.NativeEndian
	flags := n.Uint16(pg.buf[8:])
	pg.count = int(n.Uint16(pg.buf[10:]))
	pg.branch = flags == boltBranchPage
	if !pg.branch && flags != boltLeafPage || boltPageHeader+int64(pg.count)*boltElement > pg.length {
		return pg.p.corrupt(pageKey(pg.id), "page kind or count is wrong")
	}
	return nil
}

func pageKey(id uint64) string { return fmt.Sprintf("page %d", id) }

// fill reads the whole page into buf.
func (pg *page) fill(buf []byte) ([]byte, error) {
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
func (pg *page) bytes(off, n int64) ([]byte, error) {
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

func (pg *page) element(i int) (element, error) {
	at := boltPageHeader + int64(i)*boltElement
	b, err := pg.bytes(at, boltElement)
	if err != nil {
		return element{}, err
	}
	n := binary.NativeEndian
	var e element
	var pos, keyLen int64
	if pg.branch {
		pos, keyLen, e.child = int64(n.Uint32(b)), int64(n.Uint32(b[4:])), n.Uint64(b[8:])
	} else {
		e.bucket = n.Uint32(b)&boltBucketFlag != 0
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
func (pg *page) search(key []byte) (int, element, error) {
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
func (pg page) lookup(key []byte) (page, element, bool, error) {
	for range maxTreeDepth {
		i, e, err := pg.search(key)
		switch {
		case err != nil:
			return page{}, element{}, false, err
		case i < 0:
			return page{}, element{}, false, nil
		case !pg.branch:
			return pg, e, bytes.Equal(e.key, key), nil
		}
		if pg, err = pg.p.page(e.child, nil); err != nil {
			return page{}, element{}, false, err
		}
	}
	return page{}, element{}, false, pg.p.corrupt(pageKey(pg.id), "tree is too deep")
}

// bucket returns the root page of the bucket called name, and whether there is one.
func (p *pager) bucket(name []byte) (page, bool, error) {
	root, err := p.page(p.meta.root, nil)
	if err != nil {
		return page{}, false, err
	}
	leaf, e, ok, err := root.lookup(name)
	if err != nil || !ok {
		return page{}, false, err
	}
	root, err = leaf.bucketRoot(e)
	return root, err == nil, err
}

// bucketRoot returns the root page of the bucket that e, an element of pg, is.
func (pg *page) bucketRoot(e element) (page, error) {
	value, err := pg.bytes(e.off, e.n)
	if err != nil {
		return page{}, err
	}
	if !e.bucket || len(value) < boltBucketHeader {
		return page{}, pg.p.corrupt(pageKey(pg.id), "no bucket")
	}
	if id := binary.NativeEndian.Uint64(value); id != 0 {
		return pg.p.page(id, nil)
	}
	inline := page{p: pg.p, id: pg.id, start: pg.start + e.off + boltBucketHeader, inline: true, buf: value[boltBucketHeader:]}
	if inline.length = int64(len(inline.buf)); inline.length < boltPageHeader {
		return page{}, pg.p.corrupt(pageKey(pg.id), "inline bucket is too short")
	}
	return inline, inline.header()
}

// blob returns where the value of e, an element of pg, is: in pg, or in a bucket of its own (see putBlob).
func (pg page) blob(e element) (page, element, error) {
	if !e.bucket {
		return pg, e, nil
	}
	root, err := pg.bucketRoot(e)
	if err != nil {
		return page{}, element{}, err
	}
	leaf, inner, found, err := root.lookup(blobKey)
	if err == nil && (!found || inner.bucket) {
		err = pg.p.corrupt(pageKey(root.id), "bucket without a blob")
	}
	return leaf, inner, err
}

// place says where in the file a value is.
type place struct {
	off, n int64
}

// walker visits all keys of a tree in order.
type walker struct {
	seen map[uint64]struct{}
	// buf holds the leaf being visited, inner the page of a blob that has one of its own.
	buf, inner []byte
	// use gets each key, its value, valid during the call, and the value's place. Its error ends the walk.
	use func(key, value []byte, at place) error
	// note, instead of use, gets the places only, and the values are not read.
	note func(key []byte, at place)
	// bad gets each damage; what hangs below it is left out. Its error ends the walk.
	bad func(*CorruptionError) error
}

// walk visits the tree under pg. Its error is one of the disk, or of use or bad.
func (w *walker) walk(pg page, depth int) error {
	if !pg.inline {
		if _, again := w.seen[pg.id]; again || depth > maxTreeDepth {
			return w.bad(pg.p.corrupt(pageKey(pg.id), "page is reached twice"))
		}
		w.seen[pg.id] = struct{}{}
	}
	if !pg.branch {
		return w.leaf(pg)
	}
	for i := range pg.count {
		e, err := pg.element(i)
		if err == nil {
			var child page
			if child, err = pg.p.page(e.child, nil); err == nil {
				if err := w.walk(child, depth+1); err != nil {
					return err
				}
				continue
			}
		}
		if err := w.report(err); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(pg page) error {
	if w.use != nil {
		var err error
		if w.buf, err = pg.fill(w.buf); err != nil {
			return err
		}
	}
	for i := range pg.count {
		if err := w.report(w.visit(pg, i)); err != nil {
			return err
		}
	}
	return nil
}

// visit hands on element i of a leaf.
func (w *walker) visit(pg page, i int) error {
	e, err := pg.element(i)
	if err != nil {
		return err
	}
	leaf, blob, err := pg.blob(e)
	if err != nil {
		return err
	}
	at := place{leaf.start + blob.off, blob.n}
	if w.use == nil {
		w.note(e.key, at)
		return nil
	}
	if e.bucket {
		if w.inner, err = leaf.fill(w.inner); err != nil {
			return err
		}
	}
	value, err := leaf.bytes(blob.off, blob.n)
	if err != nil {
		return err
	}
	return w.use(e.key, value, at)
}

// report hands damage to bad and returns every other error.
func (w *walker) report(err error) error {
	if err == nil {
		return nil
	}
	var c *CorruptionError
	if errors.As(err, &c) {
		return w.bad(c)
	}
	return err
}
