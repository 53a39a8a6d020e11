package shelf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"flotilla/snapshotstream"
)

// What is exported is the newest snapshot byte for byte; one that is damaged is set aside, and nothing whole of it leaves (P36).
func TestExport(t *testing.T) {
	s, dir := open(t, 1<<40)
	state := bytes.Repeat([]byte("state"), 200_000)
	if err := errors.Join(s.Save(7, at(5), writes([]byte("old"))), s.Save(7, at(9), writes(state))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "snap", "7", "*9-*.snap"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if h, err := s.Export(t.Context(), 7, 5, &got); err != nil || h.Index != 9 || !bytes.Equal(got.Bytes(), raw) {
		t.Fatalf("%d bytes of %d at %d, %v", got.Len(), len(raw), h.Index, err)
	}
	if _, err := s.Export(t.Context(), 7, 10, io.Discard); !errors.Is(err, snapshotstream.ErrNotHeld) {
		t.Fatalf("later than there is: %v", err)
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Export(left, 7, 5, io.Discard); !errors.Is(err, context.Canceled) {
		t.Fatalf("nobody waits for it: %v", err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(files[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	got.Reset()
	if _, err := s.Export(t.Context(), 7, 5, &got); !errors.Is(err, snapshotstream.ErrCorrupt) || got.Len() >= len(raw) {
		t.Fatalf("damaged: %d bytes, %v", got.Len(), err)
	}
	if h, err := s.Export(t.Context(), 7, 5, io.Discard); err != nil || h.Index != 5 {
		t.Fatalf("the one before it: %+v, %v", h, err)
	}
}
