package wire

import "math"

// Limits of what is read from bytes. A sender stays within them by FitMessages; a receiver refuses what lies beyond.
const (
	// MaxNumber bounds every term, index and group: half the range is left, so that no sum of one of
	// these and a length overflows.
	MaxNumber = math.MaxInt64
	// MaxEntryData bounds the data of one entry. Commands are limited to far less (1 MiB a value); this is
	// the hard edge between large and absurd.
	MaxEntryData = 8 << 20
	// MaxBatchMessages bounds the messages of one batch: a decoded message is some 10 times its smallest
	// encoding, and all of a batch's together stay within 10 MiB. 10,000 groups to one peer fit six times.
	MaxBatchMessages = 1 << 16
	// MaxBatchEntries bounds the entries of all messages of one batch, for the same reason: 6 MiB decoded. As
	// every entry counts entryOverhead bytes at least, 4 MiB of appends by Entry.Size never reach it.
	MaxBatchEntries = 1 << 17
	// MaxMembers bounds the members of one group, in a joint configuration those of both halves. A quorum of more than a handful helps nobody;
	// 64 nodes are tested.
	MaxMembers = 256
	// MaxChanges bounds one set of changes: enough to exchange 32 voters in one step.
	MaxChanges = 64
	// MaxDetail bounds Error.Detail in bytes: enough for a sentence with its next step.
	MaxDetail = 512
)
