package multiraft

import (
	"testing"

	"flotilla/raft/wire"
)

// P5, F21: an inbox that is full of bulk still takes liveness in, and that has its bound too.
func TestFullInboxTakesLiveness(t *testing.T) {
	b := newInbox(64 << 10)
	bulk := letter{m: wire.Message{Type: wire.MsgAppend, Entries: []wire.Entry{{Index: 1, Term: 1, Data: make([]byte, 4<<10)}}}}
	beat := letter{m: wire.Message{Type: wire.MsgHeartbeat}}
	fill := func(l letter) (taken int) {
		for range 10_000 {
			if b.deliver([]letter{l}) == 0 {
				taken++
			}
		}
		return taken
	}
	if n := fill(bulk); n == 0 || n > 16 {
		t.Fatalf("%d appends of 4 KiB in 64 KiB", n)
	}
	if n := fill(beat); n < 100 || n == 10_000 {
		t.Errorf("%d of 10,000 heartbeats were taken in behind bulk, want many and not all", n)
	}
}

// P6: a refusal is never refused in turn, or two nodes without a group would refuse each other for ever.
func TestRefusalsAreNotRefused(t *testing.T) {
	var s sorting
	for kind, want := range map[wire.MessageType]int{wire.MsgGroupRefused: 0, wire.MsgHeartbeat: 1, wire.MsgAppend: 1} {
		s.refusals = nil
		s.refuse(&wire.Message{Type: kind, Group: 9, From: 2, To: 1}, wire.RefuseUnknownGroup)
		if len(s.refusals) != want {
			t.Errorf("message of type %d: %d refusals, want %d", kind, len(s.refusals), want)
		}
	}
}
