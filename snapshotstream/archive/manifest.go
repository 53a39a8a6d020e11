package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

const (
	leadMagic     = 0x464c5441 // "FLTA"
	formatVersion = 1
	// leadFixed is what says how long the lead is.
	leadFixed = 12

	groupMagic = 0x464c5447 // "FLTG"
	groupSize  = 16

	trailerMagic = 0x464c545a // "FLTZ"
	trailerSize  = 4 + 4 + 8 + 32 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reasons of a snapshotstream.CorruptError.
var (
	errMagic     = errors.New("not an archive")
	errChecksum  = errors.New("checksum does not match")
	errTrailing  = errors.New("trailing bytes")
	errCanonical = errors.New("not in its shortest form")
	errWhole     = errors.New("checksum of the whole does not match")
	errPlace     = errors.New("not what has to stand here")
	errLength    = errors.New("length out of bounds")
)

// ErrManifest says that a manifest is outside of what the format can express.
var ErrManifest = errors.New("manifest of an archive invalid")

func corrupt(what string, offset uint64, err error) error {
	return &snapshotstream.CorruptError{What: "archive's " + what, Offset: offset, Err: err}
}

// Manifest says what was saved. Settings, topology, groups and routing are group 0's state.
type Manifest struct {
	ClusterID wire.ClusterID
	Cluster   string
	// Epoch is the one that the node which was asked had applied.
	Epoch epoch.Epoch
	// Saved is when the saving began, by the clock of whoever saved; whole seconds, UTC.
	Saved time.Time
	// Program is the version of the program that saved it.
	Program string
}

// Validate returns nil, or an ErrManifest with what the format cannot express.
func (m *Manifest) Validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrManifest, what) }
	switch {
	case m.ClusterID == (wire.ClusterID{}):
		return bad("no cluster id")
	case m.Cluster == "" || len(m.Cluster) > maxName:
		return bad("name of the cluster")
	case m.Epoch > wire.MaxNumber:
		return bad("epoch")
	case m.Saved.Unix() < 0 || m.Saved.Nanosecond() != 0 || m.Saved.Location() != time.UTC:
		return bad("time")
	case len(m.Program) > maxProgram || !catalog.ValidVersion(m.Program):
		return bad("version of the program")
	}
	return nil
}

func appendLead(dst []byte, m *Manifest) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, leadMagic)
	dst = binary.BigEndian.AppendUint32(dst, formatVersion)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = wire.AppendBytes(wire.AppendArray(dst, 5), m.ClusterID[:])
	dst = wire.AppendUint(wire.AppendString(dst, m.Cluster), uint64(m.Epoch))
	dst = wire.AppendString(wire.AppendUint(dst, uint64(m.Saved.Unix())), m.Program)
	b := dst[start:]
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)+4))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(b, castagnoli))
}

// readLead reads what appendLead appends, and nothing else, believing no length beyond maxLead.
func readLead(r io.Reader) (Manifest, error) {
	b := make([]byte, leadFixed, 256)
	if err := readFull(r, b, "lead", 0); err != nil {
		return Manifest{}, err
	}
	n := binary.BigEndian.Uint32(b[8:])
	switch {
	case binary.BigEndian.Uint32(b) != leadMagic:
		return Manifest{}, corrupt("lead", 0, errMagic)
	case n < leadFixed+4 || n > maxLead:
		return Manifest{}, corrupt("lead", 8, errLength)
	}
	b = append(b, make([]byte, n-leadFixed)...)
	if err := readFull(r, b[leadFixed:], "lead", leadFixed); err != nil {
		return Manifest{}, err
	}
	switch {
	case crc32.Checksum(b[:n-4], castagnoli) != binary.BigEndian.Uint32(b[n-4:]):
		return Manifest{}, corrupt("lead", 0, errChecksum)
	case binary.BigEndian.Uint32(b[4:]) != formatVersion:
		return Manifest{}, &snapshotstream.VersionError{What: "archive", Version: binary.BigEndian.Uint32(b[4:])}
	}
	m, err := parseManifest(b[leadFixed : n-4])
	switch {
	case err != nil:
		return Manifest{}, corrupt("lead", leadFixed, err)
	case !bytes.Equal(appendLead(nil, &m), b):
		return Manifest{}, corrupt("lead", leadFixed, errCanonical)
	}
	return m, nil
}

func parseManifest(b []byte) (Manifest, error) {
	r := wire.NewReader(b)
	r.Array(5)
	var m Manifest
	if copy(m.ClusterID[:], r.Bytes()) != len(m.ClusterID) {
		r.Fail("cluster id", wire.ErrInvalid)
	}
	m.Cluster, m.Epoch = r.String(maxName), epoch.Epoch(r.UintMax(wire.MaxNumber))
	m.Saved, m.Program = time.Unix(int64(r.UintMax(wire.MaxNumber)), 0).UTC(), r.String(maxProgram)
	if err := r.Done(); err != nil {
		return Manifest{}, err
	}
	return m, m.Validate()
}

// appendGroup appends what stands in front of a snapshot of length bytes.
func appendGroup(dst []byte, length uint64) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, groupMagic)
	dst = binary.BigEndian.AppendUint64(dst, length)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseGroup(b []byte, at uint64) (length uint64, err error) {
	switch {
	case crc32.Checksum(b[:groupSize-4], castagnoli) != binary.BigEndian.Uint32(b[groupSize-4:]):
		return 0, corrupt("group", at, errChecksum)
	case binary.BigEndian.Uint32(b) != groupMagic:
		return 0, corrupt("group", at, errPlace)
	}
	if length = binary.BigEndian.Uint64(b[4:]); length > 2*snapshotstream.MaxBody {
		return 0, corrupt("group", at+4, errLength)
	}
	return length, nil
}

// appendTrailer appends the end of an archive whose length bytes before it have the checksum sum.
func appendTrailer(dst []byte, groups int, length uint64, sum [32]byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, trailerMagic)
	dst = binary.BigEndian.AppendUint32(dst, uint32(groups))
	dst = append(binary.BigEndian.AppendUint64(dst, length), sum[:]...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// readFull fills b. An end before that is corruption; another failure is the reader's own.
func readFull(r io.Reader, b []byte, what string, offset uint64) error {
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt(what, offset+uint64(n), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read %s of an archive: %w", what, err)
}
