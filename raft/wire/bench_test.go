package wire

import (
	"bytes"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// benchAppends is one turn's worth for one peer: 64 groups, one append of one 128-byte entry each.
func benchAppends() []Message {
	msgs := make([]Message, 64)
	for i := range msgs {
		msgs[i] = Message{
			Type: MsgAppend, Group: GroupID(i), From: 1, To: 2, Term: 9, LogTerm: 9, Index: 100000, Commit: 99990,
			Entries: []Entry{{Term: 9, Index: 100001, Kind: EntryData, Data: make([]byte, 128)}},
		}
	}
	return msgs
}

func benchHeartbeats() []Message {
	msgs := make([]Message, 1000)
	for i := range msgs {
		msgs[i] = Message{Type: MsgHeartbeat, Group: GroupID(i), From: 1, To: 2, Term: 9, Commit: 99990, Context: 77}
	}
	return msgs
}

func BenchmarkAppendMessages(b *testing.B) {
	for name, msgs := range map[string][]Message{"64appends": benchAppends(), "1000heartbeats": benchHeartbeats()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := AppendMessages(nil, msgs)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				buf = AppendMessages(buf[:0], msgs)
			}
		})
	}
}

func BenchmarkReadMessages(b *testing.B) {
	for name, msgs := range map[string][]Message{"64appends": benchAppends(), "1000heartbeats": benchHeartbeats()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := AppendMessages(nil, msgs)
			b.SetBytes(int64(len(buf)))
			var dst []Message
			var err error
			for b.Loop() {
				if dst, err = ReadMessages(NewReader(buf), dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLibraryMessages is the same with msgpack/v5's own primitives, for comparison.
func BenchmarkLibraryMessages(b *testing.B) {
	msgs := benchHeartbeats()
	b.Run("encode/1000heartbeats", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		e := msgpack.NewEncoder(&buf)
		for b.Loop() {
			buf.Reset()
			if err := libraryMessages(e, msgs); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode/1000heartbeats", func(b *testing.B) {
		b.ReportAllocs()
		buf := AppendMessages(nil, msgs)
		for b.Loop() {
			readWithLibrary(b, buf)
		}
	})
}

// A batch without entries is read into the caller's slice without allocating; one with entries costs one
// allocation a message, the entries themselves.
func TestDecodeAllocations(t *testing.T) {
	for _, c := range []struct {
		name string
		msgs []Message
		want float64
	}{{"heartbeats", benchHeartbeats(), 0}, {"appends", benchAppends(), 64}} {
		buf := AppendMessages(nil, c.msgs)
		dst := make([]Message, 0, len(c.msgs))
		got := testing.AllocsPerRun(10, func() { dst, _ = ReadMessages(NewReader(buf), dst) })
		if got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
		out := make([]byte, 0, len(buf))
		if got := testing.AllocsPerRun(10, func() { out = AppendMessages(out[:0], c.msgs) }); got != 0 {
			t.Errorf("%s: encoding allocates %v times", c.name, got)
		}
	}
}
