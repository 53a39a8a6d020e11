// Package rafttest is the laboratory of the consensus core: whole groups of cores on disks, a network and
// state machines that live in memory and break on demand, all in one goroutine.
//
// It hides how a core is driven (Cluster: take its Ready, put updates on their way to a Disk, carry messages,
// apply what is committed) and offers two drivers on top of it:
//
//   - package script runs the commands of a transcript (raft/testdata/*.txt), one situation each, told by hand;
//   - Sim draws everything from one seed: the size of the group, the rates of faults (swarm testing), the
//     schedule. The same seed on the same code gives the same run, event by event.
//
// Everything that happens is an Event. A Model keeps what the events say of each replica; a Checker per
// invariant looks at the model after every event and names what is broken. Checkers run under both drivers.
//
//	go run ./raft/rafttest/cmd/sim -cores -seeds 1000  # look for a failing seed
//	go run ./raft/rafttest/cmd/sim -cores -seed 17 -v  # replay one, with its trace
//
// Nothing here is safe for concurrent use, and nothing reads a clock or a source of randomness of its own.
package rafttest
