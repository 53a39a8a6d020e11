package diskspace_test

import (
	"errors"
	"os"
	"testing"

	"flotilla/internal/diskspace"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if free, err := diskspace.Check(diskspace.Free, dir, 1); err != nil || free < 1 {
		t.Errorf("one byte in %s: %d free, %v", dir, free, err)
	}
	some := func(string) (int64, error) { return 10, nil }
	if free, err := diskspace.Check(some, dir, 10); err != nil || free != 10 {
		t.Errorf("just enough: %d, %v", free, err)
	}
	var low *diskspace.LowError
	if free, err := diskspace.Check(some, dir, 11); !errors.As(err, &low) || *low != (diskspace.LowError{Dir: dir, Free: 10, Need: 11}) || free != 10 {
		t.Errorf("one too few: %d, %v", free, err)
	}
	if _, err := diskspace.Check(diskspace.Free, dir+"/absent", 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such directory: %v", err)
	}
}
