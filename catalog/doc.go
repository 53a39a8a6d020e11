// Package catalog is a node's small durable memory, the bbolt file catalog.db: who the node is, how often it
// has started, and what group 0 has agreed on: settings, topology, group table, routing, epoch, applied index.
//
// It hides bbolt, the file's records, their checksums and the format's history. It guarantees that every
// change is one transaction (P22, P30), that versions, epoch, incarnation and applied index only rise (P32), and
// that what it hands out was read whole: bbolt guards none of its data pages, so each record has a CRC32C over
// its key and body, and a seal names all records there are.
//
// A Catalog is also the deterministic state machine of group 0: Apply takes committed commands, and nodes
// that applied the same commands hold the same state (Snapshot.Digest).
//
// Any goroutine may call any method. Reads (View) come from memory and never block. Changes come one at a time;
// after a commit that returned an error the catalog is fenced, as the outcome on disk is unknown. So room is asked
// for first: without it a change is refused with wire.ErrNoSpace and may be repeated.
//
//	c, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{})
//	if _, born := c.Identity(); !born { err = c.Bootstrap(birth) }
//	incarnation, err := c.NextIncarnation()
//	results, err := c.Apply(last, commands) // group 0's commands, in log order
//	group := c.View().Routing.Of(key)
package catalog
