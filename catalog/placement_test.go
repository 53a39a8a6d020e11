package catalog

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

func nodes(ids ...wire.NodeID) []wire.NodeID { return ids }

func group(t *testing.T, c *Catalog, id wire.GroupID) Group {
	t.Helper()
	g, found := c.View().FindGroup(id)
	if !found {
		t.Fatalf("no group %d", id)
	}
	return g
}

// N8, D17: a node that comes back with another disk is admitted by the generation it was known by, once; all its replicas count as lost
// until a report says that they were taken out, and none of the reports before does.
func TestAdmittedAnewItsReplicasAreLost(t *testing.T) {
	c, _ := born(t)
	wiped := AdmitNode{ID: 3, Generation: 78, Old: 77, Addr: "a:3"}
	wantResults(t, apply(t, c, 1, RegisterNode{ID: 3, Generation: 77, Addr: "a:3"}, AdmitNode{ID: 3, Generation: 79, Old: 76, Addr: "a:3"}, wiped, wiped),
		Result{Done, 77}, Result{RefusedGeneration, 77}, Result{Done, 78}, Result{Unchanged, 78})
	for id := wire.GroupID(0); id <= 2; id++ {
		if g := group(t, c, id); !cmp.Equal(g.Lost, nodes(3)) || g.Hosted(3) || !g.Hosted(1) {
			t.Errorf("group %d: %+v", id, g)
		}
	}
	report := func(i wire.Index, voters, learners []wire.NodeID) ReportMembers {
		return ReportMembers{ID: 1, Members: wire.Membership{Index: i, Voters: voters, Learners: learners}}
	}
	apply(t, c, 1, report(9, nodes(1, 2, 3), nil))
	if g := group(t, c, 1); g.Hosted(3) || len(g.Lost) != 1 {
		t.Errorf("a report that still has the lost member makes it a member again: %+v", g)
	}
	apply(t, c, 1, report(10, nodes(1, 2), nil), report(11, nodes(1, 2), nodes(3)))
	if g := group(t, c, 1); !g.Hosted(3) || g.SinceOf(3) != 11 || g.SinceOf(1) != 0 {
		t.Errorf("taken out and added again: %+v", g)
	}
	apply(t, c, 1, report(12, nodes(1, 2, 3), nil))
	if g := group(t, c, 1); g.SinceOf(3) != 11 {
		t.Errorf("a promoted member counts from its promotion: %+v", g)
	}
	// RegisterNode of the old disk, which comes back: refused.
	wantResults(t, apply(t, c, 1, RegisterNode{ID: 3, Generation: 77, Addr: "a:3"}), Result{RefusedGeneration, 78})
}

// D47: a node that was removed by force before it was taken out of its groups has no replica that anybody waits for.
func TestRemovedNodeLeavesNothingToWaitFor(t *testing.T) {
	c, _ := born(t)
	without := ReportMembers{ID: 1, Members: wire.Membership{Index: 9, Voters: nodes(1, 2)}}
	wantResults(t, apply(t, c, 1, RegisterNode{ID: 3, Generation: 77, Addr: "a:3"}, SetNodeState{ID: 3, State: NodeRemoved}, without),
		Result{Done, 77}, Result{Done, c.View().Topology.Version - 1}, Result{Done, 9})
	if g := group(t, c, 1); len(g.Left) != 0 {
		t.Errorf("a removed node is to tell that its replica has ended: %+v", g.Left)
	}
}

