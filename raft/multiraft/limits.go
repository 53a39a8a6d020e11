package multiraft

import "time"

// Limits of the loop. Every queue here has one (style 5).
const (
	// maxWorkers: beyond eight, the log writer and the appliers are what a node waits for.
	maxWorkers = 8
	// minApplyWorkers: with two, one slow state machine leaves somebody to serve the others.
	minApplyWorkers = 2

	// maxPackedCommands and maxPackedBytes bound one entry of packed commands: large enough that the cost of an
	// entry vanishes, small enough that an entry never delays the next append by more than a millisecond.
	maxPackedCommands = 512
	maxPackedBytes    = 64 << 10
	// MaxCommandBytes bounds one command: a value of 1 MiB with its key and header. Larger ones are refused.
	MaxCommandBytes = 1<<20 + 64<<10
	// commandOverhead is what a waiting command costs beside its bytes.
	commandOverhead = 128

	// defaultNodeBytes and defaultGroupBytes bound what waits in the node and in one group: a node survives
	// full queues within its memory, and one group cannot take everybody's share.
	defaultNodeBytes  = 64 << 20
	defaultGroupBytes = 8 << 20

	// maxOutstandingBatches is how many turns of one worker may be on their way to the disk before it
	// leaves proposals where they are: one being written and one that waits keep the disk busy, and what
	// comes in meanwhile is packed together.
	maxOutstandingBatches = 2

	// slowCommit is where callers notice: a commit takes half a millisecond on a good disk, some with others who write to it.
	slowCommit = 5 * time.Millisecond

	// maxCommitBytes bounds one disk commit unless one turn alone is larger: beyond it a commit takes longer than an
	// election should wait for its vote.
	maxCommitBytes = 16 << 20

	// maxApplyBytes bounds one StateMachine.Apply call, so that reads and other groups get their turn.
	maxApplyBytes = 4 << 20

	// maxReadRounds bounds read index rounds of one group under way at once; reads that come meanwhile
	// share the next one.
	maxReadRounds = 2

	// minSweep is the number of parked callers below which nobody looks for those who gave up.
	minSweep = 64

	// defaultSnapshotBytes: a start replays up to that much of each group's log, some seconds; a smaller figure would write
	// states more often than commands. defaultSnapshotSends: a transfer is limited by its pace, not by its number.
	defaultSnapshotBytes = 64 << 20
	defaultSnapshotSends = 2
	// minSnapshotBytes is what a group's log may reach however many groups there are; fullLogs is how many groups may reach
	// SnapshotBytes at the same time: together they bound what a node's logs take.
	minSnapshotBytes = 1 << 20
	fullLogs         = 16
	// stateShare: a state is written again when the log has grown by this part of it, so that disk use stays below twice the state
	// and that part, and writing below five bytes for each of the log.
	stateShare = 4
	// marksPerTail is how exactly TailBytes is kept.
	marksPerTail = 8
	// tailsForFollowers is how much more than TailBytes a leader keeps for followers that answer, at least.
	tailsForFollowers = 4
	// snapshotPause is how many election timeouts pass between two tries to write a snapshot.
	snapshotPause = 5
	// savePieceBytes of a state are written between two looks at whether the engine stops.
	savePieceBytes = 256 << 10
	// maxSnapshotAsks bounds the callers who wait for a snapshot of one group: some may have left.
	maxSnapshotAsks = 64
	// uncountedEntryBytes is what an entry is taken for that this start has not seen.
	uncountedEntryBytes = 256

	// maxForwardBytes bounds a forwarded request: a command and its frame.
	maxForwardBytes = MaxCommandBytes + 64
	// forwardTimeout bounds what this node does on behalf of another one whose caller set no deadline, so that
	// forwarded requests cannot pile up behind a group that makes no progress.
	forwardTimeout = 30 * time.Second
)
