package quictransport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"flotilla/epoch"
	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// errBadFrame says that the peer sent something that is not the protocol; its connection is closed for it.
var errBadFrame = errors.New("bad frame")

// The fixed layout of a frame's head, so that a frame can be filled first and stamped when it is written (P23):
// u32 length, array of 3 or 4, uint64 observed, uint64 applied, array32 count. The elements follow, and after them,
// in an array of 4, the notice.
const (
	lengthBytes = 4
	headBytes   = lengthBytes + 1 + 9 + 9 + 5

	codeArray3  = 0x93
	codeArray4  = 0x94
	codeUint64  = 0xcf
	codeArray32 = 0xdd
)

// appendHead appends a head with room for the stamp, the count and the length.
func appendHead(dst []byte) []byte {
	var head [headBytes]byte
	head[lengthBytes] = codeArray3
	head[lengthBytes+1] = codeUint64
	head[lengthBytes+10] = codeUint64
	head[lengthBytes+19] = codeArray32
	return append(dst, head[:]...)
}

// setCount writes the number of elements into the head of frame.
func setCount(frame []byte, n int) {
	binary.BigEndian.PutUint32(frame[lengthBytes+20:], uint32(n))
}

// seal stamps a filled frame and sets its length: the last thing before it is written.
func seal(frame []byte, s epoch.Stamp) {
	assert.That(len(frame) >= headBytes && len(frame) <= lengthBytes+maxFrame, "frame of %d bytes is about to be written", len(frame))
	assert.That(s.Applied <= s.Observed, "stamp with applied %d above observed %d", s.Applied, s.Observed)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-lengthBytes))
	binary.BigEndian.PutUint64(frame[lengthBytes+2:], uint64(s.Observed))
	binary.BigEndian.PutUint64(frame[lengthBytes+11:], uint64(s.Applied))
}

// noticeKind is what a notice on the control lane says.
type noticeKind uint8

const (
	// noticeRefused: frame seq of lane was refused by the fence; the stamp of this frame carries the epoch to observe.
	noticeRefused noticeKind = 1
	// noticeGoodbye: the sender is closing down on purpose and waits for this side to close the connection.
	noticeGoodbye noticeKind = 2
)

// notice is what a node says to a node, apart from any group.
type notice struct {
	kind  noticeKind
	lane  laneKind
	index uint8
	// seq numbers the frames of one lane stream from 1.
	seq uint64
}

// appendNotice appends a whole frame without elements that carries n.
func appendNotice(dst []byte, n notice) []byte {
	at := len(dst)
	dst = appendHead(dst)
	dst[at+lengthBytes] = codeArray4
	dst = wire.AppendArray(dst, 4)
	dst = wire.AppendUint(dst, uint64(n.kind))
	dst = wire.AppendUint(dst, uint64(n.lane))
	dst = wire.AppendUint(dst, uint64(n.index))
	return wire.AppendUint(dst, n.seq)
}

// readNotice reads what appendNotice appends after the elements. Kinds of a later version are returned as they are.
func readNotice(r *wire.Reader) notice {
	r.Array(4)
	return notice{
		kind:  noticeKind(r.UintMax(0xff)),
		lane:  laneKind(r.UintMax(0xff)),
		index: uint8(r.UintMax(0xff)),
		seq:   r.Uint(),
	}
}

// readHead reads a frame's stamp, and whether a notice follows the elements. Nothing else is looked at before the fence
// has admitted the stamp (P24).
func readHead(r *wire.Reader) (s epoch.Stamp, withNotice bool, err error) {
	n := r.ArrayLen(4)
	if n < 3 && r.Err() == nil {
		r.Fail("frame", wire.ErrInvalid)
	}
	s = epoch.Stamp{Observed: epoch.Epoch(r.Uint()), Applied: epoch.Epoch(r.Uint())}
	if r.Err() == nil && s.Applied > s.Observed {
		r.Fail("stamp", wire.ErrInvalid)
	}
	if err := r.Err(); err != nil {
		return epoch.Stamp{}, false, fmt.Errorf("frame head: %w: %w", err, errBadFrame)
	}
	return s, n == 4, nil
}

// frameReader takes frames off one stream. One goroutine owns it.
type frameReader struct {
	src  io.Reader
	head [lengthBytes]byte
	// keep says that frames are handed on: each gets memory of its own. Otherwise one buffer serves all.
	keep bool
	buf  []byte
}

// next returns the next frame without its length. It believes in the declared length only as far as bytes arrive.
func (f *frameReader) next() ([]byte, error) {
	if _, err := io.ReadFull(f.src, f.head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(f.head[:]))
	if n > maxFrame && !mutant.Is(mutant.UnlimitedFrame) || n == 0 {
		return nil, fmt.Errorf("frame of %d bytes, want 1 to %d: %w", n, maxFrame, errBadFrame)
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
