package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"flotilla/snapshotstream"
)

// reseal makes the lead's checksum right, or nothing would get past it.
func reseal(b []byte) {
	if len(b) < leadFixed {
		return
	}
	if n := int(binary.BigEndian.Uint32(b[8:])); n >= leadFixed+4 && n <= len(b) {
		binary.BigEndian.PutUint32(b[n-4:], crc32.Checksum(b[:n-4], castagnoli))
	}
}

// FuzzReader: no bytes make a Reader panic, and what it takes is spelt in one way only.
func FuzzReader(f *testing.F) {
	b := whole(f)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(appendLead(nil, new(manifest())))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		reseal(b)
		s, err := Inspect(bytes.NewReader(b))
		var version *snapshotstream.VersionError
		switch {
		case err == nil && (s.Bytes != uint64(len(b)) || !bytes.HasPrefix(b, appendLead(nil, &s.Manifest))):
			t.Fatalf("%+v does not survive", s)
		case err != nil && !errors.Is(err, snapshotstream.ErrCorrupt) && !errors.As(err, &version):
			t.Fatalf("untyped: %v", err)
		}
	})
}
