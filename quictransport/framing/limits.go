package framing

// Fixed limits, each with its reason.
const (
	// MaxFrame bounds one frame, in bytes without its length. Memory grows with what arrived, never with what was declared.
	MaxFrame = 16 << 20
	// MaxElement bounds one element, so that it fits into a frame.
	MaxElement = MaxFrame - headBytes
	// MaxBody bounds one forwarded request or reply; a batch of commands at the hard entry limit fits.
	MaxBody = 8<<20 + 4<<10
	// maxPreface bounds a preface: some 70 bytes today, with room for later fields.
	maxPreface = 1 << 10
	// readStep is what is allocated for a frame before any of it arrived; then it doubles.
	readStep = 64 << 10
	// frameTarget is where a frame under way is closed and the next one begun: big enough that headers and
	// system calls do not count, small enough that a receiver works while the rest is still coming.
	frameTarget = 1 << 20
	// keepBuffer is the largest lane buffer kept for reuse once a burst is over.
	keepBuffer = 2 << 20
	// resendBytes and resendFrames bound the written forward frames kept for a refusal by the fence: a round
	// trip's worth, and enough for two frames with the largest command or value in them.
	resendBytes  = 4 << 20
	resendFrames = 256
)
