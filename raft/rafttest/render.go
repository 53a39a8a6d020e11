package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// String renders the event as one line of a trace, without its time.
func (e *Event) String() string {
	switch e.Kind {
	case EventStart:
		return fmt.Sprintf("%d starts: term %d vote %s commit %d applied %d, %s",
			e.Node, e.HardState.Term, FormatNode(e.HardState.Vote), e.HardState.Commit, e.Index, FormatMembership(&e.Membership))
	case EventCrash:
		return fmt.Sprintf("%d crashes, %s lost", e.Node, Plural(e.Count, "write"))
	case EventState:
		return fmt.Sprintf("%d is %s, term %d leader %s commit %d", e.Node, e.Role, e.Term, FormatNode(e.Leader), e.Index)
	case EventWrite:
		return fmt.Sprintf("%d writes #%d: %s", e.Node, e.Token, FormatUpdate(&e.Update))
	case EventDurable:
		return fmt.Sprintf("%d has #%d on disk", e.Node, e.Token)
	case EventSend:
		return "send " + FormatMessage(&e.Message)
	case EventDeliver:
		return "recv " + FormatMessage(&e.Message)
	case EventDrop:
		return "drop " + FormatMessage(&e.Message)
	case EventDuplicate:
		return "dup  " + FormatMessage(&e.Message)
	case EventApply:
		return fmt.Sprintf("%d applies %s", e.Node, FormatEntry(&e.Entry))
	case EventMembership:
		return fmt.Sprintf("%d now has %s%s", e.Node, FormatMembership(&e.Membership), formatError(e.Err))
	case EventPropose:
		if e.Err != nil {
			return fmt.Sprintf("%d refuses a proposal%s", e.Node, formatError(e.Err))
		}
		return fmt.Sprintf("%d takes a proposal in as %d@%d", e.Node, e.Index, e.Term)
	case EventNeed:
		return fmt.Sprintf("%d needs a snapshot of %d or later for %d", e.Node, e.Index, e.Peer)
	case EventSnapshot:
		return fmt.Sprintf("%d stores snapshot %s", e.Node, FormatSnapshot(&e.Snapshot))
	case EventInstall:
		return fmt.Sprintf("%d begins to install snapshot %s", e.Node, FormatSnapshot(&e.Snapshot))
	case EventInstalled:
		return fmt.Sprintf("%d has installed snapshot %s", e.Node, FormatSnapshot(&e.Snapshot))
	case EventAbandoned:
		return fmt.Sprintf("%d abandons snapshot %s", e.Node, FormatSnapshot(&e.Snapshot))
	case EventAsleep:
		return fmt.Sprintf("%d falls asleep", e.Node)
	case EventAwake:
		return fmt.Sprintf("%d wakes up", e.Node)
	case EventRead:
		return fmt.Sprintf("%d is asked for read %d", e.Node, e.Context)
	case EventReadDone:
		if e.Err != nil {
			return fmt.Sprintf("%d refuses read %d%s", e.Node, e.Context, formatError(e.Err))
		}
		return fmt.Sprintf("%d answers read %d: index %d", e.Node, e.Context, e.Index)
	}
	return e.Text
}

var messageNames = [...]string{
	wire.MsgPreVote: "pre-vote", wire.MsgPreVoteReply: "pre-vote-reply", wire.MsgVote: "vote", wire.MsgVoteReply: "vote-reply",
	wire.MsgAppend: "append", wire.MsgAppendReply: "append-reply", wire.MsgHeartbeat: "heartbeat",
	wire.MsgHeartbeatReply: "heartbeat-reply", wire.MsgReadIndex: "read-index", wire.MsgReadIndexReply: "read-index-reply",
	wire.MsgTimeoutNow: "timeout-now", wire.MsgGroupRefused: "group-refused", wire.MsgSnapshot: "snapshot",
	wire.MsgSleep: "sleep",
}

func messageName(t wire.MessageType) string {
	if t.Valid() {
		return messageNames[t]
	}
	return fmt.Sprintf("message-%d", uint8(t))
}

// MessageNamed returns the type that traces and transcripts call by this name, 0 for an unknown one.
func MessageNamed(name string) wire.MessageType {
	for t, n := range messageNames {
		if n == name && n != "" {
			return wire.MessageType(t)
		}
	}
	return 0
}

// FormatMessage renders the fields that the message's type uses; a stray one is shown too.
func FormatMessage(m *wire.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s->%s %s term %d", m.From, m.To, messageName(m.Type), m.Term)
	if m.Reject {
		b.WriteString(" reject")
	}
	switch m.Type {
	case wire.MsgPreVote, wire.MsgVote, wire.MsgSnapshot:
		fmt.Fprintf(&b, " last %d@%d", m.Index, m.LogTerm)
	case wire.MsgAppend:
		fmt.Fprintf(&b, " after %d@%d commit %d [%s]", m.Index, m.LogTerm, m.Commit, FormatEntries(m.Entries))
	case wire.MsgAppendReply:
		fmt.Fprintf(&b, " index %d", m.Index)
		if m.Reject {
			fmt.Fprintf(&b, " hint %d@%d", m.Hint, m.HintTerm)
		}
	case wire.MsgHeartbeat, wire.MsgSleep:
		fmt.Fprintf(&b, " commit %d", m.Commit)
	case wire.MsgReadIndexReply:
		fmt.Fprintf(&b, " index %d", m.Index)
	}
	if m.Context != 0 {
		fmt.Fprintf(&b, " context %d", m.Context)
	}
	return b.String()
}

