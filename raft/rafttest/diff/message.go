package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"flotilla/raft/wire"
)

// message is what either side says, in one language. Fields that a type does not use are zero.
type message struct {
	typ      wire.MessageType
	from, to wire.NodeID
	term     wire.Term
	index    wire.Index
	logTerm  wire.Term
	commit   wire.Index
	hint     wire.Index
	hintTerm wire.Term
	reject   bool
	order    bool   // MsgVote: the leader ordered the election
	read     uint64 // MsgReadIndex and its reply: the read's number in the schedule
	round    uint64 // heartbeats and replies: our number of the read round
	position uint64 // heartbeats and replies: the reference's
	entries  []wire.Entry
	// advice and adviceTerm are what our messages of elections tell of what is committed (departure commit-advice).
	advice     wire.Index
	adviceTerm wire.Term
	// snap goes with a MsgSnapshot.
	snap wire.Snapshot
}

// orderContext is how the reference marks a vote request that a leader ordered.
const orderContext = "CampaignTransfer"

// same reports whether a and b say the same. Read rounds are compared by the caller.
func (a *message) same(b *message) bool {
	if a.typ != b.typ || a.from != b.from || a.to != b.to || a.index != b.index || a.logTerm != b.logTerm ||
		a.commit != b.commit || a.hint != b.hint || a.hintTerm != b.hintTerm || a.reject != b.reject ||
		a.order != b.order || a.read != b.read || len(a.entries) != len(b.entries) {
		return false
	}
	if a.typ == wire.MsgSnapshot && !a.snap.Membership.Equal(&b.snap.Membership) {
		return false
	}
	if a.term != b.term && a.typ != wire.MsgReadIndex { // the reference's carry none
		return false
	}
	for i := range a.entries {
		if !sameEntry(&a.entries[i], &b.entries[i]) {
			return false
		}
	}
	return true
}

func sameEntry(a, b *wire.Entry) bool {
	return a.Term == b.Term && a.Index == b.Index && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
}

var typeNames = [...]string{
	wire.MsgPreVote: "pre-vote", wire.MsgPreVoteReply: "pre-vote-reply", wire.MsgVote: "vote", wire.MsgVoteReply: "vote-reply",
	wire.MsgAppend: "append", wire.MsgAppendReply: "append-reply", wire.MsgHeartbeat: "heartbeat",
	wire.MsgHeartbeatReply: "heartbeat-reply", wire.MsgReadIndex: "read-index", wire.MsgReadIndexReply: "read-index-reply",
	wire.MsgTimeoutNow: "timeout-now", wire.MsgSnapshot: "snapshot",
}

// String is the message on one line of a trace.
func (a *message) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d->%d %s term %d", a.from, a.to, typeNames[a.typ], a.term)
	for _, f := range []struct {
		name  string
		value uint64
	}{
		{"index", uint64(a.index)},
		{"logterm", uint64(a.logTerm)},
		{"commit", uint64(a.commit)},
		{"hint", uint64(a.hint)},
		{"hintterm", uint64(a.hintTerm)},
		{"read", a.read},
		{"round", a.round},
		{"position", a.position},
	} {
		if f.value != 0 {
			fmt.Fprintf(&b, " %s %d", f.name, f.value)
		}
	}
	if a.reject {
		b.WriteString(" reject")
	}
	if a.order {
		b.WriteString(" ordered")
	}
	if len(a.entries) > 0 {
		b.WriteString(" " + entriesString(a.entries))
	}
	return b.String()
}

