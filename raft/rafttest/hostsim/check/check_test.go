package check

import (
	"reflect"
	"strings"
	"testing"

	"flotilla/catalog"
	"flotilla/epoch"
	"flotilla/kv"
	"flotilla/raft/wire"
)

// step is one thing that a checker is told.
type step[C any] func(c *C) error

// bite shows a checker a good history, and a bad one in which only the last step is wrong.
func bite[C any](t *testing.T, name string, good, bad []step[C], says string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		var c C
		for i, s := range good {
			if err := s(&c); err != nil {
				t.Errorf("good history, step %d: %v", i, err)
			}
		}
		c = *new(C)
		for i, s := range bad {
			err := s(&c)
			if last := i == len(bad)-1; last != (err != nil) || last && !strings.Contains(err.Error(), says) {
				t.Errorf("bad history, step %d of %d: %v, want %q at the last", i, len(bad), err, says)
			}
		}
		bitten[reflect.TypeFor[C]().Name()] = true
	})
}

// bitten are the checkers that were shown a bad history.
var bitten = map[string]bool{}

// TestCheckersBite shows each checker a history that breaks its invariant, and one beside it that does not.
func TestCheckersBite(t *testing.T) {
	elections(t)
	logs(t)
	machines(t)
	durability(t)
	epochs(t)
	nodes(t)
	callers(t)
	sessions(t)
	registers(t)
	members(t)
	placed(t)
	snapshots(t)
	imports(t)
	for _, name := range []string{
		"Elections", "Logs", "Machines", "Durability", "Epochs", "Fence", "Readiness", "Watchers", "Callers", "Outcomes", "Sessions", "Registers",
		"Identities", "Rebirths", "Tombstones", "Placed", "Snapshots", "Imports",
	} {
		if !bitten[name] {
			t.Errorf("no bad history for %s", name)
		}
	}
}

func elections(t *testing.T) {
	type s = []step[Elections]
	led := func(g wire.GroupID, term wire.Term, n wire.NodeID) step[Elections] {
		return func(c *Elections) error { return c.Led(g, term, n) }
	}
	bite(t, "two leaders of a term", s{led(1, 4, 3), led(1, 4, 3), led(1, 5, 2), led(2, 4, 2)}, s{led(1, 4, 3), led(1, 4, 2)}, "which node 3 has led")
}

func entry(i wire.Index, term wire.Term, data string) wire.Entry {
	return wire.Entry{Index: i, Term: term, Kind: wire.EntryData, Data: []byte(data)}
}

func logs(t *testing.T) {
	type s = []step[Logs]
	stored := func(n wire.NodeID, before wire.Term, entries ...wire.Entry) step[Logs] {
		return func(c *Logs) error { return c.Stored(n, 1, before, entries) }
	}
	first := stored(1, 0, entry(1, 1, "a"), entry(2, 2, "b"))
	bite(t, "same place, other data", s{first, stored(2, 0, entry(1, 1, "a")), stored(2, 1, entry(2, 3, "c"))},
		s{first, stored(2, 0, entry(1, 1, "x"))}, "other data")
	bite(t, "same place, other past", s{first, stored(2, 1, entry(2, 2, "b"))},
		s{first, stored(2, 2, entry(2, 2, "b"))}, "follows term 2 here and term 1 elsewhere")
	bite(t, "term falls along a log", s{first}, s{stored(1, 3, entry(4, 2, "a"))}, "of term 2 follows one of term 3")
}

