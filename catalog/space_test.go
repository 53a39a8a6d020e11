package catalog

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"flotilla/raft/wire"
)

// TestNoSpaceHeals: without room every change is refused by name and nothing is attempted; what there is can be read, and
// the same changes are taken when there is room (reliability.md, ENOSPC).
func TestNoSpaceHeals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	free, fault := int64(1<<40), error(nil)
	c := open(t, path, Options{FreeBytes: func(dir string) (int64, error) {
		if dir != filepath.Dir(path) {
			t.Errorf("asked for the space in %s", dir)
		}
		return free, fault
	}})
	must(t, c.Bootstrap(someBirth()))
	bump := []Command{{Index: 3, Term: 2, Data: EpochBump{Term: 2}.Append(nil)}}
	refused := func(what string) {
		t.Helper()
		_, err := c.NextIncarnation()
		_, applyErr := c.Apply(3, bump)
		for _, err := range []error{err, applyErr} {
			if !errors.Is(err, wire.ErrNoSpace) || errors.Is(err, ErrFenced) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if s := c.View(); s.Incarnation != 0 || s.Applied != 0 || s.Epoch != 0 {
			t.Errorf("%s: visible: %+v", what, s)
		}
	}
	free = reserveBytes
	refused("no room beyond the reserve")
	free, fault = 1<<40, syscall.EIO
	refused("nobody knows")
	fault = nil
	if _, err := c.NextIncarnation(); err != nil {
		t.Error(err)
	}
	if _, err := c.Apply(3, bump); err != nil || c.View().Epoch != 1 {
		t.Errorf("epoch %d, %v", c.View().Epoch, err)
	}
}
