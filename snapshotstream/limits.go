package snapshotstream

import "time"

// Every bound of this package, each with its reason.
const (
	// MaxBody bounds the state in one snapshot: 1 TiB is far beyond what a group is meant to hold, and far from
	// overflowing any sum of offsets.
	MaxBody = 1 << 40
	// MinChunk keeps framing below 5 % of what is sent.
	MinChunk = 1 << 10
	// MaxChunk is what either side of a transfer holds in memory, and what a hostile header can make it hold.
	MaxChunk = 4 << 20
	// DefaultChunk is some 2 ms of a 1 Gbit/s link: pacing stays fine-grained, framing costs 0.01 %.
	DefaultChunk = 256 << 10

	// maxHeader bounds an encoded header, of later versions too: the fixed fields, and a membership with 256 ids of nine
	// bytes that stand in three lists take less than half.
	maxHeader = 16 << 10

	// Kept is how many snapshots of a group are kept: the newest, and one to fall back to while the newest is sent or read.
	Kept = 2

	// defaultReserveBytes of free space are left alone: what the log needs to go on goes before a copy of a state.
	defaultReserveBytes = 128 << 20
	// spaceEveryBytes of a snapshot being made, the free space is asked for again: its length is not known beforehand.
	spaceEveryBytes = 16 << 20

	// syncEveryBytes of a snapshot being made are synced together: a large file synced all at once makes every commit on
	// the same disk wait for it.
	syncEveryBytes = 4 << 20

	// maxWindow is how much is received between two marks at most: what a kill costs at worst, beside what scanning finds
	// again. At 80 MB/s it makes 20 marks a second of two fsyncs each.
	maxWindow = 4 << 20
	// windowsPerBody keeps that a small part of a small snapshot: twenty broken connections cost less than a fifth of it (N5), wherever they break.
	windowsPerBody = 128

	// recheckBytes up to the mark are read again before a transfer goes on after a restart. The whole is verified in the end.
	recheckBytes = 16 << 20

	// strikesAllowed are transfers with a corrupt chunk that a snapshot may have in a row; with the next it is out (P36).
	strikesAllowed = 1
	// refusalsToChance is how often one that is out has to be offered until it is taken once more: offers are an election timeout apart, so
	// a snapshot that never comes well costs a transfer every half a minute, and a link that was mended is made use of.
	refusalsToChance = 16
	// maxStruck bounds how many snapshots of a group are remembered for their strikes; the oldest is forgotten.
	maxStruck = 16

	// maxDetail bounds the text of an answer in bytes: a sentence with its next step.
	maxDetail = 512
	// defaultPatience is how long either side waits for the next frame to move: longer than any pause of an honest peer,
	// short enough that a stalled one does not hold a transfer's place for long (D72).
	defaultPatience = 30 * time.Second
	// verifyBytesPerSecond is what a receiver is thought to verify at least, while the sender waits for the last answer.
	verifyBytesPerSecond = 16 << 20

	// paceSteps: a Pacer that is told to slow down goes down to a sixteenth, and comes back in sixteenths. At 32 MiB/s the
	// floor is 2 MiB/s: a transfer that goes on beside any load, and ends.
	paceSteps = 16
	// paceRecovery is how long the way back takes per sixteenth: 4 s from the floor, many commits' time.
	paceRecovery = 250 * time.Millisecond
	// paceBurst is how much of a pause may be caught up with: a commit must not find a burst in its way.
	paceBurst = 50 * time.Millisecond
)
