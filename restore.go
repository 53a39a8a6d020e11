package flotilla

import (
	"context"

	"flotilla/catalog/restore"
)

type (
	// RestoreConfig says which node of which new cluster gets the contents of which archive.
	RestoreConfig = restore.Config
	// Restored is what a data directory was made of.
	Restored = restore.Restored
	// NotEmptyError says that there is something in the directory that is to become a node's.
	NotEmptyError = restore.NotEmptyError
)

// ErrUnfinished says that a Restore was cut off, and has to be run again before a node can start from its directory.
var ErrUnfinished = restore.ErrUnfinished

// Restore makes the data directory of one node of a new cluster from an archive of another one, all of it or nothing. Run at each
// node of the list, with the same archive, list, authority and epoch, it makes the same cluster, with the contents that were
// saved, an id of its own and an epoch above; Open then starts it without InitialCluster.
func Restore(ctx context.Context, cfg RestoreConfig) (Restored, error) { return restore.Run(ctx, cfg) }
