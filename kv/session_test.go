package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"flotilla/raft/multiraft"
)

func open(t testing.TB, m *Machine) SessionID {
	t.Helper()
	r := apply(t, m, Command{Op: OpOpen})[0]
	if r.Status != StatusOK || r.Session == NoSession {
		t.Fatalf("open: %+v", r)
	}
	return r.Session
}

// in makes c the session's command number q.
func in(c Command, s SessionID, q, acked Sequence) Command {
	c.Session, c.Sequence, c.Acked = s, q, acked
	return c
}

// TestRepeatedSequenceAppliesOnce: a retry gets the first result and changes nothing (D39, N7).
func TestRepeatedSequenceAppliesOnce(t *testing.T) {
	m := New()
	s := open(t, m)
	first := put("a", "1")
	first.Require = AtRevision(0)
	if got := apply(t, m, in(first, s, 1, 1))[0]; got != (Result{Status: StatusOK, Revision: 1}) {
		t.Fatalf("first: %+v", got)
	}
	apply(t, m, in(put("a", "2"), s, 2, 1))
	h := m.Hash()
	if got := apply(t, m, in(first, s, 1, 1))[0]; got != (Result{Status: StatusOK, Revision: 1}) {
		t.Errorf("repeated: %+v, want the first result although its precondition fails by now", got)
	}
	if got := apply(t, m, in(put("other", "x"), s, 1, 1))[0]; got != (Result{Status: StatusOK, Revision: 1}) {
		t.Errorf("other command under a used sequence: %+v", got)
	}
	if m.Hash() != h {
		t.Error("a repeated sequence changed the state")
	}
	failed := put("a", "3")
	failed.Require = AtRevision(99)
	want := Result{Status: StatusConflict, Revision: 2}
	if got := apply(t, m, in(failed, s, 3, 1), in(put("a", "4"), s, 4, 1), in(failed, s, 3, 1)); got[0] != want || got[2] != want {
		t.Errorf("a refused command repeated: %+v", got)
	}
}

// TestSessionRefusals: what a session does not know, it never applies (N7).
func TestSessionRefusals(t *testing.T) {
	m := New()
	s := open(t, m)
	apply(t, m, in(put("a", "1"), s, 5, 5))
	closed := open(t, m)
	apply(t, m, Command{Op: OpClose, Session: closed})
	before := stats(t, m).Revision
	for name, c := range map[string]struct {
		command Command
		want    Status
	}{
		"unknown session":      {in(put("x", "1"), 99, 1, 1), StatusSessionExpired},
		"closed session":       {in(put("x", "1"), closed, 1, 1), StatusSessionExpired},
		"close twice":          {Command{Op: OpClose, Session: closed}, StatusSessionExpired},
		"sequence 0":           {in(put("x", "1"), s, 0, 0), StatusInvalid},
		"mark above sequence":  {in(put("x", "1"), s, 6, 7), StatusInvalid},
		"acknowledged already": {in(put("x", "1"), s, 4, 1), StatusAcknowledged},
		"beyond the window":    {in(put("x", "1"), s, 5+MaxWindow, 5), StatusWindow},
	} {
		if got := apply(t, m, c.command)[0]; got.Status != c.want {
			t.Errorf("%s: %+v, want status %d", name, got, c.want)
		}
	}
	if got := stats(t, m).Revision; got != before {
		t.Errorf("refused commands raised the revision from %d to %d", before, got)
	}
	if got := apply(t, m, in(put("x", "1"), s, 4+MaxWindow, 5))[0]; got.Status != StatusOK {
		t.Errorf("last of the window: %+v", got)
	}
}

// TestSessionsAreBounded: the least recently used session goes first, the same one on every replica, and is never
// applied again.
func TestSessionsAreBounded(t *testing.T) {
	m, twin := New(), New()
	both := func(c Command) Result {
		apply(t, twin, c)
		return apply(t, m, c)[0]
	}
	ids := make([]SessionID, MaxSessions)
	for i := range ids {
		ids[i] = both(Command{Op: OpOpen}).Session
	}
	both(in(put("keep", "1"), ids[0], 1, 1)) // used: now ids[1] is the oldest
	newest := both(Command{Op: OpOpen}).Session
	if got := both(in(put("x", "1"), ids[1], 1, 1)); got.Status != StatusSessionExpired {
		t.Errorf("oldest session: %+v", got)
	}
	for _, s := range []SessionID{ids[0], ids[2], newest} {
		if got := both(in(put("y", "1"), s, 2, 2)); got.Status != StatusOK {
			t.Errorf("session %d: %+v", s, got)
		}
	}
	if n := stats(t, m).Sessions; n != MaxSessions {
		t.Errorf("%d sessions, limit %d", n, MaxSessions)
	}
	if m.Hash() != twin.Hash() {
		t.Error("two machines differ")
	}
}

// TestResultsAreBounded: sessions that each demand the largest window push out the least recently used ones
// instead of memory.
func TestResultsAreBounded(t *testing.T) {
	m := New()
	first := open(t, m)
	full := MaxResults / MaxWindow
	for range full + 10 {
		s := open(t, m)
		apply(t, m, in(put("a", "1"), s, MaxWindow, 1))
	}
	st := stats(t, m)
	if st.Results > MaxResults || st.Sessions > uint64(full) {
		t.Errorf("%d results and %d sessions kept", st.Results, st.Sessions)
	}
	if got := apply(t, m, in(put("a", "1"), first, 1, 1))[0]; got.Status != StatusSessionExpired {
		t.Errorf("first session: %+v", got)
	}
}