// P31, D57: a new node is admitted as often as it asks, and is active at once; a second one under its id is refused.
func TestAdmitNewNode(t *testing.T) {
	c, _ := born(t)
	join := AdmitNode{ID: 9, Generation: 5, Addr: "n:9"}
	listed := AdmitNode{ID: 8, Generation: 6, Addr: "n:8"}
	wantResults(t, apply(t, c, 1, join, join, ListNode{ID: 8, Addr: "somewhere:1"}, listed, AdmitNode{ID: 8, Generation: 7, Addr: "n:8"}),
		Result{Done, 5}, Result{Unchanged, 5}, Result{Done, 3}, Result{Done, 6}, Result{RefusedGeneration, 6})
	for id, want := range map[wire.NodeID]Node{
		9: {ID: 9, Addr: "n:9", Generation: 5, State: NodeActive}, 8: {ID: 8, Addr: "n:8", Generation: 6, State: NodeActive},
	} {
		if n, _ := c.View().Topology.Find(id); n != want {
			t.Errorf("got %+v, want %+v", n, want)
		}
	}
	apply(t, c, 1, SetNodeState{ID: 9, State: NodeRemoved})
	wantResults(t, apply(t, c, 1, AdmitNode{ID: 9, Generation: 50, Old: 5, Addr: "n:9"}, AdmitNode{ID: 7, Addr: "n:7"}),
		Result{RefusedRemoved, 9}, Result{RefusedInvalid, 0})
}

// F44: coming back with another disk ends neither a drain nor a departure.
func TestAdmittingKeepsDrain(t *testing.T) {
	c, _ := born(t)
	for i, state := range []NodeState{NodeDraining, NodeLeaving} {
		gen := wire.Generation(i + 5)
		apply(t, c, 1, RegisterNode{ID: 3, Generation: gen, Addr: "a:3"}, SetNodeState{ID: 3, State: state})
		wantResults(t, apply(t, c, 1, AdmitNode{ID: 3, Generation: gen + 1, Old: gen, Addr: "b:3"}), Result{Done, uint64(gen + 1)})
		if n, _ := c.View().Topology.Find(3); n.State != state || n.Addr != "b:3" {
			t.Errorf("%+v, want it %s", n, state)
		}
	}
}

// P32: reports come in any order; the membership of the highest index is the one that is known.
func TestReportsRise(t *testing.T) {
	c, _ := born(t)
	at := func(i wire.Index, voters ...wire.NodeID) ReportMembers {
		return ReportMembers{ID: 2, Members: wire.Membership{Index: i, Voters: voters}}
	}
	joint := at(20, 1, 2)
	joint.Members.Outgoing = nodes(1, 3)
	wantResults(t, apply(t, c, 1, at(5, 1, 2), at(4, 1, 2, 3), at(5, 1), joint, at(7, 1), ReportMembers{ID: 99, Members: at(5, 1).Members}),
		Result{Done, 5}, Result{Unchanged, 5}, Result{Unchanged, 5}, Result{RefusedInvalid, 20}, Result{Done, 7}, Result{RefusedUnknown, 99})
	if g := group(t, c, 2); !cmp.Equal(g.Members, wire.Membership{Index: 7, Voters: nodes(1)}) || g.Hosted(2) || g.Settled() {
		t.Errorf("%+v", g)
	}
}

