package logstore

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"flotilla/internal/leak"
	"flotilla/raft/wire"
)

// fullFiles has no room for another name while it is full.
type fullFiles struct {
	osFiles
	full atomic.Bool
}

func (f *fullFiles) rename(from, to string) error {
	if f.full.Load() {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.ENOSPC}
	}
	return f.osFiles.rename(from, to)
}

// TestPreparationFails: a file that cannot be prepared, which happens in the background, is an error to whoever needs it
// and no more; it is prepared again when there is room, and nothing of it stays open (P8; ENOSPC heals) or on the disk, where there
// would soon be no room for anything else.
func TestPreparationFails(t *testing.T) {
	before := leak.Open(t)
	files, dir := &fullFiles{}, t.TempDir()
	files.full.Store(true)
	s, err := Open(Options{Dir: dir, files: files})
	if err != nil {
		t.Fatal(err)
	}
	batch := []wire.LogUpdate{{Group: 1, Create: true, Membership: wire.Membership{Voters: []wire.NodeID{1}}}}
	for range 3 {
		if err := s.Commit(batch); !errors.Is(err, wire.ErrNoSpace) {
			t.Errorf("commit without a file: %v", err)
		}
	}
	if names, err := files.list(dir); err != nil || len(names) != 1 {
		t.Errorf("beside the lock, tries that failed have left %v, %v", names, err)
	}
	files.full.Store(false)
	if err := s.Commit(batch); err != nil {
		t.Errorf("commit with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	before.Check(t)
}