func machines(t *testing.T) {
	type s = []step[Machines]
	apply := func(n wire.NodeID, at int, i wire.Index, term wire.Term, command, result uint64) step[Machines] {
		return func(c *Machines) error {
			_, err := c.Apply(n, 1, at, Applied{Index: i, Term: term, Command: command, Result: result}, term)
			return err
		}
	}
	acked := func(i wire.Index, command uint64) step[Machines] {
		return func(c *Machines) error { return c.Acknowledged(1, i, command) }
	}
	elected := func(term, has wire.Term) step[Machines] {
		return func(c *Machines) error { return c.Elected(3, 1, term, func(wire.Index) wire.Term { return has }) }
	}
	a, b := apply(1, 0, 2, 1, 7, 70), apply(1, 1, 3, 1, 8, 80)
	bite(t, "another command", s{a, b, apply(2, 0, 2, 1, 7, 70)}, s{a, b, apply(2, 0, 2, 2, 9, 70)}, "another node had applied 2@1")
	bite(t, "a command left out", s{a, apply(2, 0, 2, 1, 7, 70)}, s{a, b, apply(2, 0, 3, 1, 8, 80)}, "another node had applied 2@1")
	bite(t, "a command applied twice", s{a, b}, s{a, b, apply(1, 2, 2, 1, 7, 70)}, "after 3@1")
	bite(t, "another result", s{a, apply(2, 0, 2, 1, 7, 70)}, s{a, apply(2, 0, 2, 1, 7, 71)}, "another result")
	bite(t, "ahead of everybody", s{a, b}, s{a, apply(2, 2, 4, 1, 8, 80)}, "only 1 are known")
	bite(t, "acknowledged and applied nowhere", s{a, b, acked(3, 8)}, s{a, acked(3, 8)}, "no machine has been given it")
	bite(t, "acknowledged where another one is", s{a, b, acked(2, 7)}, s{a, b, acked(2, 8)}, "no machine has been given it")
	bite(t, "leader without what was applied", s{a, elected(2, 1), elected(1, 0)}, s{a, elected(2, 0)}, "has term 0 at 2")
}

func durability(t *testing.T) {
	type s = []step[Durability]
	synced := func(term wire.Term, vote wire.NodeID, last wire.Index) step[Durability] {
		return func(c *Durability) error { c.Synced(1, 1, wire.HardState{Term: term, Vote: vote}, last); return nil }
	}
	sent := func(m wire.Message) step[Durability] {
		m.Group, m.From = 1, 1
		return func(c *Durability) error { return c.Sent(&m) }
	}
	ack := sent(wire.Message{Type: wire.MsgAppendReply, To: 2, Term: 1, Index: 5})
	refusal := sent(wire.Message{Type: wire.MsgAppendReply, To: 2, Term: 1, Index: 5, Reject: true})
	bite(t, "acknowledged before it is on disk", s{refusal, synced(1, 2, 5), ack}, s{synced(1, 2, 4), ack}, "has 4 on disk")
	vote := sent(wire.Message{Type: wire.MsgVoteReply, To: 2, Term: 3})
	bite(t, "voted before it is on disk", s{synced(3, 2, 0), vote}, s{synced(2, 2, 0), vote}, "its disk says 2 in term 2")
	bite(t, "voted for another one", s{synced(3, 2, 0), vote}, s{synced(3, 1, 0), vote}, "its disk says 1 in term 3")
	ask := sent(wire.Message{Type: wire.MsgVote, To: 2, Term: 3})
	bite(t, "stands before its own vote is on disk", s{synced(3, 1, 0), ask}, s{synced(2, 1, 0), ask}, "asks for votes in term 3")
}

