package client

import "time"

// Limits of a client, with the reason of each.
const (
	// window is how far a session's writes run ahead of its oldest unfinished one. Half of what a group keeps
	// results for, so the server's bound is never met.
	window = 2048
	// maxFirstSequence bounds where a session's sequences begin: far enough for no two to meet, and for none to come to the end of 64 bits.
	maxFirstSequence = 1 << 62
	// maxBacklogBytes bounds what waits to be written to one node: a few writes of the largest values.
	maxBacklogBytes = 16 << 20
	// maxPeers bounds the addresses a client remembers: twice the nodes tested.
	maxPeers = 256

	// tokenPatience is how long one node may take to make a join token when another one has refused.
	tokenPatience = time.Second
	// attemptTimeout bounds one try at one node, so that a request stuck there is tried elsewhere.
	attemptTimeout = 5 * time.Second
	// dialTimeout bounds a connection attempt: handshake and hello.
	dialTimeout = 3 * time.Second
	// firstPatience is how long Dial waits for one endpoint before it turns to the next, doubled each time; the one left
	// goes on being dialled. Most networks answer within it, and a dead endpoint costs no more.
	firstPatience = 250 * time.Millisecond
	// writeTimeout bounds one write: a node that takes nothing for so long is as good as gone.
	writeTimeout = 10 * time.Second
	// slowAfter is how long a call waits before another node is asked who leads its group, watchEvery how often calls are
	// looked at. Far above what an answer takes, far below an election.
	slowAfter  = 300 * time.Millisecond
	watchEvery = 100 * time.Millisecond
	// idleTimeout ends a connection whose other side is silent, keepAlive keeps one that is idle. Who waits for an answer
	// does not wait for this.
	idleTimeout = 2 * time.Second
	keepAlive   = 600 * time.Millisecond

	// exportPatience is how long nothing at all may come of a snapshot that was asked for: nodes give a sign of life every second, and
	// an election is over by then.
	exportPatience = 30 * time.Second
	// exportTries is how many snapshots of a group may break off: each begins anew.
	exportTries = 10

	// firstBackoff to maxBackoff is the pause between tries of one request: an election takes about a second.
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
	// firstRedial to maxRedial is the pause between connection attempts to one address.
	firstRedial = 20 * time.Millisecond
	maxRedial   = time.Second

	// refreshEvery is how old routes get; refreshGap to maxRefreshGap is the pause between two refreshes, however many
	// requests ask for one: routes of 10,000 groups are 100 KiB, and while a group has no leader all clients ask.
	refreshEvery  = 15 * time.Second
	refreshGap    = 50 * time.Millisecond
	maxRefreshGap = time.Second
	// farewell bounds closing the sessions when the client closes.
	farewell = 300 * time.Millisecond
)
