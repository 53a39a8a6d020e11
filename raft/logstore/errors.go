package logstore

import (
	"errors"
	"fmt"
	"strings"

	"flotilla/raft/wire"
)

// Sentinels of this package. wire.ErrFenced and wire.ErrNoSpace belong to the port.
var (
	// ErrInUse says that another process, or another Store of this one, holds the directory. Stop it first.
	ErrInUse = errors.New("log directory in use")
	// ErrClosed says that the Store was closed.
	ErrClosed = errors.New("log store closed")
)

// CorruptionError says that bytes on disk are not those that were written. It never comes from a crash or a
// power cut: what those leave behind is complete.
type CorruptionError struct {
	// File is the path of the generation.
	File string
	// Key names the record: "meta", "page 17", "j/42", "j/42 group 7", "s/marker", "s/7".
	Key string
	// Want and Got are the checksums; both 0 where the fault was seen without one, then Detail says how.
	Want, Got uint32
	// Groups are those concerned, sorted; empty when every group may be.
	Groups []wire.GroupID
	// Detail says what is wrong, in a few words.
	Detail string
}

// Error names file, key, fault and groups, and the next step.
func (e *CorruptionError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "corrupt log file %s at %s", e.File, e.Key)
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	if e.Want != e.Got {
		fmt.Fprintf(&b, ": checksum %08x, want %08x", e.Got, e.Want)
	}
	switch len(e.Groups) {
	case 0:
		b.WriteString("; every group may be concerned")
	default:
		fmt.Fprintf(&b, "; groups %v", e.Groups)
	}
	b.WriteString("; rebuild the groups concerned from their peers")
	return b.String()
}

// FormatError says that a file is intact but not of a format this version reads.
type FormatError struct {
	File   string
	Detail string
}

// Error names the file and what was found.
func (e *FormatError) Error() string { return fmt.Sprintf("log file %s: %s", e.File, e.Detail) }

// UpdateError says that a batch breaks the contract of wire.LogUpdate. Nothing was attempted and the store is
// not fenced; the caller has a bug.
type UpdateError struct {
	Group wire.GroupID
	What  string
}

// Error names group and fault.
func (e *UpdateError) Error() string {
	return fmt.Sprintf("log update of group %d: %s", e.Group, e.What)
}

// QuarantineError is GroupState.Err of a group that a previous start found corrupt: it stays so until dropped.
type QuarantineError struct {
	Group  wire.GroupID
	Reason string
}

// Error names group and reason.
func (e *QuarantineError) Error() string {
	return fmt.Sprintf("log of group %d is quarantined: %s", e.Group, e.Reason)
}