func epochs(t *testing.T) {
	type s = []step[Epochs]
	applied := func(n wire.NodeID, e epoch.Epoch, term wire.Term) step[Epochs] {
		return func(c *Epochs) error { return c.Applied(n, e, term) }
	}
	stamped := func(observed, has epoch.Epoch) step[Epochs] {
		return func(c *Epochs) error { return c.Stamped(1, epoch.Stamp{Observed: observed, Applied: has}) }
	}
	bite(t, "rises by two", s{applied(1, 0, 0), applied(1, 1, 2), applied(2, 1, 2), applied(1, 2, 5)}, s{applied(1, 2, 2)}, "the last one allocated is 0")
	bite(t, "two holders", s{applied(1, 1, 2), applied(2, 0, 0)}, s{applied(1, 1, 2), applied(2, 1, 3)}, "allocated in term 2")
	bite(t, "twice in a term", s{applied(1, 1, 2), applied(1, 2, 3)}, s{applied(1, 1, 2), applied(1, 2, 2)}, "epoch 1 was allocated in term 2")
	bite(t, "not allocated", s{applied(1, 1, 2), stamped(1, 1), stamped(1, 0)}, s{applied(1, 1, 2), stamped(2, 1)}, "the last one allocated is 1")
	bite(t, "applied above observed", s{applied(1, 1, 2), stamped(1, 1)}, s{applied(1, 1, 2), stamped(0, 1)}, "observed 0")

	type f = []step[Fence]
	reached := func(applied, observed, has epoch.Epoch, authority bool) step[Fence] {
		return func(c *Fence) error {
			return c.Reached(1, applied, epoch.Stamp{Observed: observed, Applied: has}, authority)
		}
	}
	bite(t, "stale frame", f{reached(3, 3, 1, false), reached(3, 4, 4, true)}, f{reached(3, 2, 2, false)}, "a frame of epoch 2")
	bite(t, "without authority", f{reached(3, 3, 3, true)}, f{reached(3, 3, 2, true)}, "authority 2")
}

func nodes(t *testing.T) {
	type r = []step[Readiness]
	flipped := func(life int, term, applied wire.Term) step[Readiness] {
		return func(c *Readiness) error { return c.Flipped(2, life, term, applied) }
	}
	bite(t, "ready before its time", r{flipped(1, 4, 4)}, r{flipped(1, 4, 3)}, "applied an entry of term 3")
	bite(t, "ready twice", r{flipped(1, 4, 4), flipped(2, 5, 5)}, r{flipped(1, 4, 4), flipped(1, 5, 5)}, "twice in life 1")

	type w = []step[Watchers]
	saw := func(life int, applied, next wire.Index) step[Watchers] {
		return func(c *Watchers) error { return c.Saw(2, life, 1, applied, next) }
	}
	bite(t, "falls", w{saw(1, 5, 0), saw(1, 5, 6), saw(2, 0, 1)}, w{saw(1, 5, 0), saw(1, 4, 0)}, "from 5 to 4")
	bite(t, "moves before the machine has it", w{saw(1, 5, 6)}, w{saw(1, 6, 6)}, "before the machine has been given 6")
}

func callers(t *testing.T) {
	type s = []step[Callers]
	var key *int
	asked := func(c *Callers) error { key = c.Asked(func() string { return "a put" }); return nil }
	answered := func(c *Callers) error { return c.Answered(key) }
	died := func(c *Callers) error { c.Died(key); return nil }
	over := (*Callers).Over
	bite(t, "answered twice", s{asked, answered, over}, s{asked, answered, answered}, "2 times")
	bite(t, "never answered", s{asked, died, over}, s{asked, over}, "never answered, one of them: a put")
	bite(t, "answered by the dead", s{asked, died}, s{asked, died, answered}, "after its process died")

	type o = []step[Outcomes]
	refused := func(c *Outcomes) error { return c.Refused(Attempt{Op: 3, Number: 1}, wire.CodeTimeout) }
	applied := func(n int) step[Outcomes] {
		return func(c *Outcomes) error { return c.Applied(Attempt{Op: 3, Number: n}) }
	}
	bite(t, "refused and then applied", o{refused, applied(2)}, o{refused, applied(1)}, "and is applied")
	bite(t, "applied and then refused", o{applied(2), refused}, o{applied(1), refused}, "was applied and is answered")
}

