package snapshotstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"flotilla/raft/wire"
)

const (
	headerMagic = 0x464c5453 // "FLTS"
	// formatVersion is that of files and of what is inside a transfer.
	formatVersion = 1
	// headerFixed are the bytes before the membership.
	headerFixed = 72
	// headerLead is what says how long the header is.
	headerLead = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ID identifies a snapshot by its content: everything in the header but the epoch, and the body.
type ID [16]byte

// String returns 32 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Epoch is the cluster's fence token as package epoch has it.
type Epoch uint64

// State says of which state of which group something is a snapshot.
type State struct {
	Group wire.GroupID
	// Index is the last entry applied to it, Term that entry's.
	Index wire.Index
	Term  wire.Term
	// Membership is the one in effect at Index, all four lists of it (D53, D59).
	Membership wire.Membership
	// Epoch is the one that the maker had applied. It says something about the maker, so it is no part of the ID.
	Epoch Epoch
}

// Header is what stands in front of a snapshot's body.
type Header struct {
	ID ID
	State
	// BodyLength is that of the machine's bytes.
	BodyLength uint64
	// ChunkSize is the length in bytes of every chunk but the last.
	ChunkSize uint32
}

// Validate returns nil, or an ErrHeader with what the format cannot express.
func (h *Header) Validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrHeader, what) }
	switch {
	case h.Group > wire.MaxNumber:
		return bad("group")
	case h.Index == 0 || h.Index > wire.MaxNumber:
		return bad("index")
	case h.Term == 0 || h.Term > wire.MaxNumber:
		return bad("term")
	case h.Membership.Index > h.Index:
		return bad("membership is later than the state")
	case !h.Membership.WellFormed() || len(h.Membership.Voters) == 0:
		return bad("membership")
	case h.BodyLength > MaxBody:
		return bad("body length")
	case h.ChunkSize < MinChunk || h.ChunkSize > MaxChunk:
		return bad("chunk size")
	}
	return nil
}

// Snapshot names the state as the core does.
func (h *Header) Snapshot() wire.Snapshot {
	return wire.Snapshot{Index: h.Index, Term: h.Term, Membership: h.Membership}
}

// FileSize is that of the snapshot's file in bytes: header, chunks, trailer.
func (h *Header) FileSize() int64 { return h.at(h.BodyLength) + trailerSize }

// at is where in the file the chunk that begins at offset of the body stands, or the trailer for the body's end.
func (h *Header) at(offset uint64) int64 {
	size := uint64(h.ChunkSize)
	chunks := (offset + size - 1) / size
	return int64(uint64(h.size()) + chunks*chunkLead + offset)
}

// size is that of the encoded header.
func (h *Header) size() int { return len(appendHeader(nil, h)) }

// chunkAt is the length of the chunk that begins at offset.
func (h *Header) chunkAt(offset uint64) int {
	return int(min(uint64(h.ChunkSize), h.BodyLength-offset))
}

// boundary reports whether a chunk begins at offset, or the body ends there.
func (h *Header) boundary(offset uint64) bool {
	return offset <= h.BodyLength && (offset%uint64(h.ChunkSize) == 0 || offset == h.BodyLength)
}

// idOf makes the ID that h has with a body of that checksum.
func (h *Header) idOf(body [sha256.Size]byte) ID {
	b := append(make([]byte, 0, 256), "flotilla snapshot 1\x00"...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Group))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Index))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Term))
	b = binary.BigEndian.AppendUint64(b, h.BodyLength)
	b = binary.BigEndian.AppendUint32(b, h.ChunkSize)
	b = wire.AppendMembership(b, &h.Membership)
	sum := sha256.Sum256(append(b, body[:]...))
	return ID(sum[:len(ID{})])
}

// equal reports whether two headers are the same in all their fields.
func (h *Header) equal(o *Header) bool {
	return bytes.Equal(appendHeader(nil, h), appendHeader(nil, o))
}

// sameContent reports whether two headers differ in their epochs at most.
func (h *Header) sameContent(o *Header) bool {
	a, b := *h, *o
	a.Epoch = b.Epoch
	return a.equal(&b)
}

