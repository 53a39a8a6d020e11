// Package multiraft is the loop that drives every raft group of a node: it takes in messages, proposals
// and reads, steps the cores, sends what they say grouped by peer, makes their logs durable with one disk
// commit for all groups, applies what is committed, and answers who waits.
//
// It hides goroutines and batching: a few workers own all cores (no goroutine, timer, channel or lock per
// group), one log writer serves the disk, a few appliers run the state machines. What it guarantees stands in
// docs/promises.md under P1 to P18; how, in DESIGN.md. It reaches the world through the ports of ports.go
// only, and tells what happened through Config.Events and Stats.
//
// The engine owns the machines given to AddGroup; the log store and the transport stay the caller's, who
// closes them after Close has returned.
//
//	e, err := multiraft.New(multiraft.Config{Self: 1, Log: store, Transport: transport, Seed: seed})
//	err = e.AddGroup(multiraft.GroupConfig{ID: 7, Machine: machine})
//	e.Start()
//	result, err := e.Propose(ctx, 7, []byte("command"))
//	answer, err := e.Query(ctx, 7, []byte("request"))
//	err = e.Close(ctx)
package multiraft
