package kv

// Limits of the state machine. They are part of the replicated behaviour: every replica of a group must
// have the same ones, so they are constants and change only together with commandVersion.
const (
	// MaxKeyBytes bounds a key: one tree node of keys stays within a few pages.
	MaxKeyBytes = 4096
	// MaxValueBytes bounds a value: with its key it fits one entry of the log (1 MiB, 8 MiB hard).
	MaxValueBytes = 1 << 20
	// MaxSessions bounds the sessions of one group: a client has one per group, so this is the number of
	// clients that write to a group at the same time.
	MaxSessions = 4096
	// MaxWindow bounds how far a session's sequences may run ahead of its acknowledged mark, and with it the
	// results kept for one session. A client of 1,024 concurrent callers and a few stragglers fits.
	MaxWindow = 4096
	// MaxResults bounds the results kept for all sessions of one group, 16 bytes each: 16 MiB.
	MaxResults = 1 << 20
	// MaxPageItems bounds the items of one page of a scan.
	MaxPageItems = 1000
	// MaxPageBytes bounds keys and values of one page, unless it is a single item that is larger by itself: a
	// page stays under a frame of 2 MiB.
	MaxPageBytes = 1 << 20

	// firstResults is the ring a session starts with: most clients write one at a time.
	firstResults = 8
	// resultBytes is the most one encoded result takes: array, status, two 64-bit numbers.
	resultBytes = 1 + 2 + 9 + 9
	// itemOverhead is the most one item of a page takes beyond its key and value: two length headers, a revision.
	itemOverhead = 5 + 5 + 9

	// maxRecordBytes is the most one record of a state takes: the largest item and its array.
	maxRecordBytes = 1 + MaxKeyBytes + MaxValueBytes + itemOverhead
	// firstStateBytes is what is read of a state at once, unless an item is larger; flushBytes what is written.
	firstStateBytes = 64 << 10
	flushBytes      = 64 << 10
)
