// Package client is the Go client of a flotilla cluster: linearizable reads, exactly-once writes, ordered scans.
//
// It hides where keys live: shards, groups, leaders, connections, sessions and retries. It guarantees that
// a write that returned nil happened exactly once; that one which failed with Ambiguous() false has had and will have
// no effect; and that one with Ambiguous() true (ErrOutcomeUnknown) happened once or not at all. Everything is retried
// until the caller's context ends, with jittered back-off; a write is retried after an unknown outcome only because
// its session makes that safe.
//
// A Client owns one UDP socket, one connection to each node it talks to, and one session in each group it writes to. Export and
// Save, which fetch whole states for backups, use connections of their own.
//
// All methods are safe for concurrent use, and made for many callers at a time: what they ask of one node at the
// same moment travels together. Close joins every goroutine the client started. Example:
//
//	c, err := client.Dial(ctx, client.Config{Endpoints: []string{"127.0.0.1:7400"}, TLS: tlsConfig})
//	defer c.Close()
//	result, err := c.Put(ctx, []byte("key"), []byte("value"))
package client
