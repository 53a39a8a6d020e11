package wire

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// edges are the numbers around every change of form.
var edges = []uint64{
	0, 1, 126, 127, 128, 255, 256, math.MaxUint16, math.MaxUint16 + 1, math.MaxUint32, math.MaxUint32 + 1,
	math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64,
}

// lengths are the sizes around every change of form.
var lengths = []int{0, 1, 15, 16, 31, 32, 255, 256, math.MaxUint16, math.MaxUint16 + 1}

// encoded returns what the library writes.
func encoded(t testing.TB, write func(*msgpack.Encoder) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := write(msgpack.NewEncoder(&buf)); err != nil {
		t.Fatalf("library: %v", err)
	}
	return buf.Bytes()
}

func sameBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got % x, the library writes % x", what, got[:min(len(got), 16)], want[:min(len(want), 16)])
	}
}

// Both directions against the library: our bytes are its bytes, and our Reader reads them back.
func TestPrimitivesAgainstLibrary(t *testing.T) {
	for _, v := range edges {
		b := AppendUint(nil, v)
		sameBytes(t, "uint", b, encoded(t, func(e *msgpack.Encoder) error { return e.EncodeUint(v) }))
		for _, wide := range [][]byte{b, encoded(t, func(e *msgpack.Encoder) error { return e.EncodeUint64(v) })} {
			r := NewReader(wide)
			if got := r.Uint(); got != v || r.Done() != nil {
				t.Errorf("uint %d read as %d, %v", v, got, r.Err())
			}
		}
	}
	for _, n := range lengths {
		s := strings.Repeat("x", n)
		str, bin, arr := AppendString(nil, s), AppendBytes(nil, []byte(s)), AppendArray(nil, n)
		sameBytes(t, "string", str, encoded(t, func(e *msgpack.Encoder) error { return e.EncodeString(s) }))
		sameBytes(t, "bytes", bin, encoded(t, func(e *msgpack.Encoder) error { return e.EncodeBytes([]byte(s)) }))
		sameBytes(t, "array", arr, encoded(t, func(e *msgpack.Encoder) error { return e.EncodeArrayLen(n) }))
		r := NewReader(str)
		if got := r.String(n); got != s || r.Done() != nil {
			t.Errorf("string of %d: %v", n, r.Err())
		}
		r = NewReader(bin)
		if got := r.Bytes(); string(got) != s || got == nil || cap(got) != n || r.Done() != nil {
			t.Errorf("bytes of %d: %d, cap %d, %v", n, len(got), cap(got), r.Err())
		}
		r = NewReader(append(arr, make([]byte, n)...))
		if got := r.ArrayLen(n); got != n || r.Len() != n || r.Err() != nil {
			t.Errorf("array of %d: %d, %v", n, got, r.Err())
		}
	}
	for _, v := range []bool{false, true} {
		b := AppendBool(nil, v)
		sameBytes(t, "bool", b, encoded(t, func(e *msgpack.Encoder) error { return e.EncodeBool(v) }))
		if r := NewReader(b); r.Bool() != v || r.Done() != nil {
			t.Errorf("bool %v: %v", v, r.Err())
		}
	}
	sameBytes(t, "nil", AppendNil(nil), encoded(t, func(e *msgpack.Encoder) error { return e.EncodeNil() }))
	sameBytes(t, "nil bytes", AppendBytes(nil, nil), encoded(t, func(e *msgpack.Encoder) error { return e.EncodeBytes(nil) }))
	if r := NewReader(AppendNil(nil)); r.Bytes() != nil || r.Done() != nil {
		t.Errorf("nil bytes: %v", r.Err())
	}
}

// Other encoders write a non-negative int as a signed one; a negative one is nobody's length or term.
func TestUintOfSignedForms(t *testing.T) {
	for _, v := range []int64{0, 1, 127, 128, 1 << 20, math.MaxInt64} {
		r := NewReader(encoded(t, func(e *msgpack.Encoder) error { return e.EncodeInt64(v) }))
		if got := r.Uint(); got != uint64(v) || r.Done() != nil {
			t.Errorf("int64 %d read as %d, %v", v, got, r.Err())
		}
	}
	for _, b := range [][]byte{{0xd0, 0x80}, {0xd1, 0xff, 0xff}, {0xd2, 0x80, 0, 0, 0}, {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}} {
		if r := NewReader(b); r.Uint() != 0 || !errors.Is(r.Err(), ErrInvalid) {
			t.Errorf("% x: got %v, want ErrInvalid", b, r.Err())
		}
	}
}

// bombs declare far more than they hold. D75: the library, asked to decode some of these into typed slices,
// allocates what they declare.
var bombs = []struct {
	name  string
	bytes []byte
}{
	{"array of 2^32-1", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}},
	{"array of 2^31-1", []byte{0xdd, 0x7f, 0xff, 0xff, 0xff}},
	{"array of 65535", []byte{0xdc, 0xff, 0xff}},
	{"array of 15", []byte{0x9f}},
	{"bytes of 2^32-1", []byte{0xc6, 0xff, 0xff, 0xff, 0xff}},
	{"bytes of 2^31", []byte{0xc6, 0x80, 0, 0, 0}},
	{"bytes of 65535", []byte{0xc5, 0xff, 0xff}},
	{"bytes of 255", []byte{0xc4, 0xff}},
	{"string of 2^32-1", []byte{0xdb, 0xff, 0xff, 0xff, 0xff}},
	{"string of 31", []byte{0xbf}},
	{"map of 2^32-1", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}},
	{"ext of 2^32-1", []byte{0xc9, 0xff, 0xff, 0xff, 0xff}},
	{"half a header", []byte{0xdd, 0xff}},
	{"no bytes", nil},
}

