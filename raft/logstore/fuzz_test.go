package logstore

import (
	"bytes"
	"testing"

	"flotilla/raft/wire"
)

func sampleRecords() []record {
	return []record{
		{update: wire.LogUpdate{Group: 9, Entries: entriesOf(3, 1, 2, 30)}, moved: true},
		{update: create(7)},
		{update: wire.LogUpdate{
			Group: 7, SetHardState: true, HardState: wire.HardState{Term: 4, Vote: 2, Commit: 8}, Entries: entriesOf(9, 4, 3, 10),
			SetMembership: true, Membership: wire.Membership{Index: 9, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{5}, Outgoing: []wire.NodeID{2, 3}, Demoted: []wire.NodeID{3}}, CompactTo: 9,
		}},
		{update: wire.LogUpdate{Group: 8, Drop: true}},
		{update: wire.LogUpdate{
			Group: 6, SetHardState: true, HardState: wire.HardState{Term: 4, Commit: 20}, ResetTo: 20, ResetTerm: 3,
			Entries: entriesOf(21, 4, 1, 5), SetMembership: true, Membership: wire.Membership{Index: 9, Voters: []wire.NodeID{1}},
		}},
	}
}

// FuzzBlob: no bytes make readBlob panic or hand out a record that was not sealed for this place; what it reads
// without damage encodes to the same blob again.
func FuzzBlob(f *testing.F) {
	f.Add(appendBlob(nil, 3, 42, sampleRecords()))
	f.Add(appendBlob(nil, 3, 42, nil))
	f.Add([]byte("FLTJ"))
	blob := appendBlob(nil, 3, 42, sampleRecords())
	for _, at := range []int{0, 5, 20, 27, 30, 33, 60, 80, 90, len(blob) - 1} {
		b := bytes.Clone(blob)
		b[at] ^= 4
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var recs []record
		damage := readBlob(b, 3, 42, func(r record) { recs = append(recs, r) })
		for _, r := range recs {
			raw := b[r.off:]
			if got := appendPayload(nil, &r); !bytes.HasPrefix(raw[recHeaderBytes:], got) && len(damage) == 0 {
				// Another width of an integer decodes too; what matters is that it is the same record.
				again, err := decodePayload(got, nil)
				if err != nil || again.update.Group != r.update.Group {
					t.Fatalf("record does not survive: %v", err)
				}
			}
		}
	})
}

// FuzzState: the same for state records and markers.
func FuzzState(f *testing.F) {
	rec := groupRecord{state: wire.GroupState{
		Group: 7, HardState: wire.HardState{Term: 3, Vote: 1, Commit: 5}, Membership: wire.Membership{Voters: []wire.NodeID{1}},
		First: 4, Last: 9, PrevTerm: 1,
	}, runs: []termRun{{3, 1}, {6, 3}}, reason: ""}
	f.Add(appendGroupRecord(3, &rec)[4:])
	f.Add(appendMarker(&marker{version: stateVersion, gen: 3, base: 5, tx: 3, groups: []wire.GroupID{1, 7}})[4:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		value := append(make([]byte, 4), payload...)
		if rec, bad := decodeGroupRecord(seal(value, 3, groupKey(7)), 3, 7); bad == nil {
			g := newGroup(7, wire.Membership{})
			g.reconcile(&rec, spanCounts{})
			for i := g.first - 1; i <= min(g.last, g.first+100); i++ {
				g.term(i) // I2 holds for whatever decodes
			}
			again := appendGroupRecord(3, &rec)
			if _, bad := decodeGroupRecord(again, 3, 7); bad != nil {
				t.Fatalf("state does not survive: %+v", bad)
			}
		}
		if m, bad := decodeMarker(seal(value, 3, markerKey), 3); bad == nil && m.version == stateVersion {
			if _, bad := decodeMarker(appendMarker(&m), 3); bad != nil {
				t.Fatalf("marker does not survive: %+v", bad)
			}
		}
	})
}
