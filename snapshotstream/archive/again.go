package archive

import (
	"encoding"
	"errors"
	"fmt"
	"io"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Add is Writer.Add for a snapshot that may break off: when r's part in it fails, what was written of the group is taken back, and Add may be
// called again with another snapshot of it. A failure of the file stays.
func (f *File) Add(r io.Reader) (snapshotstream.Header, error) {
	if f.err != nil {
		return snapshotstream.Header{}, f.err
	}
	p, err := f.point()
	if err != nil {
		return snapshotstream.Header{}, err
	}
	h, err := f.Writer.Add(r)
	if err != nil && f.out.err == nil {
		if back := f.back(p); back != nil {
			f.err = fmt.Errorf("save to %s: %w", f.path, back)
			return h, errors.Join(err, f.err)
		}
	}
	return h, err
}

// point is a place in the file between two groups, with the sum of what is in front of it.
type point struct {
	at   int64
	sum  []byte
	n    uint64
	left []wire.GroupID
}

// sums is what sha256's hashes are, by their documentation.
type sums interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

func (f *File) hash() sums {
	s, ok := f.out.sum.(sums)
	assert.That(ok, "a SHA-256 that cannot be saved")
	return s
}

func (f *File) point() (point, error) {
	err := f.buffer.Flush()
	p := point{n: f.out.n, left: f.left}
	if err == nil {
		p.at, err = f.file.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		p.sum, err = f.hash().MarshalBinary()
	}
	if err != nil {
		f.err = fmt.Errorf("save to %s: %w", f.path, err)
	}
	return p, f.err
}

// back takes back what was written since p.
func (f *File) back(p point) error {
	f.buffer.Reset(f.file)
	if err := f.file.Truncate(p.at); err != nil {
		return err
	}
	if _, err := f.file.Seek(p.at, io.SeekStart); err != nil {
		return err
	}
	if err := f.hash().UnmarshalBinary(p.sum); err != nil {
		return err
	}
	f.out.n, f.left, f.err = p.n, p.left, nil
	if p.left[0] == wire.MetadataGroup {
		f.catalog = nil
	}
	return nil
}
