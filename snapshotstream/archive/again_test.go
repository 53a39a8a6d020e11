package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"flotilla/snapshotstream"
)

// Whatever breaks off, or comes wrong, is taken back: in the end the file is what it is without any of that, byte for byte.
func TestAddAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	f, err := Create(path, manifest(), Fresh)
	if err != nil {
		t.Fatal(err)
	}
	all := streams(t)
	torn := errors.New("torn")
	for id, more := f.Next(); more; id, more = f.Next() {
		good := all[id]
		for cut := range len(good) {
			if cut > 40 && cut < len(good)-70 && cut%997 != 0 {
				continue
			}
			if _, err := f.Add(bytes.NewReader(good[:cut])); !errors.Is(err, snapshotstream.ErrCorrupt) {
				t.Fatalf("group %d cut off at %d: %v", id, cut, err)
			}
			bad := bytes.Clone(good)
			bad[cut] ^= 16
			if _, err := f.Add(bytes.NewReader(bad)); err == nil {
				t.Fatalf("group %d with a flipped bit at %d is taken", id, cut)
			}
		}
		if _, err := f.Add(iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(good)))); !errors.Is(err, iotest.ErrTimeout) {
			t.Fatal(err)
		}
		if _, err := f.Add(iotest.ErrReader(torn)); !errors.Is(err, torn) {
			t.Fatal(err)
		}
		if _, err := f.Add(bytes.NewReader(all[(id+1)%3])); !errors.Is(err, ErrGroup) {
			t.Fatalf("another group's: %v", err)
		}
		if next, _ := f.Next(); next != id {
			t.Fatalf("group %d is wanted after what broke off, not %d", next, id)
		}
		if _, err := f.Add(bytes.NewReader(good)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if s, err := Inspect(bytes.NewReader(whole(t))); err != nil || s.Sum != f.Sum() || s.Bytes != f.Bytes() {
		t.Fatalf("the writer says %x of %d bytes, a reader %x of %d: %v", f.Sum(), f.Bytes(), s.Sum, s.Bytes, err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole(t)) {
		t.Fatalf("%d bytes, want %d: %v", len(got), len(whole(t)), err)
	}
}

// A failure of the file stays.
func TestAddToAFileThatFails(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "a"), manifest(), Fresh)
	if err != nil {
		t.Fatal(err)
	}
	all := streams(t)
	if _, err := f.Add(bytes.NewReader(all[0])); err != nil {
		t.Fatal(err)
	}
	if err := f.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Add(bytes.NewReader(all[1])); !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}
