package logstore

import "flotilla/raft/wire"

// tail caches the latest entries of one group: followers that keep up and appliers are served from here. Their data is
// immutable, shared with readers, and lies in arrays of its own: what Commit is given aliases a peer's frame, which
// one small entry would keep alive for as long as its group is idle.
type tail struct {
	entries []wire.Entry
	bytes   int
}

// first returns the first index held; only meaningful when not empty.
func (t *tail) first() wire.Index { return t.entries[0].Index }

// append adds entries that follow those held (or starts anew) and lets go of the oldest beyond limit bytes.
func (t *tail) append(entries []wire.Entry, limit int) {
	if n := len(t.entries); n != 0 && t.entries[n-1].Index+1 != entries[0].Index {
		t.clear()
	}
	for i := range entries {
		t.bytes += entries[i].Size()
	}
	t.entries = append(t.entries, entries...)
	k := 0
	for k < len(t.entries) && t.bytes > limit {
		t.bytes -= t.entries[k].Size()
		k++
	}
	t.cut(k)
	own(t.entries[max(0, len(t.entries)-len(entries)):])
}

// own puts the data of entries into one array that nobody else has.
func own(entries []wire.Entry) {
	size := 0
	for i := range entries {
		size += len(entries[i].Data)
	}
	data := make([]byte, 0, size)
	for i := range entries {
		if e := &entries[i]; len(e.Data) > 0 {
			from := len(data)
			data = append(data, e.Data...)
			e.Data = data[from:len(data):len(data)]
		}
	}
}

// cut forgets the first k entries. It moves the rest down when that is cheaper than growing the slice again.
func (t *tail) cut(k int) {
	if k == 0 {
		return
	}
	clear(t.entries[:k]) // let the data go
	t.entries = t.entries[k:]
	if len(t.entries) == 0 {
		t.entries = nil
	}
}

// truncate forgets the entries from i on.
func (t *tail) truncate(i wire.Index) {
	if len(t.entries) == 0 {
		return
	}
	if i <= t.first() {
		t.clear()
		return
	}
	k := int(i - t.first())
	if k >= len(t.entries) {
		return
	}
	for j := k; j < len(t.entries); j++ {
		t.bytes -= t.entries[j].Size()
	}
	clear(t.entries[k:])
	t.entries = t.entries[:k]
}

// compact forgets the entries before i.
func (t *tail) compact(i wire.Index) {
	if len(t.entries) == 0 || i <= t.first() {
		return
	}
	k := min(int(i-t.first()), len(t.entries))
	for j := range k {
		t.bytes -= t.entries[j].Size()
	}
	t.cut(k)
}

func (t *tail) clear() { *t = tail{} }

// read appends to dst the entries of [lo, hi), all of which are held, under the rule of LogStore.Entries;
// used counts the bytes dst was given already, 0 for none.
func (t *tail) read(dst []wire.Entry, lo, hi wire.Index, used, maxBytes int) []wire.Entry {
	first := t.first()
	for i := lo; i < hi; i++ {
		e := t.entries[i-first]
		if used += e.Size(); used > maxBytes && used != e.Size() {
			break
		}
		dst = append(dst, e)
	}
	return dst
}
