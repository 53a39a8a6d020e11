package wire

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

// decoders are all of this package's, each with a good encoding.
var decoders = []struct {
	name string
	good []byte
	read func(*Reader)
}{
	{"entry", AppendEntry(nil, &Entry{Term: 300, Index: 70000, Kind: EntryData, Data: []byte("data")}), func(r *Reader) { ReadEntry(r) }},
	{"hard state", AppendHardState(nil, HardState{Term: 300, Vote: 2, Commit: 70000}), func(r *Reader) { ReadHardState(r) }},
	{"membership", AppendMembership(nil, &jointMembership), func(r *Reader) { ReadMembership(r) }},
	{"nodes", AppendNodes(nil, []NodeID{1, 2, 300}), func(r *Reader) { ReadNodes(r) }},
	{"change set", AppendChangeSet(nil, &exchange), func(r *Reader) { ReadChangeSet(r) }},
	{"error", AppendError(nil, &Error{Code: CodeNotLeader, Group: 3, Leader: 2, Detail: "propose"}), func(r *Reader) { ReadError(r) }},
	{"messages", AppendMessages(nil, someMessages()), func(r *Reader) { _, _ = ReadMessages(r, nil) }},
}

// exchange is a set with every kind of change, and jointMembership one that has every kind of member.
var (
	exchange = ChangeSet{
		Changes: []Change{{ChangePromote, 300}, {ChangeRemove, 2}, {ChangeAddLearner, 1}, {ChangeDemote, MaxNodeID}},
		SetBase: true, Base: 70000,
	}
	jointMembership = Membership{
		Index: 9, Voters: []NodeID{1, 2, 300}, Learners: []NodeID{4}, Outgoing: []NodeID{1, 5, 6}, Demoted: []NodeID{6},
	}
)

// someMessages has every field of every kind in use, with numbers of every width.
func someMessages() []Message {
	return []Message{
		{Type: MsgVote, Group: 3, From: 1, To: 2, Term: 7, Index: 300, LogTerm: 6, Context: 1},
		{Type: MsgAppend, Group: math.MaxInt64, From: MaxNodeID, To: 1, Term: 90000, LogTerm: 4, Index: 70000, Commit: 1 << 40, Entries: []Entry{
			{Term: 5, Index: 70001, Kind: EntryEmpty},
			{Term: 5, Index: 70002, Kind: EntryData, Data: []byte("put")},
			{Term: 90000, Index: 70003, Kind: EntryChange, Data: AppendChangeSet(nil, &exchange)},
		}},
		{Type: MsgAppendReply, Reject: true, From: 2, To: 3, Term: 1, Index: 9, Hint: 4, HintTerm: 200},
		{Type: MsgReadIndex, From: 2, To: 3, Context: math.MaxUint64},
		{Type: MsgSnapshot, Group: 3, From: 1, To: 2, Term: 7, Index: 300, LogTerm: 6},
		{Type: MsgSleep, Group: 3, From: 1, To: 2, Term: 7, Commit: 300},
		{Type: MsgGroupRefused, Group: 12, From: 2, To: 3, Context: uint64(RefuseUnknownGroup)},
	}
}

func TestRoundTrips(t *testing.T) {
	msgs := someMessages()
	r := NewReader(AppendMessages(nil, msgs))
	got, err := ReadMessages(r, make([]Message, 7))
	if err != nil || r.Done() != nil {
		t.Fatal(err, r.Err())
	}
	if diff := cmp.Diff(msgs, got); diff != "" {
		t.Error(diff)
	}
	for _, h := range []HardState{{}, {Term: 1}, {Term: 9, Vote: MaxNodeID, Commit: MaxNumber}} {
		if r := NewReader(AppendHardState(nil, h)); ReadHardState(r) != h || r.Done() != nil {
			t.Errorf("%+v: %v", h, r.Err())
		}
	}
	for _, m := range []Membership{
		{}, {Index: 5, Voters: []NodeID{1, 2, 300}}, {Voters: []NodeID{2}, Learners: []NodeID{1, MaxNodeID}}, jointMembership,
	} {
		r := NewReader(AppendMembership(nil, &m))
		if diff := cmp.Diff(m, ReadMembership(r)); diff != "" || r.Done() != nil {
			t.Errorf("%v %s", r.Err(), diff)
		}
	}
	for _, s := range []ChangeSet{{}, exchange, OneChange(ChangeDemote, 3), {SetBase: true}, {Changes: exchange.Changes}} {
		r := NewReader(AppendChangeSet(nil, &s))
		if diff := cmp.Diff(s, ReadChangeSet(r)); diff != "" || r.Done() != nil {
			t.Errorf("%v %s", r.Err(), diff)
		}
	}
}

