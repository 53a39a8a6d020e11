package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

// seeds adds good values, every bomb, and a good value cut and flipped here and there.
func seeds(f *testing.F, encodings ...[]byte) {
	for _, b := range bombs {
		f.Add(b.bytes)
	}
	for _, g := range encodings {
		f.Add(g)
		for i := range g {
			f.Add(g[:i])
			flipped := bytes.Clone(g)
			flipped[i] ^= 0x80
			f.Add(flipped)
		}
	}
}

// good returns the good encoding of the decoder called name.
func good(name string) []byte {
	for _, d := range decoders {
		if d.name == name {
			return d.good
		}
	}
	panic("no decoder called " + name)
}

// check holds what every decoder owes: a failure is a DecodeError within the input.
func check(t *testing.T, r *Reader, size int) (ok bool) {
	t.Helper()
	if r.Err() == nil {
		return true
	}
	var bad *DecodeError
	if !errors.As(r.Err(), &bad) || bad.Offset < 0 || bad.Offset > size || bad.Err == nil {
		t.Fatalf("got %#v, want a DecodeError within %d bytes", r.Err(), size)
	}
	return false
}

// What is read writes back to bytes that the library reads as the same messages, and we too.
func FuzzReadMessages(f *testing.F) {
	seeds(f, AppendMessages(nil, someMessages()), AppendMessages(nil, someMessages()[:1]))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(in)
		msgs, _ := ReadMessages(r, nil)
		if !check(t, r, len(in)) {
			return
		}
		out := AppendMessages(nil, msgs)
		if len(out) > r.Offset() {
			t.Fatalf("%d bytes became %d: not the smallest form", r.Offset(), len(out))
		}
		again, err := ReadMessages(NewReader(out), nil)
		if err != nil || !cmp.Equal(msgs, again) {
			t.Fatalf("%v %s", err, cmp.Diff(msgs, again))
		}
		if got := readWithLibrary(t, out); len(msgs) > 0 && !cmp.Equal(msgs, got) {
			t.Fatal(cmp.Diff(msgs, got))
		}
	})
}

func FuzzReadEntry(f *testing.F) {
	seeds(f, good("entry"))
	fuzzOne(f, ReadEntry, func(b []byte, e Entry) []byte { return AppendEntry(b, &e) })
}

func FuzzReadHardState(f *testing.F) {
	seeds(f, good("hard state"))
	fuzzOne(f, ReadHardState, AppendHardState)
}

func FuzzReadMembership(f *testing.F) {
	seeds(f, good("membership"))
	fuzzOne(f, ReadMembership, func(b []byte, m Membership) []byte { return AppendMembership(b, &m) })
}

func FuzzReadChangeSet(f *testing.F) {
	seeds(f, good("change set"))
	fuzzOne(f, ReadChangeSet, func(b []byte, s ChangeSet) []byte { return AppendChangeSet(b, &s) })
}

func FuzzReadError(f *testing.F) {
	seeds(f, good("error"))
	fuzzOne(f, ReadError, AppendError)
}

// fuzzOne holds that a value read is a fixed point: it writes back to no more bytes than it was read from,
// which read as the same value.
func fuzzOne[T any](f *testing.F, read func(*Reader) T, write func([]byte, T) []byte) {
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(in)
		v := read(r)
		if !check(t, r, len(in)) {
			return
		}
		out := write(nil, v)
		if len(out) > r.Offset() {
			t.Fatalf("%d bytes became %d: not the smallest form", r.Offset(), len(out))
		}
		again := NewReader(out)
		if got := read(again); again.Done() != nil || !cmp.Equal(v, got) {
			t.Fatalf("%v %s", again.Err(), cmp.Diff(v, got))
		}
	})
}

// Any sequence of primitives: the library's bytes are ours, whatever the values (the other direction is
// TestPrimitivesAgainstLibrary and FuzzReaderAgainstLibrary).
func FuzzPrimitives(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte("some words and numbers \xff\xfe\x00\x80"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var buf bytes.Buffer
		lib := msgpack.NewEncoder(&buf)
		var ours []byte
		rng := rand.New(rand.NewPCG(uint64(len(script)), 1))
		for i, op := range script {
			v := rng.Uint64() >> (op >> 2)
			data := script[:i]
			var err error
			switch op % 4 {
			case 0:
				ours, err = AppendUint(ours, v), lib.EncodeUint(v)
			case 1:
				ours, err = AppendBytes(ours, data), lib.EncodeBytes(data)
			case 2:
				ours, err = AppendString(ours, string(data)), lib.EncodeString(string(data))
			case 3:
				n := int(uint32(v) % 100000)
				ours, err = AppendArray(ours, n), lib.EncodeArrayLen(n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(ours, buf.Bytes()) {
			t.Fatalf("ours % x, the library's % x", ours, buf.Bytes())
		}
	})
}

// Where both read an unsigned number from any bytes, they read the same one; what we read it reads too.
func FuzzReaderAgainstLibrary(f *testing.F) {
	for _, v := range edges {
		f.Add(AppendUint(nil, v))
		f.Add(binary.BigEndian.AppendUint64([]byte{codeInt64}, v))
	}
	seeds(f, AppendString(nil, "abc"), AppendBytes(nil, []byte("abc")), AppendBool(nil, true))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(in)
		if got := r.Uint(); r.Err() == nil {
			want, err := msgpack.NewDecoder(bytes.NewReader(in)).DecodeUint64()
			if err != nil || got != want {
				t.Fatalf("% x: we read %d, the library %d, %v", in, got, want, err)
			}
		}
		r.Reset(in)
		if got := r.Bytes(); r.Err() == nil {
			want, err := msgpack.NewDecoder(bytes.NewReader(in)).DecodeBytes()
			if err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Fatalf("% x: we read %q, the library %q, %v", in, got, want, err)
			}
		}
		r.Reset(in)
		if got := r.String(1 << 20); r.Err() == nil {
			want, err := msgpack.NewDecoder(bytes.NewReader(in)).DecodeString()
			if err != nil || got != want {
				t.Fatalf("% x: we read %q, the library %q, %v", in, got, want, err)
			}
		}
		r.Reset(in)
		if got := r.Bool(); r.Err() == nil {
			want, err := msgpack.NewDecoder(bytes.NewReader(in)).DecodeBool()
			if err != nil || got != want {
				t.Fatalf("% x: we read %v, the library %v, %v", in, got, want, err)
			}
		}
	})
}