func entriesString(entries []wire.Entry) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d/%d", e.Index, e.Term)
		switch e.Kind {
		case wire.EntryEmpty:
			b.WriteString(":empty")
		case wire.EntryChange:
			set := wire.ReadChangeSet(wire.NewReader(e.Data))
			fmt.Fprintf(&b, ":change%v", set.Changes)
		case wire.EntryData:
			fmt.Fprintf(&b, ":%x", e.Data)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// fromOurs translates what our core says. Read numbers are the caller's to fill in.
func fromOurs(m *wire.Message) message {
	c := message{
		typ: m.Type, from: m.From, to: m.To, term: m.Term, index: m.Index, logTerm: m.LogTerm, commit: m.Commit,
		hint: m.Hint, hintTerm: m.HintTerm, reject: m.Reject, entries: m.Entries,
	}
	switch m.Type {
	case wire.MsgVote, wire.MsgPreVote, wire.MsgVoteReply, wire.MsgPreVoteReply:
		c.order = m.Type == wire.MsgVote && m.Context == 1
		c.advice, c.adviceTerm = m.Commit, m.HintTerm
		c.commit, c.hintTerm = 0, 0
	case wire.MsgHeartbeat, wire.MsgHeartbeatReply:
		c.round = m.Context
		c.index = 0 // of a reply: the commit index, which the reference does not tell
	}
	return c
}

// toOurs is what our core is given for a message. context is that of a read, commit the sender's commit index.
func (a *message) toOurs(context uint64, commit wire.Index) wire.Message {
	m := wire.Message{
		Group: group,
		Type:  a.typ, From: a.from, To: a.to, Term: a.term, Index: a.index, LogTerm: a.logTerm, Commit: a.commit,
		Hint: a.hint, HintTerm: a.hintTerm, Reject: a.reject, Entries: a.entries, Context: context,
	}
	switch a.typ {
	case wire.MsgVote, wire.MsgPreVote, wire.MsgVoteReply, wire.MsgPreVoteReply:
		m.Commit, m.HintTerm = a.advice, a.adviceTerm
		if a.order {
			m.Context = 1
		}
	case wire.MsgHeartbeat:
		m.Context = a.round
	case wire.MsgHeartbeatReply:
		m.Context, m.Index = a.round, commit
	}
	return m
}

var fromTheirTypes = map[pb.MessageType]wire.MessageType{
	pb.MsgPreVote: wire.MsgPreVote, pb.MsgPreVoteResp: wire.MsgPreVoteReply, pb.MsgVote: wire.MsgVote, pb.MsgVoteResp: wire.MsgVoteReply,
	pb.MsgApp: wire.MsgAppend, pb.MsgAppResp: wire.MsgAppendReply, pb.MsgHeartbeat: wire.MsgHeartbeat,
	pb.MsgHeartbeatResp: wire.MsgHeartbeatReply, pb.MsgReadIndex: wire.MsgReadIndex,
	pb.MsgReadIndexResp: wire.MsgReadIndexReply, pb.MsgTimeoutNow: wire.MsgTimeoutNow,
	pb.MsgSnap: wire.MsgSnapshot,
}

var toTheirTypes = [...]pb.MessageType{
	wire.MsgPreVote: pb.MsgPreVote, wire.MsgPreVoteReply: pb.MsgPreVoteResp, wire.MsgVote: pb.MsgVote, wire.MsgVoteReply: pb.MsgVoteResp,
	wire.MsgAppend: pb.MsgApp, wire.MsgAppendReply: pb.MsgAppResp, wire.MsgHeartbeat: pb.MsgHeartbeat,
	wire.MsgHeartbeatReply: pb.MsgHeartbeatResp, wire.MsgReadIndex: pb.MsgReadIndex,
	wire.MsgReadIndexReply: pb.MsgReadIndexResp, wire.MsgTimeoutNow: pb.MsgTimeoutNow, wire.MsgSnapshot: pb.MsgSnap,
}

// fromTheirs translates what the reference says.
func fromTheirs(m *pb.Message) (message, error) {
	typ, ok := fromTheirTypes[m.GetType()]
	if !ok {
		return message{}, fmt.Errorf("the reference says %s, for which there is no translation", m)
	}
	c := message{
		typ: typ, from: wire.NodeID(m.GetFrom()), to: wire.NodeID(m.GetTo()), term: wire.Term(m.GetTerm()),
		index: wire.Index(m.GetIndex()), commit: wire.Index(m.GetCommit()), reject: m.GetReject(),
	}
	switch typ {
	case wire.MsgVote, wire.MsgPreVote:
		c.logTerm = wire.Term(m.GetLogTerm())
		c.order = string(m.GetContext()) == orderContext
	case wire.MsgAppend:
		c.logTerm = wire.Term(m.GetLogTerm())
		var err error
		if c.entries, err = entriesFromTheirs(m.GetEntries()); err != nil {
			return c, err
		}
	case wire.MsgSnapshot:
		c.snap = snapshotFromTheirs(m.GetSnapshot())
		c.index, c.logTerm = c.snap.Index, c.snap.Term
	case wire.MsgAppendReply:
		if c.reject {
			c.hint, c.hintTerm = wire.Index(m.GetRejectHint()), wire.Term(m.GetLogTerm())
		}
	case wire.MsgHeartbeat, wire.MsgHeartbeatReply:
		if ctx := m.GetContext(); len(ctx) > 0 {
			c.position = binary.LittleEndian.Uint64(ctx)
		}
	case wire.MsgReadIndex, wire.MsgReadIndexReply:
		c.read = binary.LittleEndian.Uint64(m.GetEntries()[0].GetData())
	}
	return c, nil
}

// toTheirs is what the reference is given for a message.
func (a *message) toTheirs() *pb.Message {
	m := &pb.Message{
		Type: toTheirTypes[a.typ].Enum(), From: new(uint64(a.from)), To: new(uint64(a.to)), Term: new(uint64(a.term)),
		Index: new(uint64(a.index)), LogTerm: new(uint64(a.logTerm)), Commit: new(uint64(a.commit)), Reject: new(a.reject),
	}
	switch a.typ {
	case wire.MsgVote:
		if a.order {
			m.Context = []byte(orderContext)
		}
	case wire.MsgAppend:
		m.Entries = entriesToTheirs(a.entries)
	case wire.MsgSnapshot:
		m.Snapshot, m.Index, m.LogTerm = snapshotToTheirs(&a.snap), nil, nil
	case wire.MsgAppendReply:
		if a.reject {
			m.RejectHint, m.LogTerm = new(uint64(a.hint)), new(uint64(a.hintTerm))
		}
	case wire.MsgHeartbeat, wire.MsgHeartbeatReply:
		m.Reject = nil
		if a.position > 0 {
			m.Context = readContext(a.position)
		}
	case wire.MsgReadIndex:
		m.Term = nil
		m.Entries = []*pb.Entry{{Data: readContext(a.read)}}
	case wire.MsgReadIndexReply:
		if !a.reject {
			m.Entries = []*pb.Entry{{Data: readContext(a.read)}}
		}
	}
	return m
}

func readContext(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func entriesFromTheirs(list []*pb.Entry) ([]wire.Entry, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]wire.Entry, len(list))
	for i, e := range list {
		w := wire.Entry{Term: wire.Term(e.GetTerm()), Index: wire.Index(e.GetIndex()), Kind: wire.EntryData, Data: e.GetData()}
		switch {
		case e.GetType() == pb.EntryConfChangeV2:
			cc, err := readTheirChange(e)
			if err != nil {
				return nil, err
			}
			if w.Kind, w.Data = wire.EntryChange, cc.GetContext(); len(cc.GetChanges()) == 0 {
				w.Data = wire.AppendChangeSet(nil, &wire.ChangeSet{})
			}
		case len(w.Data) == 0:
			w.Kind, w.Data = wire.EntryEmpty, nil
		}
		out[i] = w
	}
	return out, nil
}

