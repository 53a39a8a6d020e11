package logstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Bucket "s" of a generation holds the state of every group as it was when the generation began: one record
// for each group and a marker that lists them. All are written by the transaction of the generation's first
// blob, so they are there together or not at all. A value is {CRC32C u32, payload}; the scope of the checksum
// begins with generation and key. docs/format.md has the fields.

const stateVersion = 1

var (
	bucketState   = []byte("s")
	bucketJournal = []byte("j")
	markerKey     = []byte("marker")
	// blobKey is the only key of a blob's own bucket.
	blobKey = []byte("b")
)

// termRun says that the entries from first on, up to the next run, are of term.
type termRun struct {
	first wire.Index
	term  wire.Term
}

// marker opens a generation.
type marker struct {
	version uint64
	gen     uint32
	// base is the sequence of the generation's first blob, tx the transaction that wrote it: bbolt's meta page has a
	// checksum and the last transaction's number, so base+lastTx-tx is the sequence of the last blob.
	base   uint64
	tx     uint64
	groups []wire.GroupID
}

// groupRecord is one group's state at the beginning of a generation.
type groupRecord struct {
	state wire.GroupState
	runs  []termRun
	// reason is not empty for a quarantined group.
	reason string
}

func groupKey(g wire.GroupID) []byte { return binary.BigEndian.AppendUint64([]byte{'g'}, uint64(g)) }

// groupOf reads a key made by groupKey.
func groupOf(key []byte) (wire.GroupID, bool) {
	if len(key) != 9 || key[0] != 'g' {
		return 0, false
	}
	return wire.GroupID(binary.BigEndian.Uint64(key[1:])), true
}

func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func stateSum(gen uint32, key, payload []byte) uint32 {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], uint64(gen))
	sum := crc32.Update(crc32.Update(0, castagnoli, place[:]), castagnoli, key)
	return crc32.Update(sum, castagnoli, payload)
}

// seal puts the checksum into the first four bytes of value, whose payload follows them.
func seal(value []byte, gen uint32, key []byte) []byte {
	binary.BigEndian.PutUint32(value, stateSum(gen, key, value[4:]))
	return value
}

// unseal verifies value and returns its payload.
func unseal(value []byte, gen uint32, key []byte) ([]byte, *blobDamage) {
	if len(value) < 4 {
		return nil, &blobDamage{what: "state record too short"}
	}
	want, got := binary.BigEndian.Uint32(value), stateSum(gen, key, value[4:])
	if want != got && !mutant.Is(mutant.ForgetStateCRC) {
		return nil, &blobDamage{what: "state record", want: want, got: got}
	}
	return value[4:], nil
}

func appendMarker(m *marker) []byte {
	dst := make([]byte, 4, 64+9*len(m.groups))
	dst = wire.AppendUint(dst, m.version)
	dst = wire.AppendUint(dst, uint64(m.gen))
	dst = wire.AppendUint(dst, m.base)
	dst = wire.AppendUint(dst, m.tx)
	dst = wire.AppendArray(dst, len(m.groups))
	for _, g := range m.groups {
		dst = wire.AppendUint(dst, uint64(g))
	}
	return seal(dst, m.gen, markerKey)
}

func decodeMarker(value []byte, gen uint32) (marker, *blobDamage) {
	payload, bad := unseal(value, gen, markerKey)
	if bad != nil {
		return marker{}, bad
	}
	r := wire.NewReader(payload)
	m := marker{version: r.Uint()}
	if r.Err() == nil && m.version != stateVersion {
		return m, nil // the caller looks at the version first
	}
	m.gen = uint32(r.UintMax(1<<32 - 1))
	m.base = r.Uint()
	m.tx = r.Uint()
	n := r.ArrayLen(maxGroupsPerStore)
	m.groups = make([]wire.GroupID, 0, n)
	for range n {
		m.groups = append(m.groups, wire.GroupID(r.UintMax(wire.MaxNumber)))
	}
	if err := r.Done(); err != nil || m.gen != gen || m.base == 0 || !slices.IsSorted(m.groups) {
		return marker{}, &blobDamage{what: fmt.Sprintf("marker does not decode: %v", err)}
	}
	return m, nil
}

func appendGroupRecord(gen uint32, rec *groupRecord) []byte {
	s := &rec.state
	dst := make([]byte, 4, 128)
	dst = wire.AppendUint(dst, stateVersion)
	dst = wire.AppendUint(dst, uint64(s.Group))
	dst = wire.AppendHardState(dst, s.HardState)
	dst = wire.AppendMembership(dst, &s.Membership)
	dst = wire.AppendUint(dst, uint64(s.First))
	dst = wire.AppendUint(dst, uint64(s.Last))
	dst = wire.AppendUint(dst, uint64(s.PrevTerm))
	dst = wire.AppendArray(dst, 2*len(rec.runs))
	for _, run := range rec.runs {
		dst = wire.AppendUint(dst, uint64(run.first))
		dst = wire.AppendUint(dst, uint64(run.term))
	}
	dst = wire.AppendString(dst, rec.reason)
	return seal(dst, gen, groupKey(s.Group))
}

func decodeGroupRecord(value []byte, gen uint32, group wire.GroupID) (groupRecord, *blobDamage) {
	payload, bad := unseal(value, gen, groupKey(group))
	if bad != nil {
		bad.group = group
		return groupRecord{}, bad
	}
	r := wire.NewReader(payload)
	if v := r.Uint(); r.Err() == nil && v != stateVersion {
		r.Fail("version", wire.ErrInvalid)
	}
	rec := groupRecord{state: wire.GroupState{
		Group:      wire.GroupID(r.UintMax(wire.MaxNumber)),
		HardState:  wire.ReadHardState(r),
		Membership: wire.ReadMembership(r),
		First:      wire.Index(r.UintMax(wire.MaxNumber)),
		Last:       wire.Index(r.UintMax(wire.MaxNumber)),
		PrevTerm:   wire.Term(r.UintMax(wire.MaxNumber)),
	}}
	n := r.ArrayLen(len(payload))
	if n%2 != 0 {
		r.Fail("term runs", wire.ErrInvalid)
	}
	for range n / 2 {
		run := termRun{wire.Index(r.UintMax(wire.MaxNumber)), wire.Term(r.UintMax(wire.MaxNumber))}
		rec.runs = append(rec.runs, run)
	}
	rec.reason = r.String(maxReasonBytes)
	if r.Err() == nil && !rec.plausible(group) {
		r.Fail("group state", wire.ErrInvalid)
	}
	if err := r.Done(); err != nil {
		return groupRecord{}, &blobDamage{group: group, what: fmt.Sprintf("state does not decode: %v", err)}
	}
	return rec, nil
}

// plausible checks what every state we write fulfils.
func (r *groupRecord) plausible(group wire.GroupID) bool {
	s := &r.state
	if s.Group != group || s.First == 0 || s.Last+1 < s.First || s.HardState.Commit > s.Last { // D10
		return false
	}
	if s.Last < s.First {
		return len(r.runs) == 0
	}
	if len(r.runs) == 0 || r.runs[0].first > s.First || r.runs[len(r.runs)-1].first > s.Last {
		return false
	}
	return slices.IsSortedFunc(r.runs, func(a, b termRun) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
}
