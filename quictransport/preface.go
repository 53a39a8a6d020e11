package quictransport

import (
	"encoding/binary"
	"fmt"
	"io"

	"flotilla/raft/wire"
)

// prefaceMagic are the first bytes of every lane stream, the last of them the preface's own version.
var prefaceMagic = [4]byte{'F', 'L', 'P', 1}

// prefaceFields is the number of fields this build writes; a later one may append more, which are skipped.
const prefaceFields = 10

// preface is what each side says first on each lane stream. Layout in docs/format.md.
type preface struct {
	cluster     wire.ClusterID
	node        wire.NodeID
	incarnation wire.Incarnation
	generation  wire.Generation
	// boot is random per process life: it tells a cloned data directory from a reconnect (D57).
	boot uint64
	lane laneKind
	// index tells lanes of one kind apart, from 0.
	index uint8
	// versions is the range of wire versions spoken.
	versions versionRange
}

// versionRange is an inclusive range of wire versions.
type versionRange struct{ min, max uint64 }

// negotiate returns the highest version both ranges hold, and whether there is one (P35).
func (v versionRange) negotiate(o versionRange) (uint64, bool) {
	lo, hi := max(v.min, o.min), min(v.max, o.max)
	return hi, lo <= hi && lo >= 1
}

// append appends the encoded preface.
func (p *preface) append(dst []byte) []byte {
	dst = append(dst, prefaceMagic[:]...)
	at := len(dst)
	dst = append(dst, 0, 0)
	dst = wire.AppendArray(dst, prefaceFields)
	dst = wire.AppendBytes(dst, p.cluster[:])
	dst = wire.AppendUint(dst, uint64(p.node))
	dst = wire.AppendUint(dst, uint64(p.incarnation))
	dst = wire.AppendUint(dst, uint64(p.generation))
	dst = wire.AppendUint(dst, p.boot)
	dst = wire.AppendUint(dst, uint64(p.lane))
	dst = wire.AppendUint(dst, uint64(p.index))
	dst = wire.AppendUint(dst, p.versions.min)
	dst = wire.AppendUint(dst, p.versions.max)
	dst = wire.AppendNil(dst) // reserved
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

// readPreface reads one preface and not a byte more.
func readPreface(r io.Reader) (preface, error) {
	var head [6]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return preface{}, fmt.Errorf("read preface: %w", err)
	}
	if [4]byte(head[:4]) != prefaceMagic {
		return preface{}, fmt.Errorf("preface begins with %x, want %x: %w", head[:4], prefaceMagic, errBadFrame)
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	if n > maxPreface {
		return preface{}, fmt.Errorf("preface of %d bytes, at most %d: %w", n, maxPreface, errBadFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return preface{}, fmt.Errorf("read preface: %w", err)
	}
	return parsePreface(body)
}

// parsePreface parses what follows the length.
func parsePreface(body []byte) (preface, error) {
	r := wire.NewReader(body)
	if n := r.ArrayLen(maxPreface); n < prefaceFields && r.Err() == nil {
		r.Fail("preface", wire.ErrInvalid)
	}
	cluster := r.Bytes()
	p := preface{
		node:        wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))),
		incarnation: wire.Incarnation(r.Uint()),
		generation:  wire.Generation(r.Uint()),
		boot:        r.Uint(),
		lane:        laneKind(r.UintMax(0xff)),
		index:       uint8(r.UintMax(0xff)),
		versions:    versionRange{min: r.Uint(), max: r.Uint()},
	}
	if r.Err() == nil && (len(cluster) != len(p.cluster) || p.node == wire.NoNode) {
		r.Fail("preface", wire.ErrInvalid)
	}
	if err := r.Err(); err != nil {
		return preface{}, fmt.Errorf("parse preface: %w: %w", err, errBadFrame)
	}
	copy(p.cluster[:], cluster)
	return p, nil
}