// TestExactlyOnceUnderRepetition plays clients that repeat, reorder and delay their commands against a machine, and
// compares with each command done once: counters grow by one a sequence, whatever the network does (D16, D39, N7).
func TestExactlyOnceUnderRepetition(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 39))
		m, twin := New(), New()
		log := make([]Command, 0, 4000)
		type client struct {
			id         SessionID
			next, low  Sequence
			told       Sequence // the highest mark the machine has seen
			done       map[Sequence]Result
			late       []Command
			reordering int
		}
		clients := make([]client, 5)
		for i := range clients {
			clients[i] = client{id: open(t, m), next: 1, low: 1, done: map[Sequence]Result{}, reordering: 1 + rng.IntN(40)}
			log = append(log, Command{Op: OpOpen})
		}
		for range 3000 {
			c := &clients[rng.IntN(len(clients))]
			if int(c.next-c.low) < c.reordering {
				c.late = append(c.late, in(put(fmt.Sprintf("%d/%d", c.id, c.next), "x"), c.id, c.next, c.low))
				c.next++
			}
			at := rng.IntN(len(c.late))
			cmd := c.late[at]
			log = append(log, cmd)
			got := apply(t, m, cmd)[0]
			c.told = max(c.told, cmd.Acked)
			first, seen := c.done[cmd.Sequence]
			switch {
			case cmd.Sequence < c.told: // a copy that the network kept for long
				if got.Status != StatusAcknowledged {
					t.Fatalf("seed %d: sequence %d below mark %d: %+v", seed, cmd.Sequence, c.told, got)
				}
				continue
			case seen && got != first:
				t.Fatalf("seed %d: sequence %d answered %+v, then %+v", seed, cmd.Sequence, first, got)
			case !seen && got.Status != StatusOK:
				t.Fatalf("seed %d: sequence %d: %+v", seed, cmd.Sequence, got)
			}
			c.done[cmd.Sequence] = got
			if rng.IntN(3) == 0 {
				for c.done[c.low].Status != 0 {
					c.low++
				}
			}
		}
		applied := 0
		for _, c := range clients {
			applied += len(c.done)
		}
		if got := stats(t, m); got.Revision != Revision(applied) || got.Keys != uint64(applied) {
			t.Fatalf("seed %d: %d sequences made %d writes of %d keys", seed, applied, got.Revision, got.Keys)
		}
		for len(log) > 0 { // the twin sees other batches
			n := min(1+rng.IntN(50), len(log))
			apply(t, twin, log[:n]...)
			log = log[n:]
		}
		if m.Hash() != twin.Hash() {
			t.Fatalf("seed %d: the same commands in other batches made another state", seed)
		}
	}
}

// FuzzApply: no bytes make the machine panic, and two machines agree on them.
func FuzzApply(f *testing.F) {
	for _, c := range []Command{
		put("a", "1"),
		{Op: OpOpen},
		in(put("a", "2"), 1, 1, 1), in(put("b", "2"), 1, 900, 3),
		{Op: OpClose, Session: 1},
		{Op: OpDelete, Key: []byte("a"), Require: AtRevision(1)},
		in(put("b", "2"), 1, 1<<63, 1<<62),
	} {
		f.Add(AppendCommand(nil, &c), AppendScan(nil, Scan{Prefix: []byte("a"), After: []byte("a"), Limit: 3}))
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, []byte{0xc6, 0xff, 0xff, 0xff, 0xff}) // D75
	f.Fuzz(func(t *testing.T, data, query []byte) {
		m, twin := New(), New()
		openAndUse := []Command{{Op: OpOpen}, in(put("a", "0"), 1, 2, 1)}
		apply(t, m, openAndUse...)
		apply(t, twin, openAndUse...)
		_, err := m.Apply([]multiraft.Command{{Index: 3, Data: data}})
		_, err2 := twin.Apply([]multiraft.Command{{Index: 3, Data: data}})
		if (err == nil) != (err2 == nil) || m.Hash() != twin.Hash() {
			t.Fatalf("machines differ after %x: %v, %v", data, err, err2)
		}
		if answer, err := m.Query(query); err == nil && len(answer) == 0 {
			t.Fatal("a query succeeded without an answer")
		}
	})
}

// FuzzDecodeAnswers: the decoders that clients of the machine use take anything without a panic.
func FuzzDecodeAnswers(f *testing.F) {
	m := New()
	apply(f, m, put("a", "1"))
	for _, q := range [][]byte{AppendGet(nil, []byte("a")), AppendScan(nil, Scan{}), AppendStats(nil)} {
		answer, err := m.Query(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(answer)
	}
	f.Add([]byte{0xdd, 0x00, 0x00, 0x0b, 0xb9, 0xc3})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = DecodeResult(b)
		_, _, _ = DecodeValue(b)
		_, _ = DecodePage(b)
		_, _ = DecodeStats(b)
		if c, err := DecodeCommand(b); err == nil {
			if _, err := DecodeCommand(AppendCommand(nil, &c)); err != nil {
				t.Fatalf("a decoded command does not survive a round: %v", err)
			}
		}
	})
}