// N8: a member that was taken out is not at home again before it has ended the replica that it had, whatever groups report and
// however late that is told.
func TestAddedAgainAfterItsReplicaEnded(t *testing.T) {
	c, _ := born(t)
	report := func(i wire.Index, voters []wire.NodeID, learners ...wire.NodeID) ReportMembers {
		return ReportMembers{ID: 1, Members: wire.Membership{Index: i, Voters: voters, Learners: learners}}
	}
	ended := func(i wire.Index) ReplicaEnded { return ReplicaEnded{ID: 1, Node: 3, Generation: 7, Index: i} }
	apply(t, c, 1, RegisterNode{ID: 3, Generation: 7, Addr: "a:3"}, report(10, nodes(1, 2)))
	if g := group(t, c, 1); g.LeftAt(3) != 10 || g.LeftAt(1) != 0 {
		t.Errorf("taken out: %+v", g)
	}
	apply(t, c, 1, report(11, nodes(1, 2), 3))
	if g := group(t, c, 1); g.Hosted(3) || !cmp.Equal(g.Lost, nodes(3)) || g.LeftAt(3) != 10 {
		t.Errorf("added again too early: %+v", g)
	}
	stranger := ended(10)
	stranger.Generation++
	wantResults(t, apply(t, c, 1, ended(11), stranger, ended(0), ended(10), ended(10), ReplicaEnded{ID: 77, Node: 3, Index: 1}),
		Result{Unchanged, 11}, Result{RefusedGeneration, 7}, Result{Unchanged, 0}, Result{Done, 10}, Result{Unchanged, 10}, Result{RefusedUnknown, 77})
	if g := group(t, c, 1); g.Hosted(3) {
		t.Errorf("a replica that was ended under way is at home: %+v", g)
	}
	apply(t, c, 1, report(12, nodes(1, 2)), report(13, nodes(1, 2), 3))
	if g := group(t, c, 1); !g.Hosted(3) || g.SinceOf(3) != 13 || len(g.Left)+len(g.Lost) != 0 {
		t.Errorf("taken out again, and added: %+v", g)
	}
	// Taken out once more, it is told late of the first time; then its disk is lost, or it goes for good.
	apply(t, c, 1, report(14, nodes(1, 2)), ended(10))
	if g := group(t, c, 1); g.LeftAt(3) != 14 {
		t.Errorf("told of an earlier time: %+v", g)
	}
	apply(t, c, 1, AdmitNode{ID: 3, Generation: 8, Old: 7, Addr: "a:3"}, report(15, nodes(1, 2), 3))
	if g := group(t, c, 1); !g.Hosted(3) {
		t.Errorf("with another disk: %+v", g)
	}
	apply(t, c, 1, report(16, nodes(1, 2)), SetNodeState{ID: 3, State: NodeRemoved})
	if g := group(t, c, 1); len(g.Left) != 0 {
		t.Errorf("removed: %+v", g)
	}
	apply(t, c, 1, ReportMembers{ID: 0, Members: wire.Membership{Index: 9, Voters: nodes(1, 2)}})
	if g := group(t, c, 0); len(g.Left) != 0 {
		t.Errorf("group 0, whose replicas stay: %+v", g)
	}
}

// N8: a replica made anew that is to be ended before it has learned anything is forgotten in the list of members. Started once more before
// it is ended, it must not count for more than before.
func TestReplicaThatIsToBeEndedNeverCounts(t *testing.T) {
	c, _ := born(t)
	report := func(i wire.Index, voters []wire.NodeID, learners ...wire.NodeID) ReportMembers {
		return ReportMembers{ID: 1, Members: wire.Membership{Index: i, Voters: voters, Learners: learners}}
	}
	since := func(id wire.GroupID, n wire.NodeID, want wire.Index) {
		t.Helper()
		if g := group(t, c, id); g.ReplicaSince(n) != want {
			t.Errorf("the replica of group %d on node %d: %d, want %d in %+v", id, n, g.ReplicaSince(n), want, g)
		}
	}
	apply(t, c, 1, RegisterNode{ID: 3, Generation: 7, Addr: "a:3"})
	since(1, 3, 0)
	apply(t, c, 1, report(10, nodes(1, 2)))
	since(1, 3, wire.MaxNumber)
	apply(t, c, 1, ReplicaEnded{ID: 1, Node: 3, Generation: 7, Index: 10}, report(11, nodes(1, 2), 3))
	since(1, 3, 11)
	apply(t, c, 1, report(12, nodes(1, 2)))
	since(1, 3, wire.MaxNumber)
	apply(t, c, 1, report(13, nodes(1, 2), 3)) // too early: it is lost
	since(1, 3, wire.MaxNumber)
	apply(t, c, 1, CreateGroup{ID: 4, Voters: nodes(1, 2)}, DeleteGroup{ID: 4})
	since(4, 1, wire.MaxNumber)
	since(0, 9, 0) // group 0's replicas are never ended
	if unknown := (Group{ID: 77}); unknown.ReplicaSince(1) != 0 {
		t.Error("a group that the catalog has not heard of is none that is to be ended")
	}
}