// D59: any membership survives a round trip whole, learners, outgoing and demoted voters included, and what a
// decoder lets through is well formed.
func TestMembershipsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(59, 59))
	joint, demoted := 0, 0
	for range 20000 {
		m := randomMembership(r)
		rd := NewReader(AppendMembership(nil, &m))
		got := ReadMembership(rd)
		if diff := cmp.Diff(m, got); diff != "" || rd.Done() != nil || !got.WellFormed() {
			t.Fatalf("%+v: %v %s", m, rd.Err(), diff)
		}
		if m.Joint() {
			joint++
		}
		if len(m.Demoted) > 0 {
			demoted++
		}
	}
	if joint < 5000 || demoted < 1000 {
		t.Errorf("%d joint configurations, %d of them with demoted voters", joint, demoted)
	}
}

// randomMembership draws a well-formed membership of up to 9 nodes.
func randomMembership(r *rand.Rand) Membership {
	m := Membership{Index: Index(r.Uint64N(MaxNumber)), Voters: []NodeID{1}}
	joint := r.IntN(2) == 0
	for n := NodeID(2); n < 10; n++ {
		id := n<<20 + NodeID(r.IntN(1000))
		switch kind := r.IntN(6); {
		case kind == 0:
			m.Learners = append(m.Learners, id)
		case kind == 1 || !joint && kind < 4:
			m.Voters = append(m.Voters, id)
		case joint && kind == 2:
			m.Voters, m.Outgoing = append(m.Voters, id), append(m.Outgoing, id)
		case joint && kind == 3:
			m.Outgoing = append(m.Outgoing, id)
		case joint && kind == 4:
			m.Outgoing, m.Demoted = append(m.Outgoing, id), append(m.Demoted, id)
		}
	}
	return m
}

// Equal sees every list.
func TestMembershipsAreEqual(t *testing.T) {
	other := jointMembership
	if !jointMembership.Equal(&other) {
		t.Error("a copy is another one")
	}
	for name, change := range map[string]func(*Membership){
		"index": func(m *Membership) { m.Index++ }, "voters": func(m *Membership) { m.Voters = m.Voters[1:] },
		"learners": func(m *Membership) { m.Learners = nil }, "outgoing": func(m *Membership) { m.Outgoing = nil },
		"demoted": func(m *Membership) { m.Demoted = nil },
	} {
		m := jointMembership
		if change(&m); m.Equal(&jointMembership) {
			t.Errorf("other %s are the same", name)
		}
	}
}

// Memberships and sets of changes as the library writes and reads them.
func TestMembershipAgainstLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 9))
	for range 1000 {
		m := randomMembership(r)
		b := AppendMembership(nil, &m)
		lists := [][]NodeID{m.Voters, m.Learners, m.Outgoing, m.Demoted}
		sameBytes(t, "membership", b, encoded(t, func(e *msgpack.Encoder) error {
			errs := []error{e.EncodeArrayLen(membershipFields), e.EncodeUint(uint64(m.Index))}
			for _, list := range lists {
				errs = append(errs, e.EncodeArrayLen(len(list)))
				for _, n := range list {
					errs = append(errs, e.EncodeUint(uint64(n)))
				}
			}
			return errors.Join(errs...)
		}))
		var fields struct {
			_msgpack                            struct{} `msgpack:",as_array"`
			Index                               uint64
			Voters, Learners, Outgoing, Demoted []uint64
		}
		if err := msgpack.Unmarshal(b, &fields); err != nil || fields.Index != uint64(m.Index) {
			t.Fatalf("%+v read as %+v, %v", m, fields, err)
		}
		for i, list := range [][]uint64{fields.Voters, fields.Learners, fields.Outgoing, fields.Demoted} {
			if !slices.EqualFunc(list, lists[i], func(a uint64, n NodeID) bool { return a == uint64(n) }) {
				t.Fatalf("%+v read as %+v", m, fields)
			}
		}
	}
	for _, s := range []ChangeSet{{}, exchange, OneChange(ChangeRemove, 3)} {
		sameBytes(t, "change set", AppendChangeSet(nil, &s), encoded(t, func(e *msgpack.Encoder) error {
			errs := []error{e.EncodeArrayLen(changeSetFields)}
			if s.SetBase {
				errs = append(errs, e.EncodeUint(uint64(s.Base)))
			} else {
				errs = append(errs, e.EncodeNil())
			}
			errs = append(errs, e.EncodeArrayLen(len(s.Changes)))
			for _, c := range s.Changes {
				errs = append(errs, e.EncodeArrayLen(changeFields), e.EncodeUint(uint64(c.Kind)), e.EncodeUint(uint64(c.Node)))
			}
			return errors.Join(errs...)
		}))
	}
}

