package quictransport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

// What a stranger asks is read within its bound, byte for byte, and nothing beyond it.
func FuzzJoinRequest(f *testing.F) {
	f.Add(appendSized(nil, []byte("let me in")))
	f.Add(appendSized(nil, nil))
	f.Add(binary.BigEndian.AppendUint32(nil, maxJoinRequest+1))
	f.Add([]byte{0, 0, 0, 9, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		got, err := readSized(src, maxJoinRequest)
		if whole := appendSized(nil, got); err == nil && (len(got) > maxJoinRequest || !bytes.Equal(whole, b[:len(b)-src.Len()])) {
			t.Fatalf("%x was read from %x", got, b)
		}
	})
}

// What a member says is an answer or a typed refusal, never both, or an error.
func FuzzJoinReply(f *testing.F) {
	no := wire.AppendError(nil, &wire.Error{Code: wire.CodeUnsafe, Detail: "not you"})
	for _, kind := range []byte{joinAnswer, joinRefusal, 2} {
		f.Add(appendSized([]byte{kind}, no))
		f.Add(appendSized([]byte{kind}, append(no, 0)))
	}
	f.Add(binary.BigEndian.AppendUint32([]byte{joinAnswer}, maxJoinReply+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		got, err := readReply(src)
		var refused *wire.Error
		switch read := b[:len(b)-src.Len()]; {
		case err == nil:
			if !bytes.Equal(appendSized([]byte{joinAnswer}, got), read) {
				t.Fatalf("%x was read from %x", got, b)
			}
		case got != nil:
			t.Fatalf("both %x and %v", got, err)
		case errors.As(err, &refused):
			again, err := readReply(bytes.NewReader(appendSized([]byte{joinRefusal}, wire.AppendError(nil, refused))))
			if !cmp.Equal(err, error(refused)) || again != nil || read[0] != joinRefusal {
				t.Fatalf("%v came back as %v", refused, err)
			}
		}
	})
}
