package catalog

import "time"

// Limits of what the catalog holds and of the commands that change it. A command beyond them is refused
// as a result (it is well understood, only not wanted); bytes beyond them are not understood at all.
const (
	// maxText bounds names and addresses: a DNS name has 253 bytes at most, a port adds six.
	maxText = 512
	// maxVersion bounds the version of a node's program: Go's pseudo-versions have some 50 characters.
	maxVersion = 64
	// maxKind bounds the name of a kind of state machines.
	maxKind = 64
	// maxTokens bounds the join tokens that can be spent at a time: a person asks for each.
	maxTokens = 64
	// maxNodes bounds the topology, tombstones of removed nodes included: 64 nodes are tested, and a
	// tombstone stays for ever.
	maxNodes = 4096
	// maxGroups bounds the group table, tombstones of deleted groups included: 10,000 groups are tested.
	maxGroups = 1 << 14
	// maxImports bounds the imports under way at a time: each is somebody's call that waits.
	maxImports = 256
	// maxShared bounds what a joiner is told of group 0's state. 10,000 groups of seven on 64 nodes take a fifth of it
	// (TestSharedHasRoom); a transport's reply has to hold it and a little more.
	maxShared = 8 << 20
	// MaxState bounds group 0's state in a snapshot, which is read whole before it is believed: several times maxShared, as what
	// cannot be restored must not be written.
	MaxState = 64 << 20
	// maxClaims bounds the runs of one AssignShards: each shard could be its own run.
	maxClaims = 1024

	// reserveBytes of free disk space are left alone: below it changes are refused with wire.ErrNoSpace, so that one that was
	// begun does not meet ENOSPC, which would fence the catalog. It is less than the log's reserve (64 MiB): what
	// the log took before it ran out can be applied.
	reserveBytes = 16 << 20
	// copiesPerCommit is how often bbolt writes the records at worst within one commit, rounding to pages included.
	copiesPerCommit = 2

	// maxFileBytes bounds the file before it is mapped: the largest legal state, several times over.
	maxFileBytes = 1 << 30

	// defaultLockTimeout is how long Open waits for another process to let go of the file.
	defaultLockTimeout = 2 * time.Second
)
