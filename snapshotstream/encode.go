package snapshotstream

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"flotilla/internal/assert"
)

// chunker cuts a body into chunks and writes them, holding one at a time.
type chunker struct {
	w      io.Writer
	record []byte // lead and the data gathered so far; its capacity is that of a full one
	offset uint64 // of the body: where the record begins
	sum    hash.Hash
	err    error // the first failure; it stays
}

func newChunker(w io.Writer, size uint32) *chunker {
	return &chunker{w: w, record: make([]byte, chunkLead, chunkLead+int(size)), sum: sha256.New()}
}

// length is that of the body up to here.
func (c *chunker) length() uint64 { return c.offset + uint64(len(c.record)-chunkLead) }

// Write takes p in; full chunks go out.
func (c *chunker) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && c.err == nil {
		n := min(len(p), cap(c.record)-len(c.record))
		c.record = append(c.record, p[:n]...)
		p, written = p[n:], written+n
		if len(c.record) == cap(c.record) {
			c.flush()
		}
	}
	return written, c.err
}

// flush writes the record out, if it holds anything.
func (c *chunker) flush() {
	n := len(c.record) - chunkLead
	if n == 0 || c.err != nil {
		return
	}
	sealChunk(c.record, c.offset)
	c.sum.Write(c.record[chunkLead:])
	if _, err := c.w.Write(c.record); err != nil {
		c.err = fmt.Errorf("write chunk at byte %d of a snapshot: %w", c.offset, err)
		return
	}
	c.offset += uint64(n)
	c.record = c.record[:chunkLead]
}

// finish writes the last chunk out and returns the checksum of the body.
func (c *chunker) finish() ([sha256.Size]byte, error) {
	c.flush()
	return [sha256.Size]byte(c.sum.Sum(nil)), c.err
}

// Encoder writes a snapshot whose header is known beforehand to an io.Writer. It holds one chunk at most and does not
// hand out a complete snapshot unless the body is the one announced. It is for one goroutine.
type Encoder struct {
	header Header
	body   *chunker
	closed bool
}

// NewEncoder writes h and returns an Encoder for the body. Errors: ErrHeader, or the writer's.
func NewEncoder(w io.Writer, h Header) (*Encoder, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	if _, err := w.Write(appendHeader(nil, &h)); err != nil {
		return nil, fmt.Errorf("write header of snapshot %s: %w", h.ID, err)
	}
	return &Encoder{header: h, body: newChunker(w, h.ChunkSize)}, nil
}

// Write takes the next bytes of the body. More than were announced are refused with ErrMismatch, none of them written.
func (e *Encoder) Write(p []byte) (int, error) {
	assert.That(!e.closed, "body of snapshot %s goes on after its end", e.header.ID)
	if uint64(len(p)) > e.header.BodyLength-e.body.length() {
		e.body.err = fmt.Errorf("%w: longer than %d bytes", ErrMismatch, e.header.BodyLength)
		return 0, e.body.err
	}
	return e.body.Write(p)
}

// Close writes what is left of the body and the trailer. It does not close the writer. ErrMismatch: the body was
// another one than announced, and there is no trailer.
func (e *Encoder) Close() error {
	if e.closed {
		return e.body.err
	}
	e.closed = true
	sum, err := e.body.finish()
	switch {
	case err != nil:
		return err
	case e.body.offset != e.header.BodyLength:
		e.body.err = fmt.Errorf("%w: %d bytes, not %d", ErrMismatch, e.body.offset, e.header.BodyLength)
	case e.header.idOf(sum) != e.header.ID:
		e.body.err = fmt.Errorf("%w: id of %s", ErrMismatch, e.header.ID)
	default:
		if _, err := e.body.w.Write(appendTrailer(nil, e.header.BodyLength, sum)); err != nil {
			e.body.err = fmt.Errorf("write trailer of snapshot %s: %w", e.header.ID, err)
		}
	}
	return e.body.err
}

// HeaderOf reads body once and returns the header under which it is a snapshot of s. For who cannot go back and put a
// header in front; Store.Create can.
func HeaderOf(s State, body io.Reader, chunkSize uint32) (Header, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, body)
	if err != nil {
		return Header{}, fmt.Errorf("read the body of a snapshot: %w", err)
	}
	h := Header{State: s, BodyLength: uint64(n), ChunkSize: chunkSize}
	h.ID = h.idOf([sha256.Size]byte(sum.Sum(nil)))
	return h, h.Validate()
}