func sessions(t *testing.T) {
	type s = []step[Sessions]
	put := func(number kv.Sequence, status kv.Status, revision kv.Revision) step[Sessions] {
		return func(c *Sessions) error {
			_, err := c.Applied(&kv.Command{Op: kv.OpPut, Session: 1, Sequence: number}, kv.Result{Status: status, Revision: revision})
			return err
		}
	}
	first := put(1, kv.StatusOK, 1)
	bite(t, "takes effect twice", s{first, put(1, kv.StatusOK, 1), put(2, kv.StatusOK, 2)}, s{first, put(1, kv.StatusOK, 2)}, "takes effect at revision 2, and had at 1")
	bite(t, "another answer", s{first, put(1, kv.StatusOK, 1)}, s{first, put(1, kv.StatusConflict, 1)}, "and was")
	bite(t, "answered without an effect", s{first}, s{first, put(2, kv.StatusOK, 1)}, "the old revision 1")
	bite(t, "a revision left out", s{first}, s{first, put(2, kv.StatusOK, 3)}, "revision 3 follows 1")
}

func registers(t *testing.T) {
	type s = []step[Registers]
	k := []byte("k")
	put := func(value string, at kv.Revision) step[Registers] {
		return func(c *Registers) error { c.Put(k, []byte(value), at); return nil }
	}
	removed := func(at kv.Revision) step[Registers] { return func(c *Registers) error { c.Removed(k, at); return nil } }
	wrote := func(floor, at kv.Revision) step[Registers] {
		return func(c *Registers) error { return c.Wrote(k, floor, at) }
	}
	found := func(floor, at kv.Revision, value string) step[Registers] {
		return func(c *Registers) error { return c.Found(k, floor, at, []byte(value)) }
	}
	missed := func(floor kv.Revision) step[Registers] { return func(c *Registers) error { return c.Missed(k, floor) } }
	stale := func(at kv.Revision, value string) step[Registers] {
		return func(c *Registers) error { return c.Stale(k, at, []byte(value)) }
	}
	a, b := put("a", 1), put("b", 2)
	bite(t, "read from before", s{a, b, found(0, 1, "a"), found(1, 2, "b"), stale(1, "a")}, s{a, b, found(2, 1, "a")}, "after revision 2 was known")
	bite(t, "a value that was never there", s{a, found(0, 1, "a")}, s{a, found(0, 1, "b")}, "never written")
	bite(t, "a value that was never there, stale", s{a, stale(1, "a")}, s{a, stale(1, "b")}, "never written")
	bite(t, "missed what was there", s{missed(0), a, removed(2), missed(1)}, s{a, b, missed(1)}, "has always been there")
	bite(t, "removed and found", s{a, removed(2), found(0, 1, "a")}, s{a, removed(2), found(0, 2, "a")}, "never written")
	bite(t, "write lost its place", s{a, wrote(0, 1), b, wrote(1, 2)}, s{a, b, wrote(2, 1)}, "began after revision 2")
	bite(t, "write that nobody made", s{a, wrote(0, 1)}, s{a, wrote(0, 2)}, "nobody wrote it")
}

func members(t *testing.T) {
	type i = []step[Identities]
	reached := func(came, known wire.Generation, removed bool) step[Identities] {
		return func(c *Identities) error { return c.Reached(1, 2, came, known, removed) }
	}
	bite(t, "heard under a lost identity", i{reached(7, 0, false), reached(7, 7, false)}, i{reached(7, 8, false)}, "knows generation 8")
	bite(t, "heard after its removal", i{reached(7, 7, false)}, i{reached(7, 7, true)}, "was removed")

	type r = []step[Rebirths]
	effect := func(index wire.Index, voters ...wire.NodeID) step[Rebirths] {
		return func(c *Rebirths) error { c.Effect(1, &wire.Membership{Index: index, Voters: voters}); return nil }
	}
	lost := func(c *Rebirths) error { c.Lost(2, 1); return nil }
	made := func(c *Rebirths) error { return c.Made(2, 1) }
	bite(t, "made again while it counts", r{effect(0, 1, 2, 3), made, lost, effect(5, 1, 3), effect(9, 1, 2, 3), made},
		r{effect(0, 1, 2, 3), lost, effect(5, 1, 2, 3, 4), made}, "has lost one")
	bite(t, "made again by an old membership", r{effect(5, 1, 3), lost, effect(6, 2, 3), made},
		r{effect(5, 1, 2, 3), lost, effect(4, 1, 3), made}, "has lost one")

	type d = []step[Tombstones]
	served := func(n wire.NodeID) step[Tombstones] { return func(c *Tombstones) error { return c.Served(n, 1) } }
	ended := func(c *Tombstones) error { c.Ended(2, 1); return nil }
	bite(t, "serves a tombstone", d{served(2), ended, served(3)}, d{ended, served(2)}, "node 2 serves group 1")
}