func TestErrorTravels(t *testing.T) {
	sent := Error{Code: CodeNotLeader, Group: 4, Leader: 3, Detail: "propose", Cause: errors.New("local")}
	r := NewReader(AppendError(nil, &sent))
	got := ReadError(r)
	if r.Done() != nil || got.Code != sent.Code || got.Group != 4 || got.Leader != 3 || got.Detail != "propose" || got.Cause != nil {
		t.Errorf("got %+v, %v", got, r.Err())
	}
	long := Error{Code: CodeInternal, Detail: strings.Repeat("x", MaxDetail-1) + "é"}
	got = ReadError(NewReader(AppendError(nil, &long)))
	if got == nil || len(got.Detail) != MaxDetail-1 || !utf8.ValidString(got.Detail) {
		t.Errorf("got %+v", got)
	}
	// A code of a later version must not read as "not applied".
	got = ReadError(NewReader(AppendError(nil, &Error{Code: maxCode + 1})))
	if got == nil || !got.Ambiguous() {
		t.Errorf("an unknown code became %+v", got)
	}
	if r := NewReader(AppendError(nil, &Error{})); ReadError(r) != nil || !errors.Is(r.Err(), ErrInvalid) {
		t.Errorf("code 0: %v", r.Err())
	}
}

// libraryMessages writes msgs with the library's encoder.
func libraryMessages(e *msgpack.Encoder, msgs []Message) error {
	errs := []error{e.EncodeArrayLen(len(msgs))}
	for _, m := range msgs {
		errs = append(errs, e.EncodeArrayLen(messageFields), e.EncodeUint(uint64(m.Type)), e.EncodeBool(m.Reject))
		for _, v := range []uint64{
			uint64(m.Group), uint64(m.From), uint64(m.To), uint64(m.Term), uint64(m.LogTerm), uint64(m.Index),
			uint64(m.Commit), uint64(m.Hint), uint64(m.HintTerm), m.Context,
		} {
			errs = append(errs, e.EncodeUint(v))
		}
		errs = append(errs, e.EncodeArrayLen(len(m.Entries)))
		for _, x := range m.Entries {
			errs = append(errs, e.EncodeArrayLen(entryFields), e.EncodeUint(uint64(x.Term)), e.EncodeUint(uint64(x.Index)),
				e.EncodeUint(uint64(x.Kind)), e.EncodeBytes(x.Data))
		}
	}
	return errors.Join(errs...)
}

// Both directions for messages: the library's bytes are ours, and it reads ours into the same values.
func TestMessagesAgainstLibrary(t *testing.T) {
	msgs := someMessages()
	b := AppendMessages(nil, msgs)
	sameBytes(t, "messages", b, encoded(t, func(e *msgpack.Encoder) error { return libraryMessages(e, msgs) }))
	if got := readWithLibrary(t, b); !cmp.Equal(got, msgs) {
		t.Error(cmp.Diff(msgs, got))
	}
}

