package logstore

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"flotilla/raft/wire"
)

// Finding is one fault that Verify found.
type Finding struct {
	// Group is quarantined because of Err; NoGroup when the finding is about a file.
	Group wire.GroupID
	// Err is a *CorruptionError, *QuarantineError or *FormatError.
	Err error
	// Harmless says that everything could be read nevertheless.
	Harmless bool
}

// NoGroup is the Group of a finding about a file.
const NoGroup wire.GroupID = 1<<64 - 1

// String names group and fault.
func (f Finding) String() string {
	s := f.Err.Error()
	if f.Group != NoGroup {
		s = fmt.Sprintf("group %d: %s", f.Group, s)
	}
	if f.Harmless {
		s += " (harmless)"
	}
	return s
}

// Verify reads every record of the log in dir and reports what is wrong, without changing anything, also on a disk that is
// mounted to be read only. The node must be stopped: ErrInUse otherwise. Other errors are those of the disk. It takes the time of a start.
func Verify(dir string, report func(Finding)) error {
	if _, err := os.Stat(filepath.Join(dir, lockName)); err == nil {
		lock, err := lockDir(dir, syscall.LOCK_SH, os.O_RDONLY, lockPoll)
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	fs := osFiles{}
	nums, _, err := scanDir(fs, dir)
	if err != nil {
		return err
	}
	r := newReplay(fs, func(c Corrupted) { report(Finding{Group: NoGroup, Err: c.Err, Harmless: c.Harmless}) })
	defer r.close()
	for _, num := range nums {
		if err := r.file(num, filepath.Join(dir, genName(num))); err != nil {
			return fmt.Errorf("verify log %s: %w", dir, err)
		}
	}
	r.finish()
	for id, g := range r.groups {
		if g.err != nil {
			report(Finding{Group: id, Err: g.err})
		}
	}
	return nil
}
