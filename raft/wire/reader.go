package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"flotilla/internal/mutant"
)

// What a DecodeError wraps.
var (
	// ErrShort says that the input ends before the value does, or declares more than is left of it.
	ErrShort = errors.New("input too short")
	// ErrKind says that another kind of msgpack value stands where one was expected.
	ErrKind = errors.New("unexpected kind of value")
	// ErrLimit says that a count, a length or a number lies over its limit.
	ErrLimit = errors.New("over the limit")
	// ErrInvalid says that a value is of the right kind but makes no sense.
	ErrInvalid = errors.New("invalid value")
	// ErrTrailing says that bytes are left after the last value.
	ErrTrailing = errors.New("trailing bytes")
)

// DecodeError says where and why bytes from outside cannot be understood.
type DecodeError struct {
	// Offset is that of the offending value in the Reader's input.
	Offset int
	// What was being read.
	What string
	// Err is one of ErrShort, ErrKind, ErrLimit, ErrInvalid, ErrTrailing.
	Err error
}

// Error names what, where and why.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("decode %s at byte %d: %v", e.What, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// Reader reads msgpack values one by one from a byte slice. It never allocates but for a failure, never
// reads past the input, and believes no declared length before it has been compared with the bytes left.
//
// The first failure sticks: every later call returns the zero value, so a decoder reads all its fields
// and looks at Err once. A count is 0 after a failure, so loops over it end.
//
// Integers are taken in any width and as non-negative signed ones too, as other encoders write them.
type Reader struct {
	buf []byte
	off int
	err *DecodeError
}

// NewReader returns a Reader over b, which must not change while the Reader or what aliases it is in use.
func NewReader(b []byte) *Reader { return &Reader{buf: b} }

// Reset makes r read b from its start, without a failure.
func (r *Reader) Reset(b []byte) { *r = Reader{buf: b} }

// Err returns the first failure, always a *DecodeError, or nil.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// Len returns the number of bytes left, 0 after a failure.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.buf) - r.off
}

// Offset returns the number of bytes read so far.
func (r *Reader) Offset() int { return r.off }

// Rest returns the bytes left, aliasing the input, and moves to its end.
func (r *Reader) Rest() []byte {
	if r.err != nil {
		return nil
	}
	b := r.buf[r.off:len(r.buf):len(r.buf)]
	r.off = len(r.buf)
	return b
}

// Done fails with ErrTrailing if bytes are left, and returns the first failure.
func (r *Reader) Done() error {
	if r.err == nil && r.off < len(r.buf) {
		r.Fail("end", ErrTrailing)
	}
	return r.Err()
}

// Fail makes the present position the first failure, unless there has been one. Decoders call it for
// values that make no sense to them.
func (r *Reader) Fail(what string, err error) { r.failAt(r.off, what, err) }

func (r *Reader) failAt(off int, what string, err error) {
	if r.err == nil {
		r.err = &DecodeError{Offset: off, What: what, Err: err}
	}
}

// ArrayLen reads the header of an array and returns its number of elements, at most limit and, as each
// element takes a byte at least, at most the bytes left.
func (r *Reader) ArrayLen(limit int) int {
	off := r.off
	n, ok := r.length("array", codeFixArray, codeFixArrayHi, 0, codeArray16, codeArray32)
	switch {
	case !ok:
		return 0
	case n > uint64(max(limit, 0)):
		r.failAt(off, "array", ErrLimit)
		return 0
	case n > uint64(r.Len()) && !mutant.Is(mutant.UnlimitedLength):
		r.failAt(off, "array", ErrShort)
		return 0
	}
	return int(n)
}

// Array reads the header of an array that must have exactly n elements.
func (r *Reader) Array(n int) {
	off := r.off
	if got := r.ArrayLen(math.MaxInt32); r.err == nil && got != n {
		r.failAt(off, "array of fixed length", ErrInvalid)
	}
}

// Uint reads a non-negative integer.
func (r *Reader) Uint() uint64 {
	// Most numbers are small: this path inlines into the decoders.
	if r.err == nil && r.off < len(r.buf) && r.buf[r.off] <= codeFixIntMax {
		r.off++
		return uint64(r.buf[r.off-1])
	}
	return r.wideUint()
}

