package framing

import (
	"flotilla/epoch"
	"flotilla/raft/wire"
)

// Outbox holds frames that are filled and not yet written, one after the other in one buffer. It is not safe for
// concurrent use; its lane's mutex guards it.
type Outbox struct {
	buf    []byte
	frames []pendingFrame
	// entries counts those of the last frame, whose elements may still grow.
	entries int
}

// pendingFrame is one frame in an outbox; it ends where the next begins.
type pendingFrame struct {
	start, count int
	// closed says that no element may be added.
	closed bool
}

// open makes sure that the last frame may take one more element of about size bytes and as many log entries,
// and begins a new one if not.
func (o *Outbox) open(size, entries int) {
	if n := len(o.frames); n > 0 {
		f := o.frames[n-1]
		fits := len(o.buf)-f.start+size <= frameTarget && f.count < wire.MaxBatchMessages && o.entries+entries <= wire.MaxBatchEntries
		if !f.closed && (fits || f.count == 0) {
			o.entries += entries
			return
		}
	}
	o.frames = append(o.frames, pendingFrame{start: len(o.buf)})
	o.buf = appendHead(o.buf)
	o.entries = entries
}

// added says that one element was appended to buf after open.
func (o *Outbox) added() { o.frames[len(o.frames)-1].count++ }

// AddMessage appends one message.
func (o *Outbox) AddMessage(m *wire.Message) {
	o.open(m.Size(), len(m.Entries))
	o.buf = wire.AppendMessage(o.buf, m)
	o.added()
}

// AddItem appends one item of the forward lane.
func (o *Outbox) AddItem(it *Item) {
	o.open(it.Size(), 0)
	o.buf = it.Append(o.buf)
	o.added()
}

// AddNotice appends a frame of its own.
func (o *Outbox) AddNotice(n Notice) {
	o.frames = append(o.frames, pendingFrame{start: len(o.buf), closed: true})
	o.buf = appendNotice(o.buf, n)
}

// AddFrame appends a frame of its own whose count elements are encoded already; none makes a beacon.
func (o *Outbox) AddFrame(count int, elements []byte) {
	o.frames = append(o.frames, pendingFrame{start: len(o.buf), count: count, closed: true})
	o.buf = append(appendHead(o.buf), elements...)
}

// Len is how many bytes its frames have.
func (o *Outbox) Len() int { return len(o.buf) }

// Frames is how many there are.
func (o *Outbox) Frames() int { return len(o.frames) }

// Bytes returns all frames, one after the other: what is left to be written once each was sealed. Valid until the next change.
func (o *Outbox) Bytes() []byte { return o.buf }

// Elements returns how many elements frame i has, and their bytes. Valid until the next change.
func (o *Outbox) Elements(i int) (count int, elements []byte) {
	return o.frames[i].count, o.frame(i)[headBytes:]
}

// frame returns frame i.
func (o *Outbox) frame(i int) []byte {
	end := len(o.buf)
	if i+1 < len(o.frames) {
		end = o.frames[i+1].start
	}
	return o.buf[o.frames[i].start:end]
}

// Sealed returns frame i ready to be written with stamp s. Valid until the next change.
func (o *Outbox) Sealed(i int, s epoch.Stamp) []byte {
	frame := o.frame(i)
	setCount(frame, o.frames[i].count)
	seal(frame, s)
	return frame
}

// Reset empties o and keeps its memory, unless a burst made it large.
func (o *Outbox) Reset() {
	if cap(o.buf) > keepBuffer {
		o.buf = nil
	}
	o.buf, o.frames, o.entries = o.buf[:0], o.frames[:0], 0
}
