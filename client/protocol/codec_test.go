package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flotilla/raft/wire"
)

var requests = []Request{
	{Kind: KindPut, ID: 1, Timeout: 5 * time.Second, Group: 3, Session: 9, Sequence: 1 << 40, Acked: 300, Require: AtRevision(0), Key: []byte("k"), Value: []byte("v")},
	{Kind: KindPut, ID: 1 << 60, Key: []byte("k"), Value: []byte{}},
	{Kind: KindDelete, ID: 2, Key: bytes.Repeat([]byte("k"), 4096), Require: AtRevision(77)},
	{Kind: KindGet, ID: 3, Consistency: Stale, Key: []byte("k")},
	{Kind: KindScan, ID: 4, Group: 2, Consistency: Linearizable, Key: []byte("p/"), After: []byte("p/x"), Limit: 10},
	{Kind: KindStatus, ID: 5},
	{Kind: KindRoutes, ID: 6},
	{Kind: KindOpenSession, ID: 7, Group: 4},
	{Kind: KindCloseSession, ID: 8, Group: 4, Session: 5},
	{Kind: KindAdmin, ID: 9, Admin: Admin{Op: OpCreateGroup, Node: 7, Group: 3, Text: "queue", Voters: []wire.NodeID{1, 2}}},
	{Kind: KindExport, ID: 10, Group: 3},
}

func replies() []Reply {
	status := &Status{
		Cluster: "c", ClusterID: strings.Repeat("a", 32), Epoch: 3, Node: 1, Nodes: []NodeStatus{{1, "127.0.0.1:7400", "up", "v", 5, 2}},
		Groups: []GroupStatus{{
			ID: 0, Leader: 1, Term: 2, Commit: 3, Applied: 3, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{},
			Kind: "queue", WantedVoters: []wire.NodeID{1, 3}, WantedLearners: []wire.NodeID{2}, Preferred: 3, Moving: true,
		}},
		Transfers: []TransferStatus{{Group: 3, Peer: 2, Direction: "out", Index: 1 << 40, BytesDone: 7, BytesBefore: 5, BytesTotal: 9, ElapsedMS: 1500}},
	}
	older := *status
	older.Transfers = nil
	routes := &Routes{Version: 4, Leaders: []GroupLeader{{1, 2}, {2, 0}}, Nodes: []NodeAddress{{1, "a:1"}, {2, "b:2"}}}
	for i := range routes.Shards {
		routes.Shards[i] = wire.GroupID(1 + i%4)
	}
	return []Reply{
		{Kind: ReplyWrite, ID: 1, Outcome: OutcomeConflict, Revision: 9, Group: 2, Epoch: 7},
		{Kind: ReplyValue, ID: 2, Outcome: OutcomeOK, Revision: 9, Group: 2, Value: []byte("v")},
		{Kind: ReplyPage, ID: 3, More: true, Items: []Item{{[]byte("a"), []byte("1"), 4}, {[]byte("b"), []byte{}, 5}}},
		{Kind: ReplyPage, ID: 3},
		{Kind: ReplyStatus, ID: 4, Status: status},
		{Kind: ReplyStatus, ID: 4, Status: &older}, // version 1
		{Kind: ReplySession, ID: 5, Outcome: OutcomeOK, Session: 12},
		{Kind: ReplyRoutes, ID: 6, Routes: routes},
		{Kind: ReplyAdmin, ID: 8, Group: 5, Text: "token"},
		{Kind: ReplyExport, ID: 9, More: true, Value: []byte("piece")},
		{Kind: ReplyExport, ID: 9},
		{Kind: ReplyError, ID: 7, Err: &wire.Error{Code: wire.CodeNotLeader, Group: 3, Leader: 2, Detail: "ask node 2"}},
	}
}

func TestRequestsRoundTrip(t *testing.T) {
	for _, want := range requests {
		var got Request
		err := DecodeRequest(AppendRequest(nil, &want), &got)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("kind %d: %v\n%s", want.Kind, err, diff)
		}
	}
}

