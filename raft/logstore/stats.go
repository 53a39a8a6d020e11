package logstore

import (
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"flotilla/raft/logstore/boltfile"
)

// Stats counts since Open.
type Stats struct {
	// Commits that succeeded. Each is one bbolt transaction.
	Commits uint64
	// Fdatasyncs on the way of those commits: two for each, pages and meta page; bbolt issues exactly these as long as
	// the file need not grow, which its preparation sees to (docs: DESIGN.md, checked with strace).
	Fdatasyncs uint64
	// BlobBytes is what the blobs of those commits hold.
	BlobBytes uint64
	// PageWrites is the number of writes to the file, PageBytes what they wrote, meta pages included.
	PageWrites uint64
	PageBytes  uint64
	// Generations is the number of files in use now, FileBytes what they occupy.
	Generations int
	FileBytes   int64
}

// counters are the rising part of Stats, written by the committing goroutine.
type counters struct {
	commits, blobBytes, pageWrites, pageBytes atomic.Uint64
	// activeBytes is what the active file had before the last commit.
	activeBytes atomic.Int64
}

const syncsPerCommit = 2

func (c *counters) committed(blobBytes int, tx *bolt.TxStats) {
	c.commits.Add(1)
	c.blobBytes.Add(uint64(blobBytes))
	c.pageWrites.Add(uint64(tx.GetWrite()))
	c.pageBytes.Add(uint64(tx.GetPageAlloc()) + boltfile.PageSize)
}

// Stats returns the present counts.
func (s *Store) Stats() Stats {
	st := Stats{
		Commits: s.stats.commits.Load(), BlobBytes: s.stats.blobBytes.Load(),
		PageWrites: s.stats.pageWrites.Load(), PageBytes: s.stats.pageBytes.Load(),
	}
	st.FileBytes = s.stats.activeBytes.Load()
	st.Fdatasyncs = syncsPerCommit * st.Commits
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Generations = len(s.mu.gens)
	for _, g := range s.mu.gens {
		st.FileBytes += g.bytes
	}
	return st
}
