package logstore

import "flotilla/raft/wire"

// Event is something worth telling an operator: one of the types below. Options.Events is called from
// whichever goroutine saw it, without a lock held; it must not block and must not call the Store.
type Event interface{ event() }

// Opened says what a start found.
type Opened struct {
	Groups      int
	Quarantined int
	Generations int
	Blobs       uint64
	Bytes       int64
}

// Rotated says that a generation became the active one.
type Rotated struct{ Generation uint32 }

// Unlinked says that a generation nobody needed was removed.
type Unlinked struct {
	Generation uint32
	Bytes      int64
}

// Draining says that what is alive in a generation is being copied forward.
type Draining struct {
	Generation uint32
	LiveBytes  int64
}

// Corrupted says that damage was found. Harmless: everything could be read nevertheless.
type Corrupted struct {
	Err      *CorruptionError
	Harmless bool
}

// Quarantined says that a group is out of service on this node because of damage.
type Quarantined struct {
	Group wire.GroupID
	Err   error
}

// Fenced says that a commit failed: this Store takes no more.
type Fenced struct{ Err error }

// SpaceLow says that entries are being refused for lack of space.
type SpaceLow struct{ FreeBytes, NeedBytes int64 }

// SpaceBack says that entries are taken again.
type SpaceBack struct{ FreeBytes int64 }

// HousekeepingFailed says that preparing, sealing or removing a file failed; it will be tried again.
type HousekeepingFailed struct {
	What string
	Err  error
}

func (Opened) event()             {}
func (Rotated) event()            {}
func (Unlinked) event()           {}
func (Draining) event()           {}
func (Corrupted) event()          {}
func (Quarantined) event()        {}
func (Fenced) event()             {}
func (SpaceLow) event()           {}
func (SpaceBack) event()          {}
func (HousekeepingFailed) event() {}