// D54: the id of a deleted group never comes back, whoever reports, places or creates.
func TestDeletedGroupStaysDeleted(t *testing.T) {
	c, path := born(t)
	make4 := CreateGroup{ID: 4, Kind: "queue", Voters: nodes(1, 2)}
	wantResults(t, apply(t, c, 1,
		CreateGroup{Voters: nodes(3)}, make4, make4, CreateGroup{ID: 4, Voters: nodes(1, 2)},
		DeleteGroup{ID: 4}, DeleteGroup{ID: 4}, DeleteGroup{ID: 1}, DeleteGroup{ID: 0}, DeleteGroup{ID: 50}),
		Result{Done, 3}, Result{Done, 4}, Result{Unchanged, 4}, Result{RefusedInvalid, 4},
		Result{Done, 4}, Result{Unchanged, 4}, Result{RefusedInvalid, 1}, Result{RefusedInvalid, 0}, Result{RefusedUnknown, 50})
	must(t, c.Close())
	c = open(t, path, Options{})
	wantResults(t, apply(t, c, 1,
		make4, CreateGroup{Voters: nodes(1)}, PlaceGroup{ID: 4, Voters: nodes(1)}, PutGroup{Group: Group{ID: 4, Voters: nodes(1)}},
		ReportMembers{ID: 4, Members: wire.Membership{Index: 9, Voters: nodes(1)}}, AssignShards{Claims: []Claim{{0, 1, 4}}}),
		Result{RefusedInvalid, 4}, Result{Done, 5}, Result{RefusedUnknown, 4}, Result{RefusedUnknown, 4}, Result{Unchanged, 0}, Result{RefusedUnknown, 4})
	if g := group(t, c, 4); !cmp.Equal(g, Group{ID: 4, Deleted: true}) {
		t.Errorf("%+v", g)
	}
}

// An id that was skipped is taken before those above it, and whoever takes the last one there is leaves others to be taken.
func TestNextGroup(t *testing.T) {
	c, _ := born(t)
	anywhere := CreateGroup{Voters: nodes(1)}
	wantResults(t, apply(t, c, 1, CreateGroup{ID: wire.MaxNumber, Voters: nodes(1)}, anywhere, CreateGroup{ID: 5, Voters: nodes(1)}, anywhere, anywhere),
		Result{Done, wire.MaxNumber}, Result{Done, 3}, Result{Done, 5}, Result{Done, 4}, Result{Done, 6})
	var got []wire.GroupID
	apply(t, c, 1, DeleteGroup{ID: 4})
	for g := range c.View().Live() {
		if got = append(got, g.ID); g.ID == 5 {
			break
		}
	}
	if !cmp.Equal(got, []wire.GroupID{0, 1, 2, 3, 5}) {
		t.Errorf("alive: %v", got)
	}
}

