package snapshotstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
)

// FuzzAnswer: no bytes make parseAnswer panic, and what it takes is spelt in one way only.
func FuzzAnswer(f *testing.F) {
	for _, a := range []answer{
		{outcome: outcomeContinue, offset: 4096, window: 1024}, {outcome: outcomeHeld}, {outcome: outcomeRefused, reason: ReasonNoSpace, detail: "full"},
	} {
		f.Add(appendAnswer(nil, &a))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 {
			reseal(b, len(b)) // or nothing would get past the checksum
		}
		if a, err := parseAnswer(b); err == nil && !bytes.Equal(appendAnswer(nil, &a), b) {
			t.Fatalf("%+v does not survive", a)
		} else if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("untyped: %v", err)
		}
	})
}

// FuzzMark: the same for marks.
func FuzzMark(f *testing.F) {
	f.Add(appendMark(nil, &mark{id: ID{1}, seq: 7, offset: 4096, state: sealed}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 {
			reseal(b, len(b))
		}
		if m, ok := parseMark(b); ok && !bytes.Equal(appendMark(nil, &m), b) {
			t.Fatalf("%+v does not survive", m)
		}
	})
}

// script is a connection whose peer says what it says, whatever it is told.
type script struct{ io.Reader }

func (script) Write(p []byte) (int, error) { return len(p), nil }

// sessionOf is all that a sender says.
func sessionOf(t testing.TB, n int) []byte {
	t.Helper()
	file, h := encoded(t, stateAt(4, 20), MinChunk, bytesOf(12, n))
	frame := func(dst []byte, kind frameKind, payload []byte) []byte {
		return append(appendLead(dst, kind, len(payload), Stamp{}), payload...)
	}
	b := frame(nil, frameOffer, file[:h.size()])
	for offset := uint64(0); offset < h.BodyLength; offset += MinChunk {
		b = frame(b, frameChunk, file[h.at(offset):][:chunkLead+h.chunkAt(offset)])
	}
	return frame(b, frameDone, file[len(file)-trailerSize:])
}

// FuzzReceive: whatever a peer says, a receiver does not panic, and what it installs reads well.
func FuzzReceive(f *testing.F) {
	whole := sessionOf(f, 2*MinChunk+5)
	f.Add(whole)
	f.Add(sessionOf(f, 0))
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Open(Config{Dir: t.TempDir(), ReserveBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		h, err := Receive(context.Background(), script{bytes.NewReader(b)}, s, ReceiveConfig{})
		held := s.List(4)
		if (err == nil) != (len(held) == 1) && h.Group == 4 {
			t.Fatalf("held %v: %v", held, err)
		}
		for _, h := range held {
			x, err := s.Open(4, h.Index)
			if err != nil {
				t.Fatal(err)
			}
			body, err := x.Body()
			if err == nil {
				_, err = io.Copy(io.Discard, body)
			}
			if err := errors.Join(err, x.Close()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// said is what a receiver says with these answers.
func said(list ...answer) []byte {
	var b []byte
	for _, a := range list {
		payload := appendAnswer(nil, &a)
		b = append(appendLead(b, frameAnswer, len(payload), Stamp{}), payload...)
	}
	return b
}

// openSource is a snapshot of 2*MinChunk+5 bytes.
func openSource(t testing.TB) *Snapshot {
	t.Helper()
	s, err := Open(Config{Dir: t.TempDir(), ReserveBytes: 1, ChunkSize: MinChunk})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(stateAt(4, 20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytesOf(13, 2*MinChunk+5)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	x, err := s.Open(4, 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// A receiver that answers what an honest one does not is not sent to.
func TestOddAnswers(t *testing.T) {
	x := openSource(t)
	goOn := func(offset, window uint64) answer {
		return answer{outcome: outcomeContinue, offset: offset, window: window}
	}
	const size = 2*MinChunk + 5
	for name, list := range map[string][]answer{
		"amid a chunk": {goOn(7, 1)}, "beyond the end": {goOn(size+1, 1)}, "back": {goOn(MinChunk, 1), goOn(0, 1)},
		"ahead": {goOn(0, 1), goOn(2*MinChunk, 1)}, "the same again": {goOn(0, 1), goOn(0, 1)},
		"held before the end": {goOn(0, 1), {outcome: outcomeHeld}}, "on and on": {goOn(size, 1), goOn(size, 1)},
	} {
		if _, err := Send(t.Context(), script{bytes.NewReader(said(list...))}, x, SendConfig{}); !errors.Is(err, ErrPeer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sent, err := Send(t.Context(), script{bytes.NewReader(said(goOn(MinChunk, 1), goOn(2*MinChunk, 99), goOn(size, 1), answer{outcome: outcomeHeld}))}, x, SendConfig{})
	if err != nil || sent != (Sent{From: MinChunk, Bytes: MinChunk + 5}) {
		t.Errorf("an honest one: %+v, %v", sent, err)
	}
}

// FuzzSend: whatever a peer answers, a sender does not panic and comes to an end.
func FuzzSend(f *testing.F) {
	f.Add(said(answer{outcome: outcomeContinue, window: 1 << 20}, answer{outcome: outcomeContinue, offset: 2*MinChunk + 5, window: 1}, answer{outcome: outcomeHeld}))
	f.Add(said(answer{outcome: outcomeHeld}))
	f.Add(said(answer{outcome: outcomeContinue, offset: MinChunk, window: 1}))
	x := openSource(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		sent, err := Send(context.Background(), script{bytes.NewReader(b)}, x, SendConfig{})
		if err == nil && sent.Bytes > 2*MinChunk+5 {
			t.Fatalf("sent %+v", sent)
		}
	})
}
