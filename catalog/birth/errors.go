package birth

import (
	"errors"
	"fmt"

	"flotilla/raft/wire"
)

// ErrNotBorn says that the data directory is empty and nobody says how its cluster comes to be.
var ErrNotBorn = errors.New("the data directory is empty: say how the cluster is born, by an initial cluster or by bootstrap")

// ConfigError is one fault of a configuration by itself.
type ConfigError struct{ Text string }

// Error returns the fault.
func (e *ConfigError) Error() string { return e.Text }

// ErrRemoved says that this node was removed from its cluster and must not come back.
var ErrRemoved = errors.New("this node was removed from its cluster")

// ContradictionError says that a setting and the data directory disagree (P33). Nothing was changed.
type ContradictionError struct {
	// Setting is the flag's name, like "node-id".
	Setting string
	// Given is what was asked for, Have what the data directory says.
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

// lostNode is what remains to be said to whoever has lost a node's disk.
const lostNode = "a node whose data was lost starts with an empty directory and joins anew; the others serve as long as they are a majority"

// RefusedGeneration says that the cluster knows the node by another data directory (N8, D17).
func RefusedGeneration(id wire.NodeID) error {
	return &UnsafeError{
		What: fmt.Sprintf("the cluster knows node %d by another data directory than this one", id),
		Next: "start it from its first directory; " + lostNode,
	}
}
