// Package flotilla is what an embedder imports: many Raft groups on one node, replicated over QUIC, logged in bbolt,
// fenced by a cluster epoch.
//
// Open takes a Config and a data directory and returns a running Host; Host.Group is a handle on one group, to
// propose commands to its StateMachine and to ask it questions. Group 0 is the metadata group, whose machine is the
// catalog; the groups from 1 on run what Config.NewMachine makes.
//
// It hides how the storeys are put together, started and stopped. It guarantees that a command which Propose answered
// without an error is never lost while a majority of the group keeps its disk, that each error says whether the
// command was applied, that a restart from a directory is the same node or an error (P33), and that Close waits
// for everything Open began and leaves the directory ready to be opened again in the same process (P8). Example:
//
//	host, err := flotilla.Open(ctx, flotilla.Config{
//		Dir: "data", NodeID: 1, Bootstrap: true, TLSDir: "tls",
//		NewMachine: func(flotilla.GroupID) flotilla.StateMachine { return newCounter() },
//	})
//	<-host.Ready() // in a select with host.Failed, which is closed when it never becomes ready
//	result, err := host.Group(1).Propose(ctx, []byte("add 2"))
//	answer, err := host.Group(1).Query(ctx, nil)
package flotilla
