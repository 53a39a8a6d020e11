package snapshotstream

import (
	"encoding/binary"

	"flotilla/raft/wire"
)

// EncodeHeaderOfVersion is a header as a later program could write it.
func EncodeHeaderOfVersion(h Header, version uint32) []byte {
	b := appendHeader(nil, &h)
	binary.BigEndian.PutUint32(b[4:], version)
	return reseal(b, len(b))
}

// Struck is how many snapshots of a group have strikes.
func (s *Store) Struck(id wire.GroupID) int { return len(s.group(id).struck) }
