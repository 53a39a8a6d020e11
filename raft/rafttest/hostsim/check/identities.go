package check

import (
	"fmt"

	"flotilla/raft/wire"
)

// Identities: nothing of a node's data directory reaches a group on a node that knows another one of it: no vote and no
// acknowledgement counts under an identity that is lost (N8).
type Identities struct{}

// Reached is told that messages of node from reach a group on node at, which generation they come from, and what generation
// at's catalog has of from, 0 for none; removed says that it has from as removed.
func (Identities) Reached(at, from wire.NodeID, came, known wire.Generation, removed bool) error {
	switch {
	case removed:
		return fmt.Errorf("messages of node %d reach a group on node %d, which knows that it was removed", from, at)
	case known != 0 && came != known:
		return fmt.Errorf("messages of node %d, data generation %d, reach a group on node %d, which knows generation %d", from, came, at, known)
	}
	return nil
}
