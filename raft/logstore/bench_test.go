package logstore_test

import (
	"fmt"
	"testing"

	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

// benchCommits commits one 128-byte entry for each of `groups` groups, perCommit groups a commit.
func benchCommits(b *testing.B, groups, perCommit int) {
	s := opened(b, logstore.Options{Dir: b.TempDir()})
	for g := range wire.GroupID(groups) {
		do(b, s, made(g))
	}
	data := make([]byte, 128)
	batch := make([]wire.LogUpdate, groups)
	for g := range batch {
		batch[g] = wire.LogUpdate{
			Group: wire.GroupID(g), SetHardState: true, HardState: wire.HardState{Term: 1},
			Entries: []wire.Entry{{Term: 1, Kind: wire.EntryData, Data: data}},
		}
	}
	before := s.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	for i := wire.Index(1); b.Loop(); i++ {
		for g := range batch {
			batch[g].Entries[0].Index = i
		}
		for from := 0; from < groups; from += perCommit {
			if err := s.Commit(batch[from : from+perCommit]); err != nil {
				b.Fatal(err)
			}
		}
	}
	after := s.Stats()
	turns := float64(b.N)
	b.ReportMetric(float64(after.Fdatasyncs-before.Fdatasyncs)/turns, "fdatasyncs/turn")
	b.ReportMetric(float64(after.PageBytes-before.PageBytes)/turns/1024, "KB-written/turn")
	b.ReportMetric(turns*float64(groups)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkTurn: what one commit for all groups is worth (N3).
func BenchmarkTurn(b *testing.B) {
	for _, perCommit := range []int{64, 1} {
		b.Run(fmt.Sprintf("64groups/%dper-commit", perCommit), func(b *testing.B) { benchCommits(b, 64, perCommit) })
	}
	b.Run("1group", func(b *testing.B) { benchCommits(b, 1, 1) })
	b.Run("1000groups", func(b *testing.B) { benchCommits(b, 1000, 1000) })
}

// BenchmarkEntries: a follower that keeps up, one that is behind in the active file, one that is further behind.
func BenchmarkEntries(b *testing.B) {
	for name, o := range map[string]logstore.Options{
		"memory": {}, "active file": {CacheBytes: 1}, "sealed file": {CacheBytes: 1, RotateBytes: 32 << 10},
	} {
		b.Run(name, func(b *testing.B) {
			o.Dir = b.TempDir()
			s := opened(b, o)
			do(b, s, made(1))
			for i := range wire.Index(200) {
				do(b, s, grow(1, i+1, 128))
			}
			s.Quiesce()
			dst := make([]wire.Entry, 0, 64)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				var err error
				if dst, err = s.Entries(1, dst[:0], 1, 33, 1<<20); err != nil || len(dst) != 32 {
					b.Fatal(len(dst), err)
				}
			}
		})
	}
}

// BenchmarkOpen: the start of a node with ten thousand groups.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := opened(b, logstore.Options{Dir: dir})
	const groups = 10_000
	batch := make([]wire.LogUpdate, 0, groups)
	for g := range wire.GroupID(groups) {
		batch = append(batch, made(g))
	}
	do(b, s, batch...)
	for i := range wire.Index(20) {
		batch = batch[:0]
		for g := range wire.GroupID(groups) {
			batch = append(batch, grow(g, i+1, 128))
		}
		do(b, s, batch...)
	}
	s.Close()
	b.ReportAllocs()
	for b.Loop() {
		s, err := logstore.Open(logstore.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