func placed(t *testing.T) {
	type p = []step[Placed]
	nodes := func(a, b, c catalog.NodeState) catalog.Topology {
		return catalog.Topology{Nodes: []catalog.Node{{ID: 1, State: a}, {ID: 2, State: b}, {ID: 3, State: c}}}
	}
	group := func(id wire.GroupID, voters ...wire.NodeID) catalog.Group {
		return catalog.Group{ID: id, Voters: voters}.Founded()
	}
	healed := func(v catalog.Snapshot, two ...wire.GroupID) step[Placed] {
		v.Settings.Replication = 2
		return func(c *Placed) error { return c.Healed(&v, map[wire.NodeID][]wire.GroupID{2: two}) }
	}
	active, drained := catalog.NodeActive, catalog.NodeDraining
	all := nodes(active, active, active)
	meta := group(0, 1, 2, 3)
	good := healed(catalog.Snapshot{Topology: all, Groups: []catalog.Group{meta, group(1, 1, 2)}}, 0, 1)
	for _, c := range []struct {
		name string
		bad  step[Placed]
		says string
	}{
		{"a node that leaves for ever", healed(catalog.Snapshot{Topology: nodes(active, active, catalog.NodeLeaving), Groups: []catalog.Group{meta}}, 0), "leaving still"},
		{"too few voters", healed(catalog.Snapshot{Topology: all, Groups: []catalog.Group{meta, group(1, 2)}}, 0, 1), "1 voters"},
		{"on a drained node", healed(catalog.Snapshot{Topology: nodes(active, active, drained), Groups: []catalog.Group{group(0, 1, 2), group(1, 2, 3)}}, 0, 1), "to have nothing"},
		{"a member without a replica", healed(catalog.Snapshot{Topology: all, Groups: []catalog.Group{meta, group(1, 1, 2)}}, 0), "is a member: true"},
		{"a replica of a tombstone", healed(catalog.Snapshot{Topology: all, Groups: []catalog.Group{meta, {ID: 1, Deleted: true}}}, 0, 1), "is a member: false"},
		{"out of group 0", healed(catalog.Snapshot{Topology: all, Groups: []catalog.Group{group(0, 1, 2)}}, 0), "no member of group 0"},
		{"never settles", healed(catalog.Snapshot{Topology: all, Groups: []catalog.Group{meta, {ID: 1, Voters: []wire.NodeID{1, 2}, Members: wire.Membership{Voters: []wire.NodeID{1, 3}}}}}, 0), "is wanted on [1 2]"},
	} {
		bite(t, c.name, p{good}, p{c.bad}, c.says)
	}
}

