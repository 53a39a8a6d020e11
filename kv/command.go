package kv

import (
	"fmt"
	"math"

	"flotilla/raft/wire"
)

// commandVersion stands first in every command and query. Another one is not understood (F17).
const commandVersion = 1

// Revision counts the writes of one group; 0 is before the first, and the revision of an absent key.
type Revision uint64

// SessionID identifies a session within its group; NoSession is none.
type SessionID uint64

// NoSession marks a command outside of any session: repeated, it happens again.
const NoSession SessionID = 0

// Sequence numbers the commands of a session, rising, from wherever the client begins; 0 is none.
type Sequence uint64

// Precondition is what a write demands of its key's revision. The zero value demands nothing.
type Precondition uint64

// AtRevision demands that the key's revision is r, 0 meaning that the key does not exist.
func AtRevision(r Revision) Precondition {
	return Precondition(min(r, math.MaxUint64-1)) + 1 // no key ever reaches the clamped one
}

// Revision returns the demanded revision, and whether one is demanded.
func (p Precondition) Revision() (Revision, bool) { return Revision(p) - 1, p != 0 }

// Op says what a Command does.
type Op uint8

// The operations. Numbers never change.
const (
	// OpPut sets Key to Value.
	OpPut Op = 1
	// OpDelete removes Key.
	OpDelete Op = 2
	// OpOpen opens a session; the result names it.
	OpOpen Op = 3
	// OpClose forgets Session and its results.
	OpClose Op = 4
)

// Command is one command of a group's log. Which fields an operation uses is said beside it.
type Command struct {
	Op Op
	// Session, Sequence and Acked belong to OpPut and OpDelete; OpClose uses Session only. All
	// sequences below Acked are done with: the client will never repeat them.
	Session  SessionID
	Sequence Sequence
	Acked    Sequence
	Require  Precondition
	Key      []byte
	Value    []byte
}

// AppendCommand appends c's encoding to dst: docs/format.md, "kv commands".
func AppendCommand(dst []byte, c *Command) []byte {
	switch c.Op {
	case OpPut:
		dst = appendWrite(wire.AppendArray(dst, 8), c)
		return wire.AppendBytes(dst, c.Value)
	case OpDelete:
		return appendWrite(wire.AppendArray(dst, 7), c)
	case OpClose:
		dst = appendHead(wire.AppendArray(dst, 3), c.Op)
		return wire.AppendUint(dst, uint64(c.Session))
	default:
		return appendHead(wire.AppendArray(dst, 2), c.Op)
	}
}

func appendHead(dst []byte, op Op) []byte {
	return wire.AppendUint(wire.AppendUint(dst, commandVersion), uint64(op))
}

func appendWrite(dst []byte, c *Command) []byte {
	dst = appendHead(dst, c.Op)
	dst = wire.AppendUint(dst, uint64(c.Session))
	dst = wire.AppendUint(dst, uint64(c.Sequence))
	dst = wire.AppendUint(dst, uint64(c.Acked))
	if revision, ok := c.Require.Revision(); ok {
		dst = wire.AppendUint(dst, uint64(revision))
	} else {
		dst = wire.AppendNil(dst)
	}
	return wire.AppendBytes(dst, c.Key)
}

// Vet returns an error for a command that Apply could not read. In a group's log, such a command would take
// the group out of service on every node (F17), so it is refused before it is proposed.
func Vet(command []byte) error {
	_, err := DecodeCommand(command)
	return err
}

// DecodeCommand reads one command; Key and Value alias b. Sizes are not checked here: a key over its limit
// is a command that fails, not one that cannot be read. Errors are *wire.DecodeError.
func DecodeCommand(b []byte) (Command, error) {
	var r wire.Reader
	r.Reset(b)
	n := r.ArrayLen(8)
	version := r.Uint()
	if r.Err() == nil && version != commandVersion {
		r.Fail(fmt.Sprintf("command of version %d", version), wire.ErrInvalid)
	}
	c := Command{Op: Op(r.UintMax(math.MaxUint8))}
	switch {
	case c.Op == OpPut && n == 8:
		readWrite(&r, &c)
		c.Value = r.Bytes()
	case c.Op == OpDelete && n == 7:
		readWrite(&r, &c)
	case c.Op == OpClose && n == 3:
		c.Session = SessionID(r.Uint())
	case c.Op == OpOpen && n == 2:
	default:
		r.Fail("command", wire.ErrInvalid)
	}
	if err := r.Done(); err != nil {
		return Command{}, err
	}
	return c, nil
}

func readWrite(r *wire.Reader, c *Command) {
	c.Session = SessionID(r.Uint())
	c.Sequence = Sequence(r.Uint())
	c.Acked = Sequence(r.Uint())
	if !r.Nil() {
		c.Require = AtRevision(Revision(r.Uint()))
	}
	c.Key = r.Bytes()
}
