// Package kv is flotilla's default replicated state machine: an ordered key-value map with
// compare-and-set by revision, and sessions that make every write happen exactly once.
//
// It hides the tree, the table of sessions and the byte forms. It guarantees determinism: machines that
// applied the same commands have the same Hash, whatever the batches were, because nothing here reads a
// clock, draws a random number or iterates over a Go map.
//
// Revisions: a group's revision counter rises by one with each write that changes something; a key
// remembers the revision of its last write. A precondition names the revision a key must have, 0 for "must
// not exist".
//
// Sessions: OpOpen returns a session id, unique in the group; a state that was restored from a backup gives those out again that were
// opened after it, so clients begin their sequences where nobody else does. Commands of a session carry a rising sequence
// number and a mark below which the client will never ask again. The result of a sequence is kept
// until the mark has passed it; a repeated sequence gets the kept result and changes nothing (N7). How many
// sessions and results are kept is bounded (limits.go); the least recently used session, by log order,
// goes first, and its commands are refused with StatusSessionExpired ever after.
//
// A state leaves a machine by Freeze, which costs next to nothing, and comes back by Restore, all of it or nothing.
// Equal states are equal bytes, whatever their histories.
//
// A Machine has one owner, as multiraft.StateMachine says, and no lock. Example:
//
//	m := kv.New()
//	put := kv.Command{Op: kv.OpPut, Key: []byte("a"), Value: []byte("1"), Require: kv.AtRevision(0)}
//	results, err := m.Apply([]multiraft.Command{{Index: 1, Term: 1, Data: kv.AppendCommand(nil, &put)}})
package kv