func snapshots(t *testing.T) {
	type s = []step[Snapshots]
	effect := func(index wire.Index, voters ...wire.NodeID) step[Snapshots] {
		return func(c *Snapshots) error { c.Effect(1, &wire.Membership{Index: index, Voters: voters}); return nil }
	}
	made := func(n wire.NodeID, index, members wire.Index, sum uint64, commands int, voters ...wire.NodeID) step[Snapshots] {
		at := wire.Snapshot{Index: index, Term: 2, Membership: wire.Membership{Index: members, Voters: voters}}
		return func(c *Snapshots) error { return c.Made(n, 1, &at, sum, commands, 9) }
	}
	restored := func(was, index wire.Index, sum uint64) step[Snapshots] {
		return func(c *Snapshots) error { return c.Restored(3, 1, was, index, sum) }
	}
	applies := func(was, index wire.Index) step[Snapshots] {
		return func(c *Snapshots) error { return c.Applies(3, 1, was, index) }
	}
	bounded := func(bytes int64) step[Snapshots] {
		return func(c *Snapshots) error { return c.Bounded(3, 1, bytes, 10) }
	}
	held := func(change, first wire.Index) step[Snapshots] {
		return func(c *Snapshots) error { return c.Held(3, 1, change, first) }
	}
	begin, change, again := effect(0, 1, 2), effect(5, 1, 2, 3), effect(5, 1, 2, 3)
	good := s{
		change, begin, again, made(1, 4, 0, 7, 9, 1, 2), made(2, 4, 0, 7, 9, 1, 2), made(1, 8, 5, 8, 9, 1, 2, 3),
		restored(0, 4, 7), applies(4, 6), restored(6, 8, 8), applies(8, 9), bounded(10),
		held(0, 5), held(5, 6), held(5, 9),
	}
	for _, c := range []struct {
		name string
		bad  s
		says string
	}{
		{"two states at an index", s{begin, made(1, 4, 0, 7, 9, 1, 2), made(2, 4, 0, 8, 9, 1, 2)}, "is another one than node 1's"},
		{"a command is missing", s{begin, made(1, 4, 0, 7, 8, 1, 2)}, "holds 8 commands, the log has 9"},
		{"the membership of today", s{begin, change, made(1, 4, 5, 7, 9, 1, 2, 3)}, "in effect there was"},
		{"the membership before the last change", s{begin, change, made(1, 8, 0, 7, 9, 1, 2)}, "in effect there was"},
		{"a member left out", s{begin, change, made(1, 8, 5, 7, 9, 1, 2)}, "in effect there was"},
		{"a state that no log led to", s{begin, made(1, 4, 0, 7, 9, 1, 2), restored(0, 4, 8)}, "nobody has made"},
		{"back", s{begin, made(1, 4, 0, 7, 9, 1, 2), restored(5, 4, 7)}, "goes back from 5 to 4"},
		{"given again what is in the state", s{applies(3, 4), applies(4, 4)}, "is at 4 and is given 4"},
		{"a change gone with the log", s{begin, change, held(0, 6)}, "but that of 5 took effect"},
		{"a log without end", s{bounded(11)}, "11 bytes"},
	} {
		bite(t, c.name, good, c.bad, c.says)
	}
}

