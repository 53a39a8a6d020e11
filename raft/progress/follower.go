package progress

import (
	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// Kind is whether a follower counts.
type Kind uint8

// The kinds of followers.
const (
	Voter Kind = iota
	Learner
)

// Limits bound what is in flight to one follower.
type Limits struct {
	MaxMessages int
	MaxBytes    int
}

// Follower is what the leader knows of one other member of the group.
type Follower struct {
	node  wire.NodeID
	kind  Kind
	state State
	// life numbers how often in this term the node has been a follower before, and was taken out.
	life uint64

	match, next wire.Index
	window      Window

	// waiting is set in state Probe while the answer to a probe is awaited, again once one was given up.
	waiting, again bool
	// sending is the index of the snapshot under way in state Snapshot, 0 for none; silent counts ticks since anything was
	// told of it.
	sending wire.Index
	silent  int
	// moved is set when match rose since the last heartbeat reply.
	moved bool
	// quiet counts ticks since the follower was last heard.
	quiet int
	// told is the commit index that the follower was last sent in an append.
	told wire.Index
	// commit is the commit index that it last told in a heartbeat reply.
	commit wire.Index
	// round is the highest read round it has answered.
	round uint64
}

// New returns a follower of which nothing is known: a probe at next-1 will find out.
func New(node wire.NodeID, kind Kind, next wire.Index, limits Limits) Follower {
	assert.That(next > 0 && node != wire.NoNode, "I10: follower without a node or a next index")
	return Follower{
		node: node, kind: kind, next: next,
		window: Window{maxMessages: limits.MaxMessages, maxBytes: limits.MaxBytes},
	}
}

// Node returns who it is.
func (f *Follower) Node() wire.NodeID { return f.node }

// Kind returns whether it counts.
func (f *Follower) Kind() Kind { return f.kind }

// Life returns how often in this term the node was a follower before. Answers to an earlier life are of no use: the replica
// that gave them may be gone, and another in its place.
func (f *Follower) Life() uint64 { return f.life }

// SetLife says how often in this term the node was a follower before.
func (f *Follower) SetLife(n uint64) { f.life = n }

// SetKind changes whether it counts: a learner was promoted.
func (f *Follower) SetKind(k Kind) { f.kind = k }

// State returns how it is replicated to.
func (f *Follower) State() State { return f.state }

// Match returns the highest index known to be durable there and equal to the leader's log.
func (f *Follower) Match() wire.Index { return f.match }

// Next returns the index of the next entry to send.
func (f *Follower) Next() wire.Index { return f.next }

// Window returns what is in flight, for reading.
func (f *Follower) Window() *Window { return &f.window }

// Quiet returns how many ticks ago it was heard.
func (f *Follower) Quiet() int { return f.quiet }

// Told returns the commit index last sent to it in an append.
func (f *Follower) Told() wire.Index { return f.told }

// Commit returns the commit index that it told last.
func (f *Follower) Commit() wire.Index { return f.commit }

// Regards says that it regards everything up to i as committed. Late word of less says nothing.
func (f *Follower) Regards(i wire.Index) { f.commit = max(f.commit, i) }

// Round returns the highest read round it has answered.
func (f *Follower) Round() uint64 { return f.round }

// Sending returns the index of the snapshot under way to it, 0 for none.
func (f *Follower) Sending() wire.Index { return f.sending }

// Silent returns how many ticks ago something was told of that snapshot.
func (f *Follower) Silent() int { return f.silent }

// Tick counts one tick of silence.
func (f *Follower) Tick() {
	f.quiet++
	if f.sending != 0 {
		f.silent++
	}
}

// Heard says that something came from it in this term.
func (f *Follower) Heard() { f.quiet = 0 }

// AnsweredRound says that it answered read round r.
func (f *Follower) AnsweredRound(r uint64) { f.round = max(f.round, r) }

// Probing reports whether a probe is due.
func (f *Follower) Probing() bool { return f.state == Probe && !f.waiting }

// Again reports whether an earlier probe of the same place has had no answer.
func (f *Follower) Again() bool { return f.again }

// Room returns how many bytes of entries may be sent to it now, 0 for none.
func (f *Follower) Room() int {
	switch {
	case f.state == Probe && !f.waiting:
		return max(f.window.maxBytes, 1)
	case f.state == Replicate:
		return f.window.Room()
	}
	return 0
}

// Sent says that an append with entries up to last was sent, of so many bytes, with the commit index told. last
// is Next()-1 for an append without entries. In state Replicate Next moves on without waiting for the answer,
// so that no entry is sent twice (F22).
func (f *Follower) Sent(last wire.Index, bytes int, told wire.Index) {
	assert.That(f.state != Snapshot && last+1 >= f.next, "I10: sent what was sent before")
	f.told = max(f.told, told)
	switch {
	case f.state == Probe:
		assert.That(!f.waiting, "I10: two probes at once")
		f.waiting = true
	case last >= f.next:
		f.window.add(last, bytes)
		f.next = last + 1
	}
	assert.That(f.match < f.next, "I10: match not below next")
}

// Acked says that the follower's durable log equals the leader's up to i, and reports whether that was news.
// The caller has checked that i is not beyond the leader's log.
func (f *Follower) Acked(i wire.Index) bool {
	news := i > f.match
	if news {
		f.match, f.moved = i, true
	}
	// An acknowledgement that reaches the probed place ends the probe. One below it is late: it says nothing about
	// the probe that is out.
	found := f.state == Probe && i+1 >= f.next
	f.next = max(f.next, f.match+1)
	f.window.free(i)
	if found {
		f.become(Replicate)
	}
	assert.That(f.match < f.next, "I10: match not below next")
	return news
}

// Refused says that the follower does not hold the entry at prev, and that candidate is the highest index at
// which the logs may agree. It reports whether that was about something still out; then the next append probes
// after candidate.
func (f *Follower) Refused(prev, candidate wire.Index) bool {
	if f.state == Snapshot || prev <= f.match || prev >= f.next {
		return false // late: since then more was acknowledged, or Next moved back
	}
	if f.state == Probe && prev != f.next-1 {
		return false // the answer to an earlier probe
	}
	f.become(Probe)
	f.next = max(min(candidate+1, prev), f.match+1)
	return true
}

// Lost says that sends to it failed: what was in flight is gone. The next append is a probe, sent once the
// follower has been heard again, so that a dead one costs nothing but heartbeats (P6). A probe that was lost is
// repeated where it was: Match says nothing yet, and going back to it could ask for a snapshot that nobody
// needs.
func (f *Follower) Lost() {
	switch f.state {
	case Snapshot:
		return
	case Replicate:
		f.next = f.match + 1
	}
	f.become(Probe)
	f.waiting = true
}

// NeedsSnapshot says that what the follower needs is compacted away.
func (f *Follower) NeedsSnapshot() { f.become(Snapshot) }

// SendsSnapshot says that a snapshot up to i is under way to it.
func (f *Follower) SendsSnapshot(i wire.Index) {
	assert.That(f.state == Snapshot && i > 0, "I10: a snapshot that nobody needs")
	f.sending, f.silent = i, 0
}

// SnapshotMoves says that the snapshot under way gets on.
func (f *Follower) SnapshotMoves() { f.silent = 0 }

// SnapshotEnds says that no snapshot is under way any more.
func (f *Follower) SnapshotEnds() { f.sending, f.silent = 0, 0 }

// Restored says that the follower's log now begins at index i+1 with the leader's state at i in front of it.
func (f *Follower) Restored(i wire.Index) {
	f.become(Probe)
	f.next = max(f.match, i) + 1
}

// Alive says that a heartbeat reply came. It reports whether appends may have been lost: there are some in
// flight and none was acknowledged since the last heartbeat reply. Then the caller sends an empty append, whose
// answer tells (D22).
func (f *Follower) Alive() (stalled bool) {
	f.waiting, f.again = false, f.again || f.waiting
	stalled = f.state == Replicate && f.window.count > 0 && !f.moved
	f.moved = false
	return stalled
}

func (f *Follower) become(s State) {
	f.state, f.waiting, f.again, f.moved = s, false, false, false
	f.sending, f.silent = 0, 0
	f.window.reset()
}
