package catalog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/wire"
)

// images returns what a kill can leave on the disk between before and after one commit: bbolt writes data pages
// to places that before does not use, syncs, writes one meta page, syncs. So: any number of the data
// pages in either order, and a write that ends in the middle of a page; then all of them with the meta
// cut at each sector.
func images(before, after []byte) (old, new [][]byte) {
	const page, sector = 4096, 512
	grown := make([]byte, max(len(before), len(after)))
	copy(grown, before)
	var data, metas []int
	for off := 0; off < len(after); off += page {
		if bytes.Equal(grown[off:off+page], after[off:off+page]) {
			continue
		}
		if off < metaPageCount*page {
			metas = append(metas, off)
		} else {
			data = append(data, off)
		}
	}
	at := func(image []byte, off, n int) []byte {
		image = bytes.Clone(image)
		copy(image[off:off+n], after[off:off+n])
		return image
	}
	forth, back := grown, grown
	old = append(old, before, grown)
	for i := range data {
		old = append(old, at(forth, data[i], sector), at(forth, data[i], page/2))
		forth, back = at(forth, data[i], page), at(back, data[len(data)-1-i], page)
		old = append(old, forth, back)
	}
	for _, off := range metas {
		for n := sector; n <= page; n += sector {
			new = append(new, at(forth, off, n))
		}
	}
	return old, new
}

// opened returns what the file image is opened as.
func opened(t *testing.T, image []byte) (*Snapshot, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	must(t, os.WriteFile(path, image, 0o600))
	return openedAt(t, path)
}

// openedAt returns what the file at path is opened as.
func openedAt(t *testing.T, path string) (*Snapshot, error) {
	t.Helper()
	c, err := Open(path, Options{LockTimeout: time.Millisecond})
	if err != nil {
		return nil, err
	}
	must(t, c.Close())
	return c.View(), nil
}

// P22, P30, F47, D1, D2, D16: killed at any write of any commit, the catalog opens as it was before the
// change or after it, never between: identity with topology and routing, epoch with applied index.
func TestKillAtEveryWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := open(t, path, Options{})
	var wide []Change // enough to move records to new pages and to grow the file
	for g := wire.GroupID(10); g < 400; g++ {
		wide = append(wide, PutGroup{Group: Group{ID: g, Voters: []wire.NodeID{1, 2, 3}}})
	}
	total := 0
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"bootstrap", func() { must(t, c.Bootstrap(someBirth())) }},
		{"incarnation", func() { _, err := c.NextIncarnation(); must(t, err) }},
		{"epoch bump", func() { apply(t, c, 1, EpochBump{1}) }},
		{"batch of everything", func() {
			apply(t, c, 2, EpochBump{2}, RegisterNode{ID: 1, Generation: 0xfeed, Addr: "a:1"}, ListNode{4, "n:4"}, AssignShards{Claims: []Claim{{0, 99, 2}}})
		}},
		{"400 groups", func() { apply(t, c, 2, wide...) }},
		{"epoch bump after it", func() { apply(t, c, 3, EpochBump{3}) }},
	} {
		before, err := os.ReadFile(path)
		must(t, err)
		was := c.View()
		step.do()
		now := c.View()
		after, err := os.ReadFile(path)
		must(t, err)
		old, new := images(before, after)
		if len(old) < 4 || len(new) != 8 {
			t.Fatalf("%s: %d and %d images: the commit is not what this test thinks", step.name, len(old), len(new))
		}
		for i, image := range append(old, new...) {
			want := was
			if i >= len(old) {
				want = now
			}
			got, err := opened(t, image)
			if err != nil {
				t.Errorf("%s: killed at write %d: %v", step.name, i, err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: killed at write %d: %s", step.name, i, diff)
			}
			total++
		}
	}
	t.Logf("%d kills", total)
}

