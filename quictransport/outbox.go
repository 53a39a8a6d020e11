package quictransport

import (
	"flotilla/epoch"
	"flotilla/raft/wire"
)

// outbox holds frames that are filled and not yet written, one after the other in one buffer. It is not safe for
// concurrent use; its lane's mutex guards it.
type outbox struct {
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
func (o *outbox) open(size, entries int) {
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
func (o *outbox) added() { o.frames[len(o.frames)-1].count++ }

// addMessage appends one message.
func (o *outbox) addMessage(m *wire.Message) {
	o.open(m.Size(), len(m.Entries))
	o.buf = wire.AppendMessage(o.buf, m)
	o.added()
}

// addNotice appends a frame of its own.
func (o *outbox) addNotice(n notice) {
	o.frames = append(o.frames, pendingFrame{start: len(o.buf), closed: true})
	o.buf = appendNotice(o.buf, n)
}

// addFrame appends a frame of its own whose count elements are encoded already; none makes a beacon.
func (o *outbox) addFrame(count int, elements []byte) {
	o.frames = append(o.frames, pendingFrame{start: len(o.buf), count: count, closed: true})
	o.buf = append(appendHead(o.buf), elements...)
}

// sealed returns frame i ready to be written with stamp s.
func (o *outbox) sealed(i int, s epoch.Stamp) []byte {
	f := o.frames[i]
	end := len(o.buf)
	if i+1 < len(o.frames) {
		end = o.frames[i+1].start
	}
	frame := o.buf[f.start:end]
	setCount(frame, f.count)
	seal(frame, s)
	return frame
}

// reset empties o and keeps its memory, unless a burst made it large.
func (o *outbox) reset() {
	if cap(o.buf) > keepBuffer {
		o.buf = nil
	}
	o.buf, o.frames, o.entries = o.buf[:0], o.frames[:0], 0
}
