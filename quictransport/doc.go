// Package quictransport carries messages between the nodes of one cluster over QUIC. It hides sockets,
// connections, streams, certificates and reconnecting; it guarantees that whatever reaches a Handler came from a node
// of this cluster whose certificate names it, was addressed to this node, is well formed, and passed the fence.
//
// One Transport has one UDP socket. Between two nodes stands one connection at most, with a control lane that
// never waits for bulk, append lanes, and a forward lane for requests and replies. Send never blocks. A peer
// that is silent, slow, hostile or gone costs nobody else anything.
//
//	t, err := quictransport.New(quictransport.Config{Cluster: id, ClusterName: "flotilla", Self: 1, ...})
//	err = t.Start(handler)
//	err = t.SetPeer(2, "10.0.0.2:7400")
//	err = t.Send(2, wire.LaneControl, msgs)
//	...
//	err = t.Close(ctx)
//
// DESIGN.md has the protocol, who owns what, and what was weighed.
package quictransport