// A state that no command leaves behind is no state: neither a file nor a peer may bring it.
func TestSharedValidated(t *testing.T) {
	for name, damage := range map[string]func(*Snapshot){
		"no group 0":           func(s *Snapshot) { s.Groups = s.Groups[1:] },
		"tombstone of group 0": func(s *Snapshot) { s.Groups[0] = Group{Deleted: true} },
		"lively tombstone":     func(s *Snapshot) { s.Groups[4].Origin = s.Groups[0].Origin },
		"named tombstone":      func(s *Snapshot) { s.Groups[4].Kind = "queue" },
		"no origin":            func(s *Snapshot) { s.Groups[1].Origin = wire.Membership{} },
		"late origin":          func(s *Snapshot) { s.Groups[1].Origin.Index = 1 },
		"joint origin":         func(s *Snapshot) { s.Groups[1].Origin.Outgoing = nodes(1) },
		"joint members":        func(s *Snapshot) { s.Groups[1].Members.Outgoing = nodes(1) },
		"stranger since":       func(s *Snapshot) { s.Groups[1].Since = []Since{{7, 1}} },
		"since tomorrow":       func(s *Snapshot) { s.Groups[1].Since = []Since{{3, 5}} },
		"since never":          func(s *Snapshot) { s.Groups[1].Origin.Voters = nodes(1, 2) },
		"left and at home":     func(s *Snapshot) { s.Groups[2].Left = []Since{{2, 6}} },
		"left tomorrow":        func(s *Snapshot) { s.Groups[2].Left = []Since{{3, 7}} },
		"left group 0":         func(s *Snapshot) { s.Groups[0].Left = []Since{{9, 1}} },
		"stranger lost":        func(s *Snapshot) { s.Groups[1].Lost = nodes(7) },
		"lost twice":           func(s *Snapshot) { s.Groups[1].Lost = nodes(2, 2) },
		"leader no voter":      func(s *Snapshot) { s.Groups[1].Leader = 9 },
		"token twice":          func(s *Snapshot) { s.Tokens = []Token{s.Tokens[0], s.Tokens[0]} },
		"tokens unsorted":      func(s *Snapshot) { s.Tokens = []Token{s.Tokens[1], s.Tokens[0]} },
		"import of nobody":     func(s *Snapshot) { s.Imports = []Import{{ID: 4, Token: 1}} },
		"import of no process": func(s *Snapshot) { s.Imports = []Import{{ID: 4, Node: 1}} },
		"import of a group":    func(s *Snapshot) { s.Imports = []Import{{ID: 3, Node: 1, Token: 1}} },
		"import of group 0":    func(s *Snapshot) { s.Imports = []Import{{ID: 0, Node: 1, Token: 1}} },
		"imports unsorted":     func(s *Snapshot) { s.Imports = []Import{{ID: 5, Node: 1, Token: 1}, {ID: 4, Node: 1, Token: 2}} },
		"shard of a tombstone": func(s *Snapshot) { s.Routing.Shards[5] = 9 },
		"no settings":          func(s *Snapshot) { s.Settings = Settings{} },
	} {
		s := busy()
		damage(&s)
		if _, err := ReadShared(s.AppendShared(nil)); err == nil {
			t.Errorf("%s: taken from a peer", name)
		}
		if _, err := parseState(stateRecords(&s)); err == nil {
			t.Errorf("%s: taken from a file", name)
		}
	}
	s := busy()
	if _, err := ReadShared(s.AppendShared(nil)); err != nil {
		t.Errorf("without damage: %v", err)
	}
	newer := append([]byte{0x98, 4}, s.AppendShared(nil)[2:]...)
	if _, err := ReadShared(newer); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("of a newer version: %v", err)
	}
}

// maxShared's claim, measured.
func TestSharedHasRoom(t *testing.T) {
	s := busy()
	s.Groups = nil
	members := nodes(1000, 1001, 1002, 1003, 1004, 1005, 1006)
	for id := range wire.GroupID(10_000) {
		g := Group{ID: id, Kind: "registers", Voters: members, Leader: 1000}.Founded()
		g.Members.Index, g.Since = 1<<40, []Since{{1004, 1 << 40}, {1005, 1 << 40}, {1006, 1 << 40}}
		s.Groups = append(s.Groups, g)
	}
	for id := wire.NodeID(1000); id < 1064; id++ {
		s.Topology.Nodes = append(s.Topology.Nodes, Node{ID: id, Addr: strings.Repeat("a", 100), HTTP: strings.Repeat("a", 100), Version: strings.Repeat("v", maxVersion)})
	}
	if n := len(s.AppendShared(nil)); n > maxShared/5 {
		t.Errorf("%d bytes", n)
	}
}

// D46: another address changes neither role nor state.
func TestMoveNodeKeepsItsState(t *testing.T) {
	c, _ := born(t)
	apply(t, c, 1, RegisterNode{ID: 3, Generation: 5, Addr: "a:1"}, SetNodeState{ID: 3, State: NodeLeaving})
	wantResults(t, apply(t, c, 1, MoveNode{ID: 3, Addr: "b:1"}, MoveNode{ID: 3, Addr: "b:1"}, MoveNode{ID: 9, Addr: "b:1"}, MoveNode{ID: 3}),
		Result{Done, 4}, Result{Unchanged, 4}, Result{RefusedUnknown, 9}, Result{RefusedInvalid, 4})
	if n, _ := c.View().Topology.Find(3); n.Addr != "b:1" || n.State != NodeLeaving {
		t.Errorf("%+v", n)
	}
}

