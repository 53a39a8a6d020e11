package framing

import (
	"encoding/binary"
	"errors"
	"fmt"

	"flotilla/epoch"
	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// ErrBadFrame says that the peer sent something that is not the protocol. Every error of this package is one, but those of the stream that
// is read, and those that a wire.Reader keeps.
var ErrBadFrame = errors.New("bad frame")

// The fixed layout of a frame's head, so that a frame can be filled first and stamped when it is written (P23):
// u32 length, array of 3 or 4, uint64 observed, uint64 applied, array32 count. The elements follow, and after them,
// in an array of 4, the notice.
const (
	// LengthBytes is what a frame has in front of what its length counts.
	LengthBytes = 4
	headBytes   = LengthBytes + 1 + 9 + 9 + 5

	codeArray3  = 0x93
	codeArray4  = 0x94
	codeUint64  = 0xcf
	codeArray32 = 0xdd
)

// appendHead appends a head with room for the stamp, the count and the length.
func appendHead(dst []byte) []byte {
	var head [headBytes]byte
	head[LengthBytes] = codeArray3
	head[LengthBytes+1] = codeUint64
	head[LengthBytes+10] = codeUint64
	head[LengthBytes+19] = codeArray32
	return append(dst, head[:]...)
}

// setCount writes the number of elements into the head of frame.
func setCount(frame []byte, n int) {
	binary.BigEndian.PutUint32(frame[LengthBytes+20:], uint32(n))
}

// seal stamps a filled frame and sets its length: the last thing before it is written.
func seal(frame []byte, s epoch.Stamp) {
	assert.That(len(frame) >= headBytes && len(frame) <= LengthBytes+MaxFrame, "frame of %d bytes is about to be written", len(frame))
	assert.That(s.Applied <= s.Observed, "stamp with applied %d above observed %d", s.Applied, s.Observed)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-LengthBytes))
	binary.BigEndian.PutUint64(frame[LengthBytes+2:], uint64(s.Observed))
	binary.BigEndian.PutUint64(frame[LengthBytes+11:], uint64(s.Applied))
}

// ReadHead reads a frame's stamp, and whether a notice follows the elements. Nothing else is looked at before the fence
// has admitted the stamp (P24).
func ReadHead(r *wire.Reader) (s epoch.Stamp, withNotice bool, err error) {
	n := r.ArrayLen(4)
	if n < 3 && r.Err() == nil {
		r.Fail("frame", wire.ErrInvalid)
	}
	s = epoch.Stamp{Observed: epoch.Epoch(r.Uint()), Applied: epoch.Epoch(r.Uint())}
	if r.Err() == nil && s.Applied > s.Observed {
		r.Fail("stamp", wire.ErrInvalid)
	}
	if err := r.Err(); err != nil {
		return epoch.Stamp{}, false, fmt.Errorf("frame head: %w: %w", err, ErrBadFrame)
	}
	return s, n == 4, nil
}
