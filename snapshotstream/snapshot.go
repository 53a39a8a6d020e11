package snapshotstream

import (
	"fmt"
	"io"
	"sync"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// Snapshot is a whole snapshot, open for reading. While it is open its file stays, whatever comes after it; nobody ever
// writes into it (D24). Its methods may be called from several goroutines.
type Snapshot struct {
	s      *Store
	g      *group
	kept   *kept
	file   File
	closer sync.Once
}

// Open opens the snapshot of a group at index. Errors: ErrNotHeld, or the file system's.
func (s *Store) Open(id wire.GroupID, index wire.Index) (*Snapshot, error) {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.find(index)
	if i < 0 {
		return nil, fmt.Errorf("open snapshot %d of group %d: %w", index, id, ErrNotHeld)
	}
	k := g.held[i]
	file, err := s.files.Open(s.at.file(&k.header, snapSuffix))
	if err != nil {
		return nil, fmt.Errorf("open snapshot %d of group %d: %w", index, id, err)
	}
	k.readers++
	return &Snapshot{s: s, g: g, kept: k, file: file}, nil
}

// Header returns what stands in front of the body.
func (x *Snapshot) Header() Header { return x.kept.header }

// Body returns a reader of the whole body, checked as a Decoder does: what it handed out is a state once it returned
// io.EOF, and not before. Call SetAside if it returns an ErrCorrupt.
func (x *Snapshot) Body() (*Decoder, error) {
	d, err := NewDecoder(io.NewSectionReader(x.file, 0, x.kept.header.FileSize()+1)) // one more: nothing must follow
	if err != nil {
		return nil, err
	}
	if !d.header.equal(&x.kept.header) {
		return nil, corrupt("header", 0, errPlace)
	}
	return d, nil
}

// Chunk reads the chunk that begins at offset as it stands in the file, checked, and appends it to dst.
func (x *Snapshot) Chunk(dst []byte, offset uint64) ([]byte, error) {
	return chunkIn(dst, x.file, &x.kept.header, offset)
}

// Trailer reads what stands behind the last chunk.
func (x *Snapshot) Trailer() ([]byte, error) { return trailerIn(x.file, &x.kept.header) }

// Close lets go of the file. It may be called again.
func (x *Snapshot) Close() error {
	var err error
	x.closer.Do(func() {
		err = x.file.Close()
		x.g.mu.Lock()
		defer x.g.mu.Unlock()
		x.kept.readers--
		assert.That(x.kept.readers >= 0, "snapshot %s has %d readers", x.kept.header.ID, x.kept.readers)
		x.s.prune(x.g)
	})
	return err
}

// headerIn reads the header of a file.
func headerIn(f File) (Header, error) {
	return readHeader(io.NewSectionReader(f, 0, maxHeader))
}

// chunkIn appends the chunk of h that begins at offset to dst.
func chunkIn(dst []byte, f File, h *Header, offset uint64) ([]byte, error) {
	assert.That(h.boundary(offset) && offset < h.BodyLength, "no chunk of snapshot %s begins at %d", h.ID, offset)
	n := chunkLead + h.chunkAt(offset)
	start := len(dst)
	dst = append(dst, make([]byte, n)...)
	if err := readFull(io.NewSectionReader(f, h.at(offset), int64(n)), dst[start:], "chunk", offset); err != nil {
		return dst[:start], err
	}
	return dst, checkChunk(dst[start:], offset)
}

// trailerIn reads the trailer of h.
func trailerIn(f File, h *Header) ([]byte, error) {
	b := make([]byte, trailerSize)
	at := h.at(h.BodyLength)
	if err := readFull(io.NewSectionReader(f, at, trailerSize), b, "trailer", uint64(at)); err != nil {
		return nil, err
	}
	_, err := parseTrailer(b, h)
	return b, err
}
