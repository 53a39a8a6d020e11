// Command diff is the differential proof of the core (promise N11): random schedules, one seed each, are played to our
// core and to go.etcd.io/raft/v3, and what both do is compared after each step.
//
// # Pairs
//
// Every node of a cluster is a pair: one of our cores and one RawNode of the reference, each with a log and a
// disk of its own. Both get the same stimulus at the same step: a tick, a proposal, a message from a peer, the end of
// a write, a crash. Then both hand out all that they want done, and
//
//   - their states must be equal: role, term, vote, leader, commit index, every entry of the log, membership, what is
//     applied, the leader's match indexes, what is durable, the election clock;
//   - what they say must be equal, message by message, field by field (type, term, index, log term, commit, reject,
//     hints, entries), after a translation that both sides share (message.go);
//   - memberships must be equal, joint ones in both halves; the reference leaves those by itself, as ours does;
//   - reads must get the same index at the same step;
//   - each must keep the safety invariants by itself (safety.go).
//
// One side, drawn by the seed, carries the schedule: its messages go to the network, where they are dropped, repeated, reordered and cut off,
// and are then delivered to both halves of the receiver. So a difference of taste (when to send an empty append) does
// not grow into two histories that cannot be compared, and a flow that only works with the other one's messages is
// seen at the end: the network heals, and the cluster must commit and agree with the carrier's messages alone.
//
// # Departures
//
// Where the two differ on purpose, the difference has a row in departures.go: what differs, which side, and why it is
// safe. Each occurrence is recognised by its circumstances, not by its outcome alone, and counted. Where a
// departure changes a state, the reference is brought in line with a stimulus that it might have got as well. Whatever
// has no row ends the run with the seed, the step, both states and the command that replays it.
//
//	go run . -schedules 1000 -seed 1     progress, steps a second, the table of departures
//	go run . -seed 17 -v                 one schedule, every step of it
//
// Elections are decided by the schedule and by our core's clock: after each step the reference's random election timeout is
// set to ours (clock.go), since it is drawn from a source that no seed reaches.
//
// What the core leaves to its host the harness does for both sides alike: a snapshot is stored by both halves of a pair at
// the same step, what ours lets go of the reference's storage lets go of as well, and the data of a snapshot is what the
// side itself has committed.
package main
