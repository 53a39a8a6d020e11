// Package wire holds the words that every storey of flotilla speaks: identifiers, log entries, hard
// state, memberships, messages between replicas, log updates, and the errors that cross ports.
//
// It hides nothing but encoding. Values here are plain data without behaviour of their own; whoever
// holds one may copy it. Slices reached from them (Entry.Data, Message.Entries, Membership.Voters)
// are immutable once they are part of a value that was handed on: nobody writes to them again.
//
// The codec (codec.go) is a hand-written, bounded subset of msgpack: each declared length is compared
// with the bytes left before anything is allocated, and reflection never touches peer bytes.
// docs/format.md has the byte tables.
package wire
