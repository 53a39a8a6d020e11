// Package hostsim simulates clusters of whole hosts in one goroutine: the engine with its workers, log writer, appliers,
// forwarding and latch (multiraft.Stepper), the fence as the transport keeps it, group 0's state machine without its file,
// kv machines with sessions, and clients; over a network, disks and clocks that live in memory and break on demand.
//
// In most runs membership runs itself: stewards as in catalog/steward, without their goroutines, carry out what catalog/placement
// says, while nodes join, are drained and sent away, are removed by force, lose their disk and come back with another, and groups are
// made and deleted. Frames carry the generation of their data directory, which their receiver holds against its catalog as
// quictransport does. One disk is lost at a time and only while every group can bear it: more is nobody's promise.
//
// In many of these groups are also made of exports, as Admin.ImportGroup does it, step by step: processes die, disks run full and lose their
// power in and between the steps, whoever waits leaves, and operators delete what is not there yet. The group is whole or never there.
//
// In most runs logs are short and snapshots take their place: made, sent in chunks over streams of their own, gone on with after whatever
// cut them off, taken over by machines and logs, by a store as nodes have it upon a disk that loses its power at any of its changes. They rot,
// are damaged on the way, and find receivers without space; processes die between two steps of an install.
//
// One seed draws everything: the size of the cluster, which faults there are and how often (swarm testing), the load with
// its busy and quiet times, and the schedule. The same seed on the same code gives the same run, event by event, in any
// process: a run's Hash is over all of them. One to three times faults stop and the cluster must heal: one leader a group,
// the same state everywhere, writes that succeed; at the end everybody must have been answered. A few runs are peaceful:
// they must keep their first leaders.
//
// What the invariants are says package check; Sim only tells its checkers what happens. The first broken one ends a run.
//
//	go run ./raft/rafttest/cmd/sim -seeds 1000     # look for a failing seed
//	go run ./raft/rafttest/cmd/sim -seed 17 -v     # replay one, with its trace
package hostsim
