package raft

import (
	"testing"

	"flotilla/raft/wire"
)

// BenchmarkReplicate is the steady state of a leader of three: a proposal, its append to both, the own write,
// one acknowledgement, commit, application. Allocations are those of the log's arrays, one in maxTailEntries
// entries.
func BenchmarkReplicate(b *testing.B) {
	for _, pack := range []int{1, 16} {
		b.Run(map[int]string{1: "1", 16: "16"}[pack], func(b *testing.B) {
			c, rd := benchLeader(b), &Ready{}
			data := make([]byte, 128)
			b.ReportAllocs()
			for b.Loop() {
				for range pack {
					if _, _, err := c.Propose(data); err != nil {
						b.Fatal(err)
					}
				}
				c.Ready(rd)
				token, last := rd.Token, c.log.last()
				for n := wire.NodeID(2); n < 4; n++ {
					if err := c.Step(wire.Message{Type: wire.MsgAppendReply, Group: testGroup, From: n, To: 1, Term: c.term, Index: last}); err != nil {
						b.Fatal(err)
					}
				}
				c.Persisted(token)
				c.Ready(rd)
				c.Applied(last)
			}
			b.ReportMetric(float64(pack), "entries/op")
		})
	}
}

// BenchmarkFollow is the steady state of a follower: an append, its write, the acknowledgement, application.
func BenchmarkFollow(b *testing.B) {
	c, rd := benchCore(b, blindLog{}), &Ready{}
	entries := []wire.Entry{{Term: 1, Kind: wire.EntryData, Data: make([]byte, 128)}}
	b.ReportAllocs()
	for b.Loop() {
		prev := c.log.last()
		entries[0].Index = prev + 1
		m := wire.Message{Type: wire.MsgAppend, Group: testGroup, From: 2, To: 1, Term: 1, Index: prev, LogTerm: min(1, wire.Term(prev)), Commit: prev + 1, Entries: entries}
		if err := c.Step(m); err != nil {
			b.Fatal(err)
		}
		c.Ready(rd)
		c.Persisted(rd.Token)
		c.Ready(rd)
		c.Applied(prev + 1)
	}
}

// BenchmarkRead is one round for 64 reads.
func BenchmarkRead(b *testing.B) {
	c, rd := benchLeader(b), &Ready{}
	b.ReportAllocs()
	for b.Loop() {
		for i := range uint64(64) {
			c.ReadIndex(i)
		}
		c.Ready(rd)
		if err := c.Step(wire.Message{Type: wire.MsgHeartbeatReply, Group: testGroup, From: 2, To: 1, Term: c.term, Context: c.reads.round, Index: c.commit}); err != nil {
			b.Fatal(err)
		}
		c.Ready(rd)
		if len(rd.Reads) != 64 {
			b.Fatal(len(rd.Reads))
		}
	}
}

// BenchmarkTick is a quiet leader's tick with its heartbeats and replies.
func BenchmarkTick(b *testing.B) {
	c, rd := benchLeader(b), &Ready{}
	b.ReportAllocs()
	for b.Loop() {
		c.Tick()
		c.Ready(rd)
		for n := wire.NodeID(2); n < 4; n++ {
			if err := c.Step(wire.Message{Type: wire.MsgHeartbeatReply, Group: testGroup, From: n, To: 1, Term: c.term, Index: c.commit}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// blindLog is a disk that keeps nothing: in the steady state nothing is read back.
type blindLog struct{}

func (blindLog) Bounds() (first, last wire.Index)   { return 1, 0 }
func (blindLog) Term(wire.Index) (wire.Term, error) { return 0, nil }
func (blindLog) Entries([]wire.Entry, wire.Index, wire.Index, int) ([]wire.Entry, error) {
	panic("read back")
}

func benchCore(b *testing.B, log LogReader) *Core {
	c, err := New(Config{Group: testGroup, Self: 1, Seed: 1, Log: log, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func benchLeader(b *testing.B) *Core {
	c, rd := benchCore(b, blindLog{}), &Ready{}
	c.Campaign()
	reply := func(t wire.MessageType, term wire.Term, i wire.Index) {
		for n := wire.NodeID(2); n < 4; n++ {
			if err := c.Step(wire.Message{Type: t, Group: testGroup, From: n, To: 1, Term: term, Index: i}); err != nil {
				b.Fatal(err)
			}
		}
		for c.HasReady() {
			if c.Ready(rd); rd.Token != 0 {
				c.Persisted(rd.Token)
			}
			c.Applied(c.apply.handed)
		}
	}
	reply(wire.MsgPreVoteReply, 1, 0)
	reply(wire.MsgVoteReply, 1, 0)
	reply(wire.MsgAppendReply, 1, 1)
	if c.role != Leader || c.commit != 1 {
		b.Fatalf("%s, commit %d", c.role, c.commit)
	}
	return c
}