// Tokens are good once and for a while, and no more than a few are kept.
func TestTokens(t *testing.T) {
	c, path := born(t)
	hash := func(i int) [32]byte { return [32]byte{byte(i)} }
	wantResults(t, apply(t, c, 1,
		PutToken{hash(1), 100, 10}, PutToken{hash(2), 200, 10}, PutToken{hash(3), 10, 10},
		SpendToken{hash(1), 100, 7}, SpendToken{hash(9), 11, 7}, SpendToken{hash(2), 199, 7}, SpendToken{hash(2), 199, 7}),
		Result{Done, 1}, Result{Done, 2}, Result{RefusedInvalid, 2},
		Result{RefusedUnknown, 7}, Result{RefusedUnknown, 7}, Result{Done, 7}, Result{RefusedUnknown, 7})
	for i := range maxTokens {
		apply(t, c, 1, PutToken{hash(10 + i), 1000, 150}) // the first one forgets the token that is out of date
	}
	wantResults(t, apply(t, c, 1, PutToken{hash(8), 1000, 150}), Result{RefusedInvalid, maxTokens})
	wantResults(t, apply(t, c, 1, PutToken{hash(10), 1000, 150}), Result{Unchanged, maxTokens})
	must(t, c.Close())
	c = open(t, path, Options{})
	wantResults(t, apply(t, c, 1, SpendToken{hash(10), 999, 7}, SpendToken{hash(11), 1000, 7}), Result{Done, 7}, Result{RefusedUnknown, 7})
}

// P31, F47: a joiner begins with all of group 0's state, in one transaction, and never twice.
func TestJoin(t *testing.T) {
	c, _ := born(t)
	apply(t, c, 3, EpochBump{3}, AdmitNode{ID: 9, Generation: 5, Addr: "n:9"}, CreateGroup{Voters: nodes(1)}, PutToken{[32]byte{1}, 100, 10},
		ReportMembers{ID: 1, Members: wire.Membership{Index: 4, Voters: nodes(1, 2, 3), Learners: nodes(9)}})
	b := c.View().AppendShared(nil)
	shared, err := ReadShared(b)
	must(t, err)
	joiner, _ := unborn(t)
	id := Identity{ClusterID: wire.ClusterID{1, 2, 3}, ClusterName: "flotilla", NodeID: 9, Generation: 5}
	must(t, joiner.Join(id, &shared))
	if got, want := joiner.View(), c.View(); got.Digest() != want.Digest() || got.Applied != want.Applied || got.Epoch != 1 || got.Identity != id || got.Incarnation != 0 {
		t.Errorf("joined as %+v", got)
	}
	if err := joiner.Join(id, &shared); err == nil {
		t.Error("joined twice")
	}
	other, _ := unborn(t)
	for name, change := range map[string]func(*Identity){
		"a node that the topology does not have":  func(id *Identity) { id.NodeID = 44 },
		"a node that was never admitted":          func(id *Identity) { id.NodeID = 2 },
		"another directory than the admitted one": func(id *Identity) { id.Generation++ },
		"no cluster": func(id *Identity) { id.ClusterID = wire.ClusterID{} },
		"a node that was removed in the meantime": func(*Identity) { shared.Topology.put(Node{ID: 9, Generation: 5, Addr: "n:9", State: NodeRemoved}) },
	} {
		wrong, was := id, shared
		change(&wrong)
		if err := other.Join(wrong, &shared); err == nil || other.View().Born {
			t.Errorf("%s: %v", name, err)
		}
		shared = was
	}
	for i := range b {
		if _, err := ReadShared(b[:i]); err == nil {
			t.Fatalf("%d of %d bytes were read", i, len(b))
		}
	}
}

func unborn(t *testing.T) (*Catalog, string) {
	t.Helper()
	path := t.TempDir() + "/catalog.db"
	return open(t, path, Options{}), path
}

// What a joiner is told is a peer's bytes: bounded, and never a state that could not be kept.
func FuzzReadShared(f *testing.F) {
	s := busy()
	b := s.AppendShared(nil)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ReadShared(in)
		if err != nil {
			return
		}
		again, err := ReadShared(s.AppendShared(nil))
		if err != nil || !reflect.DeepEqual(s, again) { // cmp looks at each shard: too slow here
			t.Fatalf("read, written and read: %v %s", err, cmp.Diff(s, again))
		}
	})
}

