package multiraft

import (
	"fmt"

	"flotilla/raft/wire"
)

// An entry of kind EntryData holds one to maxPackedCommands commands: [version, command...] with each
// command as binary. Results are addressed by the entry's index and the command's position.
const packVersion = 1

// maxUnpackedCommands bounds what is read; more than is ever written, so that the limit may rise
// while nodes of two versions run together.
const maxUnpackedCommands = 1 << 16

// packOverhead bounds what packing adds to one command.
const packOverhead = 5

// batchOf returns how many of props, from the first, go into the next entry: commands up to the limits, of
// which the first always fits, or one change of the membership, or one entry without content.
func batchOf(props []*proposal) int {
	size := 0
	for n, p := range props {
		size += len(p.data) + packOverhead
		switch {
		case p.change != nil || p.empty:
			return max(n, 1)
		case n > 0 && (n >= maxPackedCommands || size > maxPackedBytes):
			return n
		}
	}
	return len(props)
}

// packOne encodes one command into an entry's data.
func packOne(data []byte) []byte {
	return pack([]*proposal{{data: data}})
}

// pack encodes the commands of props into one entry's data, in an allocation of its own.
func pack(props []*proposal) []byte {
	size := 2 + packOverhead
	for _, p := range props {
		size += len(p.data) + packOverhead
	}
	dst := wire.AppendArray(make([]byte, 0, size), len(props)+1)
	dst = wire.AppendUint(dst, packVersion)
	for _, p := range props {
		dst = appendCommand(dst, p.data)
	}
	return dst
}

// appendCommand appends one command; nil and empty are the same command.
func appendCommand(dst, data []byte) []byte {
	if data == nil {
		data = []byte{}
	}
	return wire.AppendBytes(dst, data)
}

// unpack appends the commands of e to dst. Their data alias the entry. An entry that cannot be understood is an
// error for the whole replica, never skipped (F17).
func unpack(dst []Command, e *wire.Entry) ([]Command, error) {
	var r wire.Reader
	r.Reset(e.Data)
	n := r.ArrayLen(maxUnpackedCommands + 1)
	if version := r.Uint(); r.Err() == nil && version != packVersion {
		r.Fail("pack version", wire.ErrInvalid)
	}
	for range n - 1 {
		data := r.Bytes()
		if r.Err() != nil {
			break
		}
		dst = append(dst, Command{Index: e.Index, Term: e.Term, Data: data})
	}
	if err := r.Done(); err != nil {
		return dst, fmt.Errorf("unpack entry %d of term %d: %w", e.Index, e.Term, err)
	}
	return dst, nil
}
