package protocol

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func frame(body []byte) []byte {
	return AppendFrame(nil, func(dst []byte) []byte { return append(dst, body...) })
}

func TestFramesComeBackWhole(t *testing.T) {
	var stream []byte
	var bodies [][]byte
	for _, n := range []int{1, 2, 100, readBufferBytes - 5, readBufferBytes - 4, readBufferBytes, growBytes - 1, growBytes, growBytes + 1, 3*growBytes + 7, MaxFrameBytes} {
		body := bytes.Repeat([]byte{byte(n)}, n)
		bodies = append(bodies, body)
		stream = append(stream, frame(body)...)
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream))} {
		fr := NewFrameReader(r)
		for i, want := range bodies {
			if got, err := fr.Next(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: frame %d: %d bytes, %v; want %d", name, i, len(got), err, len(want))
			}
		}
		if _, err := fr.Next(); err != io.EOF {
			t.Errorf("%s: end: %v", name, err)
		}
	}
	for cut := 1; cut < 9; cut++ {
		if _, err := NewFrameReader(bytes.NewReader(frame([]byte("hello"))[:cut])).Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// TestDeclaredLengthsAreNotBelieved: a length out of bounds is refused, one within costs its sender the bytes (D75, D76).
func TestDeclaredLengthsAreNotBelieved(t *testing.T) {
	for _, n := range []uint32{0, MaxFrameBytes + 1, 1 << 31, 1<<32 - 1} {
		if _, err := NewFrameReader(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n))).Next(); !errors.Is(err, ErrFrame) {
			t.Errorf("length %d: %v", n, err)
		}
	}
	liar := append(binary.BigEndian.AppendUint32(nil, MaxFrameBytes), make([]byte, 100)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		if _, err := NewFrameReader(bytes.NewReader(liar)).Next(); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if perFrame := (after.TotalAlloc - before.TotalAlloc) / 100; perFrame > 2*(growBytes+readBufferBytes) {
		t.Errorf("a frame that lies about its length cost %d bytes", perFrame)
	}
}

// gate is a Stream whose writes wait until they are let through.
type gate struct {
	started chan []byte
	release chan error
}

func (g *gate) SetWriteDeadline(time.Time) error { return nil }
func (g *gate) Write(p []byte) (int, error) {
	g.started <- bytes.Clone(p)
	return len(p), <-g.release
}

// TestWriterSendsEverythingPendingAtOnce: what comes while a Write is under way goes out with the next one (P5).
func TestWriterSendsEverythingPendingAtOnce(t *testing.T) {
	w := NewWriter(1<<20, time.Second)
	g := &gate{make(chan []byte), make(chan error)}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(g) }()
	q := Request{Kind: KindGet, Key: []byte("k")}
	add := func() {
		if err := w.Request(&q); err != nil {
			t.Error(err)
		}
	}
	add()
	<-g.started
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(add)
	}
	wg.Wait()
	g.release <- nil
	fr := NewFrameReader(bytes.NewReader(<-g.started))
	n := 0
	for ; ; n++ {
		if _, err := fr.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n != 100 {
		t.Errorf("second Write had %d frames, want 100", n)
	}
	w.Close()
	g.release <- nil
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := w.Request(&q); err != ErrWriterClosed {
		t.Errorf("after Close: %v", err)
	}
}

func TestWriterIsBounded(t *testing.T) {
	w := NewWriter(1000, time.Second)
	p := Reply{Kind: ReplyValue, Outcome: OutcomeOK, Value: make([]byte, 300)}
	var err error
	added := 0
	for ; err == nil; added++ {
		err = w.Reply(&p)
	}
	if err != ErrBacklog || added != 5 {
		t.Errorf("after %d replies: %v", added, err)
	}
	g := &gate{make(chan []byte), make(chan error)}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(g) }()
	<-g.started
	if err := w.Reply(&p); err != ErrBacklog {
		t.Errorf("while those bytes are being written: %v", err)
	}
	g.release <- io.ErrClosedPipe
	if err := <-ended; err != io.ErrClosedPipe {
		t.Error(err)
	}
	if err := w.Reply(&p); err != ErrWriterClosed {
		t.Errorf("after a failed Write: %v", err)
	}
}

// TestWriterBelow: who waits for room goes on with the first Write that makes some, and learns of the end of the writer and of its own.
func TestWriterBelow(t *testing.T) {
	w := NewWriter(1<<20, time.Second)
	g := &gate{make(chan []byte), make(chan error)}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(g) }()
	p := Reply{Kind: ReplyExport, More: true, Value: make([]byte, 300)}
	waits := make(chan error, 3)
	below := func(ctx context.Context) { waits <- w.Below(ctx, 200) }
	if err := errors.Join(w.Below(t.Context(), 200), w.Reply(&p)); err != nil {
		t.Fatal(err)
	}
	<-g.started
	ctx, cancel := context.WithCancelCause(t.Context())
	go below(ctx)
	left := errors.New("left")
	cancel(left)
	if err := <-waits; err != left {
		t.Errorf("who left: %v", err)
	}
	for range 3 {
		go below(t.Context())
	}
	select {
	case err := <-waits:
		t.Errorf("no wait while 300 bytes are being written: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	g.release <- nil
	for range 3 {
		if err := <-waits; err != nil {
			t.Error(err)
		}
	}
	if err := w.Reply(&p); err != nil {
		t.Fatal(err)
	}
	<-g.started
	go below(t.Context())
	g.release <- io.ErrClosedPipe
	if err := <-waits; err != nil && err != ErrWriterClosed {
		t.Error(err)
	}
	if err := w.Below(t.Context(), 1<<30); <-ended != io.ErrClosedPipe || err != ErrWriterClosed {
		t.Errorf("after the end: %v", err)
	}
}

// FuzzFrameReader: no stream makes the reader panic or hand out more than a frame.
func FuzzFrameReader(f *testing.F) {
	f.Add(append(frame([]byte("abc")), frame([]byte("d"))...))
	f.Add([]byte{0, 0x1f, 0xff, 0xff, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		fr := NewFrameReader(bytes.NewReader(b))
		for total := 0; ; {
			body, err := fr.Next()
			if err != nil {
				return
			}
			if total += len(body) + headerBytes; len(body) == 0 || total > len(b) {
				t.Fatalf("%d bytes of frames out of %d", total, len(b))
			}
		}
	})
}

func BenchmarkWriteRequest(b *testing.B) {
	w := NewWriter(1<<30, time.Second)
	q := Request{Kind: KindPut, ID: 1 << 20, Group: 3, Session: 9, Sequence: 1 << 20, Acked: 1 << 20, Key: make([]byte, 16), Value: make([]byte, 128)}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Request(&q); err != nil {
			b.Fatal(err)
		}
		w.mu.pending = w.mu.pending[:0]
	}
}
