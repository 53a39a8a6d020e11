package framing

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

// Preface is what each side says first on each lane stream. Layout in docs/format.md.
type Preface struct {
	Cluster     wire.ClusterID
	Node        wire.NodeID
	Incarnation wire.Incarnation
	Generation  wire.Generation
	// Boot is random per process life: it tells a cloned data directory from a reconnect (D57).
	Boot uint64
	Lane Lane
	// Index tells lanes of one kind apart, from 0.
	Index uint8
	// Versions is the range of wire versions spoken.
	Versions Versions
}

// Versions is an inclusive range of wire versions.
type Versions struct{ Min, Max uint64 }

// Negotiate returns the highest version both ranges hold, and whether there is one (P35).
func (v Versions) Negotiate(o Versions) (uint64, bool) {
	lo, hi := max(v.Min, o.Min), min(v.Max, o.Max)
	return hi, lo <= hi && lo >= 1
}

// Append appends the encoded preface.
func (p *Preface) Append(dst []byte) []byte {
	dst = append(dst, prefaceMagic[:]...)
	at := len(dst)
	dst = append(dst, 0, 0)
	dst = wire.AppendArray(dst, prefaceFields)
	dst = wire.AppendBytes(dst, p.Cluster[:])
	dst = wire.AppendUint(dst, uint64(p.Node))
	dst = wire.AppendUint(dst, uint64(p.Incarnation))
	dst = wire.AppendUint(dst, uint64(p.Generation))
	dst = wire.AppendUint(dst, p.Boot)
	dst = wire.AppendUint(dst, uint64(p.Lane))
	dst = wire.AppendUint(dst, uint64(p.Index))
	dst = wire.AppendUint(dst, p.Versions.Min)
	dst = wire.AppendUint(dst, p.Versions.Max)
	dst = wire.AppendNil(dst) // reserved
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

// ReadPreface reads one preface and not a byte more. Errors are ErrBadFrame, or those of r.
func ReadPreface(r io.Reader) (Preface, error) {
	var head [6]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Preface{}, fmt.Errorf("read preface: %w", err)
	}
	if [4]byte(head[:4]) != prefaceMagic {
		return Preface{}, fmt.Errorf("preface begins with %x, want %x: %w", head[:4], prefaceMagic, ErrBadFrame)
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	if n > maxPreface {
		return Preface{}, fmt.Errorf("preface of %d bytes, at most %d: %w", n, maxPreface, ErrBadFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return Preface{}, fmt.Errorf("read preface: %w", err)
	}
	return parsePreface(body)
}

// Confirms says whether a later preface of the same connection agrees with the first.
func (p *Preface) Confirms(later *Preface) error {
	same := *p
	same.Lane, same.Index = later.Lane, later.Index
	if same != *later {
		return fmt.Errorf("lane %d.%d contradicts the first preface: %w", later.Lane, later.Index, ErrBadFrame)
	}
	return nil
}

// parsePreface parses what follows the length.
func parsePreface(body []byte) (Preface, error) {
	r := wire.NewReader(body)
	if n := r.ArrayLen(maxPreface); n < prefaceFields && r.Err() == nil {
		r.Fail("preface", wire.ErrInvalid)
	}
	cluster := r.Bytes()
	p := Preface{
		Node:        wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))),
		Incarnation: wire.Incarnation(r.Uint()),
		Generation:  wire.Generation(r.Uint()),
		Boot:        r.Uint(),
		Lane:        Lane(r.UintMax(0xff)),
		Index:       uint8(r.UintMax(0xff)),
		Versions:    Versions{Min: r.Uint(), Max: r.Uint()},
	}
	if r.Err() == nil && (len(cluster) != len(p.Cluster) || p.Node == wire.NoNode) {
		r.Fail("preface", wire.ErrInvalid)
	}
	if err := r.Err(); err != nil {
		return Preface{}, fmt.Errorf("parse preface: %w: %w", err, ErrBadFrame)
	}
	copy(p.Cluster[:], cluster)
	return p, nil
}
