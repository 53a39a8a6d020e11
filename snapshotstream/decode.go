package snapshotstream

import (
	"crypto/sha256"
	"hash"
	"io"
)

// Decoder reads a snapshot from an io.Reader, strictly: whatever is not exactly what an Encoder writes is an error. It
// holds one chunk at most. It is for one goroutine.
//
// The body's bytes are handed out chunk by chunk, each after its own checksum; the checksum of the whole comes last. So
// what was read is a state only once Read has returned io.EOF. Any other error means to throw it away.
type Decoder struct {
	r      io.Reader
	header Header
	record []byte // the present chunk with its lead
	unread []byte // what of its data was not handed out
	offset uint64 // of the body: where the next chunk begins
	sum    hash.Hash
	err    error
}

// NewDecoder reads the header. Errors: *CorruptError, *VersionError, or the reader's, wrapped.
func NewDecoder(r io.Reader) (*Decoder, error) {
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	return &Decoder{r: r, header: h, sum: sha256.New()}, nil
}

// Header returns what stands in front of the body.
func (d *Decoder) Header() Header { return d.header }

// Read hands out the body. io.EOF comes once all of it, the whole checksum and the end of the input have been checked.
func (d *Decoder) Read(p []byte) (int, error) {
	if len(d.unread) == 0 && d.err == nil {
		d.err = d.next()
	}
	if len(d.unread) == 0 {
		return 0, d.err
	}
	n := copy(p, d.unread)
	d.unread = d.unread[n:]
	return n, nil
}

// next reads the next chunk, or what comes after the last one and then returns io.EOF.
func (d *Decoder) next() error {
	if d.offset == d.header.BodyLength {
		return d.end()
	}
	n := d.header.chunkAt(d.offset)
	if d.record == nil {
		d.record = make([]byte, chunkLead+n) // the first chunk is the largest
	}
	record := d.record[:chunkLead+n]
	if err := readFull(d.r, record[:chunkLead], "chunk", d.offset); err != nil {
		return err
	}
	if err := checkLead(record, d.offset, n); err != nil {
		return err
	}
	if err := readFull(d.r, record[chunkLead:], "chunk", d.offset); err != nil {
		return err
	}
	if err := checkChunk(record, d.offset); err != nil {
		return err
	}
	d.sum.Write(record[chunkLead:])
	d.unread, d.offset = record[chunkLead:], d.offset+uint64(n)
	return nil
}

// end reads the trailer and looks for what must not follow it.
func (d *Decoder) end() error {
	b := make([]byte, trailerSize)
	at := uint64(d.header.at(d.header.BodyLength))
	if err := readFull(d.r, b, "trailer", at); err != nil {
		return err
	}
	sum, err := parseTrailer(b, &d.header)
	if err != nil {
		return err
	}
	if sum != [sha256.Size]byte(d.sum.Sum(nil)) {
		return corrupt("body", d.header.BodyLength, errWhole)
	}
	switch n, err := io.ReadFull(d.r, b[:1]); {
	case n > 0:
		return corrupt("end", at+trailerSize, errTrailing)
	case err != io.EOF:
		return err
	}
	return io.EOF
}

// Verify reads a snapshot to its end and returns its header if every byte is right.
func Verify(r io.Reader) (Header, error) {
	d, err := NewDecoder(r)
	if err != nil {
		return Header{}, err
	}
	if _, err := io.Copy(io.Discard, d); err != nil {
		return Header{}, err
	}
	return d.header, nil
}
