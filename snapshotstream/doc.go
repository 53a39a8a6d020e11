// Package snapshotstream moves a group's state between machines and keeps it on disk: a framed and checksummed format,
// a session that resumes where it broke, and a directory in which a snapshot is there whole or not at all. It knows
// neither raft nor QUIC: states are bytes under a Header, connections are io.Reader and io.Writer.
//
// What it guarantees: memory for one chunk on either side, whatever the state's size; every changed bit is found, in a
// file and on the way, before the snapshot is installed; what was confirmed as received is durable, and a transfer of
// the same snapshot, from whichever node, goes on there after a crash of either side; after a crash at any step the
// directory holds the snapshots it held before, or those and the new one.
//
// A snapshot's ID is made from what is in it, so two nodes whose machines write equal bytes for equal states hold the
// same snapshot, and one can continue what the other began. DESIGN.md has the steps, docs/format.md the bytes.
//
//	enc, err := snapshotstream.NewEncoder(w, header) // the header of a finished snapshot
//	_, err = io.Copy(enc, body)
//	err = enc.Close()                                // fails unless body was what the header says
//
//	dec, err := snapshotstream.NewDecoder(r)
//	_, err = io.Copy(machine, dec)                   // nil only if every byte up to the end of r was right
package snapshotstream