func imports(t *testing.T) {
	type s = []step[Imports]
	begun := func(taken bool) step[Imports] { return func(c *Imports) error { return c.Begun(4, 2, 10, 7, taken) } }
	created := func(c *Imports) error { return c.Created(4) }
	adopted := func(voters ...wire.NodeID) step[Imports] {
		return func(c *Imports) error { return c.Adopted(2, 4, &wire.Membership{Voters: voters}) }
	}
	restored := func(n wire.NodeID, i wire.Index) step[Imports] {
		return func(c *Imports) error { c.Restored(n, 4, i); return nil }
	}
	made := func(first wire.Index) step[Imports] { return func(c *Imports) error { return c.Made(4, first) } }
	ended := func(working bool) step[Imports] { return func(c *Imports) error { return c.Ended(4, working) } }
	applies := func(n wire.NodeID, was wire.Index) step[Imports] {
		return func(c *Imports) error { return c.Applies(n, 4, was) }
	}
	acked := func(c *Imports) error { return c.Acknowledged(4) }
	refused := func(c *Imports) error { return c.Refused(4) }
	holds := func(sum uint64) step[Imports] { return func(c *Imports) error { return c.Holds(3, 4, sum) } }
	healed := func(v catalog.Snapshot, strays []wire.GroupID, staged ...string) step[Imports] {
		return func(c *Imports) error { return c.Healed(&v, strays, staged) }
	}
	begin, whole := begun(false), restored(2, 10)
	good := s{begin, adopted(2), whole, made(11), acked, applies(2, 10), restored(3, 12), applies(3, 12), holds(7), ended(false), acked, refused, healed(catalog.Snapshot{}, nil)}
	for _, c := range []struct {
		name string
		bad  s
		says string
	}{
		{"an id given out twice", s{begin, begin}, "was given out before"},
		{"a group's id given out", s{begun(true)}, "was given out before"},
		{"a tombstone's id given out", s{begin, ended(false), begin}, "was given out before"},
		{"a group under an id that is given out", s{begin, created}, "was given out for an import"},
		{"members from elsewhere", s{begin, adopted(97, 98)}, "with members"},
		{"announced without a machine that has it", s{begin, made(11)}, "is announced before"},
		{"announced without a log", s{begin, whole, made(0)}, "is announced before"},
		{"announced with a log from the beginning", s{begin, whole, made(1)}, "is announced before"},
		{"announced when another node has it", s{begin, restored(3, 10), made(11)}, "is announced before"},
		{"made after it was taken back", s{begin, whole, ended(false), made(11)}, "not under way"},
		{"made after it was refused", s{begin, whole, refused, made(11)}, "was told that it is not"},
		{"refused after it was made", s{begin, whole, made(11), refused}, "and it is"},
		{"taken back by who works on it", s{begin, whole, ended(true)}, "on which it works"},
		{"an empty machine is given a command", s{begin, whole, made(11), applies(3, 0)}, "begins with a state at 10"},
		{"acknowledged before it is there", s{begin, whole, acked}, "no group yet"},
		{"acknowledged after it was taken back", s{begin, whole, ended(false), acked}, "no group yet"},
		{"another state", s{begin, whole, made(11), holds(8)}, "has not got the state"},
		{"under way for ever", s{healed(catalog.Snapshot{Imports: []catalog.Import{{ID: 4}}}, nil)}, "under way still"},
		{"a snapshot of nobody's", s{healed(catalog.Snapshot{}, []wire.GroupID{4})}, "without a replica"},
		{"a file of nobody's", s{healed(catalog.Snapshot{}, nil, "/recv/1.import")}, "1.import"},
	} {
		bite(t, c.name, good, c.bad, c.says)
	}
}

// TestBegin: a key that a group begins with has never been absent, and what follows it is counted from there.
func TestBegin(t *testing.T) {
	var r Registers
	k := []byte("k")
	r.Begin(k, []byte("a"), 3)
	if err := r.Found(k, r.Asked(k), 3, []byte("a")); err != nil || r.Asked(k) != 3 {
		t.Errorf("at %d: %v", r.Asked(k), err)
	}
	if r.Missed(k, 0) == nil {
		t.Error("it was found absent")
	}
	var s Sessions
	s.Begin(3)
	put := kv.Command{Op: kv.OpPut, Session: 1, Sequence: 1}
	if effect, err := s.Applied(&put, kv.Result{Status: kv.StatusOK, Revision: 4}); !effect || err != nil {
		t.Errorf("revision 4 after 3: %t, %v", effect, err)
	}
}

// TestFloor: whoever asks after an answer must not be told less.
func TestFloor(t *testing.T) {
	var c Registers
	k := []byte("k")
	c.Put(k, []byte("a"), 1)
	c.Put(k, []byte("b"), 2)
	if got := c.Asked(k); got != 0 {
		t.Errorf("before anybody was told: %d", got)
	}
	if err := c.Found(k, 0, 2, []byte("b")); err != nil || c.Asked(k) != 2 {
		t.Errorf("after a read of revision 2: %d, %v", c.Asked(k), err)
	}
	c.Removed(k, 3)
	if err := c.Missed(k, 2); err != nil || c.Asked(k) != 3 {
		t.Errorf("after it was found absent: %d, %v", c.Asked(k), err)
	}
}
