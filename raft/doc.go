// Package raft is the consensus of one group on one node, as a pure function of what it is told: Step, Tick,
// Propose, ReadIndex, Persisted, Applied go in; Ready comes out. It has no goroutine, clock, disk, network, log call or
// global variable; even its randomness comes from a seed. The same calls in the same order give the same output, byte
// for byte, so whole clusters run in a simulator (raft/rafttest) and every failure replays.
//
// It follows Ongaro's thesis (sections are cited where they apply) with pre-vote and check-quorum, leadership
// transfer, read-index, learners, membership changes of one voter or by joint consensus, and flow control by probes
// and windows. docs/divergence.md lists where it departs from the thesis.
//
// # Driving a core
//
// A Core has one owner, who calls it from one goroutine at a time and then, while HasReady, takes a Ready:
//
//	c, err := raft.New(cfg)               // from what the disk holds
//	...
//	c.Step(m); c.Tick(); c.Propose(data)  // whatever happened
//	for c.HasReady() {
//		c.Ready(&rd)
//		send(rd.Messages)                 // at once, a leader's appends among them (P2)
//		if rd.Token != 0 {
//			writer.write(rd.Update, rd.Token) // any time later: c.Persisted(token)
//		}
//		for _, e := range rd.Committed {
//			// EntryChange: c.ApplyChange(e), before anything after it is applied (P9)
//			// EntryData: to the state machine; then c.Applied(index)
//		}
//	}
//
// Nothing is to be waited for between the calls. Several writes may be on their way; they become durable in order,
// and Persisted(t) vouches for all up to t. What must not be said before it is durable is held inside.
// Messages may be lost, repeated, late and out of order. A caller that cannot send says so (Unreachable).
//
// Peers are not trusted to be right: Step checks what it is given and answers nonsense with a *MessageError. The caller and
// the disk are: a call that makes no sense panics through assert, a read of the log that fails ends the core (Err).
//
// # One file, one noun
//
//	core.go         the state, New, Tick, changes of role
//	core_ready.go   HasReady, Ready, Status
//	step.go         which message goes to which handler; terms
//	follower.go     appends, heartbeats, votes given
//	candidate.go    elections
//	leader.go       taking office, proposals, heartbeats, commit
//	replicate.go    what is sent to whom, acknowledgements, refusals
//	read.go         read indexes
//	sleep.go        groups in which nothing happens
//	lease.go        read indexes without a round, and what that rests on
//	change.go       changes of the membership
//	transfer.go     leadership transfer
//	snapshot.go     followers that need a snapshot, and how it gets there
//	install.go      a snapshot that is taken in
//	compact.go      what a snapshot says, and letting go of the log
//	log.go          the log: the tail in memory over the durable log
//	persistence.go  tokens, and what waits for the disk
//	apply.go        committed entries on their way to the state machine
//
// # Invariants
//
// They are asserted where the number stands in an assertion's text; those marked with * are seen only from
// outside and checked by the simulator.
//
//	I1   A term has at most one leader*; a leader was elected in its term.
//	I2   Term and vote are on disk before a vote is asked for or given. What waits for the disk waits for a write that
//	     is on its way or comes with the next Ready.
//	I3   A leader only appends to its log, entries of its own term.
//	I4   A log has no gaps, and terms never fall along it.
//	I5   The commit index never falls and never passes the end of the log.
//	I6   A committed entry is never taken out of a log*; no log is truncated at or below its commit index.
//	I7   applied <= handed <= min(commit, durable), and anchor <= durable <= given <= last; entries are handed out in
//	     order, each once. (After a snapshot durable is behind until the move is on disk.)
//	I8   An acknowledgement says nothing of entries that are not durable and equal to the leader's.
//	I9   A leader commits what a majority of voters holds on disk, in a joint configuration of either half, itself
//	     counted like any other, and only when the last of it is of its own term.
//	I10  match < next for every follower; match only rises within a leadership.
//	I11  A window's bytes are the sum over its messages, 0 when there is none.
//	I12  Changes take effect one by one, in log order; a membership is well formed and its index only rises.
//	I13  Who campaigns or is handed leadership is a voter, and has made every change effective that it knows to be
//	     committed.
//	I14  A read index is at or above every index that was acknowledged anywhere when the read was asked for*; it is
//	     never below the first entry of the leader's term.
//	I15  Tokens rise; nothing is durable that was not handed out.
//	I16  A term never falls; within a term a vote is given once.
//	I17  No message goes to its sender or to nobody.
//	I18  A snapshot's state and membership are those of its index*. While one is being installed nothing is handed out
//	     and nobody campaigns; then log, commit index, applied index and membership move to it, forward only.
//	I19  With lease reads on, nobody votes or stands within an election timeout of hearing a leader, but by its order; a read is
//	     answered without a round only by a round that was sent within a shorter time, and never after such an order.
//	I20  Who sleeps says nothing and changes nothing*; a leader falls asleep only with everything committed and on the disk of
//	     every member*.
package raft
