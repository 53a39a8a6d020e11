package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"flotilla/catalog"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Reader reads an archive from front to end, strictly: whatever is not exactly what a Writer writes is an error, which stays. Nothing
// read from it may be relied on before Next has returned io.EOF. It is for one goroutine.
type Reader struct {
	in       *counted
	manifest Manifest
	meta     snapshotstream.Header
	catalog  *catalog.Snapshot
	left     []wire.GroupID
	groups   int
	present  *Group // handed out last; nil for none
	sum      [32]byte
	err      error
}

// counted counts and sums what is read through it.
type counted struct {
	r   *bufio.Reader
	sum hash.Hash
	n   uint64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	c.n += uint64(n)
	return n, err
}

// Group is one group's snapshot. It is an io.Reader of the state, which is one once Read has returned io.EOF.
type Group struct {
	snapshotstream.Header
	// Kind is that of its state machine.
	Kind    string
	body    *snapshotstream.Decoder
	limited *io.LimitedReader
}

// Read implements io.Reader. Errors are those of a snapshotstream.Decoder.
func (g *Group) Read(p []byte) (int, error) { return g.body.Read(p) }

// NewReader reads the manifest and group 0's state. Errors: *snapshotstream.CorruptError, *snapshotstream.VersionError, or r's,
// wrapped.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{in: &counted{r: bufio.NewReaderSize(r, bufferBytes), sum: sha256.New()}}
	var err error
	if x.manifest, err = readLead(x.in); err != nil {
		return nil, err
	}
	g, err := x.begin(wire.MetadataGroup)
	if err != nil {
		return nil, err
	}
	at := x.in.n
	x.meta = g.Header
	x.catalog, err = catalogOf(g.body)
	switch {
	case errors.Is(err, ErrGroup):
		return nil, corrupt("catalog", at, err)
	case err != nil:
		return nil, fmt.Errorf("group 0: %w", err)
	}
	x.left, x.groups = others(x.catalog), 1
	return x, nil
}

// Manifest says what was saved.
func (x *Reader) Manifest() Manifest { return x.manifest }

// Meta is the header of group 0's snapshot, Catalog the state in it.
func (x *Reader) Meta() snapshotstream.Header { return x.meta }

// Catalog is group 0's state: settings, topology, groups, routing.
func (x *Reader) Catalog() *catalog.Snapshot { return x.catalog }

// Bytes is how much was read up to here.
func (x *Reader) Bytes() uint64 { return x.in.n }

// Sum is the checksum of the whole, which tells archives apart; known once Next has returned io.EOF.
func (x *Reader) Sum() [32]byte { return x.sum }

// Next returns the next data group, having read what is left of the one before. io.EOF says that there is none left and that
// everything up to the end of the input was right.
func (x *Reader) Next() (*Group, error) {
	if x.err == nil {
		x.err = x.finish()
	}
	if x.err != nil {
		return nil, x.err
	}
	if len(x.left) == 0 {
		x.err = x.end()
		return nil, x.err
	}
	g, err := x.begin(x.left[0])
	if err != nil {
		x.err = err
		return nil, err
	}
	placed, _ := x.catalog.FindGroup(g.Group)
	g.Kind = placed.Kind
	x.present, x.left, x.groups = g, x.left[1:], x.groups+1
	return g, nil
}

// finish reads what is left of the present group.
func (x *Reader) finish() error {
	g := x.present
	if g == nil {
		return nil
	}
	x.present = nil
	if _, err := io.Copy(io.Discard, g); err != nil {
		return fmt.Errorf("group %d: %w", g.Group, err)
	}
	return nil
}

// begin reads up to the body of group id's snapshot.
func (x *Reader) begin(id wire.GroupID) (*Group, error) {
	at := x.in.n
	lead := make([]byte, groupSize)
	if err := readFull(x.in, lead, "group", at); err != nil {
		return nil, err
	}
	length, err := parseGroup(lead, at)
	if err != nil {
		return nil, err
	}
	g := &Group{limited: &io.LimitedReader{R: x.in, N: int64(length)}}
	if g.body, err = snapshotstream.NewDecoder(g.limited); err != nil {
		return nil, fmt.Errorf("group %d: %w", id, err)
	}
	if g.Header = g.body.Header(); g.Group != id || uint64(g.FileSize()) != length {
		return nil, corrupt("group", at, errPlace)
	}
	return g, nil
}

// end reads the trailer and looks for what must not follow it; nil never, io.EOF for a good end.
func (x *Reader) end() error {
	at, sum := x.in.n, [32]byte(x.in.sum.Sum(nil))
	b := make([]byte, trailerSize)
	if err := readFull(x.in, b, "trailer", at); err != nil {
		return err
	}
	if want := appendTrailer(nil, x.groups, at, sum); !bytes.Equal(b, want) {
		why := errPlace
		if bytes.Equal(b[:16], want[:16]) {
			why = errWhole
		}
		return corrupt("trailer", at, why)
	}
	switch n, err := io.ReadFull(x.in, b[:1]); {
	case n > 0:
		return corrupt("end", at+trailerSize, errTrailing)
	case err != io.EOF:
		return fmt.Errorf("read end of an archive: %w", err)
	}
	x.sum = sum
	return io.EOF
}

// Summary is what an archive holds, every byte of it checked.
type Summary struct {
	Manifest Manifest
	Catalog  *catalog.Snapshot
	// Groups are the snapshots in it, group 0 first.
	Groups []snapshotstream.Header
	Sum    [32]byte
	// Bytes is its length.
	Bytes uint64
}

// Inspect reads an archive to its end. Errors are those of a Reader.
func Inspect(r io.Reader) (Summary, error) {
	x, err := NewReader(r)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Manifest: x.Manifest(), Catalog: x.Catalog(), Groups: []snapshotstream.Header{x.Meta()}}
	for {
		g, err := x.Next()
		if errors.Is(err, io.EOF) {
			s.Sum, s.Bytes = x.Sum(), x.Bytes()
			return s, nil
		}
		if err != nil {
			return Summary{}, err
		}
		s.Groups = append(s.Groups, g.Header)
	}
}
