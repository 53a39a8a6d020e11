package multiraft

import (
	"testing"

	"flotilla/raft/wire"
)

// D58: a message that names another sender than its connection's, or another receiver, reaches no core and is counted.
func TestForeignMessages(t *testing.T) {
	c := newCluster(t, 3, 1)
	h := newHand(c)
	n := c.nodes[1]
	h.settle()
	vote := wire.Message{Type: wire.MsgVote, Group: 1, From: 2, To: 1, Term: 7}
	spoofed, misrouted := vote, vote
	spoofed.From = 3
	misrouted.To = 2
	n.engine.HandleMessages(2, []wire.Message{spoofed, misrouted})
	h.settle()
	if got := n.engine.Stats().Foreign; got != 2 {
		t.Errorf("%d foreign messages counted, want 2", got)
	}
	if s, _ := n.engine.GroupStatus(1); s.Term != 0 {
		t.Errorf("a foreign message moved the term to %d", s.Term)
	}
}
