package multiraft

import (
	"sync"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// mail is what others hand to a worker between two of its turns.
type mail struct {
	ticks     int
	messages  []letter
	proposals []*proposal
	reads     []*read
	durable   []durableMark
	batches   int // log batches of this worker that became durable
	applied   []appliedMark
	orders    []order
	bytes     int // of messages
}

// letter is one message for a group of this worker.
type letter struct {
	g *group
	m wire.Message
}

// durableMark says that a group's log is durable up to a token; one with done that a group was made or let go of, whose
// worker calls it.
type durableMark struct {
	w     *worker
	g     *group
	token raft.Token
	done  func()
}

// appliedMark says that a group's machine has applied up to index, an entry of term.
type appliedMark struct {
	g     *group
	index wire.Index
	term  wire.Term
}

// order is something rare to be done by the owner of the groups.
type order func(w *worker)

// reset empties m and keeps its memory; nothing stays reachable from it.
func (m *mail) reset() {
	clear(m.messages)
	clear(m.proposals)
	clear(m.reads)
	clear(m.durable)
	clear(m.applied)
	clear(m.orders)
	*m = mail{
		messages: m.messages[:0], proposals: m.proposals[:0], reads: m.reads[:0],
		durable: m.durable[:0], applied: m.applied[:0], orders: m.orders[:0],
	}
}

// inbox is the door of a worker: a swapped pair of mails. Nothing is taken in after close, so what
// came before can be answered for and what comes after is refused at once (P7).
type inbox struct {
	wake chan struct{} // capacity 1
	// maxBytes bounds the messages waiting; more of them are dropped, which raft survives (F21).
	maxBytes int

	mu struct {
		sync.Mutex
		closed bool
		in     mail
	}
}

func newInbox(maxBytes int) *inbox {
	return &inbox{wake: make(chan struct{}, 1), maxBytes: maxBytes}
}

// ring wakes the owner, now or when it comes back.
func (b *inbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// put lets f add to the mail and wakes the owner; false after close.
func (b *inbox) put(f func(in *mail)) bool {
	b.mu.Lock()
	open := !b.mu.closed
	if open {
		f(&b.mu.in)
	}
	b.mu.Unlock()
	b.ring()
	return open
}

// propose takes p in; false after close.
func (b *inbox) propose(p *proposal) bool {
	return b.put(func(in *mail) { in.proposals = append(in.proposals, p) })
}

// read takes r in; false after close.
func (b *inbox) read(r *read) bool {
	return b.put(func(in *mail) { in.reads = append(in.reads, r) })
}

// order takes o in; false after close.
func (b *inbox) order(o order) bool {
	return b.put(func(in *mail) { in.orders = append(in.orders, o) })
}

// deliver takes letters in and returns how many were dropped because the inbox is full. Liveness gets in up to
// twice the limit, so that bulk cannot starve it.
func (b *inbox) deliver(letters []letter) (dropped int) {
	b.put(func(in *mail) {
		for i := range letters {
			limit := b.maxBytes
			if letters[i].m.Type.Lane() == wire.LaneControl {
				limit *= 2
			}
			size := letters[i].m.Size()
			if in.bytes+size > limit {
				dropped++
				continue
			}
			in.bytes += size
			in.messages = append(in.messages, letters[i])
		}
	})
	return dropped
}

// tick counts a tick. Ticks that a slow turn missed are one: a node that has no time must not
// conclude that others are silent.
func (b *inbox) tick() { b.put(func(in *mail) { in.ticks = 1 }) }

// persisted tells that turns of this worker are durable, and which tokens were in them.
func (b *inbox) persisted(marks []durableMark, turns int) {
	b.put(func(in *mail) {
		in.durable = append(in.durable, marks...)
		in.batches += turns
	})
}

// applied tells how far a machine got.
func (b *inbox) applied(mark appliedMark) {
	b.put(func(in *mail) { in.applied = append(in.applied, mark) })
}

// holding says whether a swap leaves proposals where they are.
type holding uint8

const (
	takeAll holding = iota
	holdProposals
)

// swap takes everything out into empty, which becomes the mail filled next.
func (b *inbox) swap(empty *mail, h holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.in, *empty = *empty, b.mu.in
	if h == holdProposals {
		b.mu.in.proposals, empty.proposals = empty.proposals, b.mu.in.proposals
	}
}

// close refuses everything from now on and returns what had come in.
func (b *inbox) close() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.closed = true
	left := b.mu.in
	b.mu.in = mail{}
	return left
}
