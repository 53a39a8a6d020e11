// Package depot is the part of a simulated data directory that holds snapshots: the store that a node uses, upon a disk in memory
// that loses its power, runs full and rots on demand. It is multiraft.SnapshotStore. Nothing in it waits, nothing runs by itself,
// and what it does depends on its calls and on the source of randomness alone.
//
//	d := depot.New()
//	err := d.Open(full)                 // as a node's start does
//	d.CutAfter(17)                      // the 17th change from now on fails, and everything after it
//	d.Crash(snapshottest.Torn(rng))     // what the next Open finds
package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/shelf"
	"flotilla/snapshotstream/snapshottest"
)

// Depot is one node's. Written, if it is set, is told of each state that a Save has had written: from then on a start may find it, also
// when the Save failed.
type Depot struct {
	disk    *snapshottest.Disk
	store   *snapshotstream.Store
	shelf   *shelf.Shelf
	Written func(g wire.GroupID, s wire.Snapshot, state []byte)
}

// New returns an empty one.
func New() *Depot { return &Depot{disk: snapshottest.NewDisk()} }

// Open is a process that takes the directory up; full says when the file system has no room. An error is that of a cut.
func (d *Depot) Open(full func() bool) (err error) {
	d.store, err = snapshotstream.Open(snapshotstream.Config{
		Dir: "/", Files: d.disk, ReserveBytes: 1, ChunkSize: snapshotstream.MinChunk,
		Free: func(dir string) (int64, error) {
			if full() {
				return 0, nil
			}
			return d.disk.Free(dir)
		},
	})
	if err == nil {
		d.shelf = shelf.New(d.store, shelf.Config{})
	}
	return err
}

// Crash is the end of the process: survives says what of that which is not durable stays.
func (d *Depot) Crash(survives snapshottest.Survival) {
	d.disk, d.store, d.shelf = d.disk.Restart(survives), nil, nil
}

// CutAfter has the power cut in front of the change after the next n.
func (d *Depot) CutAfter(n int) { d.disk.CutAfter(n) }

// Cut reports whether the power is cut.
func (d *Depot) Cut() bool { return d.disk.Cut() }

// Store is the open one, for who sends and receives.
func (d *Depot) Store() *snapshotstream.Store { return d.store }

// Recovered are the snapshots that had been received as a whole and got their name at Open.
func (d *Depot) Recovered() (adopted int) {
	for _, s := range d.store.Recovered() {
		if s.Kind == snapshotstream.StepAdopt {
			adopted++
		}
	}
	return adopted
}

// Rot damages the files of the n newest snapshots of group g: flips a bit, cuts the end off, or takes the file away, as draw chooses.
func (d *Depot) Rot(g wire.GroupID, n int, draw func(n int) int) error {
	list := d.store.List(g)
	for _, h := range list[:min(n, len(list))] {
		file := fmt.Sprintf("/snap/%d/%020d-%020d.snap", g, h.Index, h.Term)
		size := d.disk.Size(file)
		if size <= 0 {
			continue // it rotted away before
		}
		var err error
		switch draw(4) {
		case 0:
			err = d.disk.Truncate(file, draw(size))
		case 1:
			err = errors.Join(d.disk.Remove(file), d.disk.SyncDir(path.Dir(file)))
		default:
			err = d.disk.Flip(file, draw(8*size))
		}
		if err != nil && !d.Cut() {
			return err
		}
	}
	return nil
}

// Held are the indexes of the snapshots of g, the newest first.
func (d *Depot) Held(g wire.GroupID) (list []wire.Index) {
	for _, h := range d.store.List(g) {
		list = append(list, h.Index)
	}
	return list
}

// Newest implements multiraft.SnapshotStore, as do those below.
func (d *Depot) Newest(g wire.GroupID) (wire.Snapshot, int64, bool) { return d.shelf.Newest(g) }

// Save makes a snapshot.
func (d *Depot) Save(g wire.GroupID, s wire.Snapshot, write func(io.Writer) error) error {
	var state []byte
	err := d.shelf.Save(g, s, func(w io.Writer) error {
		err := write(io.MultiWriter(w, writer(func(p []byte) { state = append(state, p...) })))
		if err == nil && d.Written != nil {
			d.Written(g, s, state)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save snapshot %d of group %d: %w", s.Index, g, err)
	}
	return nil
}

type writer func(p []byte)

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// Load reads one.
func (d *Depot) Load(g wire.GroupID, i wire.Index, read func(io.Reader) error) error {
	return d.shelf.Load(g, i, read)
}

// Drop removes those of a group.
func (d *Depot) Drop(g wire.GroupID) error { return d.shelf.Drop(g) }

// Stage keeps the state of an export, which belongs to no group yet.
func (d *Depot) Stage(export io.Reader, members wire.Membership) (*shelf.Staged, error) {
	return d.shelf.Stage(context.Background(), export, members)
}

// Staged are the files of what was staged and neither adopted nor discarded.
func (d *Depot) Staged() []string {
	return slices.DeleteFunc(d.disk.Paths(), func(file string) bool { return !strings.HasSuffix(file, ".import") })
}

// Groups are those of which there are snapshots, by rising ids.
func (d *Depot) Groups() []wire.GroupID {
	ids := d.store.Groups()
	slices.Sort(ids)
	return ids
}