func entriesToTheirs(list []wire.Entry) []*pb.Entry {
	if len(list) == 0 {
		return nil
	}
	array := make([]pb.Entry, len(list))
	out := make([]*pb.Entry, len(list))
	for i := range list {
		e := &array[i]
		e.Term, e.Index, e.Data, e.Type = new(uint64(list[i].Term)), new(uint64(list[i].Index)), list[i].Data, pb.EntryNormal.Enum()
		if list[i].Kind == wire.EntryChange {
			e.Type = pb.EntryConfChangeV2.Enum()
			e.Data, _ = proto.Marshal(changeToTheirs(list[i].Data))
		}
		out[i] = e
	}
	return out
}

var theirChanges = [...]pb.ConfChangeType{
	wire.ChangeAddLearner: pb.ConfChangeAddLearnerNode, wire.ChangePromote: pb.ConfChangeAddNode,
	wire.ChangeRemove: pb.ConfChangeRemoveNode, wire.ChangeDemote: pb.ConfChangeAddLearnerNode,
}

// changeToTheirs translates the data of a change entry of ours, which travels along: theirs has no base and no word for
// demoting.
func changeToTheirs(data []byte) *pb.ConfChangeV2 {
	set := wire.ReadChangeSet(wire.NewReader(data))
	cc := &pb.ConfChangeV2{}
	for _, ch := range set.Changes {
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: theirChanges[ch.Kind].Enum(), NodeId: new(uint64(ch.Node))})
	}
	if len(cc.Changes) > 0 {
		cc.Context = data
	}
	return cc
}

func readTheirChange(e *pb.Entry) (*pb.ConfChangeV2, error) {
	cc := &pb.ConfChangeV2{}
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		return nil, fmt.Errorf("configuration change of the reference: %w", err)
	}
	return cc, nil
}

func snapshotToTheirs(s *wire.Snapshot) *pb.Snapshot {
	m := &s.Membership
	conf := &pb.ConfState{
		Voters: idsToTheirs(m.Voters), Learners: idsToTheirs(m.Learners), VotersOutgoing: idsToTheirs(m.Outgoing), LearnersNext: idsToTheirs(m.Demoted),
		AutoLeave: new(m.Joint()),
	}
	return &pb.Snapshot{
		// The data is only the index of the change that made the membership, which the reference does not know.
		Data:     readContext(uint64(m.Index)),
		Metadata: &pb.SnapshotMetadata{Index: new(uint64(s.Index)), Term: new(uint64(s.Term)), ConfState: conf},
	}
}

func snapshotFromTheirs(s *pb.Snapshot) wire.Snapshot {
	meta := s.GetMetadata()
	conf := meta.GetConfState()
	return wire.Snapshot{
		Index: wire.Index(meta.GetIndex()), Term: wire.Term(meta.GetTerm()),
		Membership: wire.Membership{
			Index:  wire.Index(binary.LittleEndian.Uint64(s.GetData())),
			Voters: idsFromTheirs(conf.GetVoters()), Learners: idsFromTheirs(conf.GetLearners()),
			Outgoing: idsFromTheirs(conf.GetVotersOutgoing()), Demoted: idsFromTheirs(conf.GetLearnersNext()),
		},
	}
}

func idsToTheirs(list []wire.NodeID) (out []uint64) {
	for _, n := range list {
		out = append(out, uint64(n))
	}
	return out
}

func idsFromTheirs(list []uint64) (out []wire.NodeID) {
	for _, n := range list {
		out = append(out, wire.NodeID(n))
	}
	return out
}
