package snapshotstream

import "flotilla/raft/wire"

// Every bound of this package, each with its reason.
const (
	// MaxBody bounds the state in one snapshot: 1 TiB is far beyond what a group is meant to hold, and far from
	// overflowing any sum of offsets.
	MaxBody = 1 << 40
	// MinChunk keeps framing below 2 % of what is sent.
	MinChunk = 1 << 10
	// MaxChunk is what either side of a transfer holds in memory, and what a hostile header can make it hold.
	MaxChunk = 4 << 20
	// DefaultChunk is some 2 ms of a 1 Gbit/s link: pacing stays fine-grained, framing costs 0.01 %.
	DefaultChunk = 256 << 10

	// maxHeader bounds an encoded header: fixed fields and a membership whose lists are as long as they may be. Ids
	// take nine bytes; outgoing voters may be listed twice, as voters or as demoted.
	maxHeader = headerFixed + 4 + 64 + 3*wire.MaxMembers*9
)
