package server

import (
	"time"

	"flotilla/client/protocol"
)

// Limits of a server, with the reason of each. Fields of the Server's limits are these; tests make them smaller.
const (
	// defaultConns bounds native connections: each costs two goroutines and up to 16 MiB of replies not read.
	defaultConns = 512
	// defaultInFlight bounds the requests of one connection that are under way: twice a client's window.
	defaultInFlight = 4096
	// defaultRequestBytes bounds the commands of one connection that are under way; above it the connection is not
	// read, so QUIC's flow control slows the client down.
	defaultRequestBytes = 16 << 20
	// defaultReplyBytes is how much of replies may wait for a client to read before values and pages are refused
	// as overload, so that a slow reader holds no memory.
	defaultReplyBytes = 8 << 20
	// hardReplyBytes, for all replies: a client that reads not even its refusals is cut off.
	hardReplyBytes = 2 * defaultReplyBytes
	// defaultExports bounds the snapshots that are on their way to clients: each is read from the disk, and was written for it.
	defaultExports = 2
	// defaultExportBytes is how much of a snapshot waits for its client to take it.
	defaultExportBytes = 4 * protocol.MaxPieceBytes
	// defaultExportBeat is how often a client to which nothing comes of its snapshot is told that the node is at work.
	defaultExportBeat = time.Second
	// defaultWorkers bounds the requests under way of all connections: a goroutine each, 8 KiB and a command.
	defaultWorkers = 16_384
	// idleWorkers is how many goroutines wait for the next request rather than end.
	idleWorkers = 2048

	// defaultHelloTimeout is how long a fresh connection may stay silent; it costs a goroutine until then.
	defaultHelloTimeout = 5 * time.Second
	// defaultWriteTimeout bounds one write to a client: one that takes nothing for so long is cut off.
	defaultWriteTimeout = 10 * time.Second
	// defaultLeaderWait bounds how long a request waits for a group to have a leader: three election timeouts, which a node
	// knows better.
	defaultLeaderWait = 3 * time.Second
	// firstLeaderPause to maxLeaderPause is the pause between the tries meanwhile: a heartbeat tells who leads.
	firstLeaderPause = 5 * time.Millisecond
	maxLeaderPause   = 100 * time.Millisecond
	// httpTimeout bounds the work on one HTTP request.
	httpTimeout = 10 * time.Second

	// maxBody bounds the body of an HTTP request: one value.
	maxBody = protocol.MaxValueBytes
	// maxPath bounds the key in a URL: every byte may be percent-encoded.
	maxPath = 3 * protocol.MaxKeyBytes
)

// limits are the numbers of one Server.
type limits struct {
	conns, inFlight, workers   int
	requestBytes               int64
	replyBytes, hardReply      int
	helloTimeout, writeTimeout time.Duration
	leaderWait                 time.Duration
	exports                    int64
	exportBytes                int
	exportBeat                 time.Duration
}

func defaultLimits() limits {
	return limits{
		conns: defaultConns, inFlight: defaultInFlight, workers: defaultWorkers, requestBytes: defaultRequestBytes,
		replyBytes: defaultReplyBytes, hardReply: hardReplyBytes, helloTimeout: defaultHelloTimeout, writeTimeout: defaultWriteTimeout,
		leaderWait: defaultLeaderWait,
		exports:    defaultExports, exportBytes: defaultExportBytes, exportBeat: defaultExportBeat,
	}
}