// D75: no decoder of this package allocates for a declared count, and each refuses every bomb; wherever in a
// good encoding it stands, nothing is allocated for it.
func TestBombs(t *testing.T) {
	for _, d := range decoders {
		for at := range d.good {
			for _, bomb := range bombs {
				in := append(bytes.Clone(d.good[:at]), bomb.bytes...)
				r := NewReader(in)
				if n := allocated(func() { d.read(r) }); n > 16<<10 { // the error itself and the values before it
					t.Errorf("%s: %s at %d: allocated %d bytes", d.name, bomb.name, at, n)
				}
				if at == 0 && !errors.Is(r.Err(), ErrShort) && !errors.Is(r.Err(), ErrKind) && !errors.Is(r.Err(), ErrLimit) {
					t.Errorf("%s: %s: got %v", d.name, bomb.name, r.Err())
				}
			}
		}
	}
}

// allocated returns the bytes that f allocates. Their number, not that of allocations: a bomb needs only one.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A failure sticks: what is read after it is zero, and the first reason stays.
func TestFirstFailureSticks(t *testing.T) {
	r := NewReader([]byte{0xc3, 0x05, 0x06})
	if r.Uint() != 0 || !errors.Is(r.Err(), ErrKind) {
		t.Fatalf("a bool read as uint: %v", r.Err())
	}
	first := r.Err()
	r.Fail("again", ErrLimit)
	if r.Uint() != 0 || r.Bool() || r.String(9) != "" || r.Bytes() != nil || r.ArrayLen(9) != 0 || r.Nil() || r.Len() != 0 || r.Rest() != nil {
		t.Error("a value was read after a failure")
	}
	if r.Err() != first || r.Done() != first {
		t.Errorf("got %v, want %v", r.Err(), first)
	}
	var bad *DecodeError
	if !errors.As(first, &bad) || bad.Offset != 0 || bad.What != "uint" {
		t.Errorf("got %+v", bad)
	}
}

func TestLimitsOfReader(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		read func(*Reader)
		want error
	}{
		{"array over the limit", AppendArray(nil, 3), func(r *Reader) { r.ArrayLen(2) }, ErrLimit},
		{"negative limit", []byte{0x91, 0}, func(r *Reader) { r.ArrayLen(-1) }, ErrLimit},
		{"string over the limit", AppendString(nil, "abc"), func(r *Reader) { r.String(2) }, ErrLimit},
		{"number over the limit", AppendUint(nil, 9), func(r *Reader) { r.UintMax(8) }, ErrLimit},
		{"array of another length", []byte{0x92, 0, 0}, func(r *Reader) { r.Array(3) }, ErrInvalid},
		{"string where bytes stand", AppendBytes(nil, []byte("a")), func(r *Reader) { r.String(9) }, ErrKind},
		{"bytes where a string stands", AppendString(nil, "a"), func(r *Reader) { r.Bytes() }, ErrKind},
		{"float where a uint stands", []byte{0xcb, 0, 0, 0, 0, 0, 0, 0, 0}, func(r *Reader) { r.Uint() }, ErrKind},
		{"nil where a uint stands", AppendNil(nil), func(r *Reader) { r.Uint() }, ErrKind},
		{"negative fixint", []byte{0xff}, func(r *Reader) { r.Uint() }, ErrKind},
		{"code that msgpack never uses", []byte{0xc1}, func(r *Reader) { r.Bytes() }, ErrKind},
		{"half a number", []byte{0xcf, 1, 2}, func(r *Reader) { r.Uint() }, ErrShort},
		{"trailing", []byte{1, 2}, func(r *Reader) { r.Uint(); _ = r.Done() }, ErrTrailing},
	} {
		r := NewReader(c.in)
		if c.read(r); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: got %v, want %v", c.name, r.Err(), c.want)
		}
	}
}

func TestRest(t *testing.T) {
	r := NewReader([]byte{7, 1, 2, 3})
	if r.Uint() != 7 || r.Offset() != 1 || r.Len() != 3 {
		t.Fatalf("offset %d, %d left", r.Offset(), r.Len())
	}
	if got := r.Rest(); !bytes.Equal(got, []byte{1, 2, 3}) || cap(got) != 3 || r.Len() != 0 || r.Done() != nil {
		t.Errorf("rest % x, cap %d, %v", got, cap(got), r.Err())
	}
}

// D75: a count that the bytes left could hold as values, but not as entries, allocates nothing either.
func TestPaddedBomb(t *testing.T) {
	m := Message{Type: MsgAppend, From: 1, To: 2, Term: 1}
	in := AppendMessage(AppendArray(nil, 1), &m)
	in = AppendArray(in[:len(in)-1], 100_000)
	in = append(in, make([]byte, 100_000)...)
	r := NewReader(in)
	if n := allocated(func() { _, _ = ReadMessages(r, nil) }); n > 16<<10 || !errors.Is(r.Err(), ErrShort) {
		t.Errorf("allocated %d bytes, %v", n, r.Err())
	}
}