func TestRepliesRoundTrip(t *testing.T) {
	for _, want := range replies() {
		var got Reply
		err := DecodeReply(AppendReply(nil, &want), &got)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("kind %d: %v\n%s", want.Kind, err, diff)
		}
	}
}

// TestHostileBodies: what cannot be understood is a typed error; declared counts are not believed (D75).
func TestHostileBodies(t *testing.T) {
	whole := AppendRequest(nil, &requests[0])
	for name, b := range map[string][]byte{
		"empty": {}, "nil": {0xc0}, "array bomb": {0xdd, 0xff, 0xff, 0xff, 0xff}, "bytes bomb": {0x95, 2, 1, 1, 0, 0xc6, 0xff, 0xff, 0xff, 0xff},
		"map bomb": {0xdf, 0xff, 0xff, 0xff, 0xff}, "unknown kind": {0x93, 99, 1, 1}, "hello again": {0x93, 0, 1, 1}, "one short": whole[:len(whole)-1],
		"trailing": append(bytes.Clone(whole), 0), "wrong length": {0x94, byte(KindStatus), 1, 1, 1}, "nested": bytes.Repeat([]byte{0x91}, 1000),
	} {
		var q Request
		var de *wire.DecodeError
		if err := DecodeRequest(b, &q); !errors.As(err, &de) {
			t.Errorf("request %s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"empty": {}, "outcome 0": {0x94, byte(ReplySession), 1, 0, 1}, "page of 2": {0x94, byte(ReplyPage), 1, 0xc2, 0xc0}, "page bomb": {0xdd, 0, 0, 0x0b, 0xbb, byte(ReplyPage), 1, 0xc2},
		"status bomb":    {0x93, byte(ReplyStatus), 1, 0x96, 0xa0, 0xa0, 0, 0, 0xdd, 0, 0, 0, 99, 0xc0},
		"transfers bomb": {0x93, byte(ReplyStatus), 1, 0x97, 0xa0, 0xa0, 0, 0, 0x90, 0x90, 0xdd, 0, 0, 4, 0, 0xc0}, "status of 5": {0x93, byte(ReplyStatus), 1, 0x95, 0xa0, 0xa0, 0, 0, 0x90, 0x90},
	} {
		var p Reply
		var de *wire.DecodeError
		if err := DecodeReply(b, &p); !errors.As(err, &de) {
			t.Errorf("reply %s: %v", name, err)
		}
		if allocs := testing.AllocsPerRun(10, func() { _ = DecodeReply(b, &p) }); allocs > 20 {
			t.Errorf("reply %s: %v allocations", name, allocs)
		}
	}
}

// TestUnknownErrorCodes: an error code of a newer server keeps the meaning that its class has (P35).
func TestUnknownErrorCodes(t *testing.T) {
	for class := ClassInternal; class <= maxClass; class++ {
		b := wire.AppendUint(wire.AppendUint(wire.AppendArray(nil, 7), uint64(ReplyError)), 1)
		b = wire.AppendUint(wire.AppendUint(b, uint64(class)), 200)
		b = wire.AppendString(wire.AppendUint(wire.AppendUint(b, 0), 0), "new")
		var p Reply
		if err := DecodeReply(b, &p); err != nil {
			t.Fatalf("class %s: %v", class, err)
		}
		got := ClassOf(p.Err.Code)
		if class == ClassOutcomeUnknown != p.Err.Ambiguous() {
			t.Errorf("class %s became code %s", class, p.Err.Code)
		}
		if (class == ClassUsage || class == ClassUnavailable || class == ClassFenced) && got != class {
			t.Errorf("class %s became %s", class, got)
		}
	}
}

// TestProblems: every code has a name, a class, and the JSON of interfaces.
func TestProblems(t *testing.T) {
	seen := map[string]bool{}
	for code := wire.CodeInternal; code <= wire.CodeTimeout; code++ {
		p := ProblemOf(&wire.Error{Code: code, Detail: "d"})
		if seen[p.Code] || p.Code == "" || p.Class == 0 {
			t.Errorf("code %d: %+v", code, p)
		}
		seen[p.Code] = true
		if (p.Class == ClassOutcomeUnknown) != (code == wire.CodeUnknownOutcome) {
			t.Errorf("code %s has class %s", code, p.Class)
		}
	}
	b, err := json.Marshal(Problem{Code: "conflict", Class: ClassPrecondition, Message: "m"})
	if want := `{"code":"conflict","class":"precondition","message":"m","hint":""}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	if ClassOf(200) != ClassInternal || ProblemOf(&wire.Error{Code: 200}).Code != "internal" {
		t.Error("an unknown code must count as internal")
	}
}

// TestStatusJSON pins the shape that scripts depend on.
func TestStatusJSON(t *testing.T) {
	s := Status{
		Cluster: "c", ClusterID: "00", Epoch: 2, Node: 1, Nodes: []NodeStatus{{ID: 1, Address: "a", State: "up", Version: "v"}}, Groups: []GroupStatus{{Term: 1}},
		Transfers: []TransferStatus{{Group: 1, Peer: 2, Direction: "in", Index: 3, BytesDone: 5, BytesBefore: 4, BytesTotal: 6, ElapsedMS: 7}},
	}
	s.Normalize()
	b, err := json.Marshal(s)
	want := `{"cluster":"c","cluster_id":"00","epoch":2,"node":1,"nodes":[{"id":1,"address":"a","state":"up","version":"v","replicas":0,"leads":0}],` +
		`"groups":[{"id":0,"leader":0,"term":1,"commit":0,"applied":0,"voters":[],"learners":[],"kind":"","wanted_voters":[],"wanted_learners":[],"preferred":0,"moving":false}],` +
		`"transfers":[{"group":1,"peer":2,"direction":"in","index":3,"bytes_done":5,"bytes_before":4,"bytes_total":6,"elapsed_ms":7}]}`
	if err != nil || string(b) != want {
		t.Errorf("got  %s\nwant %s\n%v", b, want, err)
	}
	if s = (Status{}); true {
		s.Normalize()
		if b, _ := json.Marshal(s); strings.Contains(string(b), "null") {
			t.Errorf("null in %s", b)
		}
	}
}

// TestVersions: the highest common version is spoken, none without one in common (P35).
func TestVersions(t *testing.T) {
	for h, want := range map[Hello]Version{
		{VersionMin, VersionMax}: VersionMax, {1, 900}: VersionMax, {VersionMax + 1, 900}: 0, {0, 0}: 0, {5, 2}: 0,
	} {
		if got := h.Choose(); got != want {
			t.Errorf("%+v: version %d, want %d", h, got, want)
		}
		if back, err := DecodeHello(AppendHello(nil, h)); err != nil || back != h {
			t.Errorf("%+v came back as %+v, %v", h, back, err)
		}
	}
	w := Welcome{Version: 1, Node: 3, Cluster: "name"}
	if back, err := DecodeWelcome(AppendWelcome(nil, w)); err != nil || back != w {
		t.Errorf("%+v, %v", back, err)
	}
}

// FuzzDecodeRequest: no bytes make the server's decoder panic, and what it takes survives a round.
func FuzzDecodeRequest(f *testing.F) {
	for i := range requests {
		f.Add(AppendRequest(nil, &requests[i]))
	}
	f.Add(AppendHello(nil, Hello{1, 1}))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = DecodeHello(b)
		var q, again Request
		if DecodeRequest(b, &q) != nil {
			return
		}
		if err := DecodeRequest(AppendRequest(nil, &q), &again); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if diff := cmp.Diff(q, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzDecodeReply: no bytes make the client's decoder panic, and what it takes survives a round.
func FuzzDecodeReply(f *testing.F) {
	for _, p := range replies() {
		f.Add(AppendReply(nil, &p))
	}
	f.Add(AppendWelcome(nil, Welcome{Version: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = DecodeWelcome(b)
		var p, again Reply
		if DecodeReply(b, &p) != nil {
			return
		}
		if err := DecodeReply(AppendReply(nil, &p), &again); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if diff := cmp.Diff(p, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
