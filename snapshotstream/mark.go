package snapshotstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	markMagic = 0x464c544d // "FLTM"
	markSize  = 48
	// markStride keeps the two slots in sectors of their own, so that a torn write harms one of them.
	markStride = 512
)

type markState uint32

const (
	receiving markState = 1
	// sealed: all of it is here, durable and verified. All that is left to do is to give it its name.
	sealed markState = 2
)

// mark says up to where the body of a staged snapshot is durable. There are two slots, written in turn, so that one of
// them is always whole. An older mark than the last is true as well, only less.
type mark struct {
	id     ID
	seq    uint64
	offset uint64
	state  markState
}

func appendMark(dst []byte, m *mark) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, markMagic)
	dst = binary.BigEndian.AppendUint32(dst, formatVersion)
	dst = append(dst, m.id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, m.seq)
	dst = binary.BigEndian.AppendUint64(dst, m.offset)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.state))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseMark(b []byte) (mark, bool) {
	if len(b) != markSize || binary.BigEndian.Uint32(b) != markMagic || binary.BigEndian.Uint32(b[4:]) != formatVersion ||
		binary.BigEndian.Uint32(b[markSize-4:]) != crc32.Checksum(b[:markSize-4], castagnoli) {
		return mark{}, false
	}
	m := mark{
		id: ID(b[8:24]), seq: binary.BigEndian.Uint64(b[24:]), offset: binary.BigEndian.Uint64(b[32:]),
		state: markState(binary.BigEndian.Uint32(b[40:])),
	}
	return m, m.state == receiving || m.state == sealed
}

// writeMark puts m into its slot and makes it durable.
func writeMark(f File, m *mark) error {
	if _, err := f.WriteAt(appendMark(nil, m), int64(m.seq%2)*markStride); err != nil {
		return fmt.Errorf("write mark at byte %d: %w", m.offset, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync mark at byte %d: %w", m.offset, err)
	}
	return nil
}

// readMark returns the later of the slots that are whole.
func readMark(f File) (mark, bool, error) {
	var latest mark
	found := false
	for slot := range int64(2) {
		b := make([]byte, markSize)
		n, err := f.ReadAt(b, slot*markStride)
		if err != nil && err != io.EOF {
			return mark{}, false, err
		}
		if m, ok := parseMark(b[:n]); ok && (!found || m.seq > latest.seq) {
			latest, found = m, true
		}
	}
	return latest, found, nil
}