// readWithLibrary reads messages with the library's decoder, from bytes we wrote ourselves.
func readWithLibrary(t testing.TB, b []byte) []Message {
	t.Helper()
	d := msgpack.NewDecoder(bytes.NewReader(b))
	check := func(err error) {
		if err != nil {
			t.Fatalf("library: %v", err)
		}
	}
	array := func() int { n, err := d.DecodeArrayLen(); check(err); return n }
	uint := func() uint64 { v, err := d.DecodeUint64(); check(err); return v }
	var msgs []Message
	for range array() {
		array()
		m := Message{Type: MessageType(uint())}
		reject, err := d.DecodeBool()
		check(err)
		m.Reject = reject
		m.Group, m.From, m.To, m.Term = GroupID(uint()), NodeID(uint()), NodeID(uint()), Term(uint())
		m.LogTerm, m.Index, m.Commit = Term(uint()), Index(uint()), Index(uint())
		m.Hint, m.HintTerm, m.Context = Index(uint()), Term(uint()), uint()
		for range array() {
			array()
			e := Entry{Term: Term(uint()), Index: Index(uint()), Kind: EntryKind(uint())}
			e.Data, err = d.DecodeBytes()
			check(err)
			m.Entries = append(m.Entries, e)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

// F9, D58 (the part of the edge): what makes no sense is refused where it comes in.
func TestMessagesRefused(t *testing.T) {
	ok := Message{Type: MsgAppend, From: 1, To: 2, Term: 5, LogTerm: 3, Index: 10, Entries: []Entry{
		{Term: 3, Index: 11, Kind: EntryData}, {Term: 4, Index: 12, Kind: EntryData},
	}}
	for _, c := range []struct {
		name   string
		damage func(*Message)
		want   error
	}{
		{"nothing", func(*Message) {}, nil},
		{"type 0", func(m *Message) { m.Type = 0 }, ErrInvalid},
		{"type above all", func(m *Message) { m.Type = maxMessageType + 1 }, ErrInvalid},
		{"from nobody", func(m *Message) { m.From = NoNode }, ErrInvalid},
		{"to nobody", func(m *Message) { m.To = NoNode }, ErrInvalid},
		{"node out of range", func(m *Message) { m.From = MaxNodeID + 1 }, ErrLimit},
		{"group out of range", func(m *Message) { m.Group = 1 << 63 }, ErrLimit},
		{"term out of range", func(m *Message) { m.Term = 1 << 63 }, ErrLimit},
		{"index out of range", func(m *Message) { m.Index = math.MaxUint64 }, ErrLimit},
		{"hint out of range", func(m *Message) { m.Hint = math.MaxUint64 }, ErrLimit},
		{"entries outside an append", func(m *Message) { m.Type = MsgHeartbeat }, ErrInvalid},
		{"gap after the previous index", func(m *Message) { m.Index = 9 }, ErrInvalid},
		{"gap between entries", func(m *Message) { m.Entries[1].Index = 13 }, ErrInvalid},
		{"same index twice", func(m *Message) { m.Entries[1].Index = 11 }, ErrInvalid},
		{"entry before the previous term", func(m *Message) { m.LogTerm = 4 }, ErrInvalid},
		{"terms fall", func(m *Message) { m.Entries[0].Term = 5 }, ErrInvalid},
		{"entry of a later term than the leader's", func(m *Message) { m.Entries[1].Term = 6 }, ErrInvalid},
		{"entry of term 0", func(m *Message) { m.LogTerm, m.Entries[0].Term = 0, 0 }, ErrInvalid},
		{"entry of kind 0", func(m *Message) { m.Entries[0].Kind = 0 }, ErrInvalid},
		{"entry of kind 4", func(m *Message) { m.Entries[0].Kind = 4 }, ErrInvalid},
		{"empty entry with data", func(m *Message) { m.Entries[0] = Entry{Term: 3, Index: 11, Kind: EntryEmpty, Data: []byte{1}} }, ErrInvalid},
		{"entry over 8 MiB", func(m *Message) { m.Entries[0].Data = make([]byte, MaxEntryData+1) }, ErrLimit},
	} {
		m := ok
		m.Entries = append([]Entry(nil), ok.Entries...)
		c.damage(&m)
		_, err := ReadMessages(NewReader(AppendMessages(nil, []Message{m})), nil)
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSmallValuesRefused(t *testing.T) {
	nodes := func(ids ...NodeID) []byte { return AppendNodes(nil, ids) }
	member := func(m Membership) []byte { return AppendMembership(nil, &m) }
	set := func(changes ...Change) []byte { return AppendChangeSet(nil, &ChangeSet{Changes: changes}) }
	var many, others []NodeID
	for i := range NodeID(MaxMembers) {
		many, others = append(many, i+1), append(others, i+MaxMembers)
	}
	crowd := make([]Change, MaxChanges+1)
	for i := range crowd {
		crowd[i] = Change{ChangeRemove, NodeID(i + 1)}
	}
	for _, c := range []struct {
		name string
		in   []byte
		read func(*Reader)
		want error
	}{
		{"vote without a term", AppendHardState(nil, HardState{Vote: 1}), func(r *Reader) { ReadHardState(r) }, ErrInvalid},
		{"change of kind 0", set(Change{Node: 1}), func(r *Reader) { ReadChangeSet(r) }, ErrInvalid},
		{"change of kind 5", set(Change{5, 1}), func(r *Reader) { ReadChangeSet(r) }, ErrInvalid},
		{"change of nobody", set(Change{Kind: ChangeRemove}), func(r *Reader) { ReadChangeSet(r) }, ErrInvalid},
		{"two changes of one node", set(Change{ChangeRemove, 3}, Change{ChangePromote, 2}, Change{ChangePromote, 3}), func(r *Reader) { ReadChangeSet(r) }, ErrInvalid},
		{"too many changes", set(crowd...), func(r *Reader) { ReadChangeSet(r) }, ErrLimit},
		{"node 0", nodes(0), func(r *Reader) { ReadNodes(r) }, ErrInvalid},
		{"nodes unsorted", nodes(2, 1), func(r *Reader) { ReadNodes(r) }, ErrInvalid},
		{"node twice", nodes(2, 2), func(r *Reader) { ReadNodes(r) }, ErrInvalid},
		{"voter is learner", member(Membership{Voters: []NodeID{1, 5}, Learners: []NodeID{5}}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"outgoing is learner", member(Membership{Voters: []NodeID{1}, Learners: []NodeID{5}, Outgoing: []NodeID{5}}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"demoted stays voter", member(Membership{Voters: []NodeID{1, 5}, Outgoing: []NodeID{5}, Demoted: []NodeID{5}}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"demoted was no voter", member(Membership{Voters: []NodeID{1}, Outgoing: []NodeID{1}, Demoted: []NodeID{5}}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"nobody is to vote", member(Membership{Outgoing: []NodeID{1}}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"too many members", member(Membership{Voters: many, Learners: []NodeID{999}}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"too many voters in both halves", member(Membership{Voters: many, Outgoing: others}), func(r *Reader) { ReadMembership(r) }, ErrInvalid},
		{"too many nodes", append(AppendArray(nil, MaxMembers+1), make([]byte, 999)...), func(r *Reader) { ReadNodes(r) }, ErrLimit},
	} {
		r := NewReader(c.in)
		if c.read(r); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: got %v, want %v", c.name, r.Err(), c.want)
		}
	}
}

// What FitMessages lets through is never refused and never larger than said.
func TestFitMessages(t *testing.T) {
	big := Entry{Term: 1, Index: 1, Kind: EntryData, Data: make([]byte, 1000)}
	msg := Message{Type: MsgAppend, From: 1, To: 2, Term: 1, Entries: []Entry{big}}
	msgs := []Message{msg, msg, msg}
	for _, c := range []struct{ maxBytes, want int }{
		{0, 1}, {msg.Size(), 1}, {2*msg.Size() - 1, 1}, {2 * msg.Size(), 2}, {math.MaxInt, 3},
	} {
		got := FitMessages(msgs, c.maxBytes)
		if got != c.want {
			t.Errorf("%d bytes fit %d, want %d", c.maxBytes, got, c.want)
		}
		if n := len(AppendMessages(nil, msgs[:got])); got > 1 && n > c.maxBytes {
			t.Errorf("%d bytes written, %d allowed", n, c.maxBytes)
		}
	}
	if got := FitMessages(nil, 1); got != 0 {
		t.Errorf("of none %d fit", got)
	}
	beats := make([]Message, MaxBatchMessages+5)
	for i := range beats {
		beats[i] = Message{Type: MsgHeartbeat, From: 1, To: 2}
	}
	n := FitMessages(beats, math.MaxInt)
	if n != MaxBatchMessages {
		t.Fatalf("%d fit, want %d", n, MaxBatchMessages)
	}
	if _, err := ReadMessages(NewReader(AppendMessages(nil, beats[:n])), nil); err != nil {
		t.Error(err)
	}
	if _, err := ReadMessages(NewReader(AppendMessages(nil, beats)), nil); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want ErrLimit", err)
	}
}

// The entries of a whole batch are counted together: many messages do not add up to a bomb.
func TestBatchEntriesLimit(t *testing.T) {
	half := Message{Type: MsgAppend, From: 1, To: 2, Term: 1}
	for i := range MaxBatchEntries/2 + 1 {
		half.Entries = append(half.Entries, Entry{Term: 1, Index: Index(i + 1), Kind: EntryEmpty})
	}
	msgs := []Message{half, half}
	if n := FitMessages(msgs, math.MaxInt); n != 1 {
		t.Errorf("%d fit, want 1", n)
	}
	if _, err := ReadMessages(NewReader(AppendMessages(nil, msgs)), nil); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want ErrLimit", err)
	}
}

// The widest message stays within the bound that windows and frames count with.
func TestSizeIsUpperBound(t *testing.T) {
	m := Message{
		Type: MsgAppend, Group: MaxNumber, From: MaxNodeID, To: MaxNodeID, Term: MaxNumber, LogTerm: MaxNumber,
		Index: MaxNumber, Commit: MaxNumber, Hint: MaxNumber, HintTerm: MaxNumber, Context: math.MaxUint64,
	}
	for range 70000 {
		m.Entries = append(m.Entries, Entry{Term: MaxNumber, Index: MaxNumber, Kind: EntryData, Data: make([]byte, 40)})
	}
	if got := len(AppendMessage(nil, &m)); got > m.Size() {
		t.Errorf("encodes to %d bytes, Size says %d", got, m.Size())
	}
}
