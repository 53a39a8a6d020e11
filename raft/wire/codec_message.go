package wire

// messageOverhead bounds the encoding of a message without its entries: 11 numbers of 9 bytes, the type,
// the bool and two array headers, rounded up.
const messageOverhead = 112

// Size bounds the encoding of m; an entry counts as Entry.Size.
func (m *Message) Size() int {
	n := messageOverhead
	for i := range m.Entries {
		n += m.Entries[i].Size()
	}
	return n
}

// FitMessages returns how many of the first msgs fit in one batch of maxBytes: the sum of their Size stays
// within it and no limit of ReadMessages is passed. It is at least 1 if msgs is not empty, so that a caller always
// gets on; a single message within the limits of raft.Config never passes one of ours.
func FitMessages(msgs []Message, maxBytes int) int {
	size, entries := 0, 0
	for i := range msgs {
		size += msgs[i].Size()
		entries += len(msgs[i].Entries)
		if i > 0 && (size > maxBytes || entries > MaxBatchEntries || i >= MaxBatchMessages) {
			return i
		}
	}
	return len(msgs)
}

// AppendMessages appends msgs as an array of arrays. Of more than FitMessages allows a reader refuses the whole.
func AppendMessages(dst []byte, msgs []Message) []byte {
	dst = AppendArray(dst, len(msgs))
	for i := range msgs {
		dst = AppendMessage(dst, &msgs[i])
	}
	return dst
}

// AppendMessage appends m as [type, reject, group, from, to, term, log term, index, commit, hint, hint term,
// context, [entries]].
func AppendMessage(dst []byte, m *Message) []byte {
	dst = AppendArray(dst, messageFields)
	dst = AppendUint(dst, uint64(m.Type))
	dst = AppendBool(dst, m.Reject)
	dst = AppendUint(dst, uint64(m.Group))
	dst = AppendUint(dst, uint64(m.From))
	dst = AppendUint(dst, uint64(m.To))
	dst = AppendUint(dst, uint64(m.Term))
	dst = AppendUint(dst, uint64(m.LogTerm))
	dst = AppendUint(dst, uint64(m.Index))
	dst = AppendUint(dst, uint64(m.Commit))
	dst = AppendUint(dst, uint64(m.Hint))
	dst = AppendUint(dst, uint64(m.HintTerm))
	dst = AppendUint(dst, m.Context)
	dst = AppendArray(dst, len(m.Entries))
	for i := range m.Entries {
		dst = AppendEntry(dst, &m.Entries[i])
	}
	return dst
}

// ReadMessages reads what AppendMessages appends, appends the messages to dst[:0] and returns it with the
// Reader's first failure. Entry slices of messages dst held before are not reused, as they may have been
// kept; entries' data alias the input. What is returned with an error is not to be used.
//
// Each message is valid in itself: type known, both nodes named, numbers in range, entries only in an
// append, contiguous after Index, terms from LogTerm up to Term and never falling (F9).
func ReadMessages(r *Reader, dst []Message) ([]Message, error) {
	dst = dst[:0]
	left := MaxBatchEntries
	for range r.ArrayLen(MaxBatchMessages) {
		m := readMessage(r, left)
		if r.err != nil {
			return dst, r.err
		}
		left -= len(m.Entries)
		dst = append(dst, m)
	}
	return dst, r.Err()
}

func readMessage(r *Reader, maxEntries int) Message {
	off := r.off
	r.Array(messageFields)
	m := Message{
		Type:     MessageType(r.UintMax(0xff)),
		Reject:   r.Bool(),
		Group:    GroupID(r.UintMax(MaxNumber)),
		From:     NodeID(r.UintMax(uint64(MaxNodeID))),
		To:       NodeID(r.UintMax(uint64(MaxNodeID))),
		Term:     Term(r.UintMax(MaxNumber)),
		LogTerm:  Term(r.UintMax(MaxNumber)),
		Index:    Index(r.UintMax(MaxNumber)),
		Commit:   Index(r.UintMax(MaxNumber)),
		Hint:     Index(r.UintMax(MaxNumber)),
		HintTerm: Term(r.UintMax(MaxNumber)),
		Context:  r.Uint(),
	}
	if r.err == nil && (!m.Type.Valid() || m.From == NoNode || m.To == NoNode) {
		r.failAt(off, "message", ErrInvalid)
	}
	m.Entries = readEntries(r, &m, maxEntries)
	if r.err != nil {
		return Message{}
	}
	return m
}

// readEntries reads the entries of m, whose other fields have been read.
func readEntries(r *Reader, m *Message, limit int) []Entry {
	off := r.off
	n := r.ArrayLen(limit)
	if n == 0 {
		return nil
	}
	if n > r.Len()/minEntryBytes {
		r.failAt(off, "entries", ErrShort)
		return nil
	}
	if m.Type != MsgAppend {
		r.failAt(off, "entries outside an append", ErrInvalid)
		return nil
	}
	entries := make([]Entry, 0, n)
	prev := Entry{Term: m.LogTerm, Index: m.Index}
	for range n {
		off = r.off
		e := ReadEntry(r)
		if r.err == nil && (e.Index != prev.Index+1 || e.Term < prev.Term || e.Term > m.Term) {
			r.failAt(off, "entry out of order", ErrInvalid)
		}
		if r.err != nil {
			return nil
		}
		entries = append(entries, e)
		prev = e
	}
	return entries
}
