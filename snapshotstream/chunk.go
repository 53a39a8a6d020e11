package snapshotstream

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"flotilla/internal/mutant"
)

const (
	// chunkLead are the bytes in front of a chunk's data: offset, length, checksum.
	chunkLead = 16
	// chunkCovered are those of them that the checksum covers, beside the data.
	chunkCovered = 12

	trailerMagic = 0x464c5445 // "FLTE"
	trailerSize  = 4 + 8 + sha256.Size + 4
)

// sealChunk fills the lead of record, whose data stands behind it already.
func sealChunk(record []byte, offset uint64) {
	binary.BigEndian.PutUint64(record, offset)
	binary.BigEndian.PutUint32(record[8:], uint32(len(record)-chunkLead))
	binary.BigEndian.PutUint32(record[chunkCovered:], chunkSum(record))
}

func chunkSum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:chunkCovered], castagnoli), castagnoli, record[chunkLead:])
}

// checkLead says whether a chunk of length bytes begins here, at offset. It is asked before the data is read, so that
// no declared length is believed.
func checkLead(lead []byte, offset uint64, length int) error {
	if binary.BigEndian.Uint64(lead) != offset || binary.BigEndian.Uint32(lead[8:]) != uint32(length) {
		return corrupt("chunk", offset, errPlace)
	}
	return nil
}

// checkChunk says whether record is the chunk of its length that begins at offset, as it was written.
func checkChunk(record []byte, offset uint64) error {
	if err := checkLead(record, offset, len(record)-chunkLead); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(record[chunkCovered:]) != chunkSum(record) && !mutant.Is(mutant.ForgetChunkCRC) {
		return corrupt("chunk", offset, errChecksum)
	}
	return nil
}

// appendTrailer appends what stands behind the last chunk.
func appendTrailer(dst []byte, length uint64, sum [sha256.Size]byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, trailerMagic)
	dst = binary.BigEndian.AppendUint64(dst, length)
	dst = append(dst, sum[:]...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseTrailer reads what appendTrailer appends and returns the checksum of the whole body, if it is the trailer of h.
func parseTrailer(b []byte, h *Header) ([sha256.Size]byte, error) {
	at := uint64(h.at(h.BodyLength))
	var sum [sha256.Size]byte
	switch {
	case len(b) != trailerSize:
		return sum, corrupt("trailer", at, errLength)
	case binary.BigEndian.Uint32(b[trailerSize-4:]) != crc32.Checksum(b[:trailerSize-4], castagnoli):
		return sum, corrupt("trailer", at, errChecksum)
	case binary.BigEndian.Uint32(b) != trailerMagic || binary.BigEndian.Uint64(b[4:]) != h.BodyLength:
		return sum, corrupt("trailer", at, errPlace)
	}
	sum = [sha256.Size]byte(b[12:])
	if h.idOf(sum) != h.ID {
		return sum, corrupt("trailer", at, errID)
	}
	return sum, nil
}
