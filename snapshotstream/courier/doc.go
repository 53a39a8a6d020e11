// Package courier carries snapshots between the nodes of a cluster: it puts quictransport's streams, snapshotstream's sessions and
// the fence together, and is what raft/multiraft calls a Courier. It hides streams, pacing and resuming.
//
// It guarantees that a snapshot is taken in only from a sender that has applied the current epoch (P25) and whose announcement the
// group's core has accepted; that both sides agree on one that the receiver has a part of, if there is one (N5); and that nothing
// is under way after Close (P7).
//
//	c := courier.New(courier.Config{Store: store, Open: open, Fence: fence, Offer: engine.OfferSnapshot, Install: engine.InstallSnapshot})
//	engine's Config.Courier = c; the transport's Config.Snapshot calls c.Serve
//	c.Close()
package courier
