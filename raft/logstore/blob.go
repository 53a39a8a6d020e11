package logstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// A blob is what one commit wrote for all groups; docs/format.md has the byte table. Numbers are big endian.
//
//	header (32)  magic u32, version u32, generation u64, sequence u64, count u32, CRC32C u32 of header and directory
//	directory    count times {group u64, length u32}
//	records      count times {length u32, CRC32C u32, payload}
//
// Each record carries its own checksum, so a flipped bit concerns one group; lengths stand twice, so no
// flipped bit makes the others unfindable. The scope of a record's checksum begins with generation, sequence
// and offset: a record found at another place than it was written to is not valid.
const (
	blobMagic       = 0x464c544a // "FLTJ"
	blobVersion     = 1
	blobHeaderBytes = 32
	dirEntryBytes   = 12
	recHeaderBytes  = 8

	// minEntryBytes is the smallest encoding of an entry; it bounds what a count may make us allocate.
	minEntryBytes = 5
)

// The parts a record has, as bits of its first field.
const (
	hasCreate = 1 << iota
	hasDrop
	hasHardState
	hasMembership
	hasCompact
	hasEntries
	hasMoved
	hasReset

	allParts = hasReset<<1 - 1
)

// record is one group's part of a blob: an update, or entries copied forward (moved).
type record struct {
	update wire.LogUpdate
	moved  bool
	off    uint32 // of the record's header in the blob
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordSum is the checksum of a record's payload at its place.
func recordSum(gen uint32, seq uint64, off uint32, payload []byte) uint32 {
	var place [20]byte
	binary.BigEndian.PutUint64(place[0:], uint64(gen))
	binary.BigEndian.PutUint64(place[8:], seq)
	binary.BigEndian.PutUint32(place[16:], off)
	return crc32.Update(crc32.Update(0, castagnoli, place[:]), castagnoli, payload)
}

// headerSum is the checksum of header and directory.
func headerSum(header, directory []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, header[:blobHeaderBytes-4]), castagnoli, directory)
}

// appendBlob appends the blob of recs to dst, which must be empty, and sets each record's offset.
func appendBlob(dst []byte, gen uint32, seq uint64, recs []record) []byte {
	body := blobHeaderBytes + len(recs)*dirEntryBytes
	dst = grow(dst, body)
	for i := range recs {
		rec := &recs[i]
		start := len(dst)
		rec.off = uint32(start)
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
		dst = appendPayload(dst, rec)
		payload := dst[start+recHeaderBytes:]
		binary.BigEndian.PutUint32(dst[start:], uint32(len(payload)))
		binary.BigEndian.PutUint32(dst[start+4:], recordSum(gen, seq, rec.off, payload))
		dir := dst[blobHeaderBytes+i*dirEntryBytes:]
		binary.BigEndian.PutUint64(dir, uint64(rec.update.Group))
		binary.BigEndian.PutUint32(dir[8:], uint32(len(payload)))
	}
	binary.BigEndian.PutUint32(dst[0:], blobMagic)
	binary.BigEndian.PutUint32(dst[4:], blobVersion)
	binary.BigEndian.PutUint64(dst[8:], uint64(gen))
	binary.BigEndian.PutUint64(dst[16:], seq)
	binary.BigEndian.PutUint32(dst[24:], uint32(len(recs)))
	binary.BigEndian.PutUint32(dst[28:], headerSum(dst, dst[blobHeaderBytes:body]))
	return dst
}

// grow returns dst[:n] with undefined content.
func grow(dst []byte, n int) []byte {
	if cap(dst) < n {
		return make([]byte, n, 2*n)
	}
	return dst[:n]
}

func appendPayload(dst []byte, rec *record) []byte {
	u := &rec.update
	dst = wire.AppendUint(dst, parts(rec))
	dst = wire.AppendUint(dst, uint64(u.Group))
	if u.SetHardState {
		dst = wire.AppendHardState(dst, u.HardState)
	}
	if u.Create || u.SetMembership {
		dst = wire.AppendMembership(dst, &u.Membership)
	}
	if u.ResetTo != 0 {
		dst = wire.AppendUint(dst, uint64(u.ResetTo))
		dst = wire.AppendUint(dst, uint64(u.ResetTerm))
	}
	if u.CompactTo != 0 {
		dst = wire.AppendUint(dst, uint64(u.CompactTo))
	}
	if len(u.Entries) != 0 {
		dst = wire.AppendArray(dst, len(u.Entries))
		for i := range u.Entries {
			dst = wire.AppendEntry(dst, &u.Entries[i])
		}
	}
	return dst
}

