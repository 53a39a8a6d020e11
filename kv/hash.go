package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Hash returns a digest of the whole state: items, revision, sessions in order of use, kept results. Two
// machines that applied the same commands have the same one. Costs a walk over everything.
func (m *Machine) Hash() [sha256.Size]byte {
	h := sha256.New()
	putNumbers(h, uint64(m.revision), uint64(m.tree.Len()), m.bytes)
	m.tree.Scan(func(key string, it item) bool {
		putNumbers(h, uint64(len(key)), uint64(len(it.value)), uint64(it.revision))
		_, _ = h.Write([]byte(key)) // a hash.Hash never returns an error
		_, _ = h.Write([]byte(it.value))
		return true
	})
	putNumbers(h, uint64(len(m.sessions.byID)), uint64(m.sessions.last), uint64(m.sessions.results))
	for s := m.sessions.root.next; s != &m.sessions.root; s = s.next {
		putNumbers(h, uint64(s.id), uint64(s.acked), uint64(len(s.ring)))
		for i := range Sequence(len(s.ring)) {
			o := s.at(s.acked + i)
			putNumbers(h, uint64(o.status), uint64(o.revision))
		}
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

func putNumbers(h hash.Hash, vs ...uint64) {
	var b [8]byte
	for _, v := range vs {
		binary.BigEndian.PutUint64(b[:], v)
		_, _ = h.Write(b[:])
	}
}
