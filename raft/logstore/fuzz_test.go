package logstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"flotilla/raft/wire"
)

func sampleRecords() []record {
	return []record{
		{update: wire.LogUpdate{Group: 9, Entries: entriesOf(3, 1, 2, 30)}, moved: true},
		{update: create(7)},
		{update: wire.LogUpdate{
			Group: 7, SetHardState: true, HardState: wire.HardState{Term: 4, Vote: 2, Commit: 8}, Entries: entriesOf(9, 4, 3, 10),
			SetMembership: true, Membership: wire.Membership{Index: 9, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{5}}, CompactTo: 9,
		}},
		{update: wire.LogUpdate{Group: 8, Drop: true}},
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

// FuzzPager: no file makes the pager panic, read outside the file, or run for ever.
func FuzzPager(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.db")
	db, err := createGeneration(osFiles{}, filepath.Dir(path), path, &bolt.Options{PageSize: pageSize, NoFreelistSync: true})
	if err != nil {
		f.Fatal(err)
	}
	for seq := uint64(1); seq <= 40; seq++ {
		err := db.Update(func(tx *bolt.Tx) error {
			return putBlob(tx, seq, bytes.Repeat([]byte{byte(seq)}, 300*int(seq%8)))
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{})
	f.Add(uint32(4096*3+8), []byte{1})
	f.Add(uint32(4096*5+12), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(4096*6+16), []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(image)
		copy(b[int(at)%len(b):], patch)
		path := filepath.Join(t.TempDir(), "f.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPager(osFiles{}, path)
		var damage *CorruptionError
		if errors.As(err, &damage) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		if err := p.locate(1, 3); err != nil && !errors.As(err, &damage) {
			t.Fatal(err)
		}
		for seq := range uint64(41) {
			if at := p.blob(seq); at.n > 0 {
				if _, err := p.read(at.off, at.n); err != nil {
					t.Fatal(err)
				}
			}
		}
		root, ok, err := p.bucket(bucketJournal)
		if err != nil || !ok {
			return
		}
		w := walker{seen: map[uint64]struct{}{}, use: func(_, _ []byte, _ place) error { return nil }, bad: func(*CorruptionError) error { return nil }}
		if err := w.walk(root, 0); err != nil && !errors.As(err, &damage) {
			t.Fatal(err)
		}
	})
}
