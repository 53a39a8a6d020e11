package placement

// Limits of what is set in motion.
const (
	// metaVoters bounds the voters of group 0: it survives two failures, more voters only slow it down. It is that of
	// catalog/birth.
	metaVoters = 5
	// maxMoving bounds the groups that planning sets in motion at a time: each may copy a whole machine's state, and
	// what moves is less redundant than it was. A group that lost a member moves anyway.
	maxMoving = 8
	// maxMovingData leaves one place for group 0: a node that joins must not wait for data to be copied.
	maxMovingData = maxMoving - 1
	// maxChanges bounds what one Plan returns: each is an entry of group 0's log.
	maxChanges = 64
	// maxLeaderMoves bounds the preferred leaders that one Plan moves to spread them: each hand-over is a moment without
	// a leader.
	maxLeaderMoves = 8
)
