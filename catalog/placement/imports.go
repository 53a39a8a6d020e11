package placement

import (
	"flotilla/catalog"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// CalledOff returns what node self has group 0 take back: its imports on which nobody works any more. works knows the tokens of those
// that this process works on; what it does not know is an earlier one's.
func CalledOff(v *catalog.Snapshot, self wire.NodeID, works func(token uint64) bool) []catalog.EndImport {
	var out []catalog.EndImport
	for _, i := range v.Imports {
		if i.Node == self && (!works(i.Token) || mutant.Is(mutant.CallOffAtWork)) {
			out = append(out, catalog.EndImport{ID: i.ID, Token: i.Token})
		}
	}
	return out
}

// Leftovers returns what a node removes for good of the groups in strays, of which it has something and no replica: that of deleted
// ones. Of an import nothing goes before the tombstone is known here, as a "made" of unknown outcome may have won.
func Leftovers(v *catalog.Snapshot, strays []wire.GroupID) []wire.GroupID {
	var out []wire.GroupID
	for _, id := range strays {
		if g, _ := v.FindGroup(id); g.Deleted || mutant.Is(mutant.ForgetBeforeTombstone) {
			out = append(out, id)
		}
	}
	return out
}

// Open reports whether a replica of group id takes commands: when it is a group, and not before. What is being imported may be taken
// back, and what was acknowledged with it.
func Open(v *catalog.Snapshot, id wire.GroupID) bool {
	g, found := v.FindGroup(id)
	return found && !g.Deleted || mutant.Is(mutant.OpenEarly)
}
