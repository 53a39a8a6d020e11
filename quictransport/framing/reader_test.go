package framing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// A declared length costs nothing until bytes come: memory is at most twice what arrived, plus one step.
func TestFrameMemoryFollowsArrival(t *testing.T) {
	for _, arrived := range []int{0, 1, readStep, readStep + 1, 3 << 20} {
		head := binary.BigEndian.AppendUint32(nil, MaxFrame)
		src := &countingReader{r: io.MultiReader(bytes.NewReader(head), bytes.NewReader(make([]byte, arrived)))}
		f := NewReader(src, false)
		if _, err := f.Next(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes arrived: %v", arrived, err)
		}
		if limit := max(readStep, 2*arrived); src.asked > limit {
			t.Errorf("%d bytes arrived, a buffer of %d was made; at most %d", arrived, src.asked, limit)
		}
	}
}

// countingReader notes the largest buffer it was asked to fill beyond what it had given.
type countingReader struct {
	r     io.Reader
	given int
	asked int
}

func (c *countingReader) Read(p []byte) (int, error) {
	if c.given >= LengthBytes {
		c.asked = max(c.asked, c.given-LengthBytes+len(p))
	}
	n, err := c.r.Read(p)
	c.given += n
	return n, err
}
