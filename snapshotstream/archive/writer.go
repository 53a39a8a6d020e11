package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"flotilla/catalog"
	"flotilla/internal/assert"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// ErrGroup says that a snapshot is not of the group whose turn it is, or group 0's state is no catalog that goes with it.
var ErrGroup = errors.New("snapshot does not belong here")

// Writer writes an archive. Group 0's snapshot comes first, then one of each group that its state knows, by rising ids. An
// error stays, and there is no whole archive then. It is for one goroutine.
type Writer struct {
	out     *summed
	catalog *catalog.Snapshot // nil before group 0
	left    []wire.GroupID
	groups  int
	sum     [32]byte
	err     error
	closed  bool
}

// summed counts and sums what goes through it.
type summed struct {
	w   io.Writer
	sum hash.Hash
	n   uint64
	err error // the first failure of w
}

// Write implements io.Writer.
func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += uint64(n)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// NewWriter writes the manifest to w. Errors: ErrManifest, or w's.
func NewWriter(w io.Writer, m Manifest) (*Writer, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	x := &Writer{out: &summed{w: w, sum: sha256.New()}, left: []wire.GroupID{wire.MetadataGroup}}
	if _, err := x.out.Write(appendLead(nil, &m)); err != nil {
		return nil, fmt.Errorf("write lead of an archive: %w", err)
	}
	return x, nil
}

// Next returns the group whose snapshot is wanted next; false when all are in.
func (x *Writer) Next() (wire.GroupID, bool) {
	if len(x.left) == 0 {
		return 0, false
	}
	return x.left[0], true
}

// Catalog is group 0's state once its snapshot is in, nil before.
func (x *Writer) Catalog() *catalog.Snapshot { return x.catalog }

// Bytes is how long the archive is up to here.
func (x *Writer) Bytes() uint64 { return x.out.n }

// Sum is the checksum of the whole, as a Reader says it; known after Close.
func (x *Writer) Sum() [32]byte { return x.sum }

// Add copies the snapshot of the group that is wanted next from r, which ends behind it, and checks it on the way. Errors: ErrGroup;
// those of a snapshotstream.Decoder; the reader's and the writer's.
func (x *Writer) Add(r io.Reader) (snapshotstream.Header, error) {
	assert.That(len(x.left) > 0 && !x.closed, "an archive has all its groups already")
	if x.err != nil {
		return snapshotstream.Header{}, x.err
	}
	h, err := x.add(r)
	if x.out.err != nil {
		err = fmt.Errorf("write archive at byte %d: %w", x.out.n, x.out.err) // whatever the decoder made of it
	}
	if err != nil {
		x.err = fmt.Errorf("save group %d: %w", x.left[0], err)
		return snapshotstream.Header{}, x.err
	}
	x.left, x.groups = x.left[1:], x.groups+1
	if h.Group == wire.MetadataGroup {
		x.left = others(x.catalog)
	}
	return h, nil
}

func (x *Writer) add(r io.Reader) (snapshotstream.Header, error) {
	var header bytes.Buffer
	src := &copying{r: r, to: &header}
	d, err := snapshotstream.NewDecoder(src)
	if err != nil {
		return snapshotstream.Header{}, err
	}
	h := d.Header()
	if h.Group != x.left[0] {
		return h, fmt.Errorf("%w: it is one of group %d", ErrGroup, h.Group)
	}
	if _, err := x.out.Write(append(appendGroup(nil, uint64(h.FileSize())), header.Bytes()...)); err != nil {
		return h, err
	}
	src.to = x.out
	if h.Group != wire.MetadataGroup {
		_, err = io.Copy(io.Discard, d)
		return h, err
	}
	x.catalog, err = catalogOf(d)
	return h, err
}

// copying hands out what it reads once that was written.
type copying struct {
	r  io.Reader
	to io.Writer
}

// Read implements io.Reader.
func (c *copying) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		if _, failed := c.to.Write(p[:n]); failed != nil {
			return 0, failed
		}
	}
	return n, err
}

// catalogOf reads group 0's state. ErrGroup says that it is none.
func catalogOf(d *snapshotstream.Decoder) (*catalog.Snapshot, error) {
	h := d.Header()
	if h.BodyLength > catalog.MaxState {
		return nil, fmt.Errorf("%w: a catalog of %d bytes", ErrGroup, h.BodyLength)
	}
	b, err := io.ReadAll(d)
	if err != nil {
		return nil, err
	}
	s, err := catalog.ReadState(h.Index, bytes.NewReader(b))
	if err != nil && !errors.Is(err, catalog.ErrNewerFormat) {
		err = fmt.Errorf("%w: %w", ErrGroup, err)
	}
	return s, err
}

// others are the groups that a catalog knows beside group 0.
func others(s *catalog.Snapshot) (ids []wire.GroupID) {
	for g := range s.Live() {
		if g.ID != wire.MetadataGroup {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// Close writes the trailer. It does not close what it writes to. It fails with ErrGroup while groups are missing.
func (x *Writer) Close() error {
	if x.closed || x.err != nil {
		return x.err
	}
	if id, more := x.Next(); more {
		return fmt.Errorf("%w: group %d is still missing", ErrGroup, id)
	}
	x.closed, x.sum = true, [32]byte(x.out.sum.Sum(nil))
	if _, err := x.out.Write(appendTrailer(nil, x.groups, x.out.n, x.sum)); err != nil {
		x.err = fmt.Errorf("write trailer of an archive: %w", err)
	}
	return x.err
}
