package snapshotstream

import (
	"errors"
	"slices"
	"testing"

	"flotilla/raft/wire"
)

// TestPlan: what a start makes of each kind of leftover.
func TestPlan(t *testing.T) {
	at := layout{"/data"}
	head := func(i wire.Index) Header {
		h := Header{State: stateAt(4, i), BodyLength: 10, ChunkSize: MinChunk}
		h.ID[0] = byte(i)
		return h
	}
	path := func(i wire.Index, as string) string { h := head(i); return at.file(&h, as) }
	part := func(i wire.Index, as string) string { h := head(i); return at.staged(&h, as) }
	snap := func(i wire.Index) found { return found{group: 4, path: path(i, snapSuffix), header: head(i)} }
	staged := func(i wire.Index, state markState) stagedFile {
		return stagedFile{header: head(i), mark: mark{state: state}, part: part(i, partSuffix), note: part(i, markSuffix)}
	}
	bad := snap(7)
	bad.err = errors.New("rot")
	for _, c := range []struct {
		name string
		has  survey
		want []string // kind's first letter, blank, path
	}{
		{"nothing", survey{}, nil},
		{"two and a part that is newer", survey{snaps: []found{snap(5), snap(6)}, staged: []stagedFile{staged(7, receiving)}}, nil},
		{"half made", survey{temps: []string{path(7, tmpSuffix)}}, []string{"r " + path(7, tmpSuffix)}},
		{"strays", survey{strays: []string{part(7, markSuffix)}}, []string{"r " + part(7, markSuffix)}},
		{"three", survey{snaps: []found{snap(5), snap(6), snap(7)}}, []string{"r " + path(5, snapSuffix)}},
		{
			"sealed",
			survey{snaps: []found{snap(5), snap(6)}, staged: []stagedFile{staged(7, sealed)}},
			[]string{"a " + part(7, partSuffix), "r " + part(7, markSuffix), "r " + path(5, snapSuffix)},
		},
		{
			"sealed and there already",
			survey{snaps: []found{snap(7)}, staged: []stagedFile{staged(7, sealed)}},
			[]string{"r " + part(7, markSuffix), "r " + part(7, partSuffix)},
		},
		{
			"overtaken",
			survey{snaps: []found{snap(8)}, staged: []stagedFile{staged(7, receiving)}},
			[]string{"r " + part(7, markSuffix), "r " + part(7, partSuffix)},
		},
		{
			"two parts",
			survey{staged: []stagedFile{staged(8, receiving), staged(7, receiving)}},
			[]string{"r " + part(7, markSuffix), "r " + part(7, partSuffix)},
		},
		{
			"a part beside a newer sealed one",
			survey{staged: []stagedFile{staged(7, receiving), staged(8, sealed)}},
			[]string{"a " + part(8, partSuffix), "r " + part(8, markSuffix), "r " + part(7, markSuffix), "r " + part(7, partSuffix)},
		},
		{
			"damaged, and the whole of it was received again",
			survey{snaps: []found{snap(6), bad}, aside: []found{{group: 4, path: path(3, badSuffix)}}, staged: []stagedFile{staged(7, sealed)}},
			[]string{"r " + path(3, badSuffix), "s " + path(7, snapSuffix), "a " + part(7, partSuffix), "r " + part(7, markSuffix)},
		},
	} {
		var got []string
		for _, s := range plan(&c.has, at) {
			got = append(got, map[StepKind]string{StepRemove: "r ", StepAdopt: "a ", StepSetAside: "s "}[s.Kind]+s.Path)
			if s.String() == "" || s.Why == "" {
				t.Errorf("%s: %+v says nothing", c.name, s)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}
