package kv

import (
	"io"

	"github.com/tidwall/btree"

	"flotilla/internal/assert"
	"flotilla/internal/mutant"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

var _ multiraft.Snapshotter = (*Machine)(nil)

// stateVersion stands first in every state that was written. Another one is not understood (F17).
const stateVersion = 1

// frozen is a state as of a moment. It shares the nodes of the tree and the results of the sessions with the machine, which copies
// those that it writes to.
type frozen struct {
	tree     *btree.Map[string, item]
	revision Revision
	last     SessionID
	sessions []session // the most recently used first; not linked
}

// Freeze implements multiraft.Snapshotter. It costs a look at each session. What it shares with the machine costs the writes that come
// after it: each node of the tree and each session's results are copied when they are first written to.
func (m *Machine) Freeze() (multiraft.Frozen, error) {
	t := m.sessions
	f := &frozen{tree: m.tree.Copy(), revision: m.revision, last: t.last, sessions: make([]session, 0, len(t.byID))}
	for s := t.root.next; s != &t.root; s = s.next {
		f.sessions = append(f.sessions, session{id: s.id, acked: s.acked, ring: s.ring})
	}
	t.era++
	assert.That(len(f.sessions) == len(t.byID), "%d sessions of %d", len(f.sessions), len(t.byID))
	if mutant.Is(mutant.DropSessions) {
		f.sessions = nil
	}
	return f, nil
}

// Close implements multiraft.Frozen.
func (f *frozen) Close() error {
	*f = frozen{}
	return nil
}

// WriteTo implements io.WriterTo: docs/format.md, "kv state". Everything has one form only, so equal states are equal bytes.
func (f *frozen) WriteTo(w io.Writer) (int64, error) {
	out := stateWriter{w: w, buf: make([]byte, 0, flushBytes+itemOverhead)}
	b := wire.AppendUint(wire.AppendArray(out.buf, 5), stateVersion)
	b = wire.AppendUint(wire.AppendUint(b, uint64(f.revision)), uint64(f.last))
	b = wire.AppendUint(wire.AppendUint(b, uint64(len(f.sessions))), uint64(f.tree.Len()))
	out.put(b)
	for i := range f.sessions {
		out.put(appendSession(out.buf, &f.sessions[i]))
	}
	f.tree.Scan(func(key string, it item) bool {
		b := appendText(appendText(wire.AppendArray(out.buf, 3), key), it.value)
		out.put(wire.AppendUint(b, uint64(it.revision)))
		return out.err == nil
	})
	out.flush()
	return out.written, out.err
}

// appendSession leaves out what follows the last result that is kept.
func appendSession(b []byte, s *session) []byte {
	kept := len(s.ring)
	for kept > 0 && s.at(s.acked+Sequence(kept-1)).status == 0 {
		kept--
	}
	b = wire.AppendUint(wire.AppendArray(b, 3+2*kept), uint64(s.id))
	b = wire.AppendUint(wire.AppendUint(b, uint64(s.acked)), uint64(len(s.ring)))
	for i := range Sequence(kept) {
		o := s.at(s.acked + i)
		b = wire.AppendUint(wire.AppendUint(b, uint64(o.status)), uint64(o.revision))
	}
	return b
}

// stateWriter gathers small records to larger writes. The first error stays.
type stateWriter struct {
	w       io.Writer
	buf     []byte
	written int64
	err     error
}

// put takes back the buffer with what was appended to it.
func (w *stateWriter) put(b []byte) {
	if w.buf = b; len(b) >= flushBytes {
		w.flush()
	}
}

func (w *stateWriter) flush() {
	if w.err == nil && len(w.buf) > 0 {
		var n int
		n, w.err = w.w.Write(w.buf)
		w.written += int64(n)
	}
	w.buf = w.buf[:0]
}
