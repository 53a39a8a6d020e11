package kv

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// Restore implements multiraft.Snapshotter. What is cut off, goes on behind its end, is out of order, or lies beyond the limits
// of this version is refused: errors are *wire.DecodeError, or state's own. It needs the new state and a small buffer.
func (m *Machine) Restore(at wire.Index, state io.Reader) error {
	next := New()
	if err := next.read(&stateReader{src: state}); err != nil {
		return fmt.Errorf("restore key-value state as of %d: %w", at, err)
	}
	*m = *next
	return nil
}

// read fills an empty machine.
func (m *Machine) read(s *stateReader) error {
	var sessions, items uint64
	err := s.record(func(r *wire.Reader) {
		r.Array(5)
		if v := r.Uint(); r.Err() == nil && v != stateVersion {
			r.Fail(fmt.Sprintf("state of version %d", v), wire.ErrInvalid)
		}
		m.revision = Revision(r.UintMax(wire.MaxNumber))
		m.sessions.last = SessionID(r.UintMax(wire.MaxNumber))
		sessions, items = r.UintMax(MaxSessions), r.UintMax(wire.MaxNumber)
	})
	for ; err == nil && sessions > 0; sessions-- {
		var next *session
		if err = s.record(func(r *wire.Reader) { next = m.readSession(r) }); err == nil {
			m.sessions.pushBack(next)
		}
	}
	last := ""
	for ; err == nil && items > 0; items-- {
		var key, value []byte
		var it item
		err = s.record(func(r *wire.Reader) { key, value, it.revision = m.readItem(r, last) })
		if err == nil {
			last, it.value = join(key, value)
			m.tree.Load(last, it)
			m.bytes += uint64(len(key) + len(value))
		}
	}
	if err == nil {
		err = s.end()
	}
	return err
}

// readSession reads a session that the table does not hold yet and has room for.
func (m *Machine) readSession(r *wire.Reader) *session {
	n := r.ArrayLen(3 + 2*MaxWindow)
	s := &session{id: SessionID(r.UintMax(uint64(m.sessions.last))), acked: Sequence(r.Uint())}
	size := int(r.UintMax(uint64(min(MaxWindow, MaxResults-m.sessions.results))))
	kept := (n - 3) / 2
	if r.Err() != nil {
		return nil
	}
	if n%2 == 0 || kept < 0 || kept > size || size != 0 && size < firstResults || size&(size-1) != 0 ||
		s.id == NoSession || s.acked == 0 || m.sessions.byID[s.id] != nil {
		r.Fail("session", wire.ErrInvalid)
		return nil
	}
	if size > 0 {
		s.ring = make([]outcome, size)
	}
	for i := range kept {
		o := outcome{status: Status(r.UintMax(uint64(StatusInvalid))), revision: Revision(r.UintMax(uint64(m.revision)))}
		if o.status == 0 && (o.revision != 0 || i == kept-1) {
			r.Fail("result of a session", wire.ErrInvalid)
		}
		*s.at(s.acked + Sequence(i)) = o
	}
	return s
}

// readItem reads the item that follows key last; key and value alias the buffer.
func (m *Machine) readItem(r *wire.Reader, last string) (key, value []byte, revision Revision) {
	r.Array(3)
	key, value = r.Bytes(), r.Bytes()
	revision = Revision(r.UintMax(uint64(m.revision)))
	if r.Err() == nil && (len(key) > MaxKeyBytes || len(value) > MaxValueBytes || revision == 0 || string(key) <= last) {
		r.Fail("item", wire.ErrInvalid)
	}
	return key, value, revision
}

// join copies key and value into one string: one allocation for both, and nothing of the frame they came in stays alive.
func join(key, value []byte) (k, v string) {
	var both strings.Builder
	both.Grow(len(key) + len(value))
	_, _ = both.Write(key) // a Builder never returns an error
	_, _ = both.Write(value)
	return both.String()[:len(key)], both.String()[len(key):]
}

// stateReader reads one record after the other from a stream through a buffer that is as large as the largest one was.
type stateReader struct {
	src   io.Reader
	buf   []byte // buf[from:to] is read and not used
	from  int
	to    int
	ended bool  // src has nothing more
	used  int64 // bytes of src that were used
}

// record has read read one record. It is called again when more of the record has come, so it starts anew each time.
func (s *stateReader) record(read func(*wire.Reader)) error {
	for {
		r := wire.NewReader(s.buf[s.from:s.to])
		read(r)
		err := r.Err()
		if err == nil {
			s.from += r.Offset()
			s.used += int64(r.Offset())
			return nil
		}
		if s.ended || !errors.Is(err, wire.ErrShort) {
			return s.placed(err)
		}
		if s.to-s.from >= maxRecordBytes {
			return s.placed(&wire.DecodeError{What: "record", Err: wire.ErrLimit})
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// end demands that nothing follows and that src says so.
func (s *stateReader) end() error {
	for s.from == s.to && !s.ended {
		if err := s.fill(); err != nil {
			return err
		}
	}
	if s.from < s.to {
		return s.placed(&wire.DecodeError{What: "end of the state", Err: wire.ErrTrailing})
	}
	return nil
}

// placed makes the offset of a record's failure that in the stream.
func (s *stateReader) placed(err error) error {
	var bad *wire.DecodeError
	if errors.As(err, &bad) {
		bad.Offset = int(min(s.used+int64(bad.Offset), math.MaxInt))
	}
	return err
}

// fill reads something more, or that there is no more.
func (s *stateReader) fill() error {
	if s.from > 0 {
		s.to = copy(s.buf, s.buf[s.from:s.to])
		s.from = 0
	}
	if s.to == len(s.buf) {
		larger := make([]byte, max(firstStateBytes, 2*len(s.buf)))
		copy(larger, s.buf)
		s.buf = larger
	}
	assert.That(len(s.buf) <= 2*maxRecordBytes, "a buffer of %d bytes for records of %d", len(s.buf), maxRecordBytes)
	n, err := io.ReadAtLeast(s.src, s.buf[s.to:], 1)
	s.to += n
	if errors.Is(err, io.EOF) {
		s.ended, err = true, nil
	}
	return err
}
