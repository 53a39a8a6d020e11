package flotilla

import (
	"errors"
	"fmt"
)

// ErrNotBorn says that the data directory is empty and the Config does not say how its cluster comes to be.
var ErrNotBorn = errors.New("the data directory is empty: say how the cluster is born, by an initial cluster or by bootstrap")

// ErrRemoved says that this node was removed from its cluster and must not come back.
var ErrRemoved = errors.New("this node was removed from its cluster")

// ConfigError is one fault of a Config by itself.
type ConfigError struct{ Text string }

// Error returns the fault.
func (e *ConfigError) Error() string { return e.Text }

// ContradictionError says that a Config and the data directory disagree (P33). Nothing was changed.
type ContradictionError struct {
	// Setting is the flag's name, like "node-id".
	Setting string
	// Given is what the Config says, Have what the data directory does.
	Given, Have string
	// Next is what to do about it.
	Next string
}

// Error names both sides and the next step.
func (e *ContradictionError) Error() string {
	return fmt.Sprintf("%s %s contradicts the data directory, which says %s: %s", e.Setting, e.Given, e.Have, e.Next)
}

// UnsafeError says that starting from this data directory could break a promise of the cluster, like a vote
// given twice.
type UnsafeError struct {
	What string
	// Next is what to do about it.
	Next string
}

// Error returns what is unsafe and the next step.
func (e *UnsafeError) Error() string { return e.What + ": " + e.Next }
