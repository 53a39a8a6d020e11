package catalog

import (
	"errors"
	"fmt"

	"flotilla/raft/wire"
)

var (
	// ErrInUse says that another handle holds the file; the error is an *InUseError.
	ErrInUse = errors.New("catalog in use")
	// ErrNewerFormat says that a newer version wrote the file; the error is a *FormatError.
	ErrNewerFormat = errors.New("catalog format is newer than this version")
	// ErrBorn says that the catalog has an identity already: the flags of a first start do not apply (P33).
	ErrBorn = errors.New("data directory already belongs to a cluster: restart without the flags of a first start")
	// ErrUnborn says that the catalog has no identity yet.
	ErrUnborn = errors.New("data directory belongs to no cluster yet: bootstrap or join first")
	// ErrNotAdmitted says that a joiner was told a state that does not know it by this data directory. It asks again.
	ErrNotAdmitted = errors.New("the cluster's state does not know this data directory: join again")
	// ErrFenced says that an earlier commit failed with unknown outcome. Restart the node to find out.
	ErrFenced = errors.New("catalog fenced after a failed commit: check the disk, then restart the node")
	// ErrOlder says that a state from a snapshot is not ahead of the present one in all that only rises. Nothing was changed.
	ErrOlder = errors.New("the state is older than the one this node holds")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("catalog closed")
)

// InUseError names who holds the file, as far as the operating system tells.
type InUseError struct {
	Path string
	// PID is the process that holds the lock, 0 when unknown. It may be this one.
	PID int
}

// Error names file and holder.
func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s is in use by %s", e.Path, holder)
}

// Unwrap returns ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

// FormatError says that the file's format is not among those this version knows.
type FormatError struct {
	Path         string
	Found, Known uint64
}

// Error names both formats and the next step.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format %d, this version of flotilla knows formats up to %d: start the newer version that wrote it, or a newer one",
		e.Path, e.Found, e.Known)
}

// Unwrap returns ErrNewerFormat.
func (e *FormatError) Unwrap() error { return ErrNewerFormat }

// CorruptionError says that the file is not what was written. Nothing of it is served.
type CorruptionError struct {
	File string
	// Key is the record concerned; empty when the file as a whole is.
	Key string
	// Want and Got are checksums where the two differ, else 0.
	Want, Got uint32
	// Reason says what is wrong in words.
	Reason string
	Cause  error
}

// Error names file, record, what is wrong and the next step.
func (e *CorruptionError) Error() string {
	s := e.File + " is corrupt"
	if e.Key != "" {
		s += fmt.Sprintf(", record %q", e.Key)
	}
	s += ": " + e.Reason
	if e.Want != e.Got {
		s += fmt.Sprintf(" (want %08x, got %08x)", e.Want, e.Got)
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s + "; check the disk; a node whose data was lost starts with an empty directory and joins anew"
}

// Unwrap returns the cause.
func (e *CorruptionError) Unwrap() error { return e.Cause }

// CommandError says that a committed command cannot be understood. Skipping it would make replicas differ by
// version (F17), so the group is quarantined here until a version that knows the command is started.
type CommandError struct {
	Index wire.Index
	Cause error
}

// Error names the entry and the next step.
func (e *CommandError) Error() string {
	return fmt.Sprintf("metadata command at index %d: %v; start a version of flotilla that knows it", e.Index, e.Cause)
}

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Cause }
