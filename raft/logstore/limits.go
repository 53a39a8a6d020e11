package logstore

import (
	"time"

	"flotilla/raft/logstore/boltfile"
)

// Every bound of this package, each with its reason.
const (
	// defaultRotateBytes: a generation is scanned whole at start, and 256 MiB take about a third of a second.
	defaultRotateBytes = 256 << 20
	// minRotateBytes keeps a generation above what bbolt needs for itself.
	minRotateBytes = 32 << 10
	// maxRotateBytes keeps offsets in 32 bits and the mapping moderate.
	maxRotateBytes = 2 << 30

	// defaultLockTimeout covers a predecessor that is just closing; a longer wait is an operator's mistake.
	defaultLockTimeout = 2 * time.Second
	// lockPoll is how often a held lock is tried again; flock has no timeout of its own.
	lockPoll = 20 * time.Millisecond

	// defaultCacheBytes is shared by the tail caches of all groups: twice what a node has in flight.
	defaultCacheBytes = 64 << 20
	// minGroupCacheBytes keeps a few entries for each group however many groups there are.
	minGroupCacheBytes = 4 << 10
	// maxGroupCacheBytes is one full append window (8 MiB, architecture section 3): a follower further behind reads from disk.
	maxGroupCacheBytes = 8 << 20

	// defaultReserveBytes is the free space below which entries are refused: several commits at their worst, so
	// that a commit that was begun does not meet ENOSPC, which would fence the store.
	defaultReserveBytes = 64 << 20
	// copiesPerBlob is how often bbolt writes a blob at worst within one commit, rounding to pages included.
	copiesPerBlob = 2

	// ownBucketBytes: blobs larger than this get a bucket, and so pages, of their own. bbolt keeps up to four large
	// values in one leaf and writes that leaf anew with each commit: measured, a blob of 1 MiB costs 4.5 MiB of
	// writes as a plain value and 1.01 MiB in a bucket. Up to a quarter page bbolt would inline the bucket.
	ownBucketBytes = boltfile.PageSize / 4

	// moveBytesPerCommit bounds what one commit copies forward out of an old generation (architecture section 4).
	moveBytesPerCommit = 1 << 20

	// maxBlobBytes bounds one commit. bbolt takes values of 2 GiB and dies beyond (D27); the engine's doors let
	// 64 MiB in.
	maxBlobBytes = 256 << 20

	// minMmapBytes is the least that is mapped at once, so that the map never has to grow under readers (D25).
	minMmapBytes = 1 << 30

	// maxReasonBytes bounds the stored reason of a quarantine.
	maxReasonBytes = 512

	// maxGroupsPerStore bounds what a marker may declare.
	maxGroupsPerStore = 1 << 20
)
