// Package logstore keeps the logs and hard states of all groups of a node on disk, in bbolt files.
//
// It hides where an entry is. What one Commit is given, for however many groups, becomes one value under one
// key in one transaction: two fdatasyncs. Truncation and compaction change an index in memory; no key is ever
// deleted. Files ("generations") are written by one process life, in turn, and go as a whole when nothing in
// them is alive. DESIGN.md tells why and how.
//
// Guarantee: what Commit returned nil for is there after a crash or a power cut; bytes that changed on disk
// are found by checksum and never served. After a failed commit the store takes nothing more.
//
// Who owns what: one goroutine calls Commit; any number read. Entries' data given to Commit is shared with
// readers and never changes.
//
//	store, err := logstore.Open(logstore.Options{Dir: "data/log"})
//	err = store.Commit([]wire.LogUpdate{{Group: 7, Create: true, Membership: wire.Membership{Voters: []wire.NodeID{1}}}})
//	entries, err := store.Entries(7, nil, first, last+1, 1<<20)
package logstore
