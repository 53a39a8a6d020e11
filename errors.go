package flotilla

import (
	"errors"

	"flotilla/catalog/birth"
)

// ErrNotBorn says that the data directory is empty and the Config does not say how its cluster comes to be.
var ErrNotBorn = errors.New("the data directory is empty: say how the cluster is born, by an initial cluster or by bootstrap")

// ErrRemoved says that this node was removed from its cluster and must not come back.
var ErrRemoved = birth.ErrRemoved

type (
	// ContradictionError says that a Config and the data directory disagree (P33). Nothing was changed.
	ContradictionError = birth.ContradictionError
	// UnsafeError says that starting from this data directory could break a promise of the cluster.
	UnsafeError = birth.UnsafeError
)

// ConfigError is one fault of a Config by itself.
type ConfigError struct{ Text string }

// Error returns the fault.
func (e *ConfigError) Error() string { return e.Text }