// N8: a damaged replica is lost, and to be ended before its node is a member again; what is told of another one, or late, changes nothing; and
// where the others decide nothing it is kept.
func TestBrokenReplica(t *testing.T) {
	c, path := born(t)
	report := func(i wire.Index, voters []wire.NodeID, learners ...wire.NodeID) ReportMembers {
		return ReportMembers{ID: 1, Members: wire.Membership{Index: i, Voters: voters, Learners: learners}}
	}
	broken := func(n wire.NodeID, since wire.Index) ReplicaBroken {
		return ReplicaBroken{ID: 1, Node: n, Generation: wire.Generation(n), Since: since}
	}
	for n := wire.NodeID(1); n <= 3; n++ {
		apply(t, c, 1, RegisterNode{ID: n, Generation: wire.Generation(n), Addr: "a:1"})
	}
	stranger := broken(3, 0)
	stranger.Generation++
	wantResults(t, apply(t, c, 1, stranger, broken(3, 4), ReplicaBroken{ID: 77}, ReplicaBroken{ID: 0, Node: 3, Generation: 3}, broken(3, 0), broken(3, 0), broken(2, 0)),
		Result{RefusedGeneration, 3}, Result{Unchanged, 4}, Result{RefusedUnknown, 77}, Result{RefusedInvalid, 0}, Result{Done, 0}, Result{Unchanged, 0}, Result{RefusedQuorum, 0})
	g := group(t, c, 1)
	if !cmp.Equal(g.Lost, nodes(3)) || g.Hosted(3) || !g.Hosted(2) || g.LeftAt(3) != 1 || g.ReplicaSince(3) != wire.MaxNumber || g.Settled() {
		t.Errorf("broken: %+v", g)
	}
	apply(t, c, 1, report(10, nodes(1, 2)))
	if g := group(t, c, 1); len(g.Lost) != 0 || g.LeftAt(3) != 1 {
		t.Errorf("taken out: %+v", g)
	}
	wantResults(t, apply(t, c, 1, broken(3, 0), broken(2, 0), ReplicaEnded{ID: 1, Node: 3, Generation: 3, Index: 1}, report(11, nodes(1, 2), 3)),
		Result{Unchanged, 0}, Result{RefusedQuorum, 0}, Result{Done, 1}, Result{Done, 11})
	if g := group(t, c, 1); !g.Hosted(3) || g.SinceOf(3) != 11 || len(g.Left) != 0 {
		t.Errorf("added again: %+v", g)
	}
	wantResults(t, apply(t, c, 1, broken(3, 0), broken(3, 11)), Result{Unchanged, 0}, Result{Done, 11}) // a learner is never missed
	if g := group(t, c, 1); g.LeftAt(3) != 11 {
		t.Errorf("broken again: %+v", g)
	}
	apply(t, c, 1, AdmitNode{ID: 3, Generation: 30, Old: 3, Addr: "a:3"})
	if g := group(t, c, 1); len(g.Left) != 0 || !cmp.Equal(g.Lost, nodes(3)) {
		t.Errorf("another disk: %+v", g)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(path, Options{}); err != nil {
		t.Error(err)
	} else {
		defer c.Close()
	}
}

// A node whose disk can be read in part is replaced only where nothing depends on what it has.
func TestReplaceNode(t *testing.T) {
	c, _ := born(t)
	for n := wire.NodeID(1); n <= 3; n++ {
		apply(t, c, 1, RegisterNode{ID: n, Generation: wire.Generation(n), Addr: "a:1"})
	}
	replace := func(n wire.NodeID) ReplaceNode {
		return ReplaceNode{AdmitNode{ID: n, Generation: wire.Generation(10 * n), Old: wire.Generation(n), Addr: "a:1"}}
	}
	wantResults(t, apply(t, c, 1, replace(3), replace(3), replace(2), ReplicaBroken{ID: 1, Node: 1, Generation: 1}),
		Result{Done, 30}, Result{Unchanged, 30}, Result{RefusedQuorum, 0}, Result{RefusedQuorum, 0})
	for _, g := range c.View().Groups {
		if !cmp.Equal(g.Lost, nodes(3)) || !g.Hosted(2) {
			t.Errorf("%+v", g)
		}
	}
}