func parts(rec *record) uint64 {
	u := &rec.update
	var p uint64
	for _, c := range [...]struct {
		is  bool
		bit uint64
	}{
		{u.Create, hasCreate},
		{u.Drop, hasDrop},
		{u.SetHardState, hasHardState},
		{u.SetMembership, hasMembership},
		{u.CompactTo != 0, hasCompact},
		{len(u.Entries) != 0, hasEntries},
		{rec.moved, hasMoved},
		{u.ResetTo != 0, hasReset},
	} {
		if c.is {
			p |= c.bit
		}
	}
	return p
}

// decodePayload reads what appendPayload wrote. Entries alias b and are appended to dst; contiguity is checked.
func decodePayload(b []byte, dst []wire.Entry) (record, error) {
	r := wire.NewReader(b)
	p := r.UintMax(allParts)
	rec := record{moved: p&hasMoved != 0}
	u := &rec.update
	u.Group = wire.GroupID(r.UintMax(wire.MaxNumber))
	u.Create, u.Drop = p&hasCreate != 0, p&hasDrop != 0
	if u.SetHardState = p&hasHardState != 0; u.SetHardState {
		u.HardState = wire.ReadHardState(r)
	}
	if u.SetMembership = p&hasMembership != 0; u.Create || u.SetMembership {
		u.Membership = wire.ReadMembership(r)
	}
	if p&hasReset != 0 {
		u.ResetTo = wire.Index(r.UintMax(wire.MaxNumber))
		u.ResetTerm = wire.Term(r.UintMax(wire.MaxNumber))
		if r.Err() == nil && u.ResetTo == 0 {
			r.Fail("reset", wire.ErrInvalid)
		}
	}
	if p&hasCompact != 0 {
		u.CompactTo = wire.Index(r.UintMax(wire.MaxNumber))
	}
	if p&hasEntries != 0 {
		start := len(dst)
		n := r.ArrayLen(r.Len() / minEntryBytes)
		dst = slices.Grow(dst, n)
		for range n {
			e := wire.ReadEntry(r)
			if r.Err() == nil && len(dst) > start && e.Index != dst[len(dst)-1].Index+1 {
				r.Fail("entries", wire.ErrInvalid)
			}
			dst = append(dst, e)
		}
		u.Entries = dst[start:]
		if r.Err() == nil && len(u.Entries) == 0 {
			r.Fail("entries", wire.ErrInvalid)
		}
	}
	return rec, r.Done()
}

// blobDamage is what is wrong with a blob.
type blobDamage struct {
	what      string
	group     wire.GroupID
	want, got uint32
	// whole says that the groups concerned cannot be told.
	whole bool
	// harmless says that every record was found intact nevertheless.
	harmless bool
	// version is not 0 when an intact header names a version this one does not know.
	version uint32
}

// readBlob hands each intact record of the blob under seq to use, in order, and returns the damage it met.
// Entries alias b.
func readBlob(b []byte, gen uint32, seq uint64, use func(record)) []blobDamage {
	dir, bad := readDirectory(b, gen, seq)
	if bad != nil {
		if bad.version != 0 || !selfConsistent(b, gen, seq) {
			return []blobDamage{*bad}
		}
		bad.harmless, bad.whole = true, false
		walkRecords(b, firstRecord(b, gen, seq), use)
		return []blobDamage{*bad}
	}
	var damage []blobDamage
	off := blobHeaderBytes + len(dir)
	for ; len(dir) > 0; dir = dir[dirEntryBytes:] {
		group := wire.GroupID(binary.BigEndian.Uint64(dir))
		length := int(binary.BigEndian.Uint32(dir[8:]))
		raw := b[off : off+recHeaderBytes+length]
		if rec, d := checkRecord(raw, gen, seq, uint32(off), group); d != nil {
			damage = append(damage, *d)
		} else {
			use(rec)
		}
		off += len(raw)
	}
	return damage
}

