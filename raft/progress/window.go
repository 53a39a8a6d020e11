package progress

import (
	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// firstRing is the size of a window's first ring: most followers acknowledge within a few messages.
const firstRing = 4

// Window is what was sent to one follower and is not acknowledged, bounded in messages and bytes. Its memory
// grows to what was once in flight, never beyond MaxMessages.
type Window struct {
	maxMessages, maxBytes int
	ring                  []flight // len is a power of two
	head, count           int
	bytes                 int // sum over the ring, 0 whenever count is 0 (D63)
}

// flight is one append on its way.
type flight struct {
	last  wire.Index
	bytes int
}

// Messages returns how many appends are in flight.
func (w *Window) Messages() int { return w.count }

// Bytes returns the bytes of the entries in flight.
func (w *Window) Bytes() int { return w.bytes }

// Room returns how many bytes the next append may have; 0 when the window is full. An empty window has room for
// one append of any size, or a large entry could never be sent (F23).
func (w *Window) Room() int {
	if w.count == 0 {
		return max(w.maxBytes, 1)
	}
	if w.count >= w.maxMessages {
		return 0
	}
	return max(w.maxBytes-w.bytes, 0)
}

// add puts an append whose last entry is at last into the window.
func (w *Window) add(last wire.Index, bytes int) {
	assert.That(w.count < w.maxMessages, "I11: window over its limit of messages")
	assert.That(w.count == 0 || w.at(w.count-1).last < last, "I11: flights out of order")
	if w.count == len(w.ring) {
		w.grow()
	}
	*w.at(w.count) = flight{last: last, bytes: bytes}
	w.count++
	w.bytes += bytes
}

// free takes out everything up to and including index i.
func (w *Window) free(i wire.Index) {
	for w.count > 0 && w.at(0).last <= i {
		w.bytes -= w.at(0).bytes
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.count--
	}
	assert.That((w.bytes == 0) == (w.count == 0), "I11: bytes leaked from the window")
}

// reset empties the window and keeps its memory.
func (w *Window) reset() { w.head, w.count, w.bytes = 0, 0, 0 }

func (w *Window) at(i int) *flight { return &w.ring[(w.head+i)&(len(w.ring)-1)] }

func (w *Window) grow() {
	ring := make([]flight, max(firstRing, 2*len(w.ring)))
	for i := range w.count {
		ring[i] = *w.at(i)
	}
	w.ring, w.head = ring, 0
}
