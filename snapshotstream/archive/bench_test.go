package archive

import (
	"bytes"
	"io"
	"testing"

	"flotilla/raft/wire"
)

// BenchmarkArchive writes and reads an archive whose groups hold 16 MiB each.
func BenchmarkArchive(b *testing.B) {
	all := map[wire.GroupID][]byte{0: snapshotOf(b, 0, 20, stateOf(b, cluster()))}
	for _, id := range []wire.GroupID{1, 2, 4} {
		all[id] = snapshotOf(b, id, 100, make([]byte, 16<<20))
	}
	var out bytes.Buffer
	write := func(to io.Writer) {
		w, err := NewWriter(to, manifest())
		if err != nil {
			b.Fatal(err)
		}
		for id, more := w.Next(); more; id, more = w.Next() {
			if _, err := w.Add(bytes.NewReader(all[id])); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	write(&out)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(out.Len()))
		for b.Loop() {
			write(io.Discard)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(out.Len()))
		for b.Loop() {
			if _, err := Inspect(bytes.NewReader(out.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