// checkRecord verifies one record, header included, and decodes it.
func checkRecord(raw []byte, gen uint32, seq uint64, off uint32, group wire.GroupID) (record, *blobDamage) {
	want := binary.BigEndian.Uint32(raw[4:])
	payload := raw[recHeaderBytes:]
	got := recordSum(gen, seq, off, payload)
	d := &blobDamage{group: group, want: want, got: got}
	if want != got && !mutant.Is(mutant.ForgetReplayCRC) {
		d.what = "record"
		return record{}, d
	}
	if binary.BigEndian.Uint32(raw) != uint32(len(payload)) {
		d.what = "record length"
		return record{}, d
	}
	rec, err := decodePayload(payload, nil)
	if err != nil || rec.update.Group != group {
		d.what = fmt.Sprintf("record does not decode: %v", err)
		return record{}, d
	}
	rec.off = off
	return rec, nil
}

// readDirectory verifies header and directory and returns the latter.
func readDirectory(b []byte, gen uint32, seq uint64) ([]byte, *blobDamage) {
	if len(b) < blobHeaderBytes {
		return nil, &blobDamage{what: "blob shorter than its header", whole: true}
	}
	want := binary.BigEndian.Uint32(b[28:])
	count := uint64(binary.BigEndian.Uint32(b[24:]))
	if count*dirEntryBytes > uint64(len(b)-blobHeaderBytes) {
		return nil, &blobDamage{what: "directory longer than the blob", whole: true}
	}
	dir := b[blobHeaderBytes : blobHeaderBytes+count*dirEntryBytes]
	if got := headerSum(b, dir); got != want {
		return nil, &blobDamage{what: "directory", want: want, got: got, whole: true}
	}
	version := binary.BigEndian.Uint32(b[4:])
	switch {
	case binary.BigEndian.Uint32(b) != blobMagic:
		return nil, &blobDamage{what: "no blob", whole: true}
	case version != blobVersion:
		return nil, &blobDamage{what: fmt.Sprintf("blob version %d", version), whole: true, version: version}
	case binary.BigEndian.Uint64(b[8:]) != uint64(gen) || binary.BigEndian.Uint64(b[16:]) != seq:
		return nil, &blobDamage{what: "blob of another generation or sequence", whole: true}
	}
	total := uint64(blobHeaderBytes + len(dir))
	for d := dir; len(d) > 0; d = d[dirEntryBytes:] {
		total += recHeaderBytes + uint64(binary.BigEndian.Uint32(d[8:]))
	}
	if total != uint64(len(b)) {
		return nil, &blobDamage{what: "directory does not fit the blob", whole: true}
	}
	return dir, nil
}

// firstRecord finds where the records begin without the help of header and directory: the first offset from
// which verified records fill the blob to its last byte, one for each place the directory has; 0 when none.
func firstRecord(b []byte, gen uint32, seq uint64) int {
	for off := blobHeaderBytes + dirEntryBytes; off < len(b); off += dirEntryBytes {
		count := (off - blobHeaderBytes) / dirEntryBytes
		if walkRecords(b, off, nil) != count {
			continue
		}
		if verified(b, off, gen, seq) {
			return off
		}
	}
	return 0
}

func selfConsistent(b []byte, gen uint32, seq uint64) bool {
	return len(b) > blobHeaderBytes && firstRecord(b, gen, seq) != 0
}

// verified reports whether every record from off on has the right checksum.
func verified(b []byte, off int, gen uint32, seq uint64) bool {
	for off < len(b) {
		n := int(binary.BigEndian.Uint32(b[off:]))
		payload := b[off+recHeaderBytes : off+recHeaderBytes+n]
		if recordSum(gen, seq, uint32(off), payload) != binary.BigEndian.Uint32(b[off+4:]) {
			return false
		}
		if _, err := decodePayload(payload, nil); err != nil {
			return false
		}
		off += recHeaderBytes + n
	}
	return true
}

// walkRecords follows the records' own lengths from off to the end and counts them, -1 when they do not end
// with the blob. With use, which needs them verified, it decodes each.
func walkRecords(b []byte, off int, use func(record)) int {
	n := 0
	for off < len(b) {
		if len(b)-off < recHeaderBytes {
			return -1
		}
		length := int(binary.BigEndian.Uint32(b[off:]))
		if length > len(b)-off-recHeaderBytes {
			return -1
		}
		if use != nil {
			rec, err := decodePayload(b[off+recHeaderBytes:off+recHeaderBytes+length], nil)
			if err != nil {
				return -1
			}
			rec.off = uint32(off)
			use(rec)
		}
		off += recHeaderBytes + length
		n++
	}
	return n
}
