package framing

import (
	"encoding/binary"
	"fmt"
	"io"

	"flotilla/internal/mutant"
)

// Reader takes frames off one stream. One goroutine owns it.
type Reader struct {
	src  io.Reader
	head [LengthBytes]byte
	// keep says that each frame gets memory of its own. Otherwise one buffer serves all.
	keep bool
	buf  []byte
}

// NewReader returns a reader of what follows a preface. With keep each frame has memory of its own and may be handed on; otherwise it is
// valid until the next one is asked for.
func NewReader(src io.Reader, keep bool) Reader { return Reader{src: src, keep: keep} }

// Next returns the next frame without its length. It believes in the declared length only as far as bytes arrive. Errors are ErrBadFrame,
// or those of the stream as they are.
func (f *Reader) Next() ([]byte, error) {
	if _, err := io.ReadFull(f.src, f.head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(f.head[:]))
	if n > MaxFrame && !mutant.Is(mutant.UnlimitedFrame) || n == 0 {
		return nil, fmt.Errorf("frame of %d bytes, want 1 to %d: %w", n, MaxFrame, ErrBadFrame)
	}
	buf := f.buf[:0]
	if f.keep {
		buf = nil
	}
	for len(buf) < n {
		if cap(buf) < n && len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, max(readStep, 2*len(buf))))
			copy(grown, buf)
			buf = grown
		}
		at := len(buf)
		buf = buf[:min(n, cap(buf))]
		if _, err := io.ReadFull(f.src, buf[at:]); err != nil {
			return nil, err
		}
	}
	if !f.keep && cap(buf) <= keepBuffer {
		f.buf = buf
	}
	return buf, nil
}