// appendHeader appends h as it stands at the start of a file and in an offer.
func appendHeader(dst []byte, h *Header) []byte {
	start := len(dst)
	dst = slices.Grow(dst, 256)
	dst = binary.BigEndian.AppendUint32(dst, headerMagic)
	dst = binary.BigEndian.AppendUint32(dst, formatVersion)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = append(dst, h.ID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Group))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Index))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Term))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Epoch))
	dst = binary.BigEndian.AppendUint64(dst, h.BodyLength)
	dst = binary.BigEndian.AppendUint32(dst, h.ChunkSize)
	dst = wire.AppendMembership(dst, &h.Membership)
	b := dst[start:]
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)+4))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(b, castagnoli))
}

// headerLength reads from the first headerLead bytes how long the header is. Where it says so, and where the checksum
// stands, is the same in every version, so that rot and a later version can be told apart.
func headerLength(lead []byte) (int, error) {
	if binary.BigEndian.Uint32(lead) != headerMagic {
		return 0, corrupt("header", 0, errMagic)
	}
	n := binary.BigEndian.Uint32(lead[8:])
	if n < headerLead+4 || n > maxHeader {
		return 0, corrupt("header", 8, errLength)
	}
	return int(n), nil
}

// parseHeader reads what appendHeader appends, and nothing else: b is exactly the header.
func parseHeader(b []byte) (Header, error) {
	if len(b) < headerLead {
		return Header{}, corrupt("header", uint64(len(b)), io.ErrUnexpectedEOF)
	}
	n, err := headerLength(b)
	switch {
	case err != nil:
		return Header{}, err
	case len(b) < n:
		return Header{}, corrupt("header", uint64(len(b)), io.ErrUnexpectedEOF)
	case len(b) > n:
		return Header{}, corrupt("header", uint64(n), errTrailing)
	case crc32.Checksum(b[:n-4], castagnoli) != binary.BigEndian.Uint32(b[n-4:]):
		return Header{}, corrupt("header", 0, errChecksum)
	case binary.BigEndian.Uint32(b[4:]) != formatVersion:
		return Header{}, &VersionError{What: "snapshot", Version: binary.BigEndian.Uint32(b[4:])}
	case n < headerFixed+4:
		return Header{}, corrupt("header", 8, errLength)
	}
	return parseFields(b)
}

func parseFields(b []byte) (Header, error) {
	h := Header{
		ID: ID(b[12:28]),
		State: State{
			Group: wire.GroupID(binary.BigEndian.Uint64(b[28:])), Index: wire.Index(binary.BigEndian.Uint64(b[36:])),
			Term: wire.Term(binary.BigEndian.Uint64(b[44:])), Epoch: Epoch(binary.BigEndian.Uint64(b[52:])),
		},
		BodyLength: binary.BigEndian.Uint64(b[60:]), ChunkSize: binary.BigEndian.Uint32(b[68:]),
	}
	r := wire.NewReader(b[headerFixed : len(b)-4])
	h.Membership = wire.ReadMembership(r)
	if err := r.Done(); err != nil {
		return Header{}, corrupt("header", headerFixed, err)
	}
	if err := h.Validate(); err != nil {
		return Header{}, corrupt("header", headerLead, err)
	}
	if !bytes.Equal(appendHeader(nil, &h), b) {
		return Header{}, corrupt("header", headerFixed, errCanonical)
	}
	return h, nil
}

// readHeader reads a header from a stream, believing no length beyond maxHeader.
func readHeader(r io.Reader) (Header, error) {
	b := make([]byte, headerLead, 256)
	if err := readFull(r, b, "header", 0); err != nil {
		return Header{}, err
	}
	n, err := headerLength(b)
	if err != nil {
		return Header{}, err
	}
	b = append(b, make([]byte, n-headerLead)...)
	if err := readFull(r, b[headerLead:], "header", headerLead); err != nil {
		return Header{}, err
	}
	return parseHeader(b)
}

// readFull fills b. An end before that is corruption; another failure is the reader's own.
func readFull(r io.Reader, b []byte, what string, offset uint64) error {
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return nil
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return corrupt(what, offset+uint64(n), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read %s of a snapshot: %w", what, err)
}
