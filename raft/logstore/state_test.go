package logstore

import (
	"bytes"
	"testing"

	"flotilla/raft/wire"
)

// TestEveryBitOfAStateCounts flips each bit of a marker and of a group's state: none may be taken for another term, vote
// or log. Later generations are held against what replay came to; of the first this record is all there is (D12).
func TestEveryBitOfAStateCounts(t *testing.T) {
	rec := groupRecord{state: wire.GroupState{
		Group: 7, HardState: wire.HardState{Term: 3, Vote: 1, Commit: 5}, Membership: wire.Membership{Voters: []wire.NodeID{1}},
		First: 4, Last: 9, PrevTerm: 1,
	}, runs: []termRun{{3, 1}, {6, 3}}}
	group := appendGroupRecord(3, &rec)
	begin := appendMarker(&marker{version: stateVersion, gen: 3, base: 8, tx: 3, groups: []wire.GroupID{1, 7}})
	if _, bad := decodeGroupRecord(group, 3, 7); bad != nil {
		t.Fatalf("an unharmed record: %+v", bad)
	}
	if _, bad := decodeMarker(begin, 3); bad != nil {
		t.Fatalf("an unharmed marker: %+v", bad)
	}
	flipped := func(b []byte, bit int) []byte {
		b = bytes.Clone(b)
		b[bit/8] ^= 1 << (bit % 8)
		return b
	}
	for bit := range 8 * len(group) {
		if got, bad := decodeGroupRecord(flipped(group, bit), 3, 7); bad == nil {
			t.Errorf("bit %d of byte %d: taken as %+v", bit%8, bit/8, got)
		}
	}
	for bit := range 8 * len(begin) {
		if got, bad := decodeMarker(flipped(begin, bit), 3); bad == nil {
			t.Errorf("bit %d of byte %d: taken as %+v", bit%8, bit/8, got)
		}
	}
}
