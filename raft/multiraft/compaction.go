package multiraft

import (
	"slices"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// logMarks tell how many bytes of a log lie behind an index, as exactly as the marks are close.
type logMarks struct {
	total int64 // bytes of all entries counted
	marks []logMark
}

// logMark says that the entry at index was counted when total was reached.
type logMark struct {
	index wire.Index
	total int64
}

// start forgets everything: the log is counted from index on, bytes of it are behind index already.
func (m *logMarks) start(base, index wire.Index, bytes int64) {
	m.total = bytes
	m.marks = append(m.marks[:0], logMark{index: base})
	if index > base {
		m.marks = append(m.marks, logMark{index: index, total: bytes})
	}
}

// add counts an entry and reports whether it was marked: one in step bytes is.
func (m *logMarks) add(index wire.Index, size, step int64) bool {
	m.total += size
	if n := len(m.marks); n > 0 && m.total-m.marks[n-1].total < step {
		return false
	}
	m.marks = append(m.marks, logMark{index: index, total: m.total})
	return true
}

// before returns the last marked index that has at least so many bytes of log behind it, 0 for none.
func (m *logMarks) before(bytes int64) wire.Index {
	at, _ := slices.BinarySearchFunc(m.marks, m.total-bytes, func(k logMark, total int64) int {
		if k.total <= total {
			return -1
		}
		return 1
	})
	if at == 0 {
		return 0
	}
	return m.marks[at-1].index
}

// forget lets go of the marks below index.
func (m *logMarks) forget(index wire.Index) {
	at, _ := slices.BinarySearchFunc(m.marks, index, func(k logMark, index wire.Index) int {
		if k.index < index {
			return -1
		}
		return 1
	})
	m.marks = slices.Delete(m.marks, 0, at)
}

// compact lets go of the log that the newest snapshot stands for, but for TailBytes, and for what the core keeps for followers that
// answer. Those have as much room as the state takes, since a snapshot would send that; so has a transfer, after which its follower
// needs the log from there on: it would need the next snapshot otherwise, for ever. And the machine here: one of its own disk knows of
// no entries but those with commands, so the log is there from the last one on, or a start would have it take over what it has.
func (w *worker) compact(g *group, core *raft.Core) {
	s := &g.snaps
	s.newest, s.bytes = w.e.newest(g.id) // one that was found damaged stands for nothing any more
	g.snapshot.Store(uint64(s.newest))
	if s.newest > g.handed {
		return // a peer's, and not installed: should it turn out damaged, all there is is an older one
	}
	to := min(s.newest, s.told, wire.Index(g.kept.Load()), s.log.before(w.e.cfg.TailBytes))
	least := s.log.before(max(s.bytes, tailsForFollowers*w.e.cfg.TailBytes))
	for _, x := range s.sends {
		to = min(to, max(x.least, least))
	}
	if first, _ := w.e.cfg.Log.Bounds(g.id); to < first {
		return
	}
	gone := core.Compact(to, least)
	s.log.forget(gone)
	if gone < to { // kept for a follower, which may fall silent and not need it
		s.again = w.e.cfg.electionTicks()
	}
	w.activate(g)
}
