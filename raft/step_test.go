package raft

import (
	"testing"

	"flotilla/raft/wire"
)

// A notice of a higher term must mean nothing else to its receiver, who may lead that very term when it
// arrives: a node votes for 1 in term 2 and then tells 1 of term 2 in answer to an append of term 1.
func TestNoticeOfAHigherTermMeansNothingElse(t *testing.T) {
	voter := openBench(t, Config{Self: 2, HardState: wire.HardState{Term: 2, Vote: 1}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog())
	for _, typ := range []wire.MessageType{wire.MsgAppend, wire.MsgHeartbeat} {
		voter.step(wire.Message{Type: typ, From: 1, Term: 1}).take()
	}
	b := openBench(t, Config{HardState: wire.HardState{Term: 1}, Membership: wire.Membership{Voters: []wire.NodeID{1, 2, 3}}}, newMemoryLog(1)).rule()
	before := *b.core.lead.follower(2)
	if len(voter.out) != 2 {
		t.Fatalf("sent %+v", voter.out)
	}
	for _, m := range voter.out {
		b.step(m)
	}
	if after := b.core.lead.follower(2); after.State() != before.State() || after.Next() != before.Next() {
		t.Errorf("%+v became %+v", before, after)
	}
}
