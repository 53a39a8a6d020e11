package protocol

import "math"

// ALPN is the application protocol that clients ask for in the TLS handshake.
const ALPN = "flotilla-client/1"

// The versions of the protocol this package speaks (P35).
const (
	VersionMin Version = 1
	VersionMax Version = 2
	// VersionTransfers is the first one in which a status may have transfers.
	VersionTransfers Version = 2
)

// Version numbers what may be said on a stream after the hellos.
type Version uint16

// Revision counts the writes of one group; 0 is that of a key that does not exist.
type Revision uint64

// SessionID identifies a session within its group; NoSession is none.
type SessionID uint64

// NoSession marks a write outside of any session: repeated, it may happen again.
const NoSession SessionID = 0

// Sequence numbers the writes of a session, rising; 0 is none. Where to begin is best drawn: a cluster made anew from a backup gives
// the ids of later sessions out again, and who holds the same one must not have the same sequences.
type Sequence uint64

// Precondition is what a write demands of its key's revision. The zero value demands nothing.
type Precondition uint64

// AtRevision demands that the key's revision is r, 0 meaning that the key does not exist.
func AtRevision(r Revision) Precondition {
	return Precondition(min(r, math.MaxUint64-1)) + 1 // no key ever reaches the clamped one
}

// Revision returns the demanded revision, and whether one is demanded.
func (p Precondition) Revision() (Revision, bool) { return Revision(p) - 1, p != 0 }

// Consistency says how fresh a read must be.
type Consistency uint8

// The consistencies.
const (
	// Linearizable reads see every write acknowledged before they began.
	Linearizable Consistency = 0
	// Stale reads see some earlier state of the node that answers.
	Stale Consistency = 1
)

// Outcome says what became of a write, a read or a session request that a group answered.
type Outcome uint8

// The outcomes. Numbers never change, and are those of the kv package's Status. All but OutcomeOK changed nothing.
const (
	// OutcomeOK: done.
	OutcomeOK Outcome = 1
	// OutcomeConflict: the precondition does not hold; Revision is the present one.
	OutcomeConflict Outcome = 2
	// OutcomeNotFound: the key does not exist.
	OutcomeNotFound Outcome = 3
	// OutcomeSessionExpired: the session is not known to the group any more; an earlier try may have been applied.
	OutcomeSessionExpired Outcome = 4
	// OutcomeAcknowledged: the session has said that it is done with this sequence.
	OutcomeAcknowledged Outcome = 5
	// OutcomeWindow: the sequence runs too far ahead of the acknowledged mark.
	OutcomeWindow Outcome = 6
	// OutcomeInvalid: over a limit, or numbers that make no sense.
	OutcomeInvalid Outcome = 7

	maxOutcome = OutcomeInvalid
)

// CloseCode is the application error code a stream or connection is closed with (P34).
type CloseCode uint64

// The reasons for closing. Numbers never change.
const (
	// CloseDone: the client needs the connection no more.
	CloseDone CloseCode = 0
	// CloseShutdown: the node is stopping.
	CloseShutdown CloseCode = 0x101
	// CloseBadFrame: bytes that cannot be understood, or a second stream.
	CloseBadFrame CloseCode = 0x102
	// CloseVersion: no version in common.
	CloseVersion CloseCode = 0x103
	// CloseOverload: too many connections, or replies that are not read.
	CloseOverload CloseCode = 0x104
	// CloseTimeout: no hello in time.
	CloseTimeout CloseCode = 0x105
)
