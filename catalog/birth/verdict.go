package birth

import (
	"sync"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Verdict collects which peers say that this node was removed from its cluster. A node that believed one of them could be
// stopped by any. The zero value is ready; safe for concurrent use.
type Verdict struct {
	mu sync.Mutex
	by map[wire.NodeID]bool
}

// Removed notes that peer by says that self was removed, and reports whether more than half of the other nodes that v
// knows have said so. A node that was removed may know an old topology: it is told by those it knew.
func (d *Verdict) Removed(self, by wire.NodeID, v *catalog.Snapshot) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = make(map[wire.NodeID]bool)
	}
	d.by[by] = true
	others, said := 0, 0
	for _, n := range v.Topology.Nodes {
		if n.ID == self || n.State == catalog.NodeRemoved {
			continue
		}
		others++
		if d.by[n.ID] {
			said++
		}
	}
	return 2*said > others
}
