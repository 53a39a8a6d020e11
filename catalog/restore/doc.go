// Package restore makes data directories of a new cluster from an archive of another one: the same contents, settings and groups,
// on other nodes, under an id and an epoch of its own. It hides how a data directory is put together.
//
// What it guarantees: all or nothing, whatever cuts it off; nothing is there before every byte of the archive was checked; nodes
// that are given the same archive, list and certificate authority make the same cluster, without having spoken to each other.
// The nodes of the cluster that was are refused by it, and its epoch is above theirs. The caller owns archive and certificates;
// the directory is the node's from its next start on.
//
//	restored, err := restore.Run(ctx, restore.Config{Archive: "backup", Dir: "data", NodeID: 1, Nodes: map[wire.NodeID]string{1: "a:7400"}})
package restore
