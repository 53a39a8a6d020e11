// Package logstoretest holds what every implementation of multiraft.LogStore is held against, and a store in
// memory that can crash.
//
// Run is the conformance suite: rules of the contract one by one, and random schedules beside a slow, obvious
// model, with restarts and crashes. Memory is the store of simulations: it has a durable part and a volatile
// one, and hooks that make the next commit fail, wait, or lie.
//
//	logstoretest.Run(t, func(t *testing.T) *logstoretest.Harness { ... })
package logstoretest
