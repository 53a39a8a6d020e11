package protocol

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"flotilla/internal/mutant"
)

// headerBytes is the length that stands before every frame.
const headerBytes = 4

// ErrFrame says that a frame declares a length of 0 or above MaxFrameBytes.
var ErrFrame = errors.New("frame length out of bounds")

// AppendFrame appends a whole frame; body appends its content.
func AppendFrame(dst []byte, body func(dst []byte) []byte) []byte {
	from := len(dst)
	return closeFrame(body(append(dst, 0, 0, 0, 0)), from)
}

// closeFrame writes the length of the frame that begins at from.
func closeFrame(dst []byte, from int) []byte {
	binary.BigEndian.PutUint32(dst[from:], uint32(len(dst)-from-headerBytes))
	return dst
}

// FrameReader takes a stream apart into frames. One goroutine uses it.
type FrameReader struct {
	r *bufio.Reader
	// used is the number of buffered bytes that the last body aliases.
	used int
}

// NewFrameReader returns a FrameReader of r.
func NewFrameReader(r io.Reader) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, readBufferBytes)}
}

// Next returns the body of the next frame, valid until the next call. At the end of the stream between two frames
// it returns io.EOF, within one io.ErrUnexpectedEOF, for a length out of bounds ErrFrame.
func (f *FrameReader) Next() ([]byte, error) {
	if _, err := f.r.Discard(f.used); err != nil {
		return nil, err // cannot happen: used bytes are buffered
	}
	f.used = 0
	header, err := f.r.Peek(headerBytes)
	if err != nil {
		return nil, within(err, len(header))
	}
	n := binary.BigEndian.Uint32(header)
	if n == 0 || n > MaxFrameBytes && !mutant.Is(mutant.UnlimitedClientFrame) {
		return nil, fmt.Errorf("frame of %d bytes: %w", n, ErrFrame)
	}
	if int(n)+headerBytes > readBufferBytes {
		_, _ = f.r.Discard(headerBytes)
		return f.large(int(n))
	}
	whole, err := f.r.Peek(headerBytes + int(n))
	if err != nil {
		return nil, within(err, len(whole))
	}
	f.used = len(whole)
	return whole[headerBytes:], nil
}

// large reads a body that does not fit the buffer. Room grows with the bytes that arrive, so that a declared length
// costs its sender the bytes.
func (f *FrameReader) large(n int) ([]byte, error) {
	body := make([]byte, 0, min(n, growBytes))
	for len(body) < n {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(n, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		room := body[len(body):cap(body)]
		if _, err := io.ReadFull(f.r, room); err != nil {
			return nil, within(err, 1)
		}
		body = body[:cap(body)]
	}
	return body, nil
}

// within turns an end of the stream into an unexpected one when part of a frame has been seen.
func within(err error, seen int) error {
	if errors.Is(err, io.EOF) && seen > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