func (r *Reader) wideUint() uint64 {
	c, ok := r.code("uint")
	if !ok {
		return 0
	}
	off := r.off - 1
	var v uint64
	switch c {
	case codeUint8, codeInt8:
		v = r.number("uint", 1)
	case codeUint16, codeInt16:
		v = r.number("uint", 2)
	case codeUint32, codeInt32:
		v = r.number("uint", 4)
	case codeUint64, codeInt64:
		v = r.number("uint", 8)
	default:
		r.failAt(off, "uint", ErrKind)
		return 0
	}
	if c >= codeInt8 {
		if bits := 8 << (c - codeInt8); v>>(bits-1) != 0 { // the sign bit of that width
			r.failAt(off, "uint", ErrInvalid)
			return 0
		}
	}
	return v
}

// UintMax reads a non-negative integer of at most limit.
func (r *Reader) UintMax(limit uint64) uint64 {
	off := r.off
	v := r.Uint()
	if v > limit {
		r.failAt(off, "uint", ErrLimit)
		return 0
	}
	return v
}

// Bytes reads binary or nil and returns it aliasing the input, its capacity cut to its length.
func (r *Reader) Bytes() []byte {
	if r.Nil() {
		return nil
	}
	n, ok := r.length("bytes", 1, 0, codeBin8, codeBin16, codeBin32)
	if !ok {
		return nil
	}
	return r.take("bytes", n)
}

// String reads a string of at most limit bytes. It allocates a copy.
func (r *Reader) String(limit int) string {
	off := r.off
	n, ok := r.length("string", codeFixStr, codeFixStrHi, codeStr8, codeStr16, codeStr32)
	if !ok {
		return ""
	}
	if n > uint64(max(limit, 0)) {
		r.failAt(off, "string", ErrLimit)
		return ""
	}
	return string(r.take("string", n))
}

// Bool reads a bool.
func (r *Reader) Bool() bool {
	c, ok := r.code("bool")
	if ok && c != codeTrue && c != codeFalse {
		r.failAt(r.off-1, "bool", ErrKind)
		return false
	}
	return ok && c == codeTrue
}

// Nil reads a nil if one stands next, and reports whether it did.
func (r *Reader) Nil() bool {
	if r.err != nil || r.off >= len(r.buf) || r.buf[r.off] != codeNil {
		return false
	}
	r.off++
	return true
}

// length reads a header that declares a length: a code of [lo, hi] with the length in its distance from
// lo, or one of three codes before 1, 2 or 4 bytes of length. A code8 of 0 stands for none, as lo > hi does.
func (r *Reader) length(what string, lo, hi, code8, code16, code32 byte) (uint64, bool) {
	c, ok := r.code(what)
	if !ok {
		return 0, false
	}
	var n uint64
	switch {
	case lo <= c && c <= hi:
		return uint64(c - lo), true
	case c == code8 && code8 != 0:
		n = r.number(what, 1)
	case c == code16:
		n = r.number(what, 2)
	case c == code32:
		n = r.number(what, 4)
	default:
		r.failAt(r.off-1, what, ErrKind)
	}
	return n, r.err == nil
}

// code reads the byte that says what kind of value follows.
func (r *Reader) code(what string) (byte, bool) {
	if r.err != nil {
		return 0, false
	}
	if r.off >= len(r.buf) {
		r.Fail(what, ErrShort)
		return 0, false
	}
	c := r.buf[r.off]
	r.off++
	return c, true
}

// number reads size bytes of big endian number, size in 1, 2, 4, 8.
func (r *Reader) number(what string, size int) uint64 {
	if r.Len() < size {
		r.Fail(what, ErrShort)
		return 0
	}
	b := r.buf[r.off:]
	r.off += size
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	default:
		return binary.BigEndian.Uint64(b)
	}
}

// take returns the next n bytes, aliasing the input.
func (r *Reader) take(what string, n uint64) []byte {
	if n > uint64(r.Len()) {
		r.Fail(what, ErrShort)
		return nil
	}
	end := r.off + int(n)
	b := r.buf[r.off:end:end]
	r.off = end
	return b
}
