package flotilla

import (
	"errors"

	"flotilla/catalog/birth"
	"flotilla/raft/wire"
)

var (
	// ErrNotBorn says that the data directory is empty and the Config does not say how its cluster comes to be.
	ErrNotBorn = birth.ErrNotBorn
	// ErrRemoved says that this node was removed from its cluster and must not come back.
	ErrRemoved = birth.ErrRemoved
	// ErrSuperseded says that the cluster knows this node by another data directory, which this new one replaces: nothing here was
	// ever known to it. Open it again, and the node joins anew by itself.
	ErrSuperseded = errors.New("the cluster knows this node by another data directory: open this one again to join with it")
	// ErrNoSpace is for a StateMachine to return, wrapped or not, when the disk may be too full for a batch, or for a state to be
	// restored, and nothing of it was done: the same comes again later.
	ErrNoSpace = wire.ErrNoSpace
)

type (
	// ConfigError is one fault of a Config by itself.
	ConfigError = birth.ConfigError
	// ContradictionError says that a Config and the data directory disagree (P33). Nothing was changed.
	ContradictionError = birth.ContradictionError
	// UnsafeError says that starting from this data directory could break a promise of the cluster.
	UnsafeError = birth.UnsafeError
)
