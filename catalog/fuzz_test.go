package catalog

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

// someChanges has each kind of command.
func someChanges() []Change {
	return []Change{
		EpochBump{70000},
		RegisterNode{ID: 2, Generation: 1 << 63, Addr: "a:1", HTTP: "a:2", Version: "v1.2.3"},
		ListNode{9, "n:9"},
		SetNodeState{ID: 2, State: NodeDraining, IfVersion: 3},
		PutGroup{Group{ID: 4, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{3}}, 0},
		AssignShards{[]Claim{{0, 512, 1}, {512, wire.Shards, 2}}, 300},
		AdmitNode{ID: 9, Generation: 5, Old: 4, Addr: "n:9", HTTP: "n:8", Version: "v2"},
		CreateGroup{ID: 7, Kind: "queue", Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{3}, Leader: 2},
		DeleteGroup{ID: 7},
		PlaceGroup{ID: 1, Voters: []wire.NodeID{1, 3}, Learners: []wire.NodeID{2}, Leader: 3, IfVersion: 4},
		ReportMembers{ID: 1, Members: wire.Membership{Index: 12, Voters: []wire.NodeID{1, 3}, Learners: []wire.NodeID{2}}},
		MoveNode{ID: 2, Addr: "m:1"},
		PutToken{Hash: [32]byte{1}, Expires: 20, Now: 10},
		SpendToken{Hash: [32]byte{1}, Now: 11, Node: 9},
		ReplicaEnded{ID: 2, Node: 3, Generation: 4, Index: 6},
		ReplaceNode{AdmitNode{ID: 2, Generation: 3, Old: 4, Addr: "a:1"}},
		ReplicaBroken{ID: 2, Node: 3, Generation: 4, Since: 6},
		BeginImport{Kind: "queue", Node: 3, Token: 1 << 63},
		EndImport{ID: 6, Token: 70000, Made: true},
	}
}

func TestChangesRoundTrip(t *testing.T) {
	for _, c := range someChanges() {
		got, err := ParseChange(c.Append(nil))
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Errorf("%T: %v %s", c, err, diff)
		}
	}
}

// Whatever is read writes back to bytes that read the same; applying it never panics, and never leaves a
// state that could not be opened again.
func FuzzParseChange(f *testing.F) {
	for _, c := range someChanges() {
		b := c.Append(nil)
		f.Add(b)
		for i := range b {
			f.Add(b[:i])
			flipped := bytes.Clone(b)
			flipped[i] ^= 0x80
			f.Add(flipped)
			f.Add(append(bytes.Clone(b[:i]), 0xdd, 0xff, 0xff, 0xff, 0xff)) // D75
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseChange(in)
		if err != nil {
			if c != nil {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
		out, err := Encode(c)
		if err != nil || len(out) > len(in) {
			t.Fatalf("%d bytes became %d, %v", len(in), len(out), err)
		}
		again, err := ParseChange(out)
		if err != nil || !cmp.Equal(c, again) {
			t.Fatalf("%v %s", err, cmp.Diff(c, again))
		}
		was := busy()
		now := was
		r := c.apply(&now, 70000)
		if got, err := ParseResult(r.Append(nil)); err != nil || got != r {
			t.Fatalf("%+v read as %+v, %v", r, got, err)
		}
		if changed := now.Digest() != was.Digest(); changed != (r.Outcome == Done) {
			t.Fatalf("%+v: %v, changed %v", c, r, changed)
		}
		if _, err := parseState(stateRecords(&now)); err != nil {
			t.Fatalf("%+v leaves a state that cannot be opened: %v", c, err)
		}
	})
}

// busy is a state in which every kind of command finds something to do or to refuse.
func busy() Snapshot {
	s := someBirth().snapshotForTest()
	s.Topology.Nodes[2].Generation, s.Topology.Nodes[2].State = 4, NodeActive
	s.Groups[1] = s.Groups[1].report(wire.Membership{Index: 4, Voters: nodes(1, 2), Learners: nodes(3)}).lose(2)
	s.Groups[2] = s.Groups[2].report(wire.Membership{Index: 6, Voters: nodes(1, 2)})
	s.Groups = append(s.Groups, Group{ID: 3, Kind: "queue", Voters: nodes(1, 2)}.Founded(), Group{ID: 9, Deleted: true})
	s.Tokens = []Token{{[32]byte{1}, 20}, {[32]byte{2}, 70000}}
	s.Imports = []Import{{ID: 6, Kind: "queue", Node: 3, Token: 70000}, {ID: 8, Node: 1, Token: 1}}
	return s
}

func FuzzParseResult(f *testing.F) {
	f.Add(Result{Done, 70000}.Append(nil))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x92, 0x63, 0x00})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseResult(in)
		if err != nil {
			return
		}
		if again, err := ParseResult(r.Append(nil)); err != nil || again != r || r.Outcome.String() == "" {
			t.Fatalf("%+v read as %+v, %v", r, again, err)
		}
	})
}

// FuzzParseState reads one record of a state as any bytes, the others being good.
func FuzzParseState(f *testing.F) {
	s := busy()
	keys := []string{keyIdentity, keyNode, keySettings, keyTopology, keyGroups, keyRouting, keyProgress, keyFormat, keyTokens, keyImports}
	for i, key := range keys {
		b := stateRecords(&s)[key]
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
		f.Add(uint8(i), []byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		key := keys[int(which)%len(keys)]
		r := stateRecords(&s)
		r[key] = body
		got, err := parseState(r)
		if err != nil {
			return
		}
		again, err := parseState(stateRecords(got))
		if err != nil || !reflect.DeepEqual(got, again) { // cmp looks at each shard: too slow here
			t.Fatalf("%v %s", err, cmp.Diff(got, again))
		}
	})
}
