// Package machinetest holds state machines against their contract with the loop: multiraft.StateMachine, multiraft.Snapshotter, and
// what a machine that keeps its state on disk promises beyond them. What it finds in a test would else be found as replicas that
// differ: nothing compares the states of a running cluster.
//
// It hides how a state is looked at from outside, by the bytes of a snapshot and by the results of what is applied next, and how to
// get a reader, a writer or a crash to come at the worst moment. It guarantees that what it drives is driven as the loop does
// it: one goroutine at a time, indexes that rise, commands nobody changes, a frozen state written by another goroutine once and
// closed once.
//
//	machinetest.Run(t, machinetest.Harness{
//		New:     func(testing.TB) multiraft.Snapshotter { return newInventory() },
//		Command: func(rng *rand.Rand) []byte { return someOrder(rng) },
//	})
package machinetest
