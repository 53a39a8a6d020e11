package snapshotstream

import (
	"errors"
	"fmt"
)

// Sentinels of the format.
var (
	// ErrCorrupt says that bytes are not those that were written, or never were a snapshot. A *CorruptError says which.
	ErrCorrupt = errors.New("snapshot corrupt")
	// ErrMismatch says that a body is not the one that its header announced. Nothing complete was written.
	ErrMismatch = errors.New("body is not what the header says")
	// ErrHeader says that a header is outside of what the format can express.
	ErrHeader = errors.New("snapshot header invalid")
)

// CorruptError says where a snapshot is not what it must be. It is an ErrCorrupt.
type CorruptError struct {
	// What was being read: "header", "chunk", "trailer", "end", "frame", ...
	What string
	// Offset counts bytes from the start of the file or, for chunks, of the body.
	Offset uint64
	// Err says what is wrong with it.
	Err error
}

// Error names what, where and why.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("snapshot corrupt: %s at byte %d: %v", e.What, e.Offset, e.Err)
}

// Unwrap makes it an ErrCorrupt and keeps the reason.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// Reasons of a CorruptError.
var (
	errMagic     = errors.New("not a snapshot")
	errChecksum  = errors.New("checksum does not match")
	errTrailing  = errors.New("trailing bytes")
	errCanonical = errors.New("not in its shortest form")
	errWhole     = errors.New("checksum of the whole does not match")
	errID        = errors.New("id is not that of the content")
	errPlace     = errors.New("not what has to stand here")
	errLength    = errors.New("length out of bounds")
)

func corrupt(what string, offset uint64, err error) error {
	return &CorruptError{What: what, Offset: offset, Err: err}
}

// VersionError says that something is intact as far as can be seen, but of a version that this program does not read.
type VersionError struct {
	// What has the version: "snapshot" or "session".
	What    string
	Version uint32
}

// Error names the version and the next step.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s of version %d, this program reads version 1: use the program that wrote it", e.What, e.Version)
}

// Sentinels of a Store.
var (
	// ErrHeld says that this snapshot, or another one of the same state, is here already.
	ErrHeld = errors.New("snapshot is here already")
	// ErrOvertaken says that a newer one is here, or was asked for meanwhile.
	ErrOvertaken = errors.New("a newer snapshot is here")
	// ErrNotHeld says that there is no such snapshot here.
	ErrNotHeld = errors.New("no such snapshot")
	// ErrBusy says that a snapshot of the group is being made already.
	ErrBusy = errors.New("a snapshot of the group is being made")
	// ErrTakenOver says that another session goes on with this transfer, or that the group left this node.
	ErrTakenOver = errors.New("transfer was taken over")
	// ErrIncomplete says that a transfer was to be finished with chunks missing.
	ErrIncomplete = errors.New("chunks are missing")
)

// QuarantinedError says that a snapshot came with corrupt chunks twice in a row and is not taken any more (P36). The
// sender has to offer another one; a restart of the receiver, or a number of offers, gives this one another chance.
type QuarantinedError struct {
	Header Header
	// Err is the last corruption.
	Err error
}

// Error names the snapshot and the next step.
func (e *QuarantinedError) Error() string {
	return fmt.Sprintf("snapshot %s of group %d at %d is quarantined after corrupt chunks: offer another one: %v",
		e.Header.ID, e.Header.Group, e.Header.Index, e.Err)
}

// Unwrap returns the last corruption.
func (e *QuarantinedError) Unwrap() error { return e.Err }