// FormatEntries renders entries, the middle of many left out.
func FormatEntries(entries []wire.Entry) string {
	var b strings.Builder
	for i := range entries {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == 3 && len(entries) > 5 {
			fmt.Fprintf(&b, "... %d more up to %d@%d", len(entries)-i, entries[len(entries)-1].Index, entries[len(entries)-1].Term)
			break
		}
		b.WriteString(FormatEntry(&entries[i]))
	}
	return b.String()
}

// FormatEntry renders an entry as index@term and what it carries.
func FormatEntry(e *wire.Entry) string {
	switch e.Kind {
	case wire.EntryEmpty:
		return fmt.Sprintf("%d@%d empty", e.Index, e.Term)
	case wire.EntryChange:
		return fmt.Sprintf("%d@%d %s", e.Index, e.Term, formatChange(e.Data))
	}
	if len(e.Data) > 40 {
		return fmt.Sprintf("%d@%d %d bytes", e.Index, e.Term, len(e.Data))
	}
	return fmt.Sprintf("%d@%d %s", e.Index, e.Term, e.Data)
}

var changeNames = [...]string{
	wire.ChangeAddLearner: "add-learner", wire.ChangePromote: "promote", wire.ChangeRemove: "remove", wire.ChangeDemote: "demote",
}

// ChangeNamed returns the kind of change that traces and transcripts call by this name, 0 for an unknown one.
func ChangeNamed(name string) wire.ChangeKind {
	return wire.ChangeKind(max(slices.Index(changeNames[:], name), 0))
}

func formatChange(data []byte) string {
	r := wire.NewReader(data)
	set := wire.ReadChangeSet(r)
	if r.Done() != nil {
		return fmt.Sprintf("change %x", data)
	}
	return FormatChangeSet(&set)
}

// FormatChangeSet renders what a set does to whom, and for which membership it is meant.
func FormatChangeSet(set *wire.ChangeSet) string {
	parts := make([]string, len(set.Changes))
	for i, ch := range set.Changes {
		parts[i] = fmt.Sprintf("%s %s", changeNames[ch.Kind], ch.Node)
	}
	s := strings.Join(parts, " + ")
	if len(parts) == 0 {
		s = "leave joint"
	}
	if set.SetBase {
		s += fmt.Sprintf(" if since %d", set.Base)
	}
	return s
}

// FormatUpdate renders what is to be written.
func FormatUpdate(u *wire.LogUpdate) string {
	var parts []string
	if u.SetHardState {
		h := u.HardState
		parts = append(parts, fmt.Sprintf("term %d vote %s commit %d", h.Term, FormatNode(h.Vote), h.Commit))
	}
	if u.ResetTo != 0 {
		parts = append(parts, fmt.Sprintf("move to %d@%d", u.ResetTo, u.ResetTerm))
	}
	if len(u.Entries) > 0 {
		parts = append(parts, "["+FormatEntries(u.Entries)+"]")
	}
	if u.SetMembership {
		parts = append(parts, FormatMembership(&u.Membership))
	}
	if u.CompactTo != 0 {
		parts = append(parts, fmt.Sprintf("compact to %d", u.CompactTo))
	}
	return strings.Join(parts, ", ")
}

// FormatSnapshot renders where a snapshot ends and the membership there.
func FormatSnapshot(s *wire.Snapshot) string {
	return fmt.Sprintf("%d@%d, %s", s.Index, s.Term, FormatMembership(&s.Membership))
}

// FormatMembership renders voters of both halves, learners and since when.
func FormatMembership(m *wire.Membership) string {
	s := fmt.Sprintf("voters %v", m.Voters)
	if m.Joint() {
		s += fmt.Sprintf(" outgoing %v", m.Outgoing)
	}
	if len(m.Demoted) > 0 {
		s += fmt.Sprintf(" demoted %v", m.Demoted)
	}
	if len(m.Learners) > 0 {
		s += fmt.Sprintf(" learners %v", m.Learners)
	}
	if m.Index != 0 {
		s += fmt.Sprintf(" since %d", m.Index)
	}
	return s
}

func formatError(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// FormatNode renders a node's id, and NoNode as "none".
func FormatNode(n wire.NodeID) string {
	if n == wire.NoNode {
		return "none"
	}
	return n.String()
}

// Plural renders a count with its noun.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// FormatProgress renders what a leader knows of its followers, a line for each.
func FormatProgress(st *raft.Status) string {
	var b strings.Builder
	for _, f := range st.Followers {
		kind := "voter"
		if f.Learner {
			kind = "learner"
		}
		fmt.Fprintf(&b, "  %s %s %s match %d next %d inflight %d (%d bytes) quiet %d",
			kind, f.Node, f.State, f.Match, f.Next, f.InflightMessages, f.InflightBytes, f.QuietTicks)
		if f.Snapshot != 0 {
			fmt.Fprintf(&b, " sending %d", f.Snapshot)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
