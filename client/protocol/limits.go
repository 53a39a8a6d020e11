package protocol

import "time"

// Limits of the native client protocol, with the reason of each.
const (
	// MaxFrameBytes bounds one frame: a value of 1 MiB and its key fit twice.
	MaxFrameBytes = 2 << 20
	// MaxKeyBytes and MaxValueBytes are the documented limits of the key-value store.
	MaxKeyBytes   = 4096
	MaxValueBytes = 1 << 20
	// MaxPageItems bounds the items of one page of a scan, as the state machine does.
	MaxPageItems = 1000
	// MaxPieceBytes is how much of a snapshot one reply holds: little enough for others on a slow link, enough to keep a fast one busy.
	MaxPieceBytes = 256 << 10
	// MaxTimeout bounds how long a server works on one request, whatever the client asks for: what nobody waits
	// for any more must not pile up.
	MaxTimeout = 30 * time.Second
	// MaxNodes and MaxGroups bound status and routes: twice what is tested (64 nodes, 10,000 groups and group 0).
	MaxNodes  = 128
	MaxGroups = 20_002
	// MaxTransfers bounds the snapshots on their way that a status names; a node sends and takes in a few at a time.
	MaxTransfers = 1024
	// MaxReplicas bounds voters or learners of one group.
	MaxReplicas = 64
	// MaxTextBytes bounds every address, version, state, name and detail.
	MaxTextBytes = 512

	// readBufferBytes is the buffer of a FrameReader: frames within it are handed out without a copy.
	readBufferBytes = 64 << 10
	// growBytes is how much room a longer frame gets at a time, as its bytes really arrive.
	growBytes = 256 << 10
	// writeStep is how much of what was gathered is given to the stream at a time, and has the timeout of a write: a slow link takes
	// that, but not all the megabytes that may have come together.
	writeStep = 1 << 20
	// spareBytes bounds the buffers a Writer keeps for the next batch.
	spareBytes = 1 << 20
)
