package raft

import "flotilla/raft/wire"

// Limits that are not configured, each with its reason.
const (
	// maxTermJump is how far above its own term a core believes a peer's. New replicas start at 0 and groups live
	// for years, but a trillion elections do not happen; without a limit one hostile message with the largest term
	// would end all elections of a group for ever.
	maxTermJump = 1 << 40

	// maxIndex bounds indexes of peers, so that no sum of one and a length overflows, and that what follows a snapshot there
	// is within wire.MaxNumber as well: a log store refuses what is not, and is out of service then for all groups.
	maxIndex wire.Index = wire.MaxNumber / 2

	// maxWaitingReads bounds reads without an answer, own and of peers, in one core. A read is 40 bytes; the
	// engine asks once per turn for all its callers, so thousands mean that something floods.
	maxWaitingReads = 1 << 12

	// maxHeld bounds messages that wait for the disk, which may take nothing in for hours while peers go on talking: a window of
	// acknowledgements and a vote of the largest group. What is dropped beyond that might as well have been lost on its way.
	maxHeld = 512

	// maxTailBytes bounds entries kept in memory although they are on disk, so that what is about to be committed
	// is not read back. Beyond it the disk (and its cache) must do.
	maxTailBytes = 4 << 20

	// minTailEntries and maxTailEntries bound the arrays that the tail is made of: an idle group has none, a slow
	// one pays for the first, a busy one allocates once in so many entries.
	minTailEntries = 4
	maxTailEntries = 256
	// maxSpentBytes is how much data one array of the tail may keep alive, entries let go of among it, before the
	// next array is made smaller instead of larger.
	maxSpentBytes = 1 << 20

	// snapshotPatience is for how many election timeouts a leader waits for news of a snapshot under way before it takes
	// the transfer for forgotten. Hosts tell of every chunk; a machine that takes longer to install is asked again in
	// vain, which costs a message.
	snapshotPatience = 10

	// promotableDistance is how many entries a learner may be behind to count as caught up (D44): a few turns'
	// worth, so that a promotion never makes the group wait long for the new voter.
	promotableDistance = 64
)
