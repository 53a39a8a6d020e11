package birth

import (
	"fmt"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Logs is what is asked of a log store, by one goroutine at a time.
type Logs interface {
	// Groups returns what the store holds, State of one group, and Commit makes a batch durable, all or nothing.
	Groups() []wire.GroupState
	State(wire.GroupID) (wire.GroupState, bool)
	Commit([]wire.LogUpdate) error
}

// CreateLogs makes the logs of self's groups in one commit. Untouched logs of a birth that a crash cut short are
// replaced; touched ones mean that the catalog was lost, an *UnsafeError.
func CreateLogs(store Logs, self wire.NodeID, groups []catalog.Group) error {
	var drop, create []wire.LogUpdate
	for _, old := range store.Groups() {
		if touched(old) {
			return &UnsafeError{
				What: fmt.Sprintf("the log of group %d is not empty, but the catalog is", old.Group),
				Next: "catalog.db was lost: restore it from this very disk, never from an older copy; " + lostNode,
			}
		}
		drop = append(drop, wire.LogUpdate{Group: old.Group, Drop: true})
	}
	for _, g := range groups {
		if g.Origin.Contains(self) {
			create = append(create, wire.LogUpdate{Group: g.ID, Create: true, SetMembership: true, Membership: g.Origin})
		}
	}
	for _, batch := range [][]wire.LogUpdate{drop, create} {
		if len(batch) == 0 {
			continue
		}
		if err := store.Commit(batch); err != nil {
			return err
		}
	}
	return nil
}

// touched reports whether a log may hold a vote or an entry.
func touched(g wire.GroupState) bool {
	return g.Err != nil || g.Last >= g.First || g.HardState != (wire.HardState{})
}

// CheckLogs refuses a directory whose log was lost: an empty one would vote again in terms it has voted in (D17).
//
// It asks for group 0's log and for no other: replicas of data groups come and go at run time, and the catalog may know
// of one whose log a crash kept from being made. That the whole directory is there is told by group 0 alone: every node holds it, its
// log is durable before the catalog is born or joins, and nothing ever drops it. That a single log is there, of those that
// were made, is up to the store, which quarantines what it cannot read rather than forget it; what it would not notice is
// listed in its DESIGN.md (a newest file removed as a whole, an older copy of the directory, a rotten first record).
func CheckLogs(store Logs, self wire.NodeID) error {
	if _, ok := store.State(wire.MetadataGroup); ok {
		return nil
	}
	return &UnsafeError{
		What: fmt.Sprintf("node %d has a catalog but no log", self),
		Next: "the directory log was lost: restore it from this very disk, never from an older copy; " + lostNode,
	}
}