// P30, P31 (part): a birth that was killed can be repeated and ends in the same state.
func TestBirthRepeatedAfterKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	killed := errors.New("killed")
	c, err := Open(path, Options{beforeCommit: func() error { return killed }})
	must(t, err)
	if err := c.Bootstrap(someBirth()); !errors.Is(err, killed) {
		t.Fatalf("got %v", err)
	}
	must(t, c.Close())
	c = open(t, path, Options{})
	if c.View().Born {
		t.Fatal("half a birth")
	}
	must(t, c.Bootstrap(someBirth()))
}

// P30, P31, F47: killed at any write of a join, the catalog is unborn or has all of it; an unborn one joins again, with
// what the cluster's state is by then, and ends where it would have without the kill.
func TestJoinKilledAtEveryWrite(t *testing.T) {
	c, _ := born(t)
	apply(t, c, 3, EpochBump{3}, AdmitNode{ID: 9, Generation: 5, Addr: "n:9"}, PutToken{[32]byte{1}, 100, 10})
	shared, err := ReadShared(c.View().AppendShared(nil))
	must(t, err)
	apply(t, c, 3, ReportMembers{ID: 0, Members: wire.Membership{Index: 4, Voters: nodes(1, 2, 3), Learners: nodes(9)}})
	later, err := ReadShared(c.View().AppendShared(nil))
	must(t, err)

	joiner, path := unborn(t)
	before, err := os.ReadFile(path)
	must(t, err)
	id := Identity{ClusterID: wire.ClusterID{1, 2, 3}, ClusterName: "flotilla", NodeID: 9, Generation: 5}
	must(t, joiner.Join(id, &shared))
	after, err := os.ReadFile(path)
	must(t, err)
	old, new := images(before, after)
	if len(old) < 4 || len(new) != 8 {
		t.Fatalf("%d and %d images: the commit is not what this test thinks", len(old), len(new))
	}
	for i, image := range append(old, new...) {
		path := filepath.Join(t.TempDir(), "catalog.db")
		must(t, os.WriteFile(path, image, 0o600))
		c := open(t, path, Options{})
		if i >= len(old) {
			if diff := cmp.Diff(joiner.View(), c.View()); diff != "" {
				t.Errorf("killed at write %d: %s", i, diff)
			}
			if err := c.Join(id, &later); !errors.Is(err, ErrBorn) {
				t.Errorf("killed at write %d and joined twice: %v", i, err)
			}
			continue
		}
		if s := c.View(); s.Born || len(s.Groups) > 0 || s.Applied > 0 {
			t.Errorf("killed at write %d: half a join: %+v", i, s)
		}
		must(t, c.Join(id, &later))
		if got := c.View(); got.Digest() != later.Digest() || got.Applied != later.Applied || got.Identity != id {
			t.Errorf("killed at write %d and joined again: %+v", i, got)
		}
	}
}

// F10, reliability "EIO": after a commit that failed nothing more is taken, memory shows what was known to be on
// disk, and a restart goes on from there.
func TestFencedAfterFailedCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	var fail error
	opts := Options{beforeCommit: func() error { return fail }}
	c, err := Open(path, opts)
	must(t, err)
	must(t, c.Bootstrap(someBirth()))
	apply(t, c, 1, EpochBump{1})
	before := c.View()
	fail = errors.New("EIO")
	bump := Command{Index: 2, Term: 2, Data: EpochBump{2}.Append(nil)}
	if _, err := c.Apply(2, []Command{bump}); !errors.Is(err, ErrFenced) || !errors.Is(err, fail) {
		t.Errorf("got %v", err)
	}
	fail = nil
	if _, err := c.Apply(2, []Command{bump}); !errors.Is(err, ErrFenced) {
		t.Errorf("goes on after a failed commit: %v", err)
	}
	if _, err := c.NextIncarnation(); !errors.Is(err, ErrFenced) {
		t.Errorf("goes on after a failed commit: %v", err)
	}
	if c.View() != before {
		t.Error("the view shows what is not known to be on disk")
	}
	must(t, c.Close())
	c = open(t, path, Options{})
	if _, err := c.Apply(2, []Command{bump}); err != nil || c.View().Epoch != 2 {
		t.Errorf("after a restart: epoch %d, %v", c.View().Epoch, err)
	}
}
